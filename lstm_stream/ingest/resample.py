"""Samples resampled to an interval: the means of what came within it, channel by channel.

Rules (time: of the sample, from its payload or else its arrival):
1. Intervals begin at multiples of their length since 1970. The sample of an interval has the time of its end.
2. An interval is closed when a sample of a later one comes, or when its end has passed, as later arrivals of any sensor
   tell (or the clock, while none come). A channel that did not come is absent; an interval without samples gives none.
3. A sample of an interval that was closed is out of order, and counted. One of the same time as another of its interval
   counts like any other.
4. Only times of messages decide: the same messages give the same samples, however they are batched.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from lstm_stream.ingest.waiting import Waiting, floats, numbers
from lstm_stream.records import Reading, Reason, Rejection


@dataclass(slots=True)
class _Open:
    """An interval of a sensor."""

    first: Reading
    end: float
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, sample: Reading) -> None:
        """Take a sample in."""
        for name, value in sample.values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1


class Resample(Waiting[_Open]):
    """The open intervals of all sensors."""

    def add(self, sample: Reading, arrival: float, interval: float) -> list[Reading | Rejection]:
        """Take a sample that arrived at `arrival` (unix s). What it closes, and why it is refused, if it is."""
        key = (sample.group, sample.sensor)
        rejection = self._admit(key)
        if rejection is not None:
            return [rejection]
        end = (math.floor(sample.time / interval) + 1) * interval
        waiting = self._open.get(key)
        if end <= self._closed[key] or (waiting is not None and end < waiting.end):
            detail = f"{sample.sensor!r}: of an interval that was closed already; samples must come in order"
            return [Rejection(Reason.OUT_OF_ORDER, detail)]
        closed: list[Reading | Rejection] = []
        if waiting is not None and end > waiting.end:
            closed, waiting = [self._close(key)], None
        if waiting is None:
            waiting = _Open(sample, end)
            self._begin(key, waiting, arrival + (end - sample.time))
        waiting.add(sample)
        return closed

    def _kept(self, waiting: _Open) -> Any:
        first = waiting.first._replace(values={})  # they are in the sums
        return [tuple(first), waiting.end, numbers(waiting.sums), waiting.counts]

    def _revived(self, kept: Any) -> _Open:
        first, end, sums, counts = kept
        return _Open(Reading(*first), float(end), floats(sums), counts)

    def _made(self, waiting: _Open) -> Reading:
        means = {name: total / waiting.counts[name] for name, total in waiting.sums.items()}
        finite = {name: mean for name, mean in means.items() if math.isfinite(mean)}  # a sum may not be
        return waiting.first._replace(time=waiting.end, values=finite)

"""Why it may not be working: what was rejected, topics that no source takes, sensors whose clock is off.

Everything is bounded, and shows text of strangers on one line, printable and cut. What messages carry is never kept.
"""

from __future__ import annotations

import statistics
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from lstm_stream.detect.describe import duration
from lstm_stream.outputs.web import documents as d
from lstm_stream.records import Decoded, Reason, Rejection

TOPICS = 1_000  # that no source takes, counted apart
SHOWN_TOPICS, SHOWN_CLOCKS = 50, 10
OFF = 30.0  # s that a sensor's clock may differ from ours
LOOKED_AT = 32  # samples of a turn whose clock is looked at
CLOCKS = 500  # sensors
LEADS = 9  # latest samples of one that make its offset
EXPIRES = 3600.0  # s after which an offset that was not seen again is forgotten


@dataclass(slots=True)
class _Clock:
    leads: deque[float] = field(default_factory=lambda: deque(maxlen=LEADS))  # s ahead of the arrival
    seen: float = 0.0  # wall clock, unix s


class Ledger:
    """Written by the worker, a turn at a time; read by anybody."""

    def __init__(self) -> None:
        self._counts: Counter[Reason] = Counter()
        self._latest: dict[Reason, tuple[Rejection, float]] = {}
        self._topics: Counter[str] = Counter()
        self._clocks: OrderedDict[tuple[str, str], _Clock] = OrderedDict()

    def note(self, rejections: Sequence[Rejection], now: float) -> None:
        """These were rejected at wall-clock time `now`."""
        if not rejections:
            return
        self._counts.update(rejection.reason for rejection in rejections)
        self._latest |= {rejection.reason: (rejection, now) for rejection in rejections}
        unknown = Counter(r.topic for r in rejections if r.reason is Reason.UNKNOWN_TOPIC)
        for topic, count in unknown.items():
            if topic in self._topics or len(self._topics) < TOPICS:
                self._topics[topic] += count

    def clocks(self, decoded: Decoded, now: float) -> None:
        """Look at the timestamps of what came: of those that are off, a few each turn are remembered."""
        left = LOOKED_AT
        for rows in decoded.rows:
            lead = rows.time - rows.arrival
            for k in np.flatnonzero((np.abs(lead) > OFF) & rows.timed)[:left].tolist():
                self._off(rows.group, rows.names[int(rows.number[k])], float(lead[k]), now)
                left -= 1
        if left and decoded.readings:
            for reading, arrival in zip(decoded.readings, decoded.arrivals, strict=True):
                if reading.timed and abs(reading.time - arrival) > OFF:
                    self._off(reading.group, reading.sensor, reading.time - arrival, now)
                    left -= 1
                    if not left:
                        break

    def _off(self, group: str, sensor: str, lead: float, now: float) -> None:
        clock = self._clocks.setdefault((group, sensor), _Clock())
        clock.leads.append(lead)
        clock.seen = now
        self._clocks.move_to_end((group, sensor))
        if len(self._clocks) > CLOCKS:
            self._clocks.popitem(last=False)

    def problems(self, now: float, templates: Iterable[str]) -> d.Problems:
        """All of it, the most frequent first; `templates` are the sources' topics."""
        counts, topics = Counter(dict(self._counts)), Counter(dict(self._topics))  # copies: the worker goes on
        rejections = [
            d.RejectionCount(reason.value, count, _sample(*self._latest[reason]))
            for reason, count in counts.most_common()
            if reason in self._latest
        ]
        unmatched = [d.UnmatchedTopic(clean(topic), count) for topic, count in topics.most_common(SHOWN_TOPICS)]
        offsets = [
            d.ClockOffset(clean(group), clean(sensor), statistics.median(clock.leads.copy()))
            for (group, sensor), clock in self._clocks.copy().items()
            if len(clock.leads) > LEADS // 2 and now - clock.seen < EXPIRES
        ]
        worst = sorted(offsets, key=lambda clock: -abs(clock.offset))[:SHOWN_CLOCKS]
        return d.Problems(rejections, unmatched, worst, list(_hints(rejections, unmatched, worst, templates)))


def _sample(rejection: Rejection, at: float) -> d.Sample:
    return d.Sample(clean(rejection.topic), clean(rejection.detail, 500), at)


def _hints(
    rejections: Sequence[d.RejectionCount],
    unmatched: Sequence[d.UnmatchedTopic],
    clocks: Sequence[d.ClockOffset],
    templates: Iterable[str],
) -> Iterable[str]:
    if unmatched:
        topic = unmatched[0]
        yield (
            f"Messages arrive on topics that no source takes, most on {topic.topic} ({topic.count:,}); the sources "
            f"take {', '.join(list(templates)[:5])}. Add one such as {_template(topic.topic)}."
        )
    if clocks:
        far = f"{duration(abs(clocks[0].offset))} {'ahead of' if clocks[0].offset > 0 else 'behind'}"
        yield (
            f"Timestamps of {clocks[0].sensor} are {far} the arrival of their messages. "
            "Set the sensor's clock, or timestamp.trust: false for its source."
        )
    advice = {rejection.reason: rejection for rejection in rejections}
    for reason, text in _ADVICE.items():
        if reason.value in advice:
            yield f"{advice[reason.value].count:,} {text}"


_ADVICE = {
    Reason.MALFORMED: "messages could not be read; `lstm-stream explain` shows why for one of them.",
    Reason.UNSUPPORTED: "messages need an optional package; the detail of the latest names it.",
    Reason.NO_CHANNELS: "messages had no number to watch; name text in `words`, or exclude their topics.",
    Reason.TOO_MANY_SENSORS: "samples came from more sensors than limits.sensors allows.",
    Reason.OUT_OF_ORDER: "samples were older than what their sensor had sent before.",
    Reason.UNKNOWN_CHANNEL: "samples had channels that appeared after the warm-up; exclude them, or forget the sensor.",
    Reason.INTERNAL: "batches met an error of the program; the log has it. Please report it.",
}


def _template(topic: str) -> str:
    """What a source for topics like this one could say."""
    levels = topic.split("/")
    return "/".join([*levels[:-1], "{sensor}"]) if len(levels) > 1 else "{sensor}"


def clean(text: str, most: int = 200) -> str:
    """A stranger's text on one line, printable and cut."""
    kept = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:most])
    return kept if len(text) <= most else f"{kept}…"

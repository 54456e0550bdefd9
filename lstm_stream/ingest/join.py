"""Samples joined from pieces: channels of one sensor that come in messages of their own.

    10:00:00.1 temperature ─┐
    10:00:00.3 humidity    ─┼─▶ one sample of 10:00:00.1, once `hold` has passed; a channel that did not come is absent
    10:00:00.4 pressure    ─┘

Rules (time: of the piece, from its payload or else its arrival):
1. A piece joins the open sample of its sensor if its time is within `hold` of the sample's, which is that of its first
   piece, and its channels are not in it yet.
2. A sample is closed when `hold` has passed since its first piece arrived, as later arrivals of any sensor tell (or the
   clock, while none come); when a piece beyond `hold` comes; when a newer value of a channel comes that it has.
3. A piece of a channel and time that the sample has is a duplicate; one that is older than what is open or was closed
   is out of order, be it by its own fault or because it came after the sample was closed. Both are counted.
4. Only times of messages decide: the same messages give the same samples, however they are batched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lstm_stream.ingest.waiting import Waiting, floats, numbers
from lstm_stream.records import Reading, Reason, Rejection


@dataclass(slots=True)
class _Open:
    """A sample that waits for more."""

    reading: Reading
    times: dict[str, float]  # of each channel


class Join(Waiting[_Open]):
    """The open samples of all sensors."""

    def add(self, piece: Reading, arrival: float, hold: float) -> list[Reading | Rejection]:
        """Take a piece that arrived at `arrival` (unix s). What it closes, and why it is refused, if it is."""
        key = (piece.group, piece.sensor)
        waiting = self._open.get(key)
        if waiting is None:
            rejection = self._admit(key) or (
                _late(piece, self._closed[key]) if piece.time <= self._closed[key] else None
            )
            if rejection is not None:
                return [rejection]
            self._begin(key, _opened(piece), arrival + hold)
            return []
        start = waiting.reading.time
        again = [name for name in piece.values if name in waiting.times]
        if any(waiting.times[name] == piece.time for name in again):
            detail = f"{piece.sensor!r} already has {again[0]} of this time"
            return [Rejection(Reason.DUPLICATE, detail)]
        if piece.time < start - hold or (again and piece.time <= max(start, *(waiting.times[name] for name in again))):
            return [_late(piece, start)]
        if again or piece.time > start + hold:
            closed = self._close(key)
            self._begin(key, _opened(piece), arrival + hold)
            return [closed]
        waiting.reading.values.update(piece.values)
        waiting.times.update(dict.fromkeys(piece.values, piece.time))
        return []

    def _kept(self, waiting: _Open) -> Any:
        return [tuple(waiting.reading._replace(values=numbers(waiting.reading.values))), waiting.times]

    def _revived(self, kept: Any) -> _Open:
        reading, times = kept
        piece = Reading(*reading)
        return _Open(piece._replace(values=floats(piece.values)), floats(times))

    def _made(self, waiting: _Open) -> Reading:
        return waiting.reading


def _opened(piece: Reading) -> _Open:
    return _Open(piece._replace(values=dict(piece.values)), dict.fromkeys(piece.values, piece.time))


def _late(piece: Reading, since: float) -> Rejection:
    detail = f"{piece.sensor!r}: {since - piece.time:.3f} s older than its sample, or came after that was closed"
    return Rejection(Reason.OUT_OF_ORDER, detail + "; a longer join waits longer")

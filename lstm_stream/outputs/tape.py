"""Recent samples of some sensors in rings: the latest one by one, older ones in buckets of ten minutes.

One tape holds the sensors of one group with the same D channels. A batch is written by one kernel; that a row still
belongs to its sensor is seen by its sample count, which rises by one a sample and by nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.jit import kernel, uniform
from lstm_stream.records import Samples, Verdicts

FINE = 360  # latest samples
BUCKET = 600.0  # s of data time
BUCKETS = 1008  # a week
LATEST = 1e12  # s: data times beyond it have no bucket
AT_ONCE = 2**28  # bytes that are reserved for rows at first: growing copies
VERSION = 1

NOBODY, NEW = -1, -2  # instead of a row: not recorded, not asked yet

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]
I4 = NDArray[np.int32]
I8 = NDArray[np.int64]


class Rings(NamedTuple):
    """The rings of R rows, as the kernel takes them."""

    seen: I8  # (R,) samples of the sensor when it was written last
    pending: I8  # (R,) zero but within a call
    written: I8  # (R,) samples written; the next goes to written % FINE
    time: F8  # (R, FINE) unix s
    values: F4  # (R, FINE, D, 4) value, expected, lower, upper
    score: F4  # (R, FINE, 2) score, threshold
    bucket: I4  # (R, BUCKETS) number of the bucket, the first of 1970 being 1; 0: none
    many: I4  # (R, BUCKETS) samples in it
    coarse: F4  # (R, BUCKETS, D, 5) lowest, highest, mean expected, lowest lower, highest upper
    peak: F4  # (R, BUCKETS, 2) highest score, latest threshold


def rings(rows: int, channels: int) -> Rings:
    """Empty ones: all zero, for which the system gives memory as they fill."""
    return Rings(
        np.zeros(rows, np.int64),
        np.zeros(rows, np.int64),
        np.zeros(rows, np.int64),
        np.zeros((rows, FINE)),
        np.zeros((rows, FINE, channels, 4), np.float32),
        np.zeros((rows, FINE, 2), np.float32),
        np.zeros((rows, BUCKETS), np.int32),
        np.zeros((rows, BUCKETS), np.int32),
        np.zeros((rows, BUCKETS, channels, 5), np.float32),
        np.zeros((rows, BUCKETS, 2), np.float32),
    )


@kernel
def write(
    row_of: I4,
    count: I8,
    slot: I4,
    time: F8,
    values: F8,
    expected: F8,
    lower: F8,
    upper: F8,
    score: F8,
    threshold: F8,
    r: Any,
) -> bool:
    """Write M samples (M, D). row_of (S,) has each slot's row, count (S,) its samples, these included.

    False, and nothing is written, where a slot is NEW or its row belongs to somebody else.
    """
    good = True
    for m in range(len(slot)):
        row = row_of[slot[m]]
        if row >= 0:
            r.pending[row] += 1
        elif row == NEW:
            good = False
    for m in range(len(slot)):
        row = row_of[slot[m]]
        if row >= 0 and r.pending[row] > 0:
            good = good and r.seen[row] + r.pending[row] == count[slot[m]]
            r.pending[row] = 0
    if not good:
        return False
    for m in range(len(slot)):
        row = row_of[slot[m]]
        if row < 0:
            continue
        at = r.written[row] % FINE
        r.written[row] += 1
        r.seen[row] += 1
        r.time[row, at] = time[m]
        r.score[row, at, 0], r.score[row, at, 1] = score[m], threshold[m]
        number = np.int32(time[m] // BUCKET + 1.0) if 0.0 <= time[m] < LATEST else np.int32(1)
        place = number % BUCKETS
        if number != r.bucket[row, place]:
            r.bucket[row, place], r.many[row, place] = number, 0
            r.coarse[row, place] = np.nan
            r.peak[row, place] = np.nan
        r.many[row, place] += 1
        weight = np.float32(1.0 / r.many[row, place])
        peak = r.peak[row, place]
        peak[0] = np.float32(score[m]) if not peak[0] >= score[m] else peak[0]
        peak[1] = threshold[m]
        for d in range(values.shape[1]):
            v, e, low, up = values[m, d], expected[m, d], lower[m, d], upper[m, d]
            fine, b = r.values[row, at, d], r.coarse[row, place, d]
            fine[0], fine[1], fine[2], fine[3] = v, e, low, up
            if v == v:
                b[0] = np.float32(v) if not b[0] <= v else b[0]
                b[1] = np.float32(v) if not b[1] >= v else b[1]
            if e == e:
                b[2] = np.float32(e) if b[2] != b[2] else b[2] + (np.float32(e) - b[2]) * weight
            if low == low:
                b[3] = np.float32(low) if not b[3] <= low else b[3]
            if up == up:
                b[4] = np.float32(up) if not b[4] >= up else b[4]
    return True


@dataclass(frozen=True, slots=True)
class Trace:
    """One sensor's N recorded points; one before `fine_since` stands for a bucket."""

    channels: tuple[str, ...]
    time: F8  # (N,) unix s, increasing
    values: F4  # (N, D, 4) value, expected, lower, upper; NaN: absent or unknown. Of a bucket: its highest
    low: F4  # (N, D) the value; of a bucket: its lowest
    score: F4  # (N,)
    threshold: F4  # (N,) inf while warming up
    fine_since: float | None  # None: nothing was recorded

    def within(self, since: float | None, until: float | None) -> Trace:
        """The points of some time."""
        keep = np.ones(len(self.time), np.bool_)
        if since is not None:
            keep &= self.time >= since
        if until is not None:
            keep &= self.time <= until
        return Trace(
            self.channels,
            self.time[keep],
            self.values[keep],
            self.low[keep],
            self.score[keep],
            self.threshold[keep],
            self.fine_since,
        )


class Tape:
    """The rings of the sensors of one group with the same channels, `most` at most, and whose each row is."""

    def __init__(self, channels: tuple[str, ...], most: int = 1) -> None:
        self.channels = channels
        self.rings = rings(0, len(channels))
        self._row_bytes = sum(ring.nbytes for ring in rings(1, len(channels)))
        self._most = most
        self.row_of = np.full(1, NEW, np.int32)  # (S,) by slot
        self.owner: list[str | None] = []  # by row
        self._free: list[int] = []

    def write(self, slots: int, count: I8, samples: Samples, verdicts: Verdicts) -> bool:
        """As the kernel does; there are `slots` in all."""
        if len(self.row_of) < slots:
            more = np.full(max(slots, 2 * len(self.row_of)) - len(self.row_of), NEW, np.int32)
            self.row_of = np.concatenate([self.row_of, more])
        v = verdicts
        good: bool = write(
            self.row_of,
            count,
            uniform(samples.slot),
            uniform(samples.time),
            uniform(samples.values),
            uniform(v.expected),
            uniform(v.lower),
            uniform(v.upper),
            uniform(v.score),
            uniform(v.threshold),
            self.rings,
        )
        return good

    def enter(self, sensor: str) -> int:
        """A row for a sensor, which is empty."""
        row = self._free.pop() if self._free else len(self.owner)
        if row == len(self.owner):
            self.owner.append(sensor)
            if row >= len(self.rings.seen):
                self._grow(max(2 * row, 1, min(self._most, AT_ONCE // self._row_bytes)))
        self.owner[row] = sensor
        return row

    def leave(self, row: int) -> None:
        """Its sensor is not recorded any more."""
        self.owner[row] = None
        self._free.append(row)
        self.row_of[self.row_of == row] = NEW
        empty = rings(1, len(self.channels))
        for name in Rings._fields:
            getattr(self.rings, name)[row] = getattr(empty, name)[0]

    def _grow(self, rows: int) -> None:
        old, self.rings = self.rings, rings(rows, len(self.channels))
        used = np.flatnonzero(old.seen + old.written)  # the others have no memory yet
        for name in Rings._fields:
            getattr(self.rings, name)[used] = getattr(old, name)[used]

    # --- what was recorded

    def trace(self, row: int) -> Trace:
        """All of a row."""
        r = self.rings
        recent = _order(r.written[row], FINE)
        time, values, score = r.time[row][recent], r.values[row][recent], r.score[row][recent]
        old, start, width = self._before(row, time)
        score, coarse = np.concatenate([r.peak[row][old], score]), r.coarse[row][old]
        return Trace(
            self.channels,
            np.concatenate([start + width / 2, time]),
            np.concatenate([coarse[:, :, 1:], values]),
            np.concatenate([coarse[:, :, 0], values[:, :, 0]]),
            np.ascontiguousarray(score[:, 0]),
            np.ascontiguousarray(score[:, 1]),
            float(time[0]) if len(time) else None,
        )

    def _before(self, row: int, time: F8) -> tuple[NDArray[np.intp], F8, F8]:
        """The buckets of a row before its latest samples, in order: their places, when they begin, how long they last.

        That in which the latest samples begin ends there, if it has earlier ones at all.
        """
        number, many = self.rings.bucket[row] - 1, self.rings.many[row]
        seam = int(time[0] // BUCKET) if len(time) else 0
        cut = (number == seam) & (many > np.count_nonzero(time // BUCKET == seam))
        here = ((number < seam) | cut) & (number > int(number.max(initial=-1)) - BUCKETS) & (number >= 0)
        places = np.flatnonzero(here)
        places = places[np.argsort(number[places])]
        start = number[places] * BUCKET
        end = np.minimum(start + BUCKET, time[0]) if len(places) else start
        return places, start, end - start

    def sparks(self, rows: Sequence[int], points: int) -> list[F4]:
        """Of each row the latest scores as multiples of the threshold, `points` at most; 0 while warming up."""
        r, where = self.rings, np.array(rows, np.intp)
        written = r.written[where]
        places = (written[:, None] + np.arange(-points, 0)) % FINE
        score, threshold = np.moveaxis(r.score[where[:, None], places], -1, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = score / threshold
        shown = np.where(np.isfinite(ratio), np.round(ratio, 3), np.float32(0.0))
        return [line[points - min(count, points) :] for line, count in zip(shown, written.tolist(), strict=True)]

    def latest(self, row: int) -> F4:
        """The latest sample's value, expected, lower and upper (D, 4); NaN before the first."""
        written = int(self.rings.written[row])
        return (
            self.rings.values[row, (written - 1) % FINE]
            if written
            else np.full((len(self.channels), 4), np.nan, np.float32)
        )

    # --- out and in

    def pack(self, row: int) -> bytes:
        """A row as bytes: a line of JSON, then the arrays, as far as they are filled."""
        r = self.rings
        recent = _order(r.written[row], FINE)
        used = np.flatnonzero(r.bucket[row])
        head = {"version": VERSION, "channels": self.channels, "fine": len(recent), "coarse": len(used)}
        fine = [r.time[row][recent], r.values[row][recent], r.score[row][recent]]
        arrays = [*fine, r.bucket[row][used], r.many[row][used], r.coarse[row][used], r.peak[row][used]]
        return b"\n".join([json.dumps(head).encode(), b"".join(array.tobytes() for array in arrays)])

    def unpack(self, row: int, data: bytes) -> None:
        """The inverse. Raises ValueError where it is something else."""
        r, size = self.rings, len(self.channels)
        head, fine, coarse = _head(data)
        if tuple(head["channels"]) != self.channels:
            raise ValueError(f"has the channels {head['channels']}, not {list(self.channels)}")
        shapes: list[tuple[str, tuple[int, ...]]] = [("f8", (fine,)), ("f4", (fine, size, 4)), ("f4", (fine, 2))]
        shapes += [("i4", (coarse,)), ("i4", (coarse,)), ("f4", (coarse, size, 5)), ("f4", (coarse, 2))]
        time, values, score, number, many, low_high, peak = _arrays(data, shapes)
        r.time[row, :fine], r.values[row, :fine], r.score[row, :fine] = time, values, score
        r.written[row] = fine
        place = number % BUCKETS
        r.bucket[row, place], r.many[row, place] = number, many
        r.coarse[row, place], r.peak[row, place] = low_high, peak


def channels_of(data: bytes) -> tuple[str, ...]:
    """Of a packed row. Raises ValueError where it is something else."""
    return tuple(map(str, _head(data)[0]["channels"]))


def trace_of(data: bytes) -> Trace:
    """What a packed row recorded. Raises ValueError where it is something else."""
    tape = Tape(channels_of(data))
    row = tape.enter("")
    tape.unpack(row, data)
    return tape.trace(row)


def _head(data: bytes) -> tuple[dict[str, Any], int, int]:
    head = json.loads(data.partition(b"\n")[0])
    if not isinstance(head, dict) or head.get("version") != VERSION:
        raise ValueError("is of another version")
    fine, coarse = int(head["fine"]), int(head["coarse"])
    if not (0 <= fine <= FINE and 0 <= coarse <= BUCKETS and isinstance(head["channels"], list)):
        raise ValueError("is damaged")
    return head, fine, coarse


def _arrays(data: bytes, shapes: Sequence[tuple[str, tuple[int, ...]]]) -> list[NDArray[Any]]:
    start = data.index(b"\n") + 1
    result: list[NDArray[Any]] = []
    for dtype, shape in shapes:
        length = int(np.prod(shape, dtype=np.int64))
        result.append(np.frombuffer(data, dtype, length, start).reshape(shape))  # ValueError where it is too short
        start += length * np.dtype(dtype).itemsize
    if start != len(data):
        raise ValueError("is longer than it says")
    return result


def _order(written: int, size: int) -> NDArray[np.intp]:
    """The places of a ring that are filled, the oldest first."""
    return np.arange(max(0, written - size), written) % size

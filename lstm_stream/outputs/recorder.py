"""Which sensors are recorded for charts: all while there is room, then those that people are likely to look at.

Rules:
1. At most `limit` sensors have a row; who alarms, or is looked at, gets that of the least interesting one.
2. A row is packed at most once in `EVERY` s, and a few at a time.
3. All of it belongs to the worker; only packed bytes leave its thread.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.outputs.tape import NEW, NOBODY, Tape, Trace, channels_of
from lstm_stream.records import Samples, Verdicts

EVERY = 600.0  # s
MARKS = 64  # rounds of training that are remembered of a sensor

Key = tuple[str, str]  # group, sensor


class Round(NamedTuple):
    """The end of a round of training: data time (unix s), the generation in force, adopted | rejected | ..."""

    time: float
    generation: int
    result: str


class Place(NamedTuple):
    """Where a sensor is recorded."""

    tape: Tape
    row: int


@dataclass(slots=True)
class _Reel:
    """A tape of the detector of this moment."""

    tape: Tape
    detector: object = None


@dataclass(slots=True)
class _Track:
    """A sensor that is recorded."""

    place: Place
    packed_at: float  # monotonic s
    packed: int = 0  # samples written by then
    interest: float = -np.inf  # when it alarmed or was looked at last, monotonic s


class Recorder:
    """See above; `clock` is monotonic."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._reels: dict[tuple[str, tuple[str, ...]], _Reel] = {}
        self._tracks: dict[Key, _Track] = {}
        self._rounds: dict[Key, deque[Round]] = {}
        self._gone: list[Key] = []  # packed once, and recorded no more
        self._looked = 0

    def __len__(self) -> int:
        return len(self._tracks)

    # --- the line

    def record(
        self,
        detector: object,
        key: tuple[str, tuple[str, ...]],
        sensors: Sequence[str | None],
        count: NDArray[np.int64],
        samples: Samples,
        verdicts: Verdicts,
    ) -> None:
        """A batch of a group's sensors with these channels: sensors (S,) and count (S,) by slot."""
        reel = self._reels.get(key)
        if reel is None:
            reel = self._reels[key] = _Reel(Tape(key[1], self.limit))
        if reel.detector is not detector:  # slots are others
            reel.detector = detector
            reel.tape.row_of[:] = NEW
        if not reel.tape.write(len(sensors), count, samples, verdicts):
            self._settle(key[0], reel.tape, sensors, count, samples.slot)
            reel.tape.write(len(sensors), count, samples, verdicts)

    def _settle(
        self, group: str, tape: Tape, sensors: Sequence[str | None], count: NDArray[np.int64], slot: NDArray[np.int32]
    ) -> None:
        """Find the rows of the slots of a batch anew, by their sensors' names."""
        slots, times = np.unique(slot, return_counts=True)
        for here, many in zip(slots.tolist(), times.tolist(), strict=True):
            row, name, before = int(tape.row_of[here]), str(sensors[here]), int(count[here]) - many
            if row == NOBODY or (row >= 0 and tape.owner[row] == name and tape.rings.seen[row] == before):
                continue
            if row >= 0 and tape.owner[row] != name:
                tape.row_of[here] = NEW
            place = self._place((group, name), tape)
            tape.row_of[here] = NOBODY if place is None else place.row
            if place is not None:
                tape.rings.seen[place.row] = before

    def _place(self, key: Key, tape: Tape) -> Place | None:
        """Where a sensor is recorded from now on; None: nowhere."""
        track = self._tracks.get(key)
        if track is not None and track.place.tape is not tape:  # it has other channels now
            self._drop(key)
            track = None
        if track is None and len(self._tracks) < self.limit:
            track = self._tracks[key] = _Track(Place(tape, tape.enter(key[1])), self._clock())
        return track.place if track else None

    def _drop(self, key: Key) -> None:
        track = self._tracks.pop(key)
        track.place.tape.leave(track.place.row)
        self._rounds.pop(key, None)
        self._gone.append(key)

    def interesting(self, key: Key, channels: tuple[str, ...], slot: int | None) -> None:
        """A sensor alarmed, or is looked at: record it from now on, though another one has to go."""
        track = self._tracks.get(key)
        reel = self._reels.get((key[0], channels))
        if track is None and reel is not None and slot is not None and slot < len(reel.tape.row_of) and self.limit:
            if len(self._tracks) >= self.limit:
                self._drop(min(self._tracks, key=lambda other: self._tracks[other].interest))
            place = self._place(key, reel.tape)
            reel.tape.row_of[slot] = NEW
            track = self._tracks[key] if place else None
        if track is not None:
            track.interest = self._clock()

    def trained(self, key: Key, end: Round) -> None:
        """A round of training ended; the sensor is empty for weights that a group shares."""
        if key in self._tracks or not key[1]:
            self._rounds.setdefault(key, deque(maxlen=MARKS)).append(end)

    def forget(self, exists: Callable[[Key], bool], most: int = 16) -> None:
        """Look at some sensors, others each time, and let go of those that are no more."""
        keys = list(self._tracks)[self._looked : self._looked + most]
        self._looked = self._looked + most if len(keys) == most else 0
        for key in keys:
            if not exists(key):
                self._drop(key)

    # --- what was recorded

    def trace(self, key: Key) -> Trace | None:
        """A sensor's points; None where it is not recorded."""
        track = self._tracks.get(key)
        return track.place.tape.trace(track.place.row) if track else None

    def sparks(self, keys: Sequence[Key], points: int) -> list[NDArray[np.float32]]:
        """Sensors' latest scores as multiples of the threshold; empty where one is not recorded."""
        found: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(keys)
        tapes: dict[int, tuple[Tape, list[int], list[int]]] = {}  # with the numbers of keys, and their rows
        for number, key in enumerate(keys):
            track = self._tracks.get(key)
            if track is not None:
                _, numbers, rows = tapes.setdefault(id(track.place.tape), (track.place.tape, [], []))
                numbers.append(number)
                rows.append(track.place.row)
        for tape, numbers, rows in tapes.values():
            for number, line in zip(numbers, tape.sparks(rows, points), strict=True):
                found[number] = line
        return found

    def last(self, key: Key) -> list[tuple[str, list[float]]] | None:
        """Each channel's value, expected, lower and upper at the last sample; None where it is not recorded."""
        track = self._tracks.get(key)
        if track is None:
            return None
        tape, row = track.place
        return list(zip(tape.channels, tape.latest(row).tolist(), strict=True))

    def rounds(self, key: Key) -> list[Round]:
        """The rounds of training of a sensor and of its group, in their order."""
        return sorted(one for whose in {key, (key[0], "")} for one in self._rounds.get(whose, ()))

    # --- out and in

    def packed(self, *, everything: bool = False) -> list[tuple[Key, bytes | None]]:
        """What has changed and is due, so much that all is packed within `EVERY` s; None: recorded no more."""
        now, most = self._clock(), len(self._tracks) if everything else 1 + int(len(self._tracks) / EVERY)
        gone, self._gone = [(key, None) for key in self._gone if key not in self._tracks], []
        return [*gone, *self._due(now, most, everything)]

    def _due(self, now: float, most: int, everything: bool) -> Iterator[tuple[Key, bytes]]:
        for key, track in self._tracks.items():
            tape, row = track.place
            written = int(tape.rings.written[row])
            if most and written != track.packed and (everything or now - track.packed_at >= EVERY):
                most -= 1
                track.packed, track.packed_at = written, now
                yield key, tape.pack(row)

    def unpack(self, key: Key, data: bytes) -> None:
        """Take a packed row in. Raises ValueError where it is none."""
        if len(self._tracks) >= self.limit or key in self._tracks:
            return
        channels = channels_of(data)
        reel = self._reels.setdefault((key[0], channels), _Reel(Tape(channels, self.limit)))
        row = reel.tape.enter(key[1])
        try:
            reel.tape.unpack(row, data)
        except ValueError:
            reel.tape.leave(row)
            raise
        written = int(reel.tape.rings.written[row])
        self._tracks[key] = _Track(Place(reel.tape, row), self._clock(), written)

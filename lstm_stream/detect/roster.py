"""What the fleet keeps of its sensors besides the detectors' state, in arrays: the way of a sample to its row.

Rows (number of the sensor) -> Binding -> slot in a Roster -> which samples are new -> Detector
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.detect.detector import Detector
from lstm_stream.detect.slots import FieldSpec, SlotArrays
from lstm_stream.jit import kernel
from lstm_stream.records import Rows

ACCEPTED, DUPLICATE, OUT_OF_ORDER, IDLE = 0, 1, 2, 3
"""What becomes of a sample; an idle one is new, but shows no channel that its sensor has."""

LARGEST = 3.4e38  # float32's largest number, which controllers send for "no value"

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]
I4 = NDArray[np.int32]
I8 = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Roster:
    """The sensors of one detector, by slot. A `stay` is one sensor's time in a slot; stays have numbers for ever."""

    def __init__(self, number: int, detector: Detector) -> None:
        self.number = number
        self.detector = detector
        self.channels = frozenset(detector.channels)
        specs = FieldSpec("latest", "f8", (), -np.inf), FieldSpec("stay", "i8", (), -1), FieldSpec("dirty", "?")
        shown = FieldSpec("score", "f4", (), np.nan), FieldSpec("threshold", "f4", (), np.nan)
        self._arrays = SlotArrays((*specs, *shown), 1, detector.arrays.most)
        self._spread()

    def _spread(self) -> None:
        self.latest: F8 = self._arrays.latest  # (S,) time of the last accepted sample, unix s
        self.stay: I8 = self._arrays.stay  # (S,) -1: the slot is free
        self.dirty: Mask = self._arrays.dirty  # (S,) changed since the state was saved
        self.score: F4 = self._arrays.score  # (S,) of the last sample; NaN: none since the start
        self.threshold: F4 = self._arrays.threshold  # (S,) likewise

    def enter(self, sensor: str, stay: int) -> int:
        """A slot for a sensor."""
        slot = self.detector.add(sensor)
        if slot >= len(self.latest):
            self._arrays.grow(slot + 1)
            self._spread()
        self.latest[slot], self.stay[slot], self.dirty[slot] = -np.inf, stay, False
        self.score[slot] = self.threshold[slot] = np.nan
        return slot

    def leave(self, slot: int) -> None:
        """Forget the sensor in this slot."""
        self.detector.remove(slot)
        self.stay[slot], self.dirty[slot] = -1, False

    def furnish(self, slots: list[int], states: list[bytes]) -> float:
        """The states of sensors that have entered; returns the latest of their times."""
        arrays = self.detector.arrays
        arrays.unpack_many(slots, states)
        for slot in slots:
            self.detector.learner.resume(slot)
        self.latest[slots] = arrays.time[slots]
        return float(self.latest[slots].max())


class Binding:
    """Where the numbered sensors of some rows live. What it says of a sensor that has moved on since is not found."""

    def __init__(self) -> None:
        self._roster = np.empty(0, np.int32)  # (N,) by the sensor's number; -1: not known
        self._slot = np.empty(0, np.int32)
        self._stay = np.empty(0, np.int64)

    def set(self, number: int, roster: Roster, slot: int) -> None:
        """A sensor lives there."""
        size = len(self._slot)
        if number >= size:
            more = max(number + 1 - size, size)
            self._roster = np.concatenate((self._roster, np.full(more, -1, np.int32)))
            self._slot = np.concatenate((self._slot, np.zeros(more, np.int32)))
            self._stay = np.concatenate((self._stay, np.full(more, -1)))
        self._roster[number], self._slot[number], self._stay[number] = roster.number, slot, roster.stay[slot]

    def find(self, number: I4, roster: Roster) -> I4:
        """The slots (M,) of those sensors that live in this roster; -1 of the others."""
        return _find(number, roster.number, self._roster, self._slot, self._stay, roster.stay)


@kernel
def _find(number: I4, here: int, roster: I4, slot: I4, stay: I8, stays: I8) -> I4:
    found = np.full(len(number), -1, np.int32)
    for m in range(len(number)):
        n = number[m]
        if n < len(roster) and roster[n] == here and stays[slot[n]] == stay[n]:
            found[m] = slot[n]
    return found


class Piece(NamedTuple):
    """The rows of one roster: which of `rows` they are, and their slots."""

    roster: Roster
    rows: Rows
    first: int  # the number of the first of `rows` in the whole batch
    which: NDArray[np.intp]  # (M,) increasing
    slot: I4  # (M,)

    def cut(self, before: float) -> tuple[Piece, Piece]:
        """What came before that place in the batch, and the rest."""
        end = int(np.searchsorted(self.rows.at[self.which], before))
        return self._replace(which=self.which[:end], slot=self.slot[:end]), self._replace(
            which=self.which[end:], slot=self.slot[end:]
        )

    def arrivals(self) -> Arrivals:
        """The samples as the detector has them."""
        rows, channels = self.rows, self.roster.detector.channels
        whole = len(self.which) == len(rows)
        values = rows.values if whole else rows.values[self.which]
        if rows.channels != channels:
            known, values = values, np.full((len(self.which), len(channels)), np.nan)
            values[:, [channels.index(name) for name in rows.channels]] = known
        at, time = (rows.at, rows.time) if whole else (rows.at[self.which], rows.time[self.which])
        return Arrivals(self.which + self.first, at, self.slot, time, values, np.ones(len(at), np.bool_))


class Arrivals(NamedTuple):
    """M samples of one detector's sensors, in order of arrival, not yet known to be new."""

    number: NDArray[np.intp]  # (M,) of the reading or row in the whole batch
    at: I8  # (M,) number of its message in the batch
    slot: I4  # (M,)
    time: F8  # (M,)
    values: F8  # (M, D)
    steps: Mask  # (M,) False where it shows no channel of the sensor's

    def only(self, which: NDArray[np.intp] | Mask) -> Arrivals:
        """Some of them."""
        number, at, slot, time, values, steps = self
        return Arrivals(number[which], at[which], slot[which], time[which], values[which], steps[which])

    def accept(self, latest: F8) -> tuple[NDArray[np.int8], F8]:
        """What becomes of each, and the time of its sensor's last sample before it; `latest` (S,) is brought on.

        Values that no sensor can mean become NaN.
        """
        code, before = np.empty(len(self.at), np.int8), np.empty(len(self.at))
        _accept(self.slot, self.time, self.steps, self.values, latest, code, before)
        return code, before


def joined(parts: list[Arrivals]) -> Arrivals:
    """Several parts as one, in order of arrival."""
    if len(parts) == 1:
        return parts[0]
    together = Arrivals(*map(np.concatenate, zip(*parts, strict=True)))
    return together.only(np.argsort(together.at, kind="stable"))


@kernel
def _accept(slot: I4, time: F8, steps: Mask, values: F8, latest: F8, code: NDArray[np.int8], before: F8) -> None:
    for m in range(len(slot)):
        last = latest[slot[m]]
        before[m] = last
        if time[m] > last:
            code[m] = ACCEPTED if steps[m] else IDLE
            if steps[m]:
                latest[slot[m]] = time[m]
        else:
            code[m] = DUPLICATE if time[m] == last else OUT_OF_ORDER
        for d in range(values.shape[1]):
            if not abs(values[m, d]) < LARGEST:
                values[m, d] = np.nan

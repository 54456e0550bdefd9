"""Which sensor is which row: from readings with names to batches with slots, and back to events.

    Reading(sensor, group, time, values) -> Detector of (group, channels), slot -> Samples

A group's channels are learned: a sensor begins with those of its first reading, and while it is warming up a new
channel moves it, from the start, to the detector of the larger set. Later, unknown channels are rejected.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from lstm_stream.config import Group, Limits
from lstm_stream.detect.detector import Detector
from lstm_stream.detect.retraining import Round, Trainer
from lstm_stream.records import Event, Packed, Reading, Reason, Rejection, Samples, Verdicts

log = logging.getLogger(__name__)

LARGEST = 3.4e38  # float32's largest number, which controllers send for "no value"

Key = tuple[str, tuple[str, ...]]  # group, channels


@dataclass(slots=True)
class Member:
    """Where a sensor lives, and how far it has come."""

    detector: Detector
    slot: int
    latest: float = -np.inf  # time of its last accepted reading
    accepted: int = 0


class Batch(NamedTuple):
    """One detector's part of a call: row k of samples and verdicts is reading number which[k]."""

    detector: Detector
    which: list[int]
    samples: Samples
    verdicts: Verdicts


@dataclass(slots=True)
class Outcome:
    """What became of some readings."""

    batches: list[Batch] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    rejections: list[tuple[int, Rejection]] = field(default_factory=list)  # (reading's index, why)


class Fleet:
    """All sensors of all groups."""

    def __init__(self, groups: Mapping[str, Group], limits: Limits, trainer: Trainer) -> None:
        self._groups = groups
        self._limits = limits
        self._trainer = trainer
        self._members: dict[tuple[str, str], Member] = {}
        self._dirty: dict[tuple[str, str], None] = {}  # in the order in which they were touched
        self.detectors: dict[Key, Detector] = {}
        self.latest = -np.inf  # data time of the whole fleet

    def __len__(self) -> int:
        return len(self._members)

    # --- the line

    def process(self, readings: Sequence[Reading]) -> Outcome:
        """Score readings in arrival order. What cannot be accepted is in the outcome's rejections, with its reason."""
        outcome = Outcome()
        accepted: dict[Key, list[tuple[int, int]]] = {}  # (reading's index, slot)

        def score_accepted() -> None:
            for key, rows in accepted.items():
                self._score(self.detectors[key], rows, readings, outcome)
            accepted.clear()

        for index, reading in enumerate(readings):
            member = self._accept(index, reading, outcome, score_accepted)
            if member is not None:
                key = (reading.group, member.detector.channels)
                accepted.setdefault(key, []).append((index, member.slot))
                self._dirty[(reading.group, reading.sensor)] = None
        score_accepted()
        return outcome

    def _score(
        self, detector: Detector, rows: list[tuple[int, int]], readings: Sequence[Reading], outcome: Outcome
    ) -> None:
        index = [i for i, _ in rows]
        samples = to_samples([readings[i] for i in index], [slot for _, slot in rows], detector.channels)
        verdicts, events = detector.process(samples)
        outcome.batches.append(Batch(detector, index, samples, verdicts))
        outcome.events += events
        self.latest = max(self.latest, float(samples.time.max()))

    def _accept(
        self, index: int, reading: Reading, outcome: Outcome, score_accepted: Callable[[], None]
    ) -> Member | None:
        """The member that the reading steps, or None with a rejection."""
        name = (reading.group, reading.sensor)
        member = self._members.get(name)
        rejection = unusable(reading) or (self._admission(reading) if member is None else stale(reading, member.latest))
        if rejection is not None:
            outcome.rejections.append((index, rejection))
            return None
        if member is None:
            member = self._members[name] = self._enter(reading, tuple(sorted(reading.values)))
        unknown = reading.values.keys() - set(member.detector.channels)
        if unknown:
            union = tuple(sorted({*member.detector.channels, *reading.values}))
            warming = member.accepted < self._groups[reading.group].warmup
            if warming and len(union) <= self._limits.channels:
                score_accepted()  # what came before the move is scored as if the batch had ended there
                member.detector.remove(member.slot)
                member = self._members[name] = self._enter(reading, union)
            else:
                rejection = self._too_many(len(union)) if warming else unknown_channels(reading, unknown)
                outcome.rejections.append((index, rejection))
                if len(unknown) == len(reading.values):
                    return None
        member.latest = reading.time
        member.accepted += 1
        return member

    def _admission(self, reading: Reading) -> Rejection | None:
        """Why a new sensor cannot be admitted; None if it can."""
        if len(self._members) >= self._limits.sensors:
            detail = f"{reading.sensor!r} is one sensor too many; raise limits.sensors (now {self._limits.sensors})"
            return Rejection(Reason.TOO_MANY_SENSORS, detail)
        return self._too_many(len(reading.values)) if len(reading.values) > self._limits.channels else None

    def _too_many(self, channels: int) -> Rejection:
        detail = f"{channels} channels; exclude some or raise limits.channels ({self._limits.channels})"
        return Rejection(Reason.TOO_MANY_CHANNELS, detail)

    def _enter(self, reading: Reading, channels: tuple[str, ...]) -> Member:
        detector = self._detector((reading.group, channels))
        return Member(detector, detector.add(reading.sensor))

    def _detector(self, key: Key) -> Detector:
        if key not in self.detectors:
            name, channels = key
            detector = Detector(name, channels, self._groups[name], self._trainer)
            if detector.misfit and not any(d.misfit for (group, _), d in self.detectors.items() if group == name):
                log.warning("group %r: %s, so they start from random weights", name, detector.misfit)
            self.detectors[key] = detector
        return self.detectors[key]

    # --- time and counts

    def silences(self, now: float) -> list[Event]:
        """Events of sensors that have fallen silent by data time `now`."""
        events = [event for detector in self.detectors.values() for event in detector.silences(now)]
        self._dirty |= dict.fromkeys((event.group, event.sensor) for event in events)
        return events

    def listen_from(self, since: float) -> None:
        """Nothing was heard before data time `since`: that silence was ours. Infinite: nothing is heard now."""
        for detector in self.detectors.values():
            detector.listen_from(since)

    def counts(self) -> dict[str, int]:
        """Sensors by what they are doing now: warming, watching, alarmed, silent."""
        result = {"warming": 0, "watching": 0, "alarmed": 0, "silent": 0}
        for detector in self.detectors.values():
            for state, count in detector.counts().items():
                result[state] += count
        return result

    def take_rounds(self) -> list[Round]:
        """The retraining rounds finished since the last call."""
        rounds: list[Round] = []
        for detector in self.detectors.values():
            rounds += detector.learner.rounds
            detector.learner.rounds.clear()
        return rounds

    # --- state in and out

    def pack(self) -> Iterator[Packed]:
        """The state of the sensors that changed since `saved` was called, then of the groups that share weights."""
        for group, sensor in self._dirty:
            member = self._members[(group, sensor)]
            d = member.detector
            yield Packed(group, sensor, d.channels, d.arrays.signature, d.arrays.pack(member.slot))
        for (group, channels), detector in self.detectors.items():
            common = detector.learner.pack()
            if common is not None:
                yield Packed(group, "", channels, *common)

    def saved(self) -> None:
        """What was packed is safe."""
        self._dirty.clear()

    def unpack(self, packed: Packed) -> None:
        """Take a packed sensor in. Raises ValueError where its layout or group is not that of this configuration."""
        if packed.group not in self._groups:
            raise ValueError(f"group {packed.group!r} is not in the configuration")
        detector = self._detector((packed.group, packed.channels))
        if packed.sensor == "":
            detector.learner.unpack(packed.signature, packed.state)
            return
        if packed.signature != detector.arrays.signature:
            raise ValueError(f"group {packed.group!r} had another model, history or version when the state was saved")
        slot = detector.add(packed.sensor)
        detector.arrays.unpack(slot, packed.state)
        detector.learner.resume(slot)
        a = detector.arrays
        latest = float(a.time[slot])
        self._members[(packed.group, packed.sensor)] = Member(detector, slot, latest, int(a.count[slot]))
        self.latest = max(self.latest, latest)


def to_samples(readings: Sequence[Reading], slots: Sequence[int], channels: tuple[str, ...]) -> Samples:
    """Readings as arrays; NaN where a reading lacks a channel or shows no number that a sensor can mean."""
    values = np.array([[r.values.get(name, np.nan) for name in channels] for r in readings], np.float64)
    values[~(np.abs(values) < LARGEST)] = np.nan
    times = np.array([r.time for r in readings], np.float64)
    return Samples(np.array(slots, np.int32), times, values.reshape(len(readings), len(channels)))


def unusable(reading: Reading) -> Rejection | None:
    """Why no sensor could take this reading; None if one can. The decoder lets none of these through."""
    if not math.isfinite(reading.time):
        return Rejection(Reason.BAD_TIMESTAMP, f"{reading.sensor!r}: the time {reading.time} is none")
    if not reading.values:
        return Rejection(Reason.NO_CHANNELS, f"{reading.sensor!r}: no channel")
    return None


def stale(reading: Reading, latest: float) -> Rejection | None:
    """Why a reading that is not newer than the last one is refused: it must not step the state twice."""
    if reading.time > latest:
        return None
    if reading.time == latest:
        return Rejection(Reason.DUPLICATE, f"{reading.sensor!r} already has a sample of this time")
    detail = f"{reading.sensor!r}: {latest - reading.time:.3f} s older than its last sample"
    return Rejection(Reason.OUT_OF_ORDER, detail)


def unknown_channels(reading: Reading, unknown: set[str]) -> Rejection:
    """Why channels that appear after warm-up are left out."""
    names = ", ".join(sorted(unknown)[:5])
    detail = f"{reading.sensor!r}: {names} appeared after warm-up; exclude them, or start with --fresh"
    return Rejection(Reason.UNKNOWN_CHANNEL, detail)

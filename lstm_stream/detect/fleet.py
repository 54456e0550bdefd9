"""Which sensor is which row: from readings with names to batches with slots, and back to events.

    Reading(sensor, group, time, values) ─┐
    Rows(number of the sensor, ...)      ─┴> Detector of (group, channels), slot -> Samples

A group's channels are learned: a sensor begins with those of its first reading, and while it is warming up a new
channel moves it, from the start, to the detector of the larger set. Later, unknown channels are rejected.

Readings and rows of a batch are taken in order of arrival, whatever they are: rows save time, and change no verdict.
Rows of a sensor that is not known yet, or that lacks a channel, go the way of readings.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Group, Limits
from lstm_stream.detect import configuration, inspection
from lstm_stream.detect.commands import Commands
from lstm_stream.detect.detector import Detector
from lstm_stream.detect.directory import Directory, Member
from lstm_stream.detect.readings import Waiting, stale, unknown_channels, unusable
from lstm_stream.detect.retraining import Key
from lstm_stream.detect.roster import ACCEPTED, IDLE, Arrivals, Piece, Roster, joined
from lstm_stream.detect.trainer import Outcomes, Trainer
from lstm_stream.detect.undo import Ledger
from lstm_stream.records import (
    Adoption,
    Command,
    Event,
    Lost,
    Overview,
    Packed,
    Reading,
    Reason,
    Rejection,
    Reply,
    Rows,
    Samples,
    Verdicts,
)

log = logging.getLogger(__name__)

FORGOTTEN_AT_ONCE = 500  # sensors that are removed in one look: some milliseconds
PACKED_AT_ONCE = 4 * 2**20  # bytes


class Batch(NamedTuple):
    """One detector's part of a call: row k of samples and verdicts is reading number which[k], or row, counted on."""

    detector: Detector
    which: NDArray[np.intp]
    samples: Samples
    verdicts: Verdicts
    stay: NDArray[np.int64]  # (S,) by slot: the number of a sensor's time in it


@dataclass(slots=True)
class Outcome:
    """What became of some readings and rows."""

    batches: list[Batch] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    rejections: list[tuple[int, Rejection]] = field(default_factory=list)  # (number of the reading or row, why)


class _Call:
    """One call of `process` on its way."""

    def __init__(self) -> None:
        self.outcome = Outcome()
        self.waiting: dict[int, Waiting] = {}  # by the roster's number
        self.pieces: list[Piece] = []


class Fleet:
    """All sensors of all groups."""

    def __init__(self, groups: Mapping[str, Group], limits: Limits, trainer: Trainer) -> None:
        self._limits = limits
        self._outcomes = Outcomes()
        self._directory = Directory(groups, limits.sensors, trainer, self._outcomes)
        self._ledger = Ledger()
        self._commands = Commands(self._directory, self._ledger)
        self._full = False  # whether a sensor was refused, as there were too many
        self.forgotten = 0  # sensors removed as they were silent for so long
        self.latest = -np.inf  # data time of the whole fleet

    def __len__(self) -> int:
        return len(self._directory)

    @property
    def detectors(self) -> dict[Key, Detector]:
        """By group and channels."""
        found = (roster.detector for roster in self._directory.rosters)
        return {(detector.name, detector.channels): detector for detector in found}

    # --- the line

    def process(
        self, readings: Sequence[Reading], at: Sequence[int] | None = None, rows: Sequence[Rows] = ()
    ) -> Outcome:
        """Score readings and rows in the order of their messages; `at` has the messages' numbers for the readings.

        What cannot be accepted is in the outcome's rejections, with its reason. Rows are counted on after the readings.
        """
        call = _Call()
        queue = list(zip(range(len(readings)) if at is None else at, range(len(readings)), readings, strict=True))
        first = len(readings)
        alone = len(rows) == 1 and len(rows[0].channels) <= self._limits.channels
        others = {reading.sensor for reading in readings} if alone else None
        for some in rows:
            pieces, loose = self._directory.bind(some, first, np.arange(len(some)), others)
            call.pieces += pieces
            queue += [(int(some.at[k]), first + k, some.reading(k)) for k in loose]
            first += len(some)
        if first > len(readings):
            queue.sort(key=lambda entry: entry[:2])
        for place, index, reading in queue:
            self._take(call, place, index, reading)
        self._score(call)
        call.outcome.rejections.sort(key=lambda rejected: rejected[0])
        return call.outcome

    def _take(self, call: _Call, place: int, index: int, reading: Reading) -> None:
        """A reading that waits to be scored from now on, or a rejection."""
        member = self._directory.find(reading.group, reading.sensor)
        rejection = unusable(reading) or (self._admission(reading) if member is None else None)
        if rejection is not None:
            call.outcome.rejections.append((index, rejection))
            return
        if member is None:
            roster = self._directory.roster((reading.group, tuple(sorted(reading.values))))
            member = self._directory.enter(roster, reading.sensor)
        unknown: set[str] = set()
        if not reading.values.keys() <= member.roster.channels:
            unknown = reading.values.keys() - member.roster.channels
            if self._is_warming(member):
                self._score(call, place)  # what came before is scored as if the batch had ended there
                if self._is_warming(member) and reading.time > member.roster.latest[member.slot]:
                    union = tuple(sorted({*member.roster.channels, *reading.values}))
                    if len(union) > self._limits.channels:
                        call.outcome.rejections.append((index, self._too_many(len(union))))
                    else:
                        member, unknown = self._move(call, member, reading, union), set()
        waiting = call.waiting.setdefault(member.roster.number, Waiting())
        if unknown:
            waiting.unknown[index] = unknown
        waiting.index.append(index)
        waiting.at.append(place)
        waiting.slot.append(member.slot)
        waiting.readings.append(reading)

    def _score(self, call: _Call, before: float = math.inf) -> None:
        """Score all that waits, and of the rows those that came before that place in the batch."""
        ready, later = [], []
        for piece in call.pieces:
            now, then = piece.cut(before) if before < math.inf else (piece, None)
            ready += [now] if len(now.which) else []
            later += [then] if then is not None and len(then.which) else []
        waiting, call.waiting, call.pieces = call.waiting, {}, later
        for number in dict.fromkeys([piece.roster.number for piece in ready] + list(waiting)):
            roster = self._directory.rosters[number]
            parts = [piece.arrivals() for piece in ready if piece.roster is roster]
            if number in waiting:
                parts.append(waiting[number].arrivals(roster.detector.channels))
            arrivals = joined(parts)
            try:
                self._step(roster, arrivals, waiting.get(number), call.outcome)
            except Exception as error:  # the other sensors' events are not lost with these
                log.exception("%d samples of group %r could not be scored", len(arrivals.at), roster.detector.name)
                rejection = Rejection(Reason.INTERNAL, f"{type(error).__name__}: {error}")
                call.outcome.rejections += [(int(index), rejection) for index in arrivals.number]

    def _step(self, roster: Roster, arrivals: Arrivals, waiting: Waiting | None, outcome: Outcome) -> None:
        """Let the detector have what is new."""
        code, before = arrivals.accept(roster.latest)
        for m in np.flatnonzero((code != ACCEPTED) & (code != IDLE)).tolist():
            sensor = str(roster.detector.sensors[arrivals.slot[m]])
            outcome.rejections.append((int(arrivals.number[m]), stale(sensor, arrivals.time[m], before[m])))
        if waiting is not None and waiting.unknown:
            self._tell_unknown(arrivals, code, waiting, outcome)
        new = code == ACCEPTED
        if not new.all():
            arrivals = arrivals.only(new)
        if len(arrivals.at):
            samples = Samples(arrivals.slot, arrivals.time, arrivals.values)
            verdicts, events = roster.detector.process(samples)
            outcome.batches.append(Batch(roster.detector, arrivals.number, samples, verdicts, roster.stay))
            outcome.events += events
            roster.dirty[arrivals.slot] = True
            roster.score[arrivals.slot], roster.threshold[arrivals.slot] = verdicts.score, verdicts.threshold
            self.latest = max(self.latest, float(arrivals.time.max()))

    def _tell_unknown(self, arrivals: Arrivals, code: NDArray[np.int8], waiting: Waiting, outcome: Outcome) -> None:
        told = {index for index, _ in outcome.rejections}  # as too many channels, or as stale
        readings = dict(zip(waiting.index, waiting.readings, strict=True))
        for index in arrivals.number[(code == ACCEPTED) | (code == IDLE)].tolist():
            if index in waiting.unknown and index not in told:
                outcome.rejections.append((index, unknown_channels(readings[index], waiting.unknown[index])))

    def _is_warming(self, member: Member) -> bool:
        """As far as it was scored."""
        detector = member.roster.detector
        return bool(detector.arrays.count[member.slot] < detector.warmup)

    def _admission(self, reading: Reading) -> Rejection | None:
        """Why a new sensor cannot be admitted; None if it can."""
        if len(self._directory) >= self._limits.sensors:
            if not self._full:
                log.warning("limits.sensors is reached: new sensors are left out from now on, %r first", reading.sensor)
                self._full = True
            detail = f"{reading.sensor!r} is one sensor too many; raise limits.sensors (now {self._limits.sensors})"
            return Rejection(Reason.TOO_MANY_SENSORS, detail)
        return self._too_many(len(reading.values)) if len(reading.values) > self._limits.channels else None

    def _too_many(self, channels: int) -> Rejection:
        detail = f"{channels} channels; exclude some or raise limits.channels ({self._limits.channels})"
        return Rejection(Reason.TOO_MANY_CHANNELS, detail)

    def _move(self, call: _Call, member: Member, reading: Reading, channels: tuple[str, ...]) -> Member:
        """A sensor begins anew with more channels; its rows that wait go with it."""
        member.roster.leave(member.slot)
        moved = self._directory.enter(self._directory.roster((reading.group, channels)), reading.sensor)
        pieces, call.pieces = call.pieces, []
        for piece in pieces:
            if piece.roster is member.roster and (piece.slot == member.slot).any():
                call.pieces += self._directory.bind(piece.rows, piece.first, piece.which)[
                    0
                ]  # none is left: it only got channels
            else:
                call.pieces.append(piece)
        return moved

    # --- what persons ask

    def apply(self, command: Command) -> Reply:
        """Do what a person asks. What comes of it follows from the state alone: a replay repeats it."""
        return self._commands.apply(command, self.latest)

    def configure(self, groups: Mapping[str, Group], limits: Limits) -> None:
        """Take other settings over while running. Raises ValueError, and changes nothing, where one needs a restart."""
        obstacles = list(configuration.obstacles(self._directory, groups))
        if obstacles:
            raise ValueError("; ".join(obstacles))
        self._limits = limits
        self._full &= len(self) >= limits.sensors
        self._directory.configure(groups, limits.sensors)

    # --- time and counts

    def silences(self, now: float) -> list[Event]:
        """Events of sensors that have fallen silent by data time `now`, and of those that are forgotten."""
        events = [event for roster in self._directory.rosters for event in roster.detector.silences(now)]
        for event in events:
            member = self._directory.find(event.group, event.sensor)
            if member is not None:
                member.roster.dirty[member.slot] = True
        return events + self._forget(now)

    def _forget(self, now: float) -> list[Event]:
        """Remove sensors that have been silent for `limits.forget_after`; many, at several looks."""
        after = math.inf if self._limits.forget_after is None else self._limits.forget_after
        events: list[Event] = []
        room = FORGOTTEN_AT_ONCE
        for roster in self._directory.rosters:
            gone = roster.detector.unheard(now, after, room)
            for slot in gone:
                events += roster.detector.farewell(slot, now)
                self._directory.dismiss(Member(roster, slot))
            room -= len(gone)
        self.forgotten += FORGOTTEN_AT_ONCE - room
        self._full &= room == FORGOTTEN_AT_ONCE
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

    def overview(self) -> Overview:
        """All sensors at a glance: some milliseconds for ten thousand."""
        return inspection.overview(self._directory.rosters)

    def inspect(self, group: str, sensor: str) -> dict[str, Any] | None:
        """What is known of a sensor, as plain values for people; None where it is not there."""
        member = self._directory.find(group, sensor)
        return None if member is None else inspection.facts(member.roster, member.slot)

    def find(self, group: str, sensor: str) -> Member | None:
        """Where a sensor lives; None where it is not known."""
        return self._directory.find(group, sensor)

    def take_adoptions(self) -> list[Adoption]:
        """What the rounds of training that ended since the last call led to."""
        adoptions: list[Adoption] = []
        for detector in self.detectors.values():
            adoptions += detector.learner.adoptions
            detector.learner.adoptions.clear()
        return adoptions

    def take_lost(self) -> list[Lost]:
        """The rounds that came too late or failed since the last call: what a replay has to be told."""
        lost, self._outcomes.lost = self._outcomes.lost, []
        return lost

    def expect_lost(self, lost: Iterable[Lost] | None) -> None:
        """In a replay: these rounds are lost, any other is waited for; None: it is over, time tells again."""
        self._outcomes.force(lost)

    # --- state in and out

    def pack(self) -> Iterator[Packed]:
        """The state of the sensors that changed since `saved` was called, then of the groups that share weights.

        The sensors that were removed come first, with an empty state; of no group is what undoing commands needs.
        """
        yield from self._directory.gone
        for roster in self._directory.rosters:
            d = roster.detector
            signature, changed = d.arrays.signature, np.flatnonzero(roster.dirty)
            some = max(1, PACKED_AT_ONCE // d.arrays.row_bytes)
            for start in range(0, len(changed), some):
                slots = changed[start : start + some].tolist()
                for slot, state in zip(slots, d.arrays.pack_many(slots), strict=True):
                    yield Packed(d.name, str(d.sensors[slot]), d.channels, signature, state)
        for (group, channels), detector in self.detectors.items():
            common = detector.learner.pack()
            if common is not None:
                yield Packed(group, "", channels, *common)
        yield from self._ledger.pack()

    @property
    def unsaved(self) -> int:
        """Bytes of state that changed since `saved` was called."""
        rosters = self._directory.rosters
        return sum(int(np.count_nonzero(r.dirty)) * r.detector.arrays.row_bytes for r in rosters)

    def saved(self) -> None:
        """What was packed is safe."""
        self._directory.gone.clear()
        self._ledger.saved()
        for roster in self._directory.rosters:
            roster.dirty[:] = False

    def unpack(self, packed: Packed) -> None:
        """Take one packed sensor in, as `unpack_all` does."""
        self.unpack_all((packed,))

    def unpack_all(self, packed: Iterable[Packed]) -> None:
        """Take packed sensors in. Raises ValueError where a layout or group is not that of this configuration.

        Those that came before it are in then.
        """
        waiting: dict[int, tuple[list[int], list[bytes]]] = {}  # slots and states, by the roster's number
        try:
            for one in packed:
                if not one.group:
                    self._ledger.unpack(one)
                    continue
                roster = self._home(one)
                if one.sensor:
                    slots, states = waiting.setdefault(roster.number, ([], []))
                    slots.append(self._directory.enter(roster, one.sensor).slot)
                    states.append(one.state)
                    if len(slots) * roster.detector.arrays.row_bytes > PACKED_AT_ONCE:
                        self.latest = max(self.latest, roster.furnish(*waiting.pop(roster.number)))
        finally:
            for number, some in waiting.items():
                self.latest = max(self.latest, self._directory.rosters[number].furnish(*some))

    def _home(self, packed: Packed) -> Roster:
        """Where a packed sensor belongs; what its group shares is taken in at once."""
        if packed.group not in self._directory.groups:
            raise ValueError(f"group {packed.group!r} is not in the configuration")
        roster = self._directory.roster((packed.group, packed.channels))
        arrays = roster.detector.arrays
        if packed.sensor == "":
            roster.detector.learner.unpack(packed.signature, packed.state)
        elif packed.signature != arrays.signature:
            raise ValueError(f"group {packed.group!r} had another model, history or version when the state was saved")
        else:
            arrays.check(packed.state)
        return roster

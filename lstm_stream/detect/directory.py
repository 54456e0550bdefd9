"""Where every sensor lives: names to rows, for samples one by one and by the number of their rows.

(group, sensor) -> Roster of the detector of (group, channels), slot
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Set
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Group
from lstm_stream.detect.detector import Detector
from lstm_stream.detect.members import Members
from lstm_stream.detect.retraining import Key
from lstm_stream.detect.roster import Binding, Piece, Roster
from lstm_stream.detect.trainer import Outcomes, Trainer
from lstm_stream.records import Packed, Rows

log = logging.getLogger(__name__)


class Member(NamedTuple):
    """Where a sensor lives."""

    roster: Roster
    slot: int


class Directory:
    """All sensors of all groups; `most` is how many there may be."""

    def __init__(self, groups: Mapping[str, Group], most: int, trainer: Trainer, outcomes: Outcomes) -> None:
        self.groups = dict(groups)
        self._most = most
        self._trainer = trainer
        self._outcomes = outcomes
        self._members = Members()
        self._roster_of: dict[Key, Roster] = {}
        self._bindings: dict[tuple[str, tuple[str, ...], int], tuple[list[str], Binding]] = {}
        self._stays = 0
        self.rosters: list[Roster] = []  # by their numbers
        self.gone: list[Packed] = []  # sensors that were removed since the state was saved

    def __len__(self) -> int:
        return len(self._members)

    def find(self, group: str, sensor: str) -> Member | None:
        """Where a sensor lives; None if it is not known."""
        place = self._members.find(group, sensor)
        return None if place is None else Member(self.rosters[place[0]], place[1])

    def of(self, group: str) -> Iterator[Member]:
        """All sensors of a group."""
        for roster in self.rosters:
            if roster.detector.name == group:
                yield from (
                    Member(roster, slot) for slot, name in enumerate(roster.detector.sensors) if name is not None
                )

    def enter(self, roster: Roster, sensor: str) -> Member:
        """A row for a new sensor, or for one that is so again. Nothing of it may wait to be scored."""
        self._stays += 1
        member = Member(roster, roster.enter(sensor, self._stays))
        self._members.put(roster.detector.name, sensor, roster.number, member.slot)
        return member

    def dismiss(self, member: Member) -> None:
        """It lives nowhere any more."""
        d = member.roster.detector
        sensor = str(d.sensors[member.slot])
        self.gone.append(Packed(d.name, sensor, d.channels, "", b""))
        self._members.remove(d.name, sensor)
        member.roster.leave(member.slot)

    def configure(self, groups: Mapping[str, Group], most: int) -> None:
        """Other settings of the groups, of those that need no other state."""
        self.groups, self._most = dict(groups), most
        self._bindings.clear()  # another configuration comes with another decoder, whose numbers are others
        for roster in self.rosters:
            roster.detector.configure(self.groups[roster.detector.name])

    def roster(self, key: Key) -> Roster:
        """The sensors of a group with these channels; raises KeyError for a group that is not configured."""
        if key not in self._roster_of:
            name, channels = key
            detector = Detector(name, channels, self.groups[name], self._trainer, self._most, self._outcomes)
            others = (roster.detector for (group, _), roster in self._roster_of.items() if group == name)
            if detector.misfit and not any(other.misfit for other in others):
                log.warning("group %r: %s, so they start from random weights", name, detector.misfit)
            self._roster_of[key] = Roster(len(self.rosters), detector)
            self.rosters.append(self._roster_of[key])
        return self._roster_of[key]

    def bind(
        self, rows: Rows, first: int, which: NDArray[np.intp], others: Set[str] | None = None
    ) -> tuple[list[Piece], list[int]]:
        """The rows `which` by where their sensors live, and those that must go the way of readings.

        Without `others` no sensor is entered; else those that nothing but these rows tells of, the `others`, may be.
        """
        key = (rows.group, rows.channels, id(rows.names))
        _, binding = self._bindings.setdefault(key, (rows.names, Binding()))  # kept with its names, whose id is the key
        pieces: list[Piece] = []
        left = self._look_up(binding, rows, first, which, pieces)
        if len(left):
            numbers, earliest = np.unique(rows.number[left], return_index=True)
            fit = self._fit(rows, left[earliest], others)
            for number, new in zip(numbers.tolist(), fit.tolist(), strict=True):
                sensor = rows.names[number]
                member = self.find(rows.group, sensor)
                if member is None and new and others is not None and sensor not in others:
                    member = self.enter(self.roster((rows.group, rows.channels)), sensor)
                if member is not None and member.roster.channels.issuperset(rows.channels):
                    binding.set(number, member.roster, member.slot)
            left = self._look_up(binding, rows, first, left, pieces)
        return pieces, left.tolist()

    def _fit(self, rows: Rows, which: NDArray[np.intp], others: Set[str] | None) -> NDArray[np.bool_]:
        """Which of these rows, the first of their sensors, would make a new sensor as a reading does."""
        if others is None or len(self) + len(which) + len(others) > self._most:
            return np.zeros(len(which), np.bool_)
        return np.isfinite(rows.time[which]) & ~np.isnan(rows.values[which]).any(axis=1)

    def _look_up(
        self, binding: Binding, rows: Rows, first: int, which: NDArray[np.intp], pieces: list[Piece]
    ) -> NDArray[np.intp]:
        """Add the pieces that the binding knows; the rows that are left."""
        for roster in self.rosters:
            if len(which) and roster.detector.name == rows.group and roster.channels.issuperset(rows.channels):
                slot = binding.find(rows.number[which], roster)
                here = slot >= 0
                if here.all():
                    pieces.append(Piece(roster, rows, first, which, slot))
                    return which[:0]
                if here.any():
                    pieces.append(Piece(roster, rows, first, which[here], slot[here]))
                    which = which[~here]
        return which

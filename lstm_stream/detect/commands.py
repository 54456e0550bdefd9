"""What persons ask of the line, obeyed: a function of the command and the state alone, so that a replay repeats it.

Command -> whom does it concern? -> sayings.py, sensor by sensor -> Reply; what undoing needs goes to the ledger
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np

from lstm_stream.detect import acceptance, sayings
from lstm_stream.detect.detector import Detector
from lstm_stream.detect.directory import Directory, Member
from lstm_stream.detect.shared import SharedLearner
from lstm_stream.detect.undo import Done, Ledger, Part
from lstm_stream.records import Command, Event, Reply, View

SHARED = b"shared"  # of a group's own flag
SILENCE, ALARM = b"silence", b"alarm"


class RefusedError(Exception):
    """A command that cannot be obeyed; the message says why and what would be right."""


class Commands:
    """Obeys commands. `now` is data time, unix s: the latest of the whole fleet."""

    def __init__(self, directory: Directory, ledger: Ledger) -> None:
        self._directory = directory
        self._ledger = ledger

    def apply(self, command: Command, now: float) -> Reply:
        """Do what a person asks."""
        verbs: dict[str, Callable[[Command, float], Reply]] = {
            "acknowledge": self._acknowledge,
            "normal": self._normal,
            "accept": self._accept,
            "pause": self._pause,
            "resume": self._pause,
            "rollback": self._rollback,
            "forget": self._forget,
            "undo": self._undo,
        }
        try:
            if command.verb not in verbs:
                raise RefusedError(f"there is no command {command.verb!r}; there are {', '.join(verbs)}")
            if command.id in self._ledger:
                raise RefusedError(f"a command with the id {command.id!r} was obeyed before")
            return verbs[command.verb](command, now)
        except RefusedError as refusal:
            return Reply(False, str(refusal))

    # --- whom it concerns

    def _members(self, command: Command) -> list[Member]:
        """The sensors that a command names, in the order of their names."""
        group, sensor = command.group, command.sensor
        if group not in self._directory.groups:
            raise RefusedError(f"there is no group {group!r}; there are {', '.join(sorted(self._directory.groups))}")
        if sensor:
            member = self._directory.find(group, sensor)
            if member is None:
                raise RefusedError(f"group {group!r} has no sensor {sensor!r}")
            return [member]
        members = sorted(self._directory.of(group), key=_name)
        if not members:
            raise RefusedError(f"group {group!r} has no sensors yet")
        return members

    def _keep(self, command: Command, parts: Sequence[Part]) -> str:
        """Note what undoing needs; a remark where it cannot be undone."""
        if self._ledger.put(command.id, Done(command.verb, command.group, tuple(parts))):
            return ""
        return " (this cannot be undone: too many sensors)"

    # --- alarms

    def _acknowledge(self, command: Command, now: float) -> Reply:  # noqa: ARG002
        wanted, parts = _cause(command.argument), []
        for member in self._members(command):
            d, slot = _here(member)
            for view, opened in d.open_alarms(slot):
                flag = int(view is View.SILENCE)
                if wanted in ("", d.alarm_id(slot, view, opened)) and not d.arrays.acknowledged[slot, flag]:
                    d.arrays.acknowledged[slot, flag] = True
                    parts.append(_part(member, SILENCE if flag else ALARM))
        if parts:
            return Reply(True, f"acknowledged: {_counted(len(parts), 'alarm')}" + self._keep(command, parts))
        if wanted:
            return Reply(True, "noted; that alarm is not open any more, or was acknowledged before")
        raise RefusedError(f"{_whose(command)} has no open alarm that nobody has acknowledged")

    def _normal(self, command: Command, now: float) -> Reply:
        found = [(member, alarm) for member in self._members(command) for alarm in _wanted(member, command)]
        if not found:
            raise RefusedError(_no_alarm(command))
        parts: dict[Member, Part] = {}
        events: list[Event] = []
        for member, alarm in found:
            d, slot = _here(member)
            before = sayings.snapshot(d.arrays, slot, sayings.changed_by_normal(d.arrays))
            parts.setdefault(member, _part(member, before))
            events += sayings.normal(d, slot, alarm, now, _by(command))
        whose = f"{_counted(len(found), 'alarm')} of {_counted(len(parts), 'sensor')}"
        over = len(found) - len(events)
        remark = f"; {over} of them had closed before" if over else ""
        text = f"{whose} marked normal: the pattern raises no alarm any more{remark}"
        return Reply(True, text + self._keep(command, list(parts.values())), tuple(events))

    def _accept(self, command: Command, now: float) -> Reply:
        parts, events = [], []
        for member in self._members(command):
            d, slot = _here(member)
            if not d.open_alarms(slot) and not d.arrays.open[slot]:
                continue
            before = sayings.snapshot(d.arrays, slot, (*acceptance.KEPT, "allowed_gap"))
            told, shift = sayings.accept(d, slot, now, _by(command))
            events += told
            parts.append(_part(member, sayings.accepted_bytes(shift, int(d.arrays.count[slot]), before)))
        if not parts:
            raise RefusedError(f"{_whose(command)} has no open alarm: there is nothing to accept")
        text = f"accepted as the new normal: {_counted(len(parts), 'sensor')}"
        return Reply(True, text + self._keep(command, parts), tuple(events))

    # --- learning

    def _pause(self, command: Command, now: float) -> Reply:  # noqa: ARG002
        paused = command.verb == "pause"
        parts = []
        for member in self._members(command):
            d, slot = _here(member)
            if d.arrays.paused[slot] != paused:
                sayings.pause(d, slot, paused)
                parts.append(_part(member, b""))
        if not command.sensor:
            parts += self._pause_shared(command.group, paused)
        if not parts:
            raise RefusedError(f"learning of {_whose(command)} is {'paused' if paused else 'going on'} already")
        sensors = _counted(sum(bool(part.sensor) for part in parts), "sensor")
        return Reply(True, f"learning {'paused' if paused else 'goes on'}: {sensors}" + self._keep(command, parts))

    def _pause_shared(self, group: str, paused: bool) -> list[Part]:
        parts = []
        for roster in self._directory.rosters:
            learner = roster.detector.learner
            if roster.detector.name != group or not isinstance(learner, SharedLearner):
                continue
            if bool(learner.common.paused[0]) != paused:
                learner.pause(paused)
                parts.append(Part("", roster.detector.channels, SHARED))
        return parts

    def _rollback(self, command: Command, now: float) -> Reply:  # noqa: ARG002
        member = self._learning(command)
        d, slot = _here(member)
        weights = np.frombuffer(command.weights, np.float32).copy() if len(command.weights) % 4 == 0 else np.empty(0)
        size = d.learner.weights.shape[1]
        if weights.size != size:
            raise RefusedError(
                f"the weights are of another model: {len(command.weights)} bytes where {4 * size} belong"
            )
        if not np.isfinite(weights).all():
            raise RefusedError("the weights have numbers that are none; choose another generation")
        shared = isinstance(d.learner, SharedLearner)
        before = d.learner.weights[0 if shared else slot].tobytes()
        d.learner.put_back(slot, cast("np.ndarray", weights))
        part = Part("", d.channels, before) if shared else _part(member, before)
        member.roster.dirty[slot] = True
        generation = int(d.learner.generation(slot))
        what = f"the weights of generation {command.argument}" if command.argument else "the former weights"
        return Reply(True, f"{what} are in force again, as generation {generation}" + self._keep(command, [part]))

    def _learning(self, command: Command) -> Member:
        """A sensor with the weights that a rollback is about."""
        members = self._members(command)
        if command.sensor:
            return members[0]
        if not isinstance(members[0].roster.detector.learner, SharedLearner):
            raise RefusedError(f"each sensor of group {command.group!r} has weights of its own; name one")
        rosters = {member.roster.number: member for member in members}
        fitting = [m for m in rosters.values() if m.roster.detector.learner.weights.nbytes == len(command.weights)]
        if len(fitting) != 1:
            kinds = f"{len(fitting)} kinds of sensors of group {command.group!r}"
            raise RefusedError(f"{kinds} have such weights; name a sensor")
        return fitting[0]

    def _forget(self, command: Command, now: float) -> Reply:
        members, events = self._members(command), []
        for member in members:
            d, slot = _here(member)
            events += d.farewell(slot, max(now, float(d.arrays.time[slot])), f"forgotten{_by(command)}")
            self._directory.dismiss(member)
        text = f"forgotten: {_counted(len(members), 'sensor')}; what comes next of them begins anew"
        return Reply(True, text, tuple(events))

    # --- taken back

    def _undo(self, command: Command, now: float) -> Reply:  # noqa: ARG002
        identity = command.argument
        if identity not in self._ledger:
            raise RefusedError(
                f"command {identity!r} cannot be undone: it is unknown, too long ago, undone already, or of a kind "
                "that cannot be (forget, undo)"
            )
        done = self._ledger[identity]
        self._check_later(identity, done)
        found = [(part, self._directory.find(done.group, part.sensor)) for part in done.parts]
        for part, member in found:
            self._check(done, part, member)
        for part, member in found:
            self._take_back(done, part, member)
        self._ledger.remove(identity)
        return Reply(True, f"undone: {done.verb} of {_counted(len(done.parts), 'sensor')}")

    def _check_later(self, identity: str, done: Done) -> None:
        """What was built upon is undone in order."""
        kind = {"normal": ("normal", "accept"), "accept": ("normal", "accept")}.get(done.verb, (done.verb,))
        mine = {(part.sensor, part.channels) for part in done.parts}
        if done.verb not in ("normal", "accept", "rollback"):
            return
        for later, other in self._ledger.after(identity):
            theirs = {(part.sensor, part.channels) for part in other.parts}
            if other.group == done.group and other.verb in kind and mine & theirs:
                raise RefusedError(f"undo the later command {later!r} ({other.verb}) first")

    def _check(self, done: Done, part: Part, member: Member | None) -> None:
        if not part.sensor:
            return
        if member is None or member.roster.detector.channels != part.channels:
            raise RefusedError(f"sensor {part.sensor!r} was forgotten since, or has begun anew")
        if done.verb in ("normal", "accept") and member.roster.detector.arrays.hushed[member.slot, 1]:
            raise RefusedError(f"the silence of {part.sensor!r} still goes on; undo it when samples have come again")

    def _take_back(self, done: Done, part: Part, member: Member | None) -> None:
        if member is None:
            self._take_back_shared(done, part)
            return
        d, slot = _here(member)
        if done.verb == "acknowledge":
            d.arrays.acknowledged[slot, int(part.before == SILENCE)] = False
        elif done.verb in ("pause", "resume"):
            sayings.pause(d, slot, done.verb == "resume")
        elif done.verb == "rollback":
            d.learner.put_back(slot, np.frombuffer(part.before, np.float32).copy())
        elif done.verb == "normal":
            sayings.take_back_normal(d, slot, part.before)
        else:
            sayings.take_back_accept(d, slot, part.before)

    def _take_back_shared(self, done: Done, part: Part) -> None:
        learner = self._directory.roster((done.group, part.channels)).detector.learner
        if isinstance(learner, SharedLearner):
            if done.verb == "rollback":
                learner.put_back(0, np.frombuffer(part.before, np.float32).copy())
            else:
                learner.pause(done.verb == "resume")


def _here(member: Member) -> tuple[Detector, int]:
    """A sensor's detector and slot; it is about to change."""
    member.roster.dirty[member.slot] = True
    return member.roster.detector, member.slot


def _name(member: Member) -> str:
    return str(member.roster.detector.sensors[member.slot])


def _part(member: Member, before: bytes) -> Part:
    return Part(_name(member), member.roster.detector.channels, before)


def _cause(argument: str) -> str:
    """The id of an alarm; those of its events go on with what happened."""
    return argument.removesuffix("-opened").removesuffix("-closed")


def _wanted(member: Member, command: Command) -> list[sayings.Alarm]:
    """The alarms of a sensor that a command is about: the one it names, or those that are open, or the latest."""
    d, slot = member.roster.detector, member.slot
    current, over = d.open_alarms(slot), sayings.finished(d, slot)
    if command.argument:
        return [one for one in current + over if d.alarm_id(slot, *one) == _cause(command.argument)]
    return current or (over[:1] if command.sensor else [])


def _no_alarm(command: Command) -> str:
    if command.argument:
        return (
            f"{_whose(command)} has no alarm {_cause(command.argument)!r} that is still known: only what is open, and "
            "the latest alarm and silence of a sensor with the full profile, can be marked normal"
        )
    return f"{_whose(command)} has no alarm that could be marked normal"


def _whose(command: Command) -> str:
    return f"sensor {command.sensor!r}" if command.sensor else f"group {command.group!r}"


def _by(command: Command) -> str:
    return f" by {command.by}" if command.by else ""


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"

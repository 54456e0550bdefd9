"""Alarms from their begin to their end, as people see them: the latest events of each, and who acknowledged it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import orjson

from lstm_stream.outputs.events import evidence, iso, text
from lstm_stream.outputs.web import documents as d
from lstm_stream.outputs.web.queries import AlarmsQuery
from lstm_stream.records import Command, Event

MOST = 10_000  # that are remembered
DAY = 86400.0

Render = Callable[[Event], bytes]


class Acknowledged(NamedTuple):
    """Who did, when (wall clock, unix s), by which command."""

    by: str
    at: float
    command: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """Its latest event, told at wall-clock time `at` (unix s), and the one it opened with.

    `payload` is there where it is known as it was published.
    """

    told: Event
    at: float
    opening: Event
    payload: bytes = b""
    acknowledged: Acknowledged | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.told.state == "opened"


class Alarms:
    """The latest ones, by the id of their cause. Written by the worker, read by anybody; `render` makes a payload."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._alarms: dict[str, Alarm] = {}

    # --- written

    def remember(self, event: Event, at: float, payload: bytes = b"") -> Alarm:
        """An alarm opened or closed."""
        cause = cause_of(event.id)
        known = self._alarms.get(cause)
        opening = known.opening if known and event.state == "closed" else event
        said = known.acknowledged if known else None
        alarm = self._alarms[cause] = Alarm(event, at, opening, payload, said)
        while len(self._alarms) > MOST:
            del self._alarms[next(iter(self._alarms))]
        return alarm

    def obeyed(self, command: Command) -> None:
        """A command was carried out: it may have acknowledged alarms, or undone that."""
        if command.verb == "acknowledge":
            said = Acknowledged(command.by, command.at, command.id)
            for cause in self._meant(command):
                self._alarms[cause] = replace(self._alarms[cause], acknowledged=said)
        elif command.verb == "undo":
            for cause, alarm in list(self._alarms.items()):
                if alarm.acknowledged is not None and alarm.acknowledged.command == command.argument:
                    self._alarms[cause] = replace(alarm, acknowledged=None)

    def _meant(self, command: Command) -> list[str]:
        """The causes of the alarms that a command is about: the one it names, or what is open."""
        if command.argument:
            cause = cause_of(command.argument)
            return [cause] if cause in self._alarms else []
        return [
            cause
            for cause, alarm in self._alarms.items()
            if alarm.is_open and alarm.told.group == command.group and command.sensor in ("", alarm.told.sensor)
        ]

    # --- read

    def counts(self, now: float | None) -> d.AlarmCounts:
        """Of now, in data time (unix s; None, not known: that of the latest event)."""
        alarms = self._all()
        still = [alarm for alarm in alarms if alarm.is_open]
        alone = sum(alarm.acknowledged is None for alarm in still)
        if now is None:
            now = max((alarm.told.closed or alarm.told.opened for alarm in alarms), default=0.0)
        lately = sum(abs(now - alarm.told.opened) < DAY for alarm in alarms)  # a clock may be ahead of the others
        return d.AlarmCounts(len(still), alone, lately)

    def open(self) -> dict[tuple[str, str], Alarm]:
        """Those that are open, by group and sensor; of several of one sensor the latest."""
        still = sorted((alarm for alarm in self._all() if alarm.is_open), key=lambda alarm: alarm.told.opened)
        return {(alarm.told.group, alarm.told.sensor): alarm for alarm in still}

    def of(self, group: str, sensor: str, since: float, until: float) -> list[Alarm]:
        """A sensor's alarms within some data time."""
        return [
            alarm
            for alarm in self._all()
            if (event := alarm.told).sensor == sensor
            and event.group == group
            and event.opened <= until
            and (event.closed is None or event.closed >= since)
        ]

    def listed(self, query: AlarmsQuery) -> list[dict[str, Any]]:
        """The documents of those that were asked for, the latest first."""
        part = query.search.lower()
        named = cause_of(part)
        found = [
            alarm
            for alarm in self._all()
            if query.state in ("all", "open" if alarm.is_open else "closed")
            and (query.before is None or alarm.told.opened < query.before)
            and (not part or mentions(alarm, part) or cause_of(alarm.told.id.lower()) == named)
        ]
        found.sort(key=lambda alarm: -alarm.told.opened)
        return [self.document(alarm) for alarm in found[: query.limit]]

    def document(self, alarm: Alarm) -> dict[str, Any]:
        """Its latest event as published; why it opened, what its channels showed then, who acknowledged it."""
        document: Mapping[str, Any] = orjson.loads(alarm.payload or self._render(alarm.told))
        known = alarm.acknowledged
        return {
            "severity": None,
            **document,
            "processed": iso(alarm.at),
            "processed_unix": alarm.at,
            "why": text(alarm.opening.reason),
            "channels": evidence(alarm.opening),
            "acknowledged": {"by": known.by, "at": known.at} if known else None,
        }

    def _all(self) -> list[Alarm]:
        return list(self._alarms.values())


def restored(payload: bytes) -> float:
    """When a payload was made, unix s; 0 where it does not say."""
    try:
        return float(orjson.loads(payload)["processed_unix"])
    except (ValueError, TypeError, KeyError):
        return 0.0


def cause_of(event_id: str) -> str:
    """What the ids of an alarm's two events have in common."""
    cause, dash, state = event_id.rpartition("-")
    return cause if dash and state in ("opened", "closed") else event_id


def mentions(alarm: Alarm, part: str) -> bool:
    """Whether its sensor, group or one of its reasons has that in it, in small letters."""
    told = alarm.told
    return any(part in whole.lower() for whole in (told.sensor, told.group, told.reason, alarm.opening.reason))

"""What devices say of themselves, beside what we hear of them: whose silence is no surprise.

Rules:
1. The silence of a sensor whose device said that it goes offline is told with it, or not told (`muted`), as its source
   wants.
2. Online again, or samples again, end it. A silence that was not told is told if the device is online again and nothing
   has come for as long as it had been offline until then, and a minute at least.
3. This is saved with the state; brokers keep such messages, too, and send them again after a start.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from typing import Any

from lstm_stream.records import Event, Presence

_Key = tuple[str, str]  # group, sensor
_SILENCE = "silence"
_PATIENCE = 60.0  # s


class Presences:
    """The devices that are offline, `most` at most, and the silences that were not told."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._offline: dict[_Key, Presence] = {}
        self._muted: dict[_Key, Event] = {}
        self._due: dict[_Key, float] = {}  # when a silence that was not told will be, unix s

    def memory(self) -> list[Any]:
        """Everything, as JSON with infinities can hold it."""
        offline = [tuple(one) for one in self._offline.values()]
        return [
            offline,
            [asdict(event) for event in self._muted.values()],
            [[*key, at] for key, at in self._due.items()],
        ]

    def remember(self, memory: list[Any]) -> None:
        """Take up what memory() said, or nothing of an empty list."""
        offline, muted, due = memory or ([], [], [])
        self._offline = {(one.group, one.sensor): one for one in (Presence(*fields) for fields in offline)}
        # Of a silence there is nothing to show, so it has no channels.
        self._muted = {(one.group, one.sensor): one for one in (Event(**fields) for fields in muted)}
        self._due = {(group, sensor): at for group, sensor, at in due}

    def hear(self, presences: Iterable[Presence]) -> None:
        """Take note of what devices say, in order."""
        for one in presences:
            key = (one.group, one.sensor)
            if one.online:
                was = self._offline.pop(key, None)
                self._await(key, was, one)
            elif key in self._offline or len(self._offline) < self._most:
                self._offline.setdefault(key, one)  # said again, it is no later
                self._due.pop(key, None)

    def _await(self, key: _Key, was: Presence | None, now: Presence) -> None:
        """Online again: what was not told of it has its time from now on."""
        begins = f"{key[1]}/"
        for other in [key, *(k for k in self._muted if now.below and k[0] == key[0] and k[1].startswith(begins))]:
            if was is not None and other in self._muted and now.at is not None:
                lasted = self._muted[other].opened - was.at if was.at is not None else 0.0
                self._due[other] = now.at + max(_PATIENCE, lasted)

    def told(self, events: list[Event]) -> list[Event]:
        """These events as they are to be told: silences with what their devices said, or without those muted."""
        return [event for event in map(self._told, events) if event is not None]

    def _told(self, event: Event) -> Event | None:
        if event.view != _SILENCE:
            return event
        key = (event.group, event.sensor)
        if event.state == "closed":
            self._offline.pop(key, None)
            self._due.pop(key, None)
            return event if self._muted.pop(key, None) is None else None
        said = self._said(*key)
        if said is None:
            return event
        if said.muted:
            self._muted[key] = event
            return None
        return replace(event, reason=f"{event.reason}; the device reported itself offline{_at(said)}")

    def _said(self, group: str, sensor: str) -> Presence | None:
        """What makes a sensor offline: its own word, or that of the node that it is below."""
        own = self._offline.get((group, sensor))
        if own is not None or not self._offline:
            return own
        above = (self._offline.get((group, name)) for name in _above(sensor))
        return next((one for one in above if one is not None and one.below), None)

    def overdue(self, now: float) -> list[Event]:
        """The silences that were not told and now are: online again by data time `now`, and still nothing came."""
        due = [key for key, at in self._due.items() if at <= now]
        for key in due:
            del self._due[key]
        events = [self._muted.pop(key) for key in due]
        return [replace(e, reason=f"{e.reason}; the device is online again, yet sends none") for e in events]


def _above(sensor: str) -> Iterator[str]:
    while "/" in sensor:
        sensor = sensor.rpartition("/")[0]
        yield sensor


def _at(said: Presence) -> str:
    """When: a retained message does not tell."""
    return "" if said.at is None else time.strftime(" at %Y-%m-%d %H:%M:%S UTC", time.gmtime(said.at))

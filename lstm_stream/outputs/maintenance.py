"""Maintenance: what opens while somebody works on a machine is not sent.

1. An alarm that opens in a window (data time, so that a backlog is judged right) is kept back. If it closes meanwhile
   neither is sent; if it is still open when no window covers its sensor any more (wall clock), it is sent then.
2. What opened before the window is sent as ever, and so is its close.
3. With `learn: false` learning rests in the meantime: it is paused, and resumed at the end.
4. Times of windows are local: when clocks are put forward or back the window goes with them.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, time, timedelta
from fnmatch import fnmatchcase

from lstm_stream.config.maintenance import DayName, Window
from lstm_stream.outputs.outbox import Letter
from lstm_stream.records import Command, Event, Verb

LOOK = 60.0  # s between looks at which sensors there are, while a window is on
BY = "maintenance"  # who pauses learning

Key = tuple[str, str]  # group, sensor

_DAYS: tuple[DayName, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Windows:
    """The windows of the configuration; those without times are never."""

    def __init__(self, windows: Iterable[Window] = ()) -> None:
        self.replace(windows)

    def replace(self, windows: Iterable[Window]) -> None:
        """Other windows, from now on."""
        self.all = tuple(window for window in windows if window.start is not None)

    def covering(self, group: str, sensor: str, at: float) -> Window | None:
        """The first window that a sensor is in at a time (unix s)."""
        return next((one for one in self.all if is_for(one, group, sensor) and is_open(one, at)), None)

    def name_for(self, event: Event) -> str | None:
        """The name of the window in which an alarm opened."""
        window = self.covering(event.group, event.sensor, event.opened) if self.all else None
        return window.name if window else None


def is_for(window: Window, group: str, sensor: str) -> bool:
    """Whether a window is for a sensor."""
    return _matches(window.groups, group) and _matches(window.sensors, sensor)


def is_open(window: Window, at: float) -> bool:
    """Whether it is on at a time (unix s)."""
    begins, ends, zone = window.begins, window.ends, window.tzinfo
    try:
        if isinstance(begins, datetime) and isinstance(ends, datetime):
            return begins.replace(tzinfo=zone).timestamp() <= at < ends.replace(tzinfo=zone).timestamp()
        today = datetime.fromtimestamp(at, zone).date()
    except (ValueError, OverflowError, OSError):  # no such day in the calendar
        return False
    if not isinstance(begins, time) or not isinstance(ends, time):
        return False
    for day in (today - timedelta(days=1), today):
        first = datetime.combine(day, begins, zone)
        last = datetime.combine(day if begins < ends else day + timedelta(days=1), ends, zone)
        wanted = not window.days or _DAYS[day.weekday()] in window.days
        if wanted and first.timestamp() <= at < last.timestamp():
            return True
    return False


def cause_of(event: Event) -> str:
    """What an alarm's two events have in common."""
    return event.id.rpartition("-")[0]


class Muting:
    """Keeps back, for one sink, the letters of alarms that opened in a window."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._kept: dict[str, Letter] = {}  # by cause

    def __len__(self) -> int:
        """Alarms kept back."""
        return len(self._kept)

    def sort(self, letters: Sequence[Letter], now: float) -> tuple[list[Letter], list[Letter]]:
        """Which letters are to be sent by wall-clock time `now`, and which never will be; the rest is kept back."""
        sent: list[Letter] = []
        dropped: list[Letter] = []
        for letter in letters:
            event = letter.event
            if event.state == "closed":
                opened = self._kept.pop(cause_of(event), None)
                if opened is None:
                    sent.append(letter)
                else:
                    dropped += [opened, letter]
            elif self._windows.name_for(event) is None:
                sent.append(letter)
            else:
                self._kept[cause_of(event)] = letter
        return sorted(self._released(now) + sent, key=lambda letter: letter.seq), dropped

    def _released(self, now: float) -> list[Letter]:
        """Alarms that are open still though no window covers them any more."""
        due = [
            cause
            for cause, letter in self._kept.items()
            if self._windows.covering(letter.event.group, letter.event.sensor, now) is None
        ]
        return [self._kept.pop(cause) for cause in due]


def _matches(patterns: Sequence[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


class Resting:
    """Lets learning rest in windows with `learn: false`: what to pause and what to resume.

    After a restart the commands that were obeyed tell what still rests because of a window.
    """

    def __init__(self, windows: Iterable[Window]) -> None:
        self._resting: dict[Key, str] = {}  # with the window's name
        self._open: list[Window] = []
        self._looked_at = -LOOK
        self.configure(windows)

    def configure(self, windows: Iterable[Window]) -> None:
        """Other windows, from now on."""
        self._windows = [window for window in Windows(windows).all if not window.learn]

    def recall(self, commands: Iterable[Command]) -> None:
        """Commands that were obeyed before this process began, oldest first."""
        for command in commands:
            key = command.group, command.sensor
            if command.verb == "pause" and command.by == BY:
                self._resting[key] = command.comment
            elif command.verb in ("pause", "resume"):
                self._resting.pop(key, None)

    def wants_look(self, now: float) -> bool:
        """Whether it is time to ask for commands(), at wall-clock time `now`; quick."""
        if not self._windows and not self._resting:
            return False
        if [window for window in self._windows if is_open(window, now)] != self._open:
            return True
        return bool(self._open or self._resting) and now - self._looked_at >= LOOK

    def commands(self, groups: Sequence[str], sensors: Sequence[str], now: float) -> list[Command]:
        """What to do now, the sensors being these (N of both)."""
        self._looked_at = now
        self._open = [window for window in self._windows if is_open(window, now)]
        wanted: dict[Key, str] = {}
        for window in self._open:
            for group, sensor in zip(groups, sensors, strict=True):
                if is_for(window, group, sensor):
                    wanted.setdefault((group, "" if window.sensors == ("*",) else sensor), window.name)
        new = [_command("pause", key, name, now) for key, name in wanted.items() if key not in self._resting]
        over = [_command("resume", key, name, now) for key, name in self._resting.items() if key not in wanted]
        self._resting = wanted
        return new + over


def _command(verb: Verb, key: Key, window: str, now: float) -> Command:
    return Command(secrets.token_hex(8), verb, *key, BY, now, comment=window)

"""What has happened so far, as the screen shows it: faults as they begin, alarms as they open and close.

Lines: the daemon's worker thread adds events, the main thread reads; one lock guards both.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lstm_stream.records import Adoption, Event
from lstm_stream.service import Turn
from lstm_stream.simulate import Fault
from lstm_stream.simulate.score import Alarm, Windows


@dataclass(slots=True)
class Happening:
    """A fault with the alarm that found it, or a false alarm. Times are data time."""

    sensor: str
    began: float  # when it made itself known
    fault: Fault | None = None
    alarm: Alarm | None = None  # the first
    settled: bool = False  # nothing will change any more

    @property
    def missed(self) -> bool:
        """Whether its window is over and no alarm has opened."""
        return self.settled and self.alarm is None


class Chronicle:
    """An observer of the service that knows what was injected."""

    def __init__(self, faults: Sequence[Fault], grace: float) -> None:
        self._lock = threading.Lock()
        self._alarms: dict[tuple[str, str, float], Alarm] = {}
        self._coming = sorted(faults, key=lambda fault: -fault.start)
        self._happenings: dict[Fault | tuple[str, str, float], Happening] = {}
        self._windows = Windows(faults, grace)

    # the service's observer

    def on_turn(self, turn: Turn) -> None:
        """Takes in the alarms of a batch."""
        for event in turn.outcome.events:
            self.add(event)
        if turn.latest is not None:
            self._settle(turn.latest)

    def on_upkeep(self, sensors: dict[str, int], rounds: Sequence[Adoption]) -> None:
        """Nothing to do."""

    def on_save(self, seconds: float, error: str | None) -> None:
        """Nothing to do."""

    # the demo

    def add(self, event: Event) -> None:
        """An alarm opened or closed."""
        cause = (event.sensor, event.view, event.opened)
        fault = self._windows.find(event.sensor, event.opened)
        with self._lock:
            known = self._alarms.get(cause)
            fresh = Alarm(event.sensor, event.opened, event.closed, event.view, event.reason, event.score)
            alarm = fresh if known is None else replace(known, closed=event.closed)
            self._alarms[cause] = alarm
            key = cause if fault is None else fault
            happening = self._happenings.setdefault(key, Happening(event.sensor, event.opened, fault))
            if happening.alarm is None or happening.alarm is known:
                happening.alarm = alarm

    def inject(self, now: float) -> None:
        """What begins by data time `now` is published."""
        with self._lock:
            while self._coming and self._coming[-1].start <= now:
                fault = self._coming.pop()
                self._happenings.setdefault(fault, Happening(fault.sensor, fault.start, fault))

    def _settle(self, now: float) -> None:
        """The daemon has worked through all until data time `now`."""
        with self._lock:
            for happening in self._happenings.values():
                if happening.fault is not None and now > happening.fault.end + self._windows.grace:
                    happening.settled = True

    def alarms(self) -> list[Alarm]:
        """All so far."""
        with self._lock:
            return list(self._alarms.values())

    def happenings(self) -> list[Happening]:
        """All so far, in the order in which they became known."""
        with self._lock:
            return list(self._happenings.values())

"""An observer of the line that remembers for people: rates, alarms, problems, how the alarm budget is kept."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lstm_stream.desk.problems import Ledger
from lstm_stream.detect.fleet import Fleet
from lstm_stream.outputs.web import documents as d
from lstm_stream.records import Adoption, Event
from lstm_stream.service import Turn

STEP, KEPT = 5.0, 120  # s between two points of the rates, and how many there are
RECENTLY = 10.0  # s over which the rate of now is measured
ALARMS = 10_000  # that are remembered
LEAP = 3600.0  # s: data time that goes further at once was not watched
WEEK = 7 * 86400.0
KNOWN = WEEK / 7  # s that sensors are watched together before anybody speaks of a rate of alarms


class Mark(NamedTuple):
    """How much there was at some time (monotonic s)."""

    at: float
    messages: int
    samples: int


@dataclass(slots=True)
class Alarm:
    """An alarm from its begin to its end; `told` is its latest event, `at` when that was made (unix s)."""

    told: Event
    at: float


class Watch:
    """Written by the worker, read by anybody. `told` hears of every alarm that opens or closes."""

    def __init__(self, fleet: Fleet, data_time: Callable[[], float | None]) -> None:
        self.started = time.time()
        self.ledger = Ledger()
        self.alarms: dict[str, Alarm] = {}  # by the id of their cause, in the order in which they opened
        self.retrained: float | None = None  # wall clock
        self._fleet = fleet
        self._data_time = data_time
        self.told: Callable[[Alarm], None] = lambda _: None
        self._messages = self._samples = 0
        self._recent: deque[Mark] = deque(maxlen=int(RECENTLY) + 2)
        self._rates: deque[tuple[float, float]] = deque(maxlen=KEPT)  # wall clock, messages a second
        self._stepped = Mark(time.monotonic(), 0, 0)
        self._watched: dict[str, float] = defaultdict(float)  # group -> sensor-seconds past the warm-up
        self._opened: Counter[str] = Counter()  # group -> alarms
        self._looked_at: float | None = None  # data time

    # --- the observer

    def on_turn(self, turn: Turn) -> None:
        """A batch is through."""
        now = time.time()
        self._messages += turn.size
        self._samples += turn.samples
        self.ledger.note(turn.rejections, now)
        self.ledger.clocks(turn.decoded, now)
        for event in turn.outcome.events:
            self._opened[event.group] += event.state == "opened"
            self.told(self.remember(event, now))

    def on_upkeep(self, sensors: dict[str, int], rounds: Sequence[Adoption]) -> None:  # noqa: ARG002
        """Now and then."""
        mark = Mark(time.monotonic(), self._messages, self._samples)
        self._recent.append(mark)
        if mark.at - self._stepped.at >= STEP:
            rate = (mark.messages - self._stepped.messages) / (mark.at - self._stepped.at)
            self._rates.append((time.time(), rate))
            self._stepped = mark
        if rounds:
            self.retrained = time.time()
        self._watch()

    def on_save(self, seconds: float, error: str | None) -> None:
        """Nothing to remember."""

    def _watch(self) -> None:
        """Count the time for which sensors are watched, in data time: recorded time may run faster."""
        now, before = self._data_time(), self._looked_at
        self._looked_at = now
        if now is None or before is None or not 0.0 < now - before < LEAP:
            return
        for detector in self._fleet.detectors.values():
            armed = detector.arrays.count[: len(detector.sensors)] >= detector.group.warmup
            self._watched[detector.name] += (now - before) * int(np.count_nonzero(armed))

    # --- alarms

    def remember(self, event: Event, at: float) -> Alarm:
        """An alarm opened or closed; `at` is when that was told."""
        cause = event.id.rpartition("-")[0]
        alarm = self.alarms[cause] = Alarm(event, at)
        while len(self.alarms) > ALARMS:
            del self.alarms[next(iter(self.alarms))]
        return alarm

    # --- what is asked

    def per_second(self) -> tuple[float, float]:
        """Messages and samples a second of now."""
        marks = list(self._recent)
        if len(marks) < 2:
            return 0.0, 0.0
        first, last = marks[0], marks[-1]
        for mark in marks:
            if last.at - mark.at <= RECENTLY:
                first = mark
                break
        seconds = last.at - first.at
        if seconds <= 0:
            return 0.0, 0.0
        return (last.messages - first.messages) / seconds, (last.samples - first.samples) / seconds

    def rates(self) -> d.Rates:
        """Of the last ten minutes."""
        points = list(self._rates)
        return d.Rates([round(at, 1) for at, _ in points], [round(rate, 2) for _, rate in points])

    def budget(self, group: str, asked: float) -> d.Budget:
        """`asked` is in alarms a second."""
        watched = self._watched[group]
        kept = self._opened[group] / watched * WEEK if watched >= KNOWN else None
        return d.Budget(group, asked * WEEK, kept, watched / WEEK)

"""An observer of the line that remembers for people: rates, alarms, problems, charts, how the alarm budget is kept."""

from __future__ import annotations

import json
import logging
import math
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from lstm_stream.desk.alarms import Alarm, Alarms
from lstm_stream.desk.archive import Archive
from lstm_stream.desk.problems import Ledger
from lstm_stream.detect.fleet import Fleet, Outcome
from lstm_stream.line import Turn
from lstm_stream.outputs.recorder import Recorder, Round
from lstm_stream.outputs.web import documents as d
from lstm_stream.records import Adoption, Event

log = logging.getLogger(__name__)

STEP, KEPT = 5.0, 120  # s between two points of the rates, and how many there are
RECENTLY = 10.0  # s over which the rate of now is measured
WEEK = 7 * 86400.0
KNOWN = WEEK / 7  # s that sensors are watched together before anybody speaks of a rate of alarms
HORIZON = 4 * WEEK  # s over which the rate of alarms is measured
TRAINED = 1_000  # sensors whose rounds of training are remembered
ROUNDS = 32  # of each
BUDGET = ("", "")  # under which the archive keeps how the budget is kept

Key = tuple[str, str]  # group, sensor


class Mark(NamedTuple):
    """How much there was at some time (monotonic s)."""

    at: float
    messages: int
    samples: int


class Watch:
    """Written by the worker, read by anybody. `told` hears of every alarm that opens or closes."""

    def __init__(
        self,
        fleet: Fleet,
        data_time: Callable[[], float | None],
        alarms: Alarms,
        recorder: Recorder,
        archive: Archive | None = None,
    ) -> None:
        self.started = time.time()
        self.ledger = Ledger()
        self.alarms = alarms
        self.recorder = recorder
        self.told: Callable[[Alarm], None] = lambda _: None
        self.retrained: float | None = None  # wall clock
        self.paused = 0  # sensors that do not learn though their group does
        self.now: float | None = None  # data time
        self._rounds: OrderedDict[Key, deque[tuple[float, Adoption]]] = OrderedDict()
        self._fleet = fleet
        self._data_time = data_time
        self._archive = archive
        self._messages = self._samples = 0
        self._recent: deque[Mark] = deque(maxlen=int(RECENTLY) + 2)
        self._rates: deque[tuple[float, float]] = deque(maxlen=KEPT)  # wall clock, messages a second
        self._stepped = Mark(time.monotonic(), 0, 0)
        self._watched: dict[str, float] = defaultdict(float)  # group -> sensor-seconds past the warm-up
        self._lately: dict[str, float] = defaultdict(float)  # ... of them since the last upkeep
        self._opened: dict[str, float] = defaultdict(float)  # group -> alarms

    # --- the observer

    def on_turn(self, turn: Turn) -> None:
        """A batch is through."""
        now = time.time()
        self._messages += turn.size
        self._samples += turn.samples
        self.ledger.note(turn.rejections, now)
        self.ledger.clocks(turn.decoded, now)
        record(self.recorder, turn.outcome)
        self._watch(turn.outcome)
        for event in turn.outcome.events:
            self._happened(event, now)

    def _happened(self, event: Event, now: float) -> None:
        self.now = self._data_time()  # in recorded time the last upkeep may be a day ago
        alarm = self.alarms.remember(event, now)
        if event.state == "opened":
            self._opened[event.group] += 1
            self.look_at(event.group, event.sensor)
        self.told(alarm)

    def on_upkeep(self, sensors: dict[str, int], rounds: Sequence[Adoption]) -> None:  # noqa: ARG002
        """Now and then."""
        now = time.time()
        self.now = self._data_time()
        mark = Mark(time.monotonic(), self._messages, self._samples)
        self._recent.append(mark)
        if mark.at - self._stepped.at >= STEP:
            rate = (mark.messages - self._stepped.messages) / (mark.at - self._stepped.at)
            self._rates.append((now, rate))
            self._stepped = mark
        for adoption in rounds:
            self._trained(adoption, now)
        self._age()
        self.recorder.forget(lambda key: self._fleet.find(*key) is not None)
        self.keep()

    def on_save(self, seconds: float, error: str | None) -> None:
        """Nothing to remember."""

    def _trained(self, adoption: Adoption, now: float) -> None:
        key = adoption.group, adoption.sensor
        self.retrained = now
        self.recorder.trained(key, Round(self._data_time() or now, adoption.generation, adoption.result))
        self._rounds.setdefault(key, deque(maxlen=ROUNDS)).append((now, adoption._replace(weights=None)))
        self._rounds.move_to_end(key)
        if len(self._rounds) > TRAINED:
            self._rounds.popitem(last=False)

    def _watch(self, outcome: Outcome) -> None:
        """Count the time for which sensors were watched: for each sample past the warm-up, what is usual between two.

        So it is the same however fast the samples come, and an absence is no time watched.
        """
        for batch in outcome.batches:
            armed = batch.samples.slot[np.isfinite(batch.verdicts.threshold)]
            seconds = float(batch.detector.arrays.interval[armed].sum())
            self._watched[batch.detector.name] += seconds
            self._lately[batch.detector.name] += seconds

    def _age(self) -> None:
        """What was long ago counts less, by the time for which a sensor of the group was watched since."""
        armed: dict[str, int] = defaultdict(int)
        self.paused = 0
        for detector in self._fleet.detectors.values():
            size = len(detector.sensors)
            armed[detector.name] += int(np.count_nonzero(detector.arrays.count[:size] >= detector.warmup))
            self.paused += int(np.count_nonzero(detector.arrays.paused[:size]))
        for name, seconds in self._lately.items():
            left = math.exp(-seconds / max(1, armed[name]) / HORIZON)
            self._watched[name] *= left
            self._opened[name] *= left
        self._lately.clear()

    # --- what is recorded

    def look_at(self, group: str, sensor: str) -> None:
        """Somebody may want to see a sensor: record it from now on. On the worker's thread, as all of these."""
        member = self._fleet.find(group, sensor)
        if member is not None:
            self.recorder.interesting((group, sensor), member.roster.detector.channels, member.slot)

    def keep(self, *, everything: bool = False) -> None:
        """Give the archive what it has not."""
        if self._archive is None:
            return
        rows = self.recorder.packed(everything=everything)
        if rows or everything:
            document = {"watched": self._watched, "opened": self._opened}
            self._archive.keep([*rows, (BUDGET, json.dumps(document).encode())], last=everything)

    def restore(self) -> None:
        """Take up what the archive has of sensors that are still there."""
        for key, data in self._archive.load() if self._archive is not None else ():
            try:
                self._restore(key, data)
            except (ValueError, TypeError, KeyError) as error:
                log.warning("what was recorded of %r cannot be read: %s", key[1], error)

    def _restore(self, key: Key, data: bytes) -> None:
        if key == BUDGET:
            document = json.loads(data)
            for counts, saved in ((self._watched, document["watched"]), (self._opened, document["opened"])):
                counts.update({str(group): float(number) for group, number in saved.items()})
        elif self._fleet.find(*key) is not None:
            self.recorder.unpack(key, data)

    # --- what is asked

    def rounds(self, group: str, sensor: str) -> list[tuple[float, Adoption]]:
        """How rounds of training ended since the start, oldest first, with when (unix s)."""
        return list(self._rounds.get((group, sensor), ()))

    def per_second(self) -> tuple[float, float]:
        """Messages and samples a second of now."""
        marks = list(self._recent)
        marks = [mark for mark in marks if marks[-1].at - mark.at <= RECENTLY]
        seconds = marks[-1].at - marks[0].at if marks else 0.0
        if seconds <= 0:
            return 0.0, 0.0
        first, last = marks[0], marks[-1]
        return (last.messages - first.messages) / seconds, (last.samples - first.samples) / seconds

    def rates(self) -> d.Rates:
        """Of the last ten minutes."""
        points = list(self._rates)
        return d.Rates([round(at, 1) for at, _ in points], [round(rate, 2) for _, rate in points])

    def budget(self, group: str, asked: float) -> d.Budget:
        """`asked` is in alarms a second."""
        watched = self._watched.get(group, 0.0)
        kept = self._opened.get(group, 0.0) / watched * WEEK if watched >= KNOWN else None
        return d.Budget(group, asked * WEEK, kept, watched / WEEK)


def record(recorder: Recorder, outcome: Outcome) -> None:
    """Let the recorder have the samples of a call."""
    for batch in outcome.batches:
        d = batch.detector
        recorder.record(d, (d.name, d.channels), d.sensors, d.arrays.count, batch.samples, batch.verdicts)

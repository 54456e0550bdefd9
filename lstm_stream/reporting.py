"""What the line does, told to those who watch: metrics, counts for the health checks and the overview."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lstm_stream.detect.fleet import Outcome
from lstm_stream.outputs.metrics import Metrics
from lstm_stream.outputs.series import Series
from lstm_stream.records import Adoption, Chunk, Decoded, Event
from lstm_stream.service import Turn


@dataclass(slots=True)
class Tally:
    """Counts since the start; written by the worker, read by anybody."""

    messages: int = 0
    samples: int = 0
    rejections: Counter[str] = field(default_factory=Counter)
    retrains: Counter[str] = field(default_factory=Counter)
    sensors: dict[str, int] = field(default_factory=dict)
    alarms: dict[str, Event] = field(default_factory=dict)  # open ones, by the id of their cause
    scored_at: float = 0.0  # unix s of the last scored sample
    unscored_since: float | None = None  # monotonic s since which messages came and none was scored
    save_error: str | None = None


@dataclass(frozen=True, slots=True)
class Stats:
    """What the daemon has done since it started."""

    messages: int
    samples: int
    dropped: int
    rejections: dict[str, int]
    sensors: dict[str, int]  # by state: warming, watching, alarmed, silent
    retrains: dict[str, int]  # by result
    open_alarms: int
    connected: bool
    cpu_seconds: dict[str, float]  # by thread: network, worker, trainer, web


def cpu_seconds(worker: int | None) -> dict[str, float]:
    """The CPU time of this process by thread: network, worker (whose identity is given), trainer, web."""
    names = {"paho": "network", "trai": "trainer", "web": "web"}
    result = dict.fromkeys(("network", "worker", "trainer", "web"), 0.0)
    for thread in threading.enumerate():
        name = "worker" if thread.ident == worker else names.get(thread.name[:4])
        if name and thread.ident:
            result[name] += time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
    return result


class Reporter:
    """An observer of the service that feeds `metrics`, `series` where there are some, and a `Tally`."""

    def __init__(self, metrics: Metrics, sensors_limit: int, series: Series | None = None) -> None:
        self._metrics = metrics
        self._series = series
        self.limit = sensors_limit
        self.tally = Tally()

    def on_turn(self, turn: Turn) -> None:
        """Count a batch."""
        now, t = time.time(), self.tally
        t.messages += turn.size
        t.samples += turn.samples
        t.rejections.update(r.reason.value for r in turn.rejections)
        if turn.samples:
            t.scored_at, t.unscored_since = now, None
        elif turn.messages and t.unscored_since is None:
            t.unscored_since = time.monotonic()
        self._measure(turn, now)
        for event in turn.outcome.events:
            self._note(event)

    def _measure(self, turn: Turn, now: float) -> None:
        m = self._metrics
        arrivals, fast = _arrivals(turn), sum(map(len, turn.decoded.rows))
        m.batch(arrivals, turn.samples, now)
        m.waited(now - sum(turn.seconds.values()) - arrivals)
        m.decoded(fast, turn.size - fast, fast + len(turn.decoded.readings))
        m.rejected(turn.rejections)
        m.events(turn.outcome.events)
        for stage, seconds in turn.seconds.items():
            m.stage(stage, seconds)
        for batch in turn.outcome.batches:
            m.scores(batch.verdicts.score[np.isfinite(batch.verdicts.threshold)])
        m.lag(_lags(turn.decoded))
        if self._series is not None:
            _show(self._series, turn.outcome)

    def _note(self, event: Event) -> None:
        cause = event.id.rpartition("-")[0]
        if event.state == "opened":
            self.tally.alarms[cause] = event
        else:
            self.tally.alarms.pop(cause, None)

    def on_upkeep(self, sensors: dict[str, int], rounds: Sequence[Adoption]) -> None:
        """Take over the counts and what became of the retraining rounds."""
        now = time.time()
        if self._series is not None:
            self._series.refresh(time.monotonic())
        self.tally.sensors = sensors
        self._metrics.fleet(sensors, sensors["alarmed"] + sensors["silent"], self.limit)
        for r in rounds:
            self.tally.retrains[r.result] += 1
            self._metrics.retrained(r.result, r.seconds, now, r.champion, r.challenger)

    def on_save(self, seconds: float, error: str | None) -> None:
        """Take over whether the state is safe."""
        self.tally.save_error = error
        if error is None:
            self._metrics.checkpoint(seconds, time.time())
        else:
            self._metrics.checkpoint_failed()


def _show(series: Series, outcome: Outcome) -> None:
    for batch in outcome.batches:
        d = batch.detector
        series.take(d.name, d.channels, d.sensors, batch.stay, batch.samples, batch.verdicts)
    series.hear(outcome.events)


def _arrivals(turn: Turn) -> NDArray[np.float64]:
    """When each message of a turn arrived."""
    each = [item.arrivals if isinstance(item, Chunk) else np.array([item.time]) for item in turn.messages]
    return np.concatenate([np.empty(0), *each])


def _lags(decoded: Decoded) -> NDArray[np.float64]:
    """Arrival minus the sample's own time, of samples that carry one."""
    pairs = zip(decoded.readings, decoded.arrivals, strict=True)
    singly = [arrival - reading.time for reading, arrival in pairs if reading.timed]
    return np.concatenate([singly, *((rows.arrival - rows.time)[rows.timed] for rows in decoded.rows)])

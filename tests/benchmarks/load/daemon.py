"""The daemon as a consumer: the App that a user runs, watched by an observer as any other."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lstm_stream.app import build, keep_for_ever
from lstm_stream.config import Config
from lstm_stream.records import Adoption
from lstm_stream.service import Turn
from tests.benchmarks.load.packets import TOPICS
from tests.benchmarks.load.pump import HOST, Done
from tests.benchmarks.load.task import Latencies, Snapshot, Task

LOOK = 0.02  # s between two looks at what was not scored
READY = 300.0  # s; kernels may have to be compiled first


def configuration(port: int, qos: int, sensors: int, over: Mapping[str, Any]) -> dict[str, Any]:
    """Of a daemon with weights of 32 hidden units shared by its fleet; the sections of `over` go above these."""
    base: dict[str, dict[str, Any]] = {
        "broker": {"host": HOST, "port": port, "client_id": "load-daemon"},
        "groups": {"default": {"model": {"weights": "shared", "hidden": 32}}},
        "web": {"port": 0},
        "state": {"path": None},
        "limits": {"sensors": max(100_000, sensors)},
        "log": {"level": "warning"},
    }
    source = {"topic": TOPICS.replace("#", "{sensor}"), "qos": qos}
    return {"sources": [source], **base, **{key: _merged(base.get(key, {}), value) for key, value in over.items()}}


def _merged(base: Any, over: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {**base, **{key: _merged(base.get(key), value) for key, value in over.items()}}


class Daemon:
    """Runs the App; tells what it scores and how long that takes."""

    def __init__(self, task: Task, done: Done) -> None:
        self._task = task
        self._done = done
        self._scored = self._events = self._turns = 0
        self._seconds: Counter[str] = Counter()  # by stage
        self._latencies = Latencies()
        self._ended = 0.0  # at the end of the turn before: monotonic s, and CPU of this thread, s
        self._used = 0.0
        self._waiting = False  # messages, then
        self._longest = self._busiest = 0.0
        self._app = build(Config.model_validate(task.config), observers=[self])

    def run(self) -> None:
        """For ever."""
        logging.basicConfig(level=logging.WARNING, format="the daemon: %(message)s")
        self._app.open()
        keep_for_ever()
        threading.Thread(target=self._tell, daemon=True).start()
        self._used = time.thread_time()
        self._app.run()

    def snapshot(self) -> Snapshot:
        """What it has done. `pause` is the longest time, s, that a turn has taken since the last snapshot, with all
        that the line did before it while messages waited; and the most CPU time.
        """
        stats = asdict(self._app.stats())
        longest, self._longest, busiest, self._busiest = self._longest, 0.0, self._busiest, 0.0
        return {
            "messages": self._scored,
            "events": self._events,
            "turns": self._turns,
            "dropped": stats["dropped"],
            "rejected": stats["rejections"],
            "retrains": stats["retrains"],
            "threads": stats["cpu_seconds"],
            "stages": dict(self._seconds),
            "histogram": self._latencies.counts.tolist(),
            "pause": [longest, busiest],
        }

    def on_turn(self, turn: Turn) -> None:
        """A batch is through: this is when its verdicts count as given."""
        for batch in turn.outcome.batches:
            self._scored += len(batch.samples)
            if self._task.latency:
                self._latencies.add(batch.samples.time)
        now, used, line = time.monotonic(), time.thread_time(), self._app._service
        self._longest = max(self._longest, now - (self._ended if self._waiting else line.turned_at))
        self._busiest = max(self._busiest, used - self._used)
        self._ended, self._used, self._waiting = now, used, len(self._app._inbox) > 0
        self._turns += 1
        self._events += len(turn.outcome.events)
        self._seconds.update(turn.seconds)

    def on_upkeep(self, sensors: dict[str, int], rounds: Sequence[Adoption]) -> None:
        """Nothing to do."""

    def on_save(self, seconds: float, error: str | None) -> None:
        """Nothing to do."""

    def _tell(self) -> None:
        """What was not scored is finished as well, or the sender would wait for it."""
        while True:
            time.sleep(LOOK)
            stats = self._app.stats()
            self._done.set(self._scored + stats.dropped + sum(stats.rejections.values()))

"""Where rounds of training are computed: one thread beside the line, and how a round may end.

A round is a pure function of its job, so that it ends alike wherever it is computed again. Whether it ends in time
does not: what came late, or failed, is noted as `lost`, so that a journal can repeat it.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterable
from concurrent.futures import CancelledError, Future, TimeoutError
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Retraining
from lstm_stream.lstm import training
from lstm_stream.records import Lost

log = logging.getLogger(__name__)

HELD_BACK = 0.2  # of a window, its newest part: compared on, never trained on
MINIMUM = 16  # held-back targets below which nothing is adopted
HUNG = 60.0  # s that a round computes before another thread takes over: usual ones take milliseconds
GOODBYE = 10.0  # s that closing waits for the round under way


class Job(NamedTuple):
    """All that a round needs, copied out of the state: B sequences of N samples."""

    weights: NDArray[np.float32]  # (P,)
    x: NDArray[np.float32]  # (B, N, I)
    target: NDArray[np.float32]  # (B, N, D)
    cell: tuple[int, int]  # code and hidden units, as the kernels take them
    settings: Retraining


class Round(NamedTuple):
    """What became of a round; `weights` is None where the champion stays."""

    result: str  # adopted | rejected | late | failed
    seconds: float = 0.0
    champion: float = np.nan  # held-back loss
    challenger: float = np.nan
    weights: NDArray[np.float32] | None = None


def train(job: Job) -> Round:
    """Train a challenger on the older part of the window and compare it with the champion on the newest."""
    began = time.perf_counter()
    split = int(job.x.shape[1] * (1 - HELD_BACK))
    if np.isfinite(job.target[:, split:]).sum() < MINIMUM:
        return Round("rejected", time.perf_counter() - began)
    s, challenger = job.settings, job.weights.copy()
    x, target = (np.ascontiguousarray(array[:, :split]) for array in (job.x, job.target))  # one type, one compilation
    training.train(*job.cell, challenger, x, target, s.epochs, s.learning_rate, s.clip)
    champion_loss = training.evaluate(*job.cell, job.weights, job.x, job.target, split)
    challenger_loss = training.evaluate(*job.cell, challenger, job.x, job.target, split)
    better = challenger_loss <= champion_loss  # False for NaN
    return Round(
        "adopted" if better else "rejected",
        time.perf_counter() - began,
        champion_loss,
        challenger_loss,
        challenger if better else None,
    )


_Task = tuple["Future[Round]", Job]


class _Bench:
    """One thread and what waits for it."""

    def __init__(self) -> None:
        self.waiting: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()  # None: no more
        self.since: float | None = None  # when the round under way began
        # A daemon: a round that never ends must not keep the process from ending.
        self.thread = threading.Thread(target=self._work, name="trainer", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        while (task := self.waiting.get()) is not None:
            future, job = task
            if future.set_running_or_notify_cancel():
                self.since = time.monotonic()
                try:
                    future.set_result(train(job))
                except BaseException as error:  # whatever it is, the line hears of it
                    future.set_exception(error)
                self.since = None


class Trainer:
    """One thread that trains; shared by all groups."""

    def __init__(self) -> None:
        self._bench: _Bench | None = None

    def open(self) -> None:
        """Start the thread."""
        self._bench = _Bench()

    def close(self) -> None:
        """Drop what is waiting, finish what is running, unless it takes for ever."""
        if self._bench is not None:
            for future, _ in self._taken(self._bench):
                future.cancel()
            self._bench.waiting.put(None)
            self._bench.thread.join(GOODBYE)
            self._bench = None

    def submit(self, job: Job) -> Future[Round]:
        """Queue a round. Where the one under way never ends, another thread goes on with those that wait."""
        if self._bench is None:
            raise RuntimeError("the trainer is not open")
        since = self._bench.since
        if since is not None and time.monotonic() - since > HUNG:
            log.error("a retraining round has not ended for %.0f s; another thread goes on without it", HUNG)
            stuck, self._bench = self._bench, _Bench()
            for task in self._taken(stuck):
                self._bench.waiting.put(task)
            stuck.waiting.put(None)
        future: Future[Round] = Future()
        self._bench.waiting.put((future, job))
        return future

    def _taken(self, bench: _Bench) -> list[_Task]:
        """What waited there."""
        tasks: list[_Task] = []
        while True:
            try:
                task = bench.waiting.get_nowait()
            except queue.Empty:
                return tasks
            if task is not None:
                tasks.append(task)


class Outcomes:
    """How the rounds of a fleet end; `lost` lists those that ended without being heard."""

    def __init__(self) -> None:
        self.lost: list[Lost] = []
        self._forced: dict[Lost, str] | None = None

    def force(self, lost: Iterable[Lost] | None) -> None:
        """From now on these rounds, and no others, are lost; None: time tells again."""
        self._forced = None if lost is None else {one._replace(result=""): one.result for one in lost}

    def collect(self, future: Future[Round], patience: float, cause: Lost) -> Round:
        """The outcome of a round, waited for at most `patience` seconds (inf: as long as it takes).

        A failure is logged and changes nothing. `cause` names the round, without a result.
        """
        if self._forced is not None:
            if cause in self._forced:
                future.cancel()
                return self._lose(cause, self._forced[cause])
            patience = np.inf
        try:
            return future.result(timeout=None if patience == np.inf else patience)
        except (TimeoutError, CancelledError):
            future.cancel()
            return self._lose(cause, "late")
        except Exception:
            log.exception("a retraining round failed; the weights stay as they are")
            return self._lose(cause, "failed")

    def _lose(self, cause: Lost, result: str) -> Round:
        self.lost.append(cause._replace(result=result))
        return Round(result)

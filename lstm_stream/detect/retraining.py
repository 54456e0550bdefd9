"""When to retrain, with what, and whether to adopt: champion against challenger.

A round is a pure function of a sensor's recent history and its weights, started and adopted at fixed numbers of its
own samples, so that a replay, a restart and another batching all learn the same at the same place. In between, the
trainer thread computes and the line goes on; only a round that is overdue makes the line wait, for `patience` at most.

            count = n                        count = n + lag
    ──────────┬────────────────────────────────┬──────────▶ samples
        snapshot ──▶ trainer: train, compare ──▶ adopt the better weights; own ones: rebuild the state
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, TimeoutError
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Group, Retraining
from lstm_stream.detect.history import sequence
from lstm_stream.detect.slots import SlotArrays
from lstm_stream.detect.state import PROFILES, lstm_shape, shared_arrays
from lstm_stream.jit import inline, kernel
from lstm_stream.lstm import kernels, training
from lstm_stream.lstm.params import CELLS

log = logging.getLogger(__name__)

I4 = NDArray[np.int32]
I8 = NDArray[np.int64]

FIRST = 64  # samples before the first round
HELD_BACK = 0.2  # of a window, its newest part: compared on, never trained on
REBUILD = 256  # samples from which the state is rebuilt after an adoption
MINIMUM = 16  # held-back targets below which nothing is adopted
OPEN, KEEP, ADOPT = 0, 1, 2  # how a shared round was settled


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


@inline
def is_due(count: int, every: int) -> bool:
    """A round starts at 64, 128, 256 ... samples while the sensor is new, then at every multiple of `every`."""
    return count >= FIRST and (count % every == 0 or (count < every and count & (count - 1) == 0))


# These write what they find of the slots (M,) to found (M,) and say how many: an array costs more to return.


@kernel
def adopting(slot: I4, adopt_at: I8, count: I8, found: I4) -> int:
    """The slots whose round is to be adopted before their next sample."""
    n = 0
    for row in slot:
        if adopt_at[row] == count[row]:
            found[n] = row
            n += 1
    return n


@kernel
def starting(slot: I4, adopt_at: I8, count: I8, is_open: NDArray[np.bool_], every: int, found: I4) -> int:
    """The slots where a round is due and none is under way; none while an alarm is open."""
    n = 0
    for row in slot:
        if adopt_at[row] < 0 and not is_open[row] and is_due(count[row], every):
            found[n] = row
            n += 1
    return n


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


class Trainer:
    """One thread that trains; shared by all groups."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def open(self) -> None:
        """Start the thread."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="trainer")

    def close(self) -> None:
        """Drop what is waiting, finish what is running."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def submit(self, job: Job) -> Future[Round]:
        """Queue a round."""
        if self._pool is None:
            raise RuntimeError("the trainer is not open")
        return self._pool.submit(train, job)


class Learner:
    """The rounds of one group's sensors with weights of their own."""

    def __init__(self, group: Group, arrays: SlotArrays, trainer: Trainer) -> None:
        self._settings = group.retraining
        self._history = min(group.retraining.history, PROFILES[group.profile].history)
        self._cell = CELLS[group.model.cell].code, group.model.hidden
        self._arrays = arrays
        self._trainer = trainer
        self._under_way: dict[int, Future[Round]] = {}
        self.rounds: list[Round] = []  # finished since they were last taken

    @property
    def weights(self) -> NDArray[np.float32]:
        """(S, P), one vector a sensor."""
        return self._arrays.weights

    def until_boundary(self) -> int | None:
        """How many samples of the group may pass before `before` must be asked again; None: any number."""
        return None

    def before(self, slots: NDArray[np.int32]) -> None:
        """Adopt what is due before these (distinct) sensors' next samples."""
        a = self._arrays
        found = np.empty(len(slots), np.int32)
        for slot in found[: adopting(slots, a.adopt_at, a.count, found)].tolist():
            self._adopt(slot)

    def after(self, slots: NDArray[np.int32]) -> None:
        """Start the rounds that are due after these (distinct) sensors' samples; none while an alarm is open."""
        if not self._settings.enabled:
            return
        a = self._arrays
        found = np.empty(len(slots), np.int32)
        for slot in found[: starting(slots, a.adopt_at, a.count, a.open, self._settings.every, found)].tolist():
            a.adopt_at[slot] = a.count[slot] + min(self._settings.lag, self._settings.every - 1)
            self._under_way[slot] = self._trainer.submit(self._job(slot, int(a.count[slot])))

    def enter(self, slot: int, sensor: str) -> None:
        """A new sensor is here."""

    def forget(self, slot: int) -> None:
        """The sensor is gone; so is its round."""
        self._under_way.pop(slot, None)

    def resume(self, slot: int) -> None:
        """Start again, from the restored ring, the round that was under way when the state was saved."""
        a = self._arrays
        if a.adopt_at[slot] >= 0:
            started = int(a.adopt_at[slot]) - min(self._settings.lag, self._settings.every - 1)
            self._under_way[slot] = self._trainer.submit(self._job(slot, started))

    def pack(self) -> tuple[str, bytes] | None:
        """What the group keeps beside its sensors, as (signature, bytes); None if nothing."""
        return None

    def unpack(self, signature: str, state: bytes) -> None:  # noqa: ARG002 - there is nothing to unpack
        """The inverse of `pack`. Raises ValueError if the layout is another."""
        raise ValueError("the state has weights shared by the group, the configuration gives each sensor its own")

    def _job(self, slot: int, stop: int) -> Job:
        x, target = self._sequence(slot, max(0, stop - self._history), stop)
        return Job(self.weights[slot].copy(), x[None], target[None], self._cell, self._settings)

    def _sequence(self, slot: int, start: int, stop: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        a = self._arrays
        return sequence(start, stop, a.past_time[slot], a.past_value[slot], a.past_gap[slot], a.learnable[slot])

    def _adopt(self, slot: int) -> None:
        a = self._arrays
        a.adopt_at[slot] = -1
        done = collect(self._under_way.pop(slot), self._settings.patience)
        self.rounds.append(done)
        if done.weights is not None:
            self.weights[slot] = done.weights
            self.rebuild(slot)
            a.generation[slot] += 1

    def rebuild(self, slot: int) -> None:
        """Run the sensor's current weights over its recent window: state and forecast as if they had always been so."""
        a = self._arrays
        count = int(a.count[slot])
        x, _ = self._sequence(slot, max(0, count - min(REBUILD, a.past_time.shape[1])), count)
        forecast = np.empty((len(x), a.forecast.shape[1]), np.float32)
        a.lstm[slot] = 0
        kernels.run_sequence(*self._cell, self.weights[slot], x, a.lstm[slot], forecast)
        a.forecast[slot] = forecast[-1]


class SharedLearner(Learner):
    """The rounds of one group whose sensors share one weight vector.

    Rounds are started and adopted at fixed numbers of the group's samples, in arrival order. Sensors go on
    from the state they have: to rebuild those of a large fleet is a pause, and finds no more faults (measured).
    """

    def __init__(self, group: Group, arrays: SlotArrays, trainer: Trainer, sensors: Sequence[str | None]) -> None:
        super().__init__(group, arrays, trainer)
        self._sensors = sensors  # by slot
        self.common = shared_arrays(lstm_shape(arrays.forecast.shape[1], group))
        self._round: Future[Round] | None = None
        self._pool = PROFILES[group.profile].pool
        self._keys = np.zeros(0, np.uint64)  # (S,) of the names, evenly spread
        self._begun = 0  # sensors with a sample

    @property
    def weights(self) -> NDArray[np.float32]:
        """(1, P)."""
        return self.common.weights

    def until_boundary(self) -> int | None:
        """Samples of the group until the next start or adoption of a round."""
        c = self.common
        marks = [int(m) for m in (c.adopt_at[0], c.next_round[0]) if m > c.total[0]]
        return min(marks) - int(c.total[0]) if marks else None

    def before(self, slots: NDArray[np.int32]) -> None:
        """Adopt the round that is due; these sensors go on with the weights that there are now."""
        c, a = self.common, self._arrays
        if c.adopt_at[0] == c.total[0]:
            c.adopt_at[0] = -1
            self.settle()
            if c.settled[0] == ADOPT:
                c.weights[0] = c.challenger[0]
                c.generation[0] += 1
            c.settled[0] = OPEN
        self._begun += int(np.count_nonzero(a.count[slots] == 0))
        a.generation[slots] = c.generation[0]

    def after(self, slots: NDArray[np.int32]) -> None:
        """Count the samples; start a round where one is due."""
        c = self.common
        c.total[0] += len(slots)
        if self._settings.enabled and c.next_round[0] <= c.total[0]:
            ready = self._ready()
            sensors = max(1, self._begun)
            if ready and c.adopt_at[0] < 0:
                self._round = self._trainer.submit(self._pooled(ready))
                c.rounds[0] += 1
                c.adopt_at[0] = c.total[0] + sensors * self._settings.lag
            c.next_round[0] = c.total[0] + sensors * (self._settings.every if ready else FIRST)

    def settle(self) -> None:
        """Wait for the round under way and keep its outcome in `common`, where it can be saved."""
        if self._round is not None:
            done = collect(self._round, self._settings.patience)
            self._round = None
            self.rounds.append(done)
            self.common.settled[0] = KEEP if done.weights is None else ADOPT
            if done.weights is not None:
                self.common.challenger[0] = done.weights

    def pack(self) -> tuple[str, bytes] | None:
        """The shared weights; waits for the round under way, whose outcome is saved with them."""
        self.settle()
        return self.common.signature, self.common.pack(0)

    def unpack(self, signature: str, state: bytes) -> None:
        """The inverse of `pack`. Raises ValueError if the layout is another."""
        if signature != self.common.signature:
            raise ValueError("the shared weights were saved by another model or version")
        self.common.unpack(0, state)

    def enter(self, slot: int, sensor: str) -> None:
        """A new sensor is here."""
        if slot >= len(self._keys):
            self._keys.resize(self._arrays.capacity, refcheck=False)
        self._keys[slot] = int.from_bytes(hashlib.md5(sensor.encode(), usedforsecurity=False).digest()[:8], "big")

    def forget(self, slot: int) -> None:
        """The sensor is gone; the group's round goes on."""
        self._begun -= int(self._arrays.count[slot] > 0)

    def resume(self, slot: int) -> None:
        """Nothing is under way for a single sensor."""
        self._begun += int(self._arrays.count[slot] > 0)

    def _ready(self) -> list[int]:
        """The rows whose windows train: the next ones by sensor name, for rows are others after a restart.

        Of more sensors than are trained on at once, the order is that of a hash of their names: finding the next ones
        takes as long as looking at each once.
        """
        rows, pool = np.flatnonzero((self._arrays.count >= FIRST) & ~self._arrays.open), self._pool
        first = int(self.common.rounds[0]) * pool % max(len(rows), 1)
        few = len(rows) <= pool
        if not few:
            stop, wrapped = min(first + pool, len(rows)), max(first + pool - len(rows), 0)
            order = np.argpartition(self._keys[rows], sorted({first, stop - 1, max(wrapped - 1, 0)}))
            rows = rows[np.r_[order[first:stop], order[:wrapped]]]
        named: list[int] = sorted(rows.tolist(), key=lambda row: str(self._sensors[row]))
        return named[first:] + named[:first] if few else named

    def _pooled(self, slots: Sequence[int]) -> Job:
        """Windows of several sensors, the shorter ones padded at the front without targets."""
        counts = [int(self._arrays.count[slot]) for slot in slots]
        windows = [self._sequence(s, max(0, n - self._history), n) for s, n in zip(slots, counts, strict=True)]
        length = max(len(x) for x, _ in windows)
        inputs, channels = windows[0][0].shape[1], windows[0][1].shape[1]
        pooled_x = np.zeros((len(windows), length, inputs), np.float32)
        pooled_target = np.full((len(windows), length, channels), np.nan, np.float32)
        for k, (x, target) in enumerate(windows):
            pooled_x[k, length - len(x) :], pooled_target[k, length - len(x) :] = x, target
        return Job(self.weights[0].copy(), pooled_x, pooled_target, self._cell, self._settings)


def collect(future: Future[Round], patience: float) -> Round:
    """The outcome of a round, waited for at most `patience` seconds (inf: as long as it takes).

    A failure is logged and changes nothing.
    """
    try:
        return future.result(timeout=None if patience == np.inf else patience)
    except (TimeoutError, CancelledError):
        future.cancel()
        return Round("late")
    except Exception:
        log.exception("a retraining round failed; the weights stay as they are")
        return Round("failed")

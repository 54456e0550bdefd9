"""The rounds of sensors that share one weight vector: see retraining.py for when, with what, and whether to adopt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Group
from lstm_stream.detect.retraining import FIRST, Key, Learner, Names
from lstm_stream.detect.slots import SlotArrays
from lstm_stream.detect.state import PROFILES, lstm_shape, shared_arrays
from lstm_stream.detect.trainer import Job, Outcomes, Round, Trainer

OPEN, KEEP, ADOPT = 0, 1, 2  # how a round was settled


class SharedLearner(Learner):
    """The rounds of one group whose sensors share one weight vector.

    Rounds are started and adopted at fixed numbers of the group's samples, in arrival order. Sensors go on
    from the state they have: to rebuild those of a large fleet is a pause, and finds no more faults (measured).
    """

    def __init__(
        self, key: Key, group: Group, arrays: SlotArrays, trainer: Trainer, sensors: Names, outcomes: Outcomes
    ) -> None:
        super().__init__(key, group, arrays, trainer, sensors, outcomes)
        self.common = shared_arrays(lstm_shape(arrays.forecast.shape[1], group))
        self._round: Future[Round] | None = None
        self._done: Round | None = None  # how it ended, until that is told
        self._pool = PROFILES[group.profile].pool
        self._keys = np.zeros(0, np.uint64)  # (S,) of the names, evenly spread
        self._begun = 0  # sensors with a sample

    @property
    def weights(self) -> NDArray[np.float32]:
        """(1, P)."""
        return self.common.weights

    def generation(self, slot: int) -> int:  # noqa: ARG002 - they are everybody's
        """Of the weights that the group has."""
        return int(self.common.generation[0])

    def until_boundary(self) -> int | None:
        """Samples of the group until the next start or adoption of a round."""
        c = self.common
        marks = [int(m) for m in (c.adopt_at[0], c.next_round[0]) if m > c.total[0]]
        return min(marks) - int(c.total[0]) if marks else None

    def before(self, slots: NDArray[np.int32]) -> None:
        """Adopt the round that is due; these sensors go on with the weights that there are now."""
        c, a = self.common, self._arrays
        if c.adopt_at[0] == c.total[0]:
            self.settle()
            c.adopt_at[0] = -1
            if c.settled[0] == ADOPT:
                c.weights[0] = c.challenger[0]
                c.generation[0] += 1
            # One that was settled before a restart has no losses any more.
            settled = Round("adopted", weights=c.challenger[0].copy()) if c.settled[0] == ADOPT else Round("rejected")
            self._tell("", int(c.generation[0]), self._done or settled)
            c.settled[0], self._done = OPEN, None
        self._begun += int(np.count_nonzero(a.count[slots] == 0))
        a.generation[slots] = c.generation[0]

    def after(self, slots: NDArray[np.int32]) -> None:
        """Count the samples; start a round where one is due."""
        c = self.common
        c.total[0] += len(slots)
        if self._settings.enabled and not c.paused[0] and c.next_round[0] <= c.total[0]:
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
            done = self._done = self._collect(self._round, "", int(self.common.adopt_at[0]))
            self._round = None
            self.common.settled[0] = KEEP if done.weights is None else ADOPT
            if done.weights is not None:
                self.common.challenger[0] = done.weights

    def configure(self, group: Group) -> None:
        """Other settings of the rounds; those of the model, and how much history is kept, must be the same."""
        super().configure(group)
        self._catch_up()

    def pause(self, paused: bool) -> None:
        """No rounds start, and the one under way leads to nothing, until told otherwise."""
        self.common.paused[0] = paused
        if paused:
            self.drop_common()
        self._catch_up()

    def _catch_up(self) -> None:
        """A start that was missed is made up for at the next sample, whatever batch that is in."""
        self.common.next_round[0] = max(int(self.common.next_round[0]), int(self.common.total[0]) + 1)

    def drop_common(self) -> None:
        """The group's round under way, if any, leads to nothing."""
        self.common.adopt_at[0], self.common.settled[0] = -1, OPEN
        if self._round is not None:
            self._round.cancel()
        self._round = self._done = None

    def put_back(self, slot: int, weights: NDArray[np.float32]) -> None:  # noqa: ARG002 - they are everybody's
        """Weights (P,) of an earlier generation are in force again, as a new one, for the whole group."""
        self.drop_common()
        c = self.common
        c.weights[0] = weights
        c.generation[0] += 1
        self._tell("", int(c.generation[0]), Round("rollback", weights=weights))

    def drop(self, slot: int) -> None:
        """No round is a single sensor's."""

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
        rows, pool = self._trainable(), self._pool
        first = int(self.common.rounds[0]) * pool % max(len(rows), 1)
        few = len(rows) <= pool
        if not few:
            stop, wrapped = min(first + pool, len(rows)), max(first + pool - len(rows), 0)
            order = np.argpartition(self._keys[rows], sorted({first, stop - 1, max(wrapped - 1, 0)}))
            rows = rows[np.r_[order[first:stop], order[:wrapped]]]
        named: list[int] = sorted(rows.tolist(), key=lambda row: str(self._sensors[row]))
        return named[first:] + named[:first] if few else named

    def _trainable(self) -> NDArray[np.intp]:
        a = self._arrays
        return np.flatnonzero((a.count >= FIRST) & ~a.open & ~a.paused)

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

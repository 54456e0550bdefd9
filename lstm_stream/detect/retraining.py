"""When to retrain, with what, and whether to adopt: champion against challenger.

A round is a pure function of a sensor's recent history and its weights, started and adopted at fixed numbers of its
own samples, so that a replay, a restart and another batching all learn the same at the same place. In between, the
trainer thread computes and the line goes on; only a round that is overdue makes the line wait, for `patience` at most.

            count = n                        count = n + lag
    ──────────┬────────────────────────────────┬──────────▶ samples
        snapshot ──▶ trainer: train, compare ──▶ adopt the better weights; own ones: rebuild the state
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Group
from lstm_stream.detect.history import sequence
from lstm_stream.detect.slots import SlotArrays
from lstm_stream.detect.state import PROFILES
from lstm_stream.detect.trainer import Job, Outcomes, Round, Trainer
from lstm_stream.jit import inline, kernel
from lstm_stream.lstm import kernels
from lstm_stream.lstm.params import CELLS
from lstm_stream.records import Adoption, Lost

I4 = NDArray[np.int32]
I8 = NDArray[np.int64]
Mask = NDArray[np.bool_]
Key = tuple[str, tuple[str, ...]]  # group, channels
Names = Sequence[str | None]  # by slot

FIRST = 64  # samples before the first round
REBUILD = 256  # samples from which the state is rebuilt after an adoption


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
def starting(slot: I4, adopt_at: I8, count: I8, is_open: Mask, paused: Mask, every: int, found: I4) -> int:
    """The slots where a round is due and none is under way; none while an alarm is open or learning is paused."""
    n = 0
    for row in slot:
        if adopt_at[row] < 0 and not is_open[row] and not paused[row] and is_due(count[row], every):
            found[n] = row
            n += 1
    return n


class Learner:
    """The rounds of one group's sensors with weights of their own."""

    def __init__(
        self, key: Key, group: Group, arrays: SlotArrays, trainer: Trainer, sensors: Names, outcomes: Outcomes
    ) -> None:
        self._key = key
        self._sensors = sensors
        self._outcomes = outcomes
        self._settings = group.retraining
        self._history = min(group.retraining.history, PROFILES[group.profile].history)
        self._cell = CELLS[group.model.cell].code, group.model.hidden
        self._arrays = arrays
        self._trainer = trainer
        self._under_way: dict[int, Future[Round]] = {}
        self.adoptions: list[Adoption] = []  # of the rounds that ended since they were last taken

    @property
    def weights(self) -> NDArray[np.float32]:
        """(S, P), one vector a sensor."""
        return self._arrays.weights

    def generation(self, slot: int) -> int:
        """Of the weights that a sensor has."""
        return int(self._arrays.generation[slot])

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
        a, every = self._arrays, self._settings.every
        found = np.empty(len(slots), np.int32)
        for slot in found[: starting(slots, a.adopt_at, a.count, a.open, a.paused, every, found)].tolist():
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

    def configure(self, group: Group) -> None:
        """Other settings of the rounds; those of the model, and how much history is kept, must be the same."""
        self._settings = group.retraining

    def drop(self, slot: int) -> None:
        """The round under way, if any, leads to nothing."""
        self._arrays.adopt_at[slot] = -1
        future = self._under_way.pop(slot, None)
        if future is not None:
            future.cancel()

    def put_back(self, slot: int, weights: NDArray[np.float32]) -> None:
        """Weights (P,) of an earlier generation are in force again, as a new one."""
        self.drop(slot)
        self._put(slot, weights)
        self._tell(str(self._sensors[slot]), int(self._arrays.generation[slot]), Round("rollback", weights=weights))

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
        return sequence(start, stop, a.past_value[slot], a.past_context[slot])

    def _adopt(self, slot: int) -> None:
        a = self._arrays
        a.adopt_at[slot] = -1
        sensor = str(self._sensors[slot])
        done = self._collect(self._under_way.pop(slot), sensor, int(a.count[slot]))
        if done.weights is not None:
            self._put(slot, done.weights)
        self._tell(sensor, int(a.generation[slot]), done)

    def _put(self, slot: int, weights: NDArray[np.float32]) -> None:
        self.weights[slot] = weights
        self.rebuild(slot)
        self._arrays.generation[slot] += 1

    def _collect(self, future: Future[Round], sensor: str, count: int) -> Round:
        group, channels = self._key
        return self._outcomes.collect(future, self._settings.patience, Lost(group, sensor, channels, count))

    def _tell(self, sensor: str, generation: int, done: Round) -> None:
        group, channels = self._key
        what = done.result, done.champion, done.challenger, done.seconds, done.weights
        self.adoptions.append(Adoption(group, sensor, channels, generation, *what))

    def rebuild(self, slot: int) -> None:
        """Run the sensor's current weights over its recent window: state and forecast as if they had always been so."""
        a = self._arrays
        forecast = self._run(slot, min(REBUILD, a.past_value.shape[1]), a.lstm[slot])
        a.forecast[slot] = forecast[-1]

    def forecasts(self, slot: int, samples: int) -> NDArray[np.float32]:
        """What the current weights forecast after each of the latest samples (N, D), scaled, from a state of zeros."""
        return self._run(slot, samples, np.empty_like(self._arrays.lstm[slot]))

    def _run(self, slot: int, samples: int, state: NDArray[np.float32]) -> NDArray[np.float32]:
        count = int(self._arrays.count[slot])
        x, _ = self._sequence(slot, max(0, count - samples), count)
        forecast = np.empty((len(x), self._arrays.forecast.shape[1]), np.float32)
        state[:] = 0
        kernels.run_sequence(*self._cell, self.weights[min(slot, len(self.weights) - 1)], x, state, forecast)
        return forecast

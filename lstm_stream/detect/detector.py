"""The line of one group's sensors: samples in, verdicts out; it owns every number known of them.

    silence ended? -> weights to adopt? -> the compiled line (line.py) -> events -> a round to start?

No I/O and no wall clock: time comes with the samples. A sensor's verdicts depend on its own samples in their order
(with `weights: shared`, also on the group's), never on its name, its row or its batch: promise 1.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Group
from lstm_stream.detect import acceptance, alarm, describe, excuses, levels, line, scaling, silence, start
from lstm_stream.detect.batches import empty_verdicts, plain, put, taken, waves
from lstm_stream.detect.retraining import Learner
from lstm_stream.detect.shared import SharedLearner
from lstm_stream.detect.state import lstm_shape, sensor_arrays, state_of
from lstm_stream.detect.trainer import Outcomes, Trainer
from lstm_stream.lstm import params
from lstm_stream.records import STATES, ChannelEvidence, Event, Samples, Verdicts, View

UNKNOWN = len(STATES)  # the state of a sensor without a sample

F8 = NDArray[np.float64]


class Detector:
    """All sensors of one group with the same channels."""

    def __init__(
        self,
        name: str,
        channels: tuple[str, ...],
        group: Group,
        trainer: Trainer,
        most: int = 1,
        outcomes: Outcomes | None = None,
    ) -> None:
        self.name = name
        self.channels = channels
        self.group = group
        self.sensors: list[str | None] = []  # by slot
        self._free: list[int] = []  # slots that were left
        self._listening_since = -np.inf  # data time before which a silence is ours, not the sensor's; inf: all is
        self._heard = np.zeros(0, np.bool_)  # since then: (S,)
        self.arrays = sensor_arrays(len(channels), group, most=most)
        shape = lstm_shape(len(channels), group)
        self._cell = params.CELLS[shape.cell].code, shape.hidden
        self._state = state_of(self.arrays)
        self._seen = np.zeros(0, np.int32)  # (S,) for `waves`
        self._initial, self.misfit = start.fresh(shape, group.model)
        learner = SharedLearner if group.model.weights == "shared" else Learner
        parts = (name, channels), group, self.arrays, trainer, self.sensors, outcomes or Outcomes()
        self.learner: Learner = learner(*parts)
        if isinstance(self.learner, SharedLearner):
            self.learner.weights[0] = self._initial
        self.configure(group)

    # --- sensors and rows

    def add(self, sensor: str) -> int:
        """A row for a new sensor."""
        slot = self._free.pop() if self._free else len(self.sensors)
        if slot == len(self.sensors):
            self.sensors.append(sensor)
            if slot == self.arrays.capacity or not slot:
                self._grow(slot + 1)
        self.sensors[slot] = sensor
        if not isinstance(self.learner, SharedLearner):
            self.learner.weights[slot] = self._initial
        self.learner.enter(slot, sensor)
        return slot

    def _grow(self, sensors: int) -> None:
        self.arrays.grow(sensors)
        self._state = state_of(self.arrays)
        self._heard.resize(self.arrays.capacity, refcheck=False)
        self._seen.resize(self.arrays.capacity, refcheck=False)

    def configure(self, group: Group) -> None:
        """Other settings, of those that need no other state."""
        self.group, self.warmup = group, group.warmup_of(len(self.channels))
        votes = np.array([view.name.lower() in group.views for view in View], np.float64)
        self._rules = line.Rules(votes, group.false_alarms, group.accept_after, self.warmup)
        self.learner.configure(group)

    def remove(self, slot: int) -> None:
        """Forget a sensor; its row is free again."""
        self.sensors[slot] = None
        self._heard[slot] = False
        self._free.append(slot)
        self.learner.forget(slot)
        self.arrays.reset(slot)

    def state(self) -> NDArray[np.uint8]:
        """What each sensor is doing now (S,), as its place in STATES; a free row's is UNKNOWN."""
        a, n = self.arrays, len(self.sensors)
        codes = np.full(n, STATES.index("watching"), np.uint8)
        codes[a.count[:n] < self.warmup] = STATES.index("warming")
        codes[a.open[:n] & ~a.hushed[:n, 0]] = STATES.index("alarmed")
        codes[~np.isnan(a.silent_since[:n])] = STATES.index("silent")
        codes[a.count[:n] == 0] = UNKNOWN
        return codes

    def counts(self) -> dict[str, int]:
        """Sensors by what they are doing now."""
        codes = self.state()
        return {state: int(np.count_nonzero(codes == code)) for code, state in enumerate(STATES)}

    def open_alarms(self, slot: int) -> list[tuple[View, float]]:
        """The views and beginnings (unix s) of a sensor's open alarms: a silence first."""
        a, alarms = self.arrays, []
        if not np.isnan(a.silent_since[slot]) and not a.hushed[slot, 1]:
            alarms.append((View.SILENCE, float(a.silent_since[slot])))
        if a.open[slot] and not a.hushed[slot, 0]:
            alarms.append((View(int(a.leading[slot])), float(a.opened[slot])))
        return alarms

    def alarm_id(self, slot: int, view: View, opened: float) -> str:
        """How that alarm of a sensor is known."""
        return describe.alarm_id(self.name, str(self.sensors[slot]), view, opened)

    # --- the line

    def process(self, samples: Samples) -> tuple[Verdicts, list[Event]]:
        """Score M samples in arrival order; a slot may occur several times, its times increasing.

        Returns the verdicts, row by row, and the events of alarms that opened or closed.
        """
        verdicts = empty_verdicts(len(samples), len(self.channels))
        events: list[Event] = []
        start = 0
        while start < len(samples):
            limit = self.learner.until_boundary()
            stop = len(samples) if limit is None else min(len(samples), start + limit)
            for rows in waves(samples.slot[start:stop], self._seen):
                if len(rows) == len(samples):
                    return verdicts, self._step(plain(samples), verdicts)
                said = empty_verdicts(len(rows), len(self.channels))
                events += self._step(taken(samples, rows + start), said)
                put(said, rows + start, verdicts)
            start = stop
        return verdicts, events

    def _step(self, samples: Samples, verdicts: Verdicts) -> list[Event]:
        """One sample each of distinct sensors."""
        slot, time, v = samples.slot, samples.time, verdicts
        events = self._end_silence(slot, time)
        self.learner.before(slot)
        transition = np.empty(len(slot), np.int8)
        said = line.Said(
            v.expected, v.lower, v.upper, v.contribution, v.score, v.threshold, v.view, v.anomaly, transition
        )
        line.step(self._state, self._rules, *self._cell, self.learner.weights, slot, time, samples.values, said)
        for m in transition.nonzero()[0].tolist():
            if not self.arrays.hushed[slot[m], 0]:
                evidence = self._evidence(samples.values[m], verdicts, m)
                events.append(self._event(int(slot[m]), float(time[m]), int(transition[m]), evidence, verdicts, m))
            if transition[m] == alarm.OPENED:
                self.arrays.acknowledged[slot[m], 0] = False
            elif transition[m] == alarm.ACCEPTED:
                acceptance.accept(self.arrays, self.learner, int(slot[m]))
        self.learner.after(slot)
        return events

    # --- silence

    def listen_from(self, since: float) -> None:
        """Nothing was heard before data time `since` (inf: nothing will be, for now); no sensor is blamed for that."""
        self._listening_since = since
        if since == np.inf:
            self._heard[:] = False

    def silences(self, now: float) -> list[Event]:
        """Events of the sensors that have fallen silent by data time `now`."""
        if not self._rules.votes[View.SILENCE]:
            return []
        a = self.arrays
        habits, since = (a.time, a.interval, a.gap, a.allowed_gap, a.count, self._heard), self._listening_since
        quiet = silence.overdue(len(self.sensors), *habits, a.silent_since, since, now)
        a.acknowledged[quiet, 1] = False
        return [self._silence(int(slot), None) for slot in quiet]

    def unheard(self, now: float, after: float, most: int) -> list[int]:
        """The slots of sensors, `most` at most, that have been silent for `after` s, or since we listen."""
        a = self.arrays
        habits = a.time, a.interval, a.gap, a.allowed_gap, a.count, self._heard
        found: list[int] = silence.unheard(len(self.sensors), *habits, self._listening_since, now, after, most).tolist()
        return found

    def farewell(self, slot: int, time: float, reason: str = "") -> list[Event]:
        """A sensor is forgotten at that data time: the events that close what is open of it."""
        a = self.arrays
        reason = reason or describe.forgotten(time - float(a.time[slot]))
        return [self.closing(slot, view, began, time, reason) for view, began in self.open_alarms(slot)]

    def closing(self, slot: int, view: View, opened: float, time: float, reason: str) -> Event:
        """The event that closes an alarm of a sensor at that data time for another reason than its samples."""
        peak = 0.0 if view is View.SILENCE else float(self.arrays.peak[slot])
        return self._make_event(slot, view, opened, max(time, opened), reason, peak, 0.0, {})

    def _end_silence(self, slot: NDArray[np.int32], time: F8) -> list[Event]:
        """A sample ends its sensor's silence; one that nobody saw begin is reported with its begin and its end."""
        a = self.arrays
        habits = a.time, a.interval, a.gap, a.allowed_gap, a.count, self._heard
        wanted = self._rules.votes[View.SILENCE] > 0
        unseen, both = np.empty(len(slot), np.intp), np.empty(len(slot), np.intp)
        since = a.silent_since, self._listening_since
        untold, ended = silence.ended(slot, time, *habits, *since, wanted, unseen, both)
        if not ended:
            return []
        unseen, both = unseen[:untold], both[:ended]
        a.acknowledged[slot[unseen], 1] = False
        events = [self._silence(int(s), None) for s in slot[unseen]]
        told = [m for m in both.tolist() if not a.hushed[slot[m], 1]]
        events += [self._silence(int(slot[m]), float(time[m])) for m in told]
        excuses.end_silences(a, slot[both], time[both])
        return events

    def _silence(self, slot: int, closed: float | None) -> Event:
        a = self.arrays
        began = float(a.silent_since[slot])
        usual = describe.silent(float(a.interval[slot]))
        ended = "" if closed is None else f"samples again after {describe.duration(closed - float(a.time[slot]))}"
        return self._make_event(slot, View.SILENCE, began, closed, ended or usual, 0.0, 0.0, {})

    # --- events

    def _evidence(self, values: F8, verdicts: Verdicts, row: int) -> dict[str, ChannelEvidence]:
        v = verdicts
        return {
            name: ChannelEvidence(
                finite(values[j]),
                finite(v.expected[row, j]),
                finite(v.lower[row, j]),
                finite(v.upper[row, j]),
                float(v.contribution[row, j]),
            )
            for j, name in enumerate(self.channels)
        }

    def _event(
        self,
        slot: int,
        time: float,
        transition: int,
        evidence: dict[str, ChannelEvidence],
        verdicts: Verdicts,
        row: int,
    ) -> Event:
        a = self.arrays
        view, threshold = View(int(a.leading[slot])), float(verdicts.threshold[row])
        began = float(a.opened[slot])
        if transition == alarm.OPENED:
            runs = {name: int(a.run[slot, j]) for j, name in enumerate(self.channels)}
            reason = describe.opened(view, evidence, runs, self._usual(slot, time))
            return self._make_event(slot, view, began, None, reason, float(verdicts.score[row]), threshold, evidence)
        peak = float(a.peak[slot])
        reason = describe.closed(transition == alarm.ACCEPTED, time - began, peak, threshold)
        return self._make_event(slot, view, began, time, reason, peak, threshold, evidence)

    def _usual(self, slot: int, time: float) -> dict[str, str]:
        """Each channel's smoothed level beside what is usual at this time, in words."""
        a = self.arrays
        fitted = levels.fitted(time, a.baseline[slot])
        scale = [
            scaling.scale_of(*moments) for moments in zip(a.mean[slot], a.variance[slot], a.seen[slot], strict=True)
        ]
        usual = a.mean[slot] + scale * np.sinh(fitted)
        level = a.mean[slot] + scale * np.sinh(fitted + a.level[slot])
        return {
            name: f"averages {describe.number(level[j])} where {describe.number(usual[j])} is usual at this time"
            for j, name in enumerate(self.channels)
        }

    def _make_event(
        self,
        slot: int,
        view: View,
        opened: float,
        closed: float | None,
        reason: str,
        score: float,
        threshold: float,
        channels: dict[str, ChannelEvidence],
    ) -> Event:
        sensor, name = str(self.sensors[slot]), view.name.lower()
        state: Literal["opened", "closed"] = "opened" if closed is None else "closed"
        identity = f"{describe.alarm_id(self.name, sensor, view, opened)}-{state}"
        generation = int(self.arrays.generation[slot])
        return Event(
            identity, sensor, self.name, state, name, reason, opened, closed, score, threshold, generation, channels
        )


def finite(value: float) -> float | None:
    """None for what is absent or unknown."""
    return float(value) if np.isfinite(value) else None

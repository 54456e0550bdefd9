"""The line of one group's sensors: samples in, verdicts out; it owns every number known of them.

    scale -> views of the awaited forecast -> score -> decide -> remember -> LSTM step -> next forecast

No I/O and no wall clock: time comes with the samples. A sensor's verdicts depend on its own samples in their order
(with `weights: shared`, also on the group's), never on its name, its row or its batch: promise 1.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Group
from lstm_stream.detect import (
    alarm,
    calibration,
    describe,
    errors,
    freeze,
    history,
    levels,
    novelty,
    scaling,
    silence,
    start,
)
from lstm_stream.detect.batches import empty_verdicts, waves
from lstm_stream.detect.inputs import elapse, inputs
from lstm_stream.detect.retraining import Learner, SharedLearner, Trainer
from lstm_stream.detect.state import PROFILES, lstm_shape, sensor_arrays
from lstm_stream.lstm import kernels, params
from lstm_stream.records import ChannelEvidence, Event, Samples, Verdicts, View

CALIBRATE_FROM = 128  # samples: the first weights are adopted, errors are worth remembering

DOUBT = 0.5  # of the threshold: from this score on, scales and levels wait for better times

WIDEST = 30.0  # scaled units: sinh of it still is a number

F8 = NDArray[np.float64]


class Observation(NamedTuple):
    """M samples as the views see them."""

    u: F8  # (M, D) scaled values
    x: NDArray[np.float32]  # (M, I) inputs of the LSTM
    gap: NDArray[np.float32]  # (M,) the elapsed-time input
    center: F8  # (M, D)
    scale: F8  # (M, D)
    error: F8  # (M, D) usual forecast error, scaled
    statistic: F8  # (M, V)
    share: F8  # (M, STUCK, D) each channel's part of each view's statistic; the last is the stuck view's
    outside: F8  # (M,) how far beyond the range
    stuck: F8  # (M,)


class Decision(NamedTuple):
    """What is made of it."""

    score: F8  # (M,)
    threshold: F8
    leading: NDArray[np.int8]  # View
    transition: NDArray[np.int8]


class Detector:
    """All sensors of one group with the same channels."""

    def __init__(self, name: str, channels: tuple[str, ...], group: Group, trainer: Trainer, most: int = 1) -> None:
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
        self._views = PROFILES[group.profile].views
        self._votes = np.array([view.name.lower() in group.views for view in View], np.float64)  # by View: 1 or 0
        self._initial, self.misfit = start.fresh(shape, group.model), start.misfit(shape, group.model)
        self.learner = Learner(group, self.arrays, trainer)
        if group.model.weights == "shared":
            self.learner = SharedLearner(group, self.arrays, trainer, self.sensors)
            self.learner.weights[0] = self._initial

    # --- sensors and rows

    def add(self, sensor: str) -> int:
        """A row for a new sensor."""
        slot = self._free.pop() if self._free else len(self.sensors)
        if slot == len(self.sensors):
            self.sensors.append(sensor)
            self.arrays.grow(len(self.sensors))
            self._heard.resize(self.arrays.capacity, refcheck=False)
        self.sensors[slot] = sensor
        if not isinstance(self.learner, SharedLearner):
            self.learner.weights[slot] = self._initial
        self.learner.enter(slot, sensor)
        return slot

    def remove(self, slot: int) -> None:
        """Forget a sensor; its row is free again."""
        self.sensors[slot] = None
        self._heard[slot] = False
        self._free.append(slot)
        self.learner.forget(slot)
        self.arrays.reset(slot)

    def counts(self) -> dict[str, int]:
        """Sensors by what they are doing now."""
        a, n = self.arrays, len(self.sensors)
        known = a.count[:n] > 0
        silent = known & ~np.isnan(a.silent_since[:n])
        alarmed = known & ~silent & a.open[:n]
        warming = known & ~silent & ~alarmed & (a.count[:n] < self.group.warmup)
        watching = known & ~silent & ~alarmed & ~warming
        states = {"warming": warming, "watching": watching, "alarmed": alarmed, "silent": silent}
        return {state: int(mask.sum()) for state, mask in states.items()}

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
            for rows in waves(samples.slot[start:stop]):
                events += self._step(samples, verdicts, rows + start)
            start = stop
        return verdicts, events

    def _step(self, samples: Samples, verdicts: Verdicts, rows: NDArray[np.intp]) -> list[Event]:
        """One sample each of distinct sensors: `rows` of the batch."""
        slot, time, values = samples.slot[rows], samples.time[rows], samples.values[rows]
        events = self._end_silence(slot, time)
        self.learner.before(slot)
        seen = self._observe(slot, time, values)
        decided = self._decide(slot, time, seen)
        self._write(verdicts, rows, slot, seen, decided)
        for m in np.flatnonzero(decided.transition):
            evidence = self._evidence(values[m], verdicts, int(rows[m]))
            events.append(
                self._event(int(slot[m]), float(time[m]), int(decided.transition[m]), evidence, verdicts, rows[m])
            )
        self._advance(slot, time, seen, decided)
        return events

    def _observe(self, slot: NDArray[np.int32], time: F8, values: F8) -> Observation:
        """Scale the samples and look at them through every view."""
        a = self.arrays
        gap = elapse(slot, time, a.time, a.interval, a.gap, a.count)
        center, scale = np.empty_like(values), np.empty_like(values)
        u = scaling.standardise(
            slot, values, a.seen, a.mean, a.variance, a.early, a.outliers, a.doubtful, center, scale
        )
        x = inputs(slot, u, time, gap, a.last)
        statistic = np.empty((len(slot), self._views))
        share = np.zeros((len(slot), View.STUCK, len(self.channels)))
        error = np.sqrt(a.error[slot])
        errors.error_views(slot, u, a.forecast, a.seen, a.doubtful, a.error, a.burst, statistic, share)
        levels.level_view(
            slot,
            u,
            time,
            a.count,
            a.doubtful,
            a.gram,
            a.moment,
            a.baseline,
            a.deviation,
            a.level,
            a.covariance,
            a.fit,
            statistic,
            share,
        )
        outside = np.empty(len(slot))
        novelty.novelty_views(
            slot,
            values,
            u,
            scale,
            time,
            a.forecast,
            a.count,
            a.past_value,
            a.points,
            a.used,
            a.known,
            a.radius,
            a.lowest,
            a.highest,
            View.SURPRISE - 1,
            statistic,
            outside,
            share,
        )
        stuck = freeze.stuck_view(slot, values, a.raw, a.run, a.longest, a.changes, share[:, View.STUCK - 1])
        return Observation(u, x, gap, center, scale, error, statistic, share, outside, stuck)

    def _decide(self, slot: NDArray[np.int32], time: F8, seen: Observation) -> Decision:
        """Score, compare with what the budget allows, step the alarms."""
        a = self.arrays
        leading = np.empty(len(slot), np.int8)
        statistic, outside, stuck = self._voting(seen)
        score = calibration.score(slot, statistic, outside, a.fit, leading)
        leading[leading > self._views] = View.RANGE
        budget = self.group.false_alarms
        threshold = calibration.thresholds(slot, a.interval, a.strictness, a.count, budget)
        threshold[a.count[slot] < self.group.warmup] = np.inf
        frozen = stuck >= 1
        stuck = stuck * np.where(np.isfinite(threshold), threshold, 0.0)
        frozen &= stuck > score
        score[frozen], leading[frozen] = stuck[frozen], View.STUCK
        accept = self.group.accept_after
        transition = alarm.decide(
            slot, time, score, threshold, leading, accept, a.open, a.opened, a.peak, a.quiet, a.leading
        )
        calibration.keep_budget(slot, score, threshold, transition == alarm.OPENED, a.interval, budget, a.strictness)
        return Decision(score, threshold, leading, transition)

    def _voting(self, seen: Observation) -> tuple[F8, F8, F8]:
        """The views' statistics (M, V), out of range (M,) and stuck (M,): 0 where the view raises no alarm.

        What is remembered of them stays whole, so that a view can be switched on again.
        """
        votes = self._votes
        if votes[View.FORECAST : View.SILENCE].all():
            return seen.statistic, seen.outside, seen.stuck
        first = View.FORECAST
        return (
            seen.statistic * votes[first : first + self._views],
            seen.outside * votes[View.RANGE],
            seen.stuck * votes[View.STUCK],
        )

    def _write(
        self, verdicts: Verdicts, rows: NDArray[np.intp], slot: NDArray[np.int32], seen: Observation, decided: Decision
    ) -> None:
        """The verdicts of these rows, in the channels' own units."""
        a = self.arrays
        forecast = a.forecast[slot].astype(np.float64)
        half = seen.error * calibration.band(slot, decided.threshold, a.fit)[:, None]
        verdicts.expected[rows] = seen.center + seen.scale * np.sinh(forecast)
        verdicts.lower[rows] = seen.center + seen.scale * np.sinh(np.maximum(forecast - half, -WIDEST))
        verdicts.upper[rows] = seen.center + seen.scale * np.sinh(np.minimum(forecast + half, WIDEST))
        verdicts.score[rows], verdicts.threshold[rows] = decided.score, decided.threshold
        verdicts.view[rows], verdicts.anomaly[rows] = decided.leading, a.open[slot]
        share = seen.share[np.arange(len(rows)), np.maximum(decided.leading, 1) - 1]
        total = share.sum(axis=1, keepdims=True)
        verdicts.contribution[rows] = np.divide(share, total, out=np.zeros_like(share), where=total > 0)

    def _advance(self, slot: NDArray[np.int32], time: F8, seen: Observation, decided: Decision) -> None:
        """Remember the samples, step the LSTM to its next forecast, and see whether a retraining is due."""
        a = self.arrays
        normal = ~a.open[slot]
        a.doubtful[slot] = ~normal | (decided.score >= DOUBT * decided.threshold)
        learning = normal & (a.count[slot] >= CALIBRATE_FROM)
        calibration.remember(
            slot,
            seen.statistic,
            learning,
            decided.transition,
            decided.threshold,
            a.histogram,
            a.fit,
            a.maximum,
            a.block,
            a.waiting,
            a.blocks,
        )
        history.append(
            slot, a.count, time, seen.u, seen.gap, normal, a.past_time, a.past_value, a.past_gap, a.learnable
        )
        kernels.step_rows(*self._cell, slot, self.learner.weights, seen.x, a.lstm, a.forecast)
        a.count[slot] += 1
        self.learner.after(slot)

    # --- silence

    def listen_from(self, since: float) -> None:
        """Nothing was heard before data time `since` (inf: nothing will be, for now); no sensor is blamed for that."""
        self._listening_since = since
        if since == np.inf:
            self._heard[:] = False

    def silences(self, now: float) -> list[Event]:
        """Events of the sensors that have fallen silent by data time `now`."""
        a, slots = self.arrays, np.arange(len(self.sensors), dtype=np.int32)
        due = self._silent_from(slots)
        quiet = slots[(due < now) & np.isnan(a.silent_since[slots])]
        a.silent_since[quiet] = due[quiet]
        return [self._silence(int(slot), None) for slot in quiet]

    def _silent_from(self, slot: NDArray[np.int32]) -> F8:
        """When these sensors count as silent: after their last sample, or after we began to listen."""
        a = self.arrays
        if not self._votes[View.SILENCE]:
            return np.full(len(slot), np.inf)
        since = np.where(self._heard[slot], a.time[slot], np.maximum(a.time[slot], self._listening_since))
        return silence.deadline(since, a.interval[slot], a.gap[slot], a.count[slot])

    def _end_silence(self, slot: NDArray[np.int32], time: F8) -> list[Event]:
        """A sample ends its sensor's silence; one that nobody saw begin is reported with its begin and its end."""
        a = self.arrays
        known = ~np.isnan(a.silent_since[slot])
        due = self._silent_from(slot)
        unseen = ~known & (due < time)
        self._heard[slot] = True
        if not (known.any() or unseen.any()):
            return []
        a.silent_since[slot[unseen]] = due[unseen]
        events = [self._silence(int(s), None) for s in slot[unseen]]
        both = known | unseen
        events += [self._silence(int(s), float(t)) for s, t in zip(slot[both], time[both], strict=True)]
        a.silent_since[slot[both]] = np.nan
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
        identity = describe.event_id(self.name, sensor, name, opened, state)
        generation = int(self.arrays.generation[slot])
        return Event(
            identity, sensor, self.name, state, name, reason, opened, closed, score, threshold, generation, channels
        )


def finite(value: float) -> float | None:
    """None for what is absent or unknown."""
    return float(value) if np.isfinite(value) else None

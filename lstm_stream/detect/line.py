"""One sample each of distinct sensors through the whole detection, compiled as one piece.

    scale -> views of the awaited forecast -> score -> decide -> remember -> LSTM step -> next forecast

The parts are the kernels of the other files; that nothing of Python lies between them makes a single sample cheap, and
that a handful of sensors goes through all of them before the next ones come keeps their state in the cache.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.detect import (
    alarm,
    calibration,
    drift,
    errors,
    excuses,
    freeze,
    history,
    inputs,
    levels,
    novelty,
    scaling,
)
from lstm_stream.jit import inline, kernel_of, part
from lstm_stream.lstm import gates, kernels, simd
from lstm_stream.records import View

CHUNK = 96  # samples that go through everything together: whole tiles of the LSTM step

CALIBRATE_FROM = 128  # samples: the first weights are adopted, errors are worth remembering
DOUBT = 0.5  # of the threshold: from this score on, scales and levels wait for better times
WIDEST = 30.0  # scaled units: sinh of it still is a number

LEVELS = int(View.LEVEL), int(View.DRIFT)
DRIFT, STUCK, SURPRISE = int(View.DRIFT), int(View.STUCK), int(View.SURPRISE)

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]
I1 = NDArray[np.int8]
I4 = NDArray[np.int32]
Mask = NDArray[np.bool_]


class Rules(NamedTuple):
    """What the configuration says of a group."""

    votes: F8  # by View: 1 where it may raise an alarm, else 0
    budget: float  # false alarms a second
    accept_after: float  # s
    warmup: int  # samples


class Said(NamedTuple):
    """The verdicts on M samples, as `records.Verdicts` has them, and the transitions of the alarms."""

    expected: F8
    lower: F8
    upper: F8
    contribution: F8
    score: F8
    threshold: F8
    leading: I1
    anomaly: Mask
    transition: I1


@part
def observe(
    s: Any, warmup: int, slot: I4, time: F8, values: F8, center: F8, scale: F8, statistic: F8, share: F8, outside: F8
) -> Any:
    """Scale M samples and look at them through every view: u (M, D), inputs (M, I), gap (M,), stuck (M,)."""
    gap = inputs.elapse(slot, time, s.time, s.interval, s.gap, s.count, s.paused)
    u = scaling.standardise(slot, values, s.seen, s.mean, s.variance, s.early, s.outliers, s.doubtful, center, scale)
    x = inputs.inputs(slot, u, time, gap, s.last)
    errors.error_views(slot, u, s.forecast, s.seen, s.doubtful, s.error, s.burst, statistic, share)
    levels.level_view(
        slot,
        u,
        time,
        s.count,
        s.doubtful,
        s.gram,
        s.moment,
        s.baseline,
        s.deviation,
        s.level,
        s.covariance,
        s.fit,
        warmup,
        statistic,
        share,
    )
    novelty.novelty_views(
        slot,
        values,
        u,
        scale,
        time,
        s.forecast,
        s.count,
        s.past_value,
        s.points,
        s.used,
        s.known,
        s.radius,
        s.lowest,
        s.highest,
        s.paused,
        SURPRISE - 1,
        statistic,
        outside,
        share,
    )
    drift.drift_view(
        slot,
        u,
        center,
        scale,
        s.count,
        s.doubtful,
        s.origin,
        s.smooth,
        s.drift_counts,
        s.drift_total,
        s.drift_product,
        s.drift_mean,
        s.drift_covariance,
        s.fit,
        warmup,
        DRIFT - 1,
        statistic,
        share,
    )
    stuck = freeze.stuck_view(
        slot, values, s.raw, s.run, s.longest, s.changes, s.allowed_run, s.frozen_run, s.paused, share[:, STUCK - 1]
    )
    return u, x, gap, stuck


@part
def decide(
    s: Any, rules: Any, slot: I4, time: F8, values: F8, u: F8, statistic: F8, outside: F8, stuck: F8, said: Any
) -> Mask:
    """Score, compare with what the budget allows, step the alarms. Returns which samples a person's word excuses."""
    votes = rules.votes
    score = calibration.score(slot, statistic, outside, s.fit, votes, said.leading)
    threshold = calibration.thresholds(slot, s.interval, s.strictness, s.count, rules.budget)
    for m in range(len(slot)):
        if s.count[slot[m]] < rules.warmup:
            threshold[m] = np.inf
    excused = excuses.excuse(
        *(slot, time, u, statistic, s.baseline, s.fit, s.excused, s.excuses, DOUBT * threshold, score)
    )
    for m in range(len(slot)):
        frozen = stuck[m] * votes[STUCK]
        rated = frozen * (threshold[m] if math.isfinite(threshold[m]) else 0.0)
        if frozen >= 1.0 and rated > score[m]:
            score[m], said.leading[m] = rated, STUCK
    back = excused | alarm.are_back(slot, statistic, s.fit, votes, LEVELS, s.open, s.crest)
    after, leading = rules.accept_after, (said.leading, back)
    transition = alarm.decide(
        slot, time, score, threshold, *leading, after, s.open, s.opened, s.peak, s.quiet, s.leading, s.paused
    )
    began, budget = transition == alarm.OPENED, rules.budget
    calibration.keep_budget(slot, score, threshold, began, s.interval, budget, s.strictness, s.paused)
    if s.episode.shape[1] > 0:
        odd, normal = score >= DOUBT * threshold, (s.hushed, s.episode, s.excused, s.excuses)
        usual = s.maximum, s.baseline, s.deviation
        excuses.note(slot, time, u, values, statistic, *usual, s.open, s.quiet, began, odd, *normal)
    said.score[:], said.threshold[:], said.transition[:] = score, threshold, transition
    return excused


@inline
def share_out(share: F8, contribution: F8) -> None:
    """Each channel's part (D,) of the whole; 0 of nothing."""
    total = 0.0
    for j in range(len(share)):
        total += share[j]
    for j in range(len(share)):
        contribution[j] = share[j] / total if total > 0.0 else 0.0


@part
def write(s: Any, slot: I4, center: F8, scale: F8, error: F8, share: F8, said: Any) -> None:
    """The verdicts in the channels' own units."""
    band = calibration.band(slot, said.threshold, s.fit)
    for m in range(len(slot)):
        row = slot[m]
        for j in range(center.shape[1]):
            forecast, half = float(s.forecast[row, j]), error[m, j] * band[m]
            low, high = forecast - half, forecast + half
            said.expected[m, j] = center[m, j] + scale[m, j] * math.sinh(forecast)
            said.lower[m, j] = center[m, j] + scale[m, j] * math.sinh(-WIDEST if low < -WIDEST else low)
            said.upper[m, j] = center[m, j] + scale[m, j] * math.sinh(WIDEST if high > WIDEST else high)
        said.anomaly[m] = s.open[row]
        share_out(share[m, max(said.leading[m], 1) - 1], said.contribution[m])


@part
def advance(
    s: Any,
    cell: int,
    hidden: int,
    weights: F4,
    slot: I4,
    time: F8,
    u: F8,
    x: F4,
    gap: F4,
    statistic: F8,
    excused: Mask,
    said: Any,
) -> None:
    """Remember the samples, and step the LSTM to its next forecast."""
    normal, learning = np.empty(len(slot), np.bool_), np.empty(len(slot), np.bool_)
    transition = said.transition.copy()
    for m in range(len(slot)):
        row = slot[m]
        normal[m] = not (s.open[row] or s.paused[row])
        s.doubtful[row] = not normal[m] or excused[m] or said.score[m] >= DOUBT * said.threshold[m]
        learning[m] = normal[m] and not excused[m] and s.count[row] >= CALIBRATE_FROM
        if s.paused[row] and not s.open[row]:
            transition[m] = alarm.NOTHING  # of an alarm that closes nothing is learned either
    calibration.remember(
        slot,
        statistic,
        learning,
        transition,
        said.threshold,
        s.histogram,
        s.fit,
        s.maximum,
        s.block,
        s.waiting,
        s.blocks,
    )
    for m in range(len(slot)):
        row = slot[m]
        if not s.open[row] and (excused[m] or s.paused[row]):
            s.maximum[row], s.block[row] = 0.0, 0
    history.append(slot, s.count, time, u, gap, normal, s.past_value, s.past_context)
    kernels.step_rows(cell, hidden, slot, weights, x, s.lstm, s.forecast)
    for m in range(len(slot)):
        s.count[slot[m]] += 1


@kernel_of(
    alarm, calibration, errors, excuses, freeze, gates, history, inputs, drift, kernels, levels, novelty, scaling, simd
)
def step(s: Any, rules: Any, cell: int, hidden: int, weights: F4, slot: I4, time: F8, values: F8, said: Any) -> None:
    """M samples values (M, D) of distinct sensors: their state s (`state.State`) goes on, `said` is written.

    The LSTM has weights (S, P) a sensor, or (1, P) shared by all.
    """
    channels = values.shape[1]
    for start in range(0, len(slot), CHUNK):
        stop = min(start + CHUNK, len(slot))
        n, some, at, those = stop - start, slot[start:stop], time[start:stop], values[start:stop]
        center, scale, error = np.empty((n, channels)), np.empty((n, channels)), np.empty((n, channels))
        for m in range(n):
            for j in range(channels):
                error[m, j] = math.sqrt(s.error[some[m], j])
        statistic, share = np.empty((n, s.fit.shape[1])), np.zeros((n, STUCK, channels))
        outside = np.empty(n)
        u, x, gap, stuck = observe(s, rules.warmup, some, at, those, center, scale, statistic, share, outside)
        now = Said(
            said.expected[start:stop],
            said.lower[start:stop],
            said.upper[start:stop],
            said.contribution[start:stop],
            said.score[start:stop],
            said.threshold[start:stop],
            said.leading[start:stop],
            said.anomaly[start:stop],
            said.transition[start:stop],
        )
        excused = decide(s, rules, some, at, those, u, statistic, outside, stuck, now)
        write(s, some, center, scale, error, share, now)
        advance(s, cell, hidden, weights, some, at, u, x, gap, statistic, excused, now)

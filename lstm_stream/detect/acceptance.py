"""What happens when a change is taken for the new normal: the sensor is measured by where it is now.

The scale, the reference of the drift view and the recent past move to the present level, so that the views which know
the sensor in scaled units, the LSTM among them, find it as they know it. How widely errors and levels spread is
taken from the stretch that the alarm lasted, where that is wider. What was known of the level before is not kept: were
the sensor to return to it, that is a change again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.detect import drift, freeze, history, levels, scaling
from lstm_stream.detect.inputs import DAY, TERMS, WEEK
from lstm_stream.detect.retraining import Learner
from lstm_stream.detect.slots import SlotArrays
from lstm_stream.jit import kernel

LATEST = 256  # samples at most that tell what is normal now
WILD = 25.0  # times the usual square: more is an outlier of the stretch
FORMER = 256.0  # samples that what was known before is worth beside the stretch

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]

MOVED = ("mean", "last", "origin", "smooth", "level", "burst", "error", "deviation", "covariance", "lowest", "highest")
DRIFT = ("drift_total", "drift_product", "drift_covariance")
KEPT = (*MOVED[6:], *DRIFT, "allowed_run")  # what undoing puts back; the others are moved back


class Shift(NamedTuple):
    """How far the level moved (D,), in the channels' own units, and of how many of the latest samples."""

    offset: F8
    samples: int


@kernel
def smoothed(values: F8, start: F8, memory: float, bound: F8) -> F8:
    """The running mean (N, D) of values (N, D), NaN = absent, that enter clipped to +-bound (D,)."""
    result, now = np.empty_like(values), start.copy()
    for t in range(len(values)):
        for j in range(values.shape[1]):
            value = values[t, j]
            if not np.isnan(value):
                now[j] += (min(max(value, -bound[j]), bound[j]) - now[j]) / memory
            result[t, j] = now[j]
    return result


def lasted(a: SlotArrays, slot: int) -> int:
    """How many of the latest samples, in the ring, an alarm was open for; the last one counts in any case."""
    count, ring = int(a.count[slot]), a.past_value.shape[1]
    known = min(count, ring)
    _, _, back = history.unpack(a.past_context[slot, (count - 1 - np.arange(known)) % ring])
    back[:1] = False
    ordinary = np.flatnonzero(back)
    return int(ordinary[0]) if len(ordinary) else known


def accept(a: SlotArrays, learner: Learner, slot: int) -> Shift:
    """The sensor's present level and unrest are normal from now on."""
    samples = lasted(a, slot)
    shift = Shift(_offset(a, slot, samples), samples)
    move(a, slot, shift)
    rows = _rows(a, slot, samples)
    a.past_context[slot, rows] |= history.LEARNABLE
    learner.rebuild(slot)
    _spread(a, learner, slot, rows[-LATEST:])
    run, limit = a.run[slot], np.maximum(freeze.SHORTEST, freeze.FACTOR * a.longest[slot])
    a.allowed_run[slot] = np.where(run >= limit, np.inf, a.allowed_run[slot])  # until it ends: freeze.py
    a.burst[slot], a.doubtful[slot] = 1.0, False
    return shift


def move(a: SlotArrays, slot: int, shift: Shift) -> None:
    """Scale, reference and the latest samples are of another level."""
    by = shift.offset / _scale(a, slot)
    rows = _rows(a, slot, shift.samples)
    a.past_value[slot, rows] = np.arcsinh(np.sinh(a.past_value[slot, rows].astype(np.float64)) - by)
    a.last[slot] = np.arcsinh(np.sinh(a.last[slot]) - by)
    a.mean[slot] += shift.offset
    if a.origin.shape[1]:
        a.origin[slot] += shift.offset
        a.smooth[slot] -= shift.offset


def _rows(a: SlotArrays, slot: int, samples: int) -> NDArray[np.intp]:
    """Where the latest samples are in the ring, in their order."""
    ring = a.past_value.shape[1]
    rows: NDArray[np.intp] = (int(a.count[slot]) - np.arange(min(samples, ring), 0, -1)) % ring
    return rows


def _scale(a: SlotArrays, slot: int) -> F8:
    moments = zip(a.mean[slot], a.variance[slot], a.seen[slot], strict=True)
    return np.array([scaling.scale_of(*each) for each in moments])


def values(a: SlotArrays, slot: int, rows: NDArray[np.intp]) -> F8:
    """These samples (N, D) of the ring, in the channels' own units."""
    seen: F8 = a.mean[slot] + _scale(a, slot) * np.sinh(a.past_value[slot, rows].astype(np.float64))
    return seen


def _usual(a: SlotArrays, slot: int, rows: NDArray[np.intp]) -> F8:
    """What the baseline says of these samples (N, D), scaled."""
    time, _, _ = history.unpack(a.past_context[slot, rows])
    day, week = (2.0 * np.pi * (time / period % 1.0) for period in (DAY, WEEK))
    waves = [np.ones(len(rows)), np.sin(day), np.cos(day), np.sin(2 * day), np.cos(2 * day), np.sin(week), np.cos(week)]
    terms = a.baseline.shape[1]
    fitted: F8 = np.stack(waves[: min(terms, TERMS)], axis=1) @ a.baseline[slot]
    return fitted


def _offset(a: SlotArrays, slot: int, samples: int) -> F8:
    """How far the level is from what is usual (D,), in the channels' own units."""
    rows = _rows(a, slot, samples)[-LATEST:]
    away = np.sinh(a.past_value[slot, rows].astype(np.float64)) - np.sinh(_usual(a, slot, rows))
    there = ~np.isnan(away)
    middle = [float(np.median(away[there[:, j], j])) if there[:, j].any() else 0.0 for j in range(away.shape[1])]
    offset: F8 = _scale(a, slot) * np.array(middle)
    return offset


def _spread(a: SlotArrays, learner: Learner, slot: int, rows: NDArray[np.intp]) -> None:
    """How widely errors, levels and values spread, from these samples."""
    u = a.past_value[slot, rows].astype(np.float64)
    weight = len(rows) / (len(rows) + FORMER)
    error = u[1:] - learner.forecasts(slot, len(rows))[:-1]
    a.error[slot] += weight * np.maximum(_mean_square(error) - a.error[slot], 0.0)
    residual = u - _usual(a, slot, rows)
    a.deviation[slot] += weight * np.maximum(_mean_square(residual) - a.deviation[slot], 0.0)
    zero = np.zeros(u.shape[1])
    level = smoothed(residual, zero, levels.SMOOTH, levels.CLIP * np.sqrt(a.deviation[slot]))
    a.level[slot] = level[-1]
    a.covariance[slot] += weight * (level.T @ level / len(level) - a.covariance[slot])
    scale = _scale(a, slot)
    values = a.mean[slot] + scale * np.sinh(u)
    a.lowest[slot] = np.fmin(a.lowest[slot], np.fmin.reduce(values))
    a.highest[slot] = np.fmax(a.highest[slot], np.fmax.reduce(values))
    if a.origin.shape[1] and a.drift_counts[slot, 1] > 0:
        clipped = a.mean[slot] + scale * np.clip(np.sinh(u), -drift.CLIP, drift.CLIP)
        start = a.drift_mean[slot].copy()
        smooth = smoothed(clipped - a.origin[slot], start, drift.SMOOTH, np.full(len(start), np.inf))
        a.smooth[slot], off = smooth[-1], smooth - start
        a.drift_covariance[slot] += weight * (off.T @ off / len(off) - a.drift_covariance[slot])
        n = a.drift_counts[slot, 0]
        a.drift_total[slot] = n * start
        a.drift_product[slot] = n * (a.drift_covariance[slot] + np.outer(start, start))


def _mean_square(values: F8) -> F8:
    """Of each column (N, D), outliers bounded; 0 where nothing is."""
    squares = values * values
    result = np.zeros(values.shape[1])
    for j in range(values.shape[1]):
        some = squares[~np.isnan(squares[:, j]), j]
        if len(some):
            result[j] = np.minimum(some, WILD * np.median(some)).mean()
    return result

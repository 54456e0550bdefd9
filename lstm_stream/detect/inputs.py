"""What the LSTM is shown of a sample, and how the elapsed time is measured.

I = 2 D + 7 inputs: the scaled values, twice their change, sine and cosine of the day, half-day and week (UTC), and the
elapsed time since the last sample as a logarithm of its ratio to the usual one. An absent channel repeats its last
value here; its loss is masked where it is learned from.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lstm_stream.jit import inline, kernel

DAY, WEEK = 86400.0, 604800.0
SEASONAL = 6  # sines and cosines
TERMS = SEASONAL + 1  # with the constant: the terms of the seasonal baseline (levels.py)
INTERVAL_MEMORY = 200.0  # samples
GAP_DECAY = 0.999  # a sample
GAP_GROWTH = 2.0  # the most by which a single gap raises the longest
CHANGE_LIMIT = 4.0
GAP_LIMIT = 3.0  # of the elapsed-time input

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]


def input_count(channels: int) -> int:
    """I for D channels."""
    return 2 * channels + SEASONAL + 1


@inline
def seasons(time: float, out: NDArray[np.floating]) -> None:
    """Sine and cosine of day, half-day and week at `time` (unix s) into out (6,)."""
    day, week = 2.0 * math.pi * (time / DAY % 1.0), 2.0 * math.pi * (time / WEEK % 1.0)
    out[0], out[1] = math.sin(day), math.cos(day)
    out[2], out[3] = math.sin(2.0 * day), math.cos(2.0 * day)
    out[4], out[5] = math.sin(week), math.cos(week)


@inline
def fill_inputs(u: NDArray[np.floating], last: NDArray[np.floating], time: float, gap: float, x: F4) -> None:
    """Write x (I,) of one sample from its scaled values u (D,) without NaN and the last ones (D,), NaN = none yet."""
    channels = len(u)
    for j in range(channels):
        change = 0.0 if math.isnan(last[j]) else 2.0 * (u[j] - last[j])
        x[j] = u[j]
        x[channels + j] = min(max(change, -CHANGE_LIMIT), CHANGE_LIMIT)
    seasons(time, x[2 * channels :])
    x[2 * channels + SEASONAL] = gap


@kernel
def elapse(
    slot: NDArray[np.int32],
    time: F8,
    last_time: F8,
    interval: F8,
    longest: F8,
    count: NDArray[np.int64],
    paused: NDArray[np.bool_],
) -> F4:
    """Step the clocks of M distinct sensors; time (M,) must be later than last_time[slot].

    interval (S,), the usual time between samples, is a running mean that outliers enter clipped; longest (S,) is a
    decaying maximum, which stays while learning is paused (S,). Returns log(elapsed / usual) (M,),
    clipped to +-GAP_LIMIT; 0 for a first sample.
    """
    gap = np.zeros(len(slot), np.float32)
    for m in range(len(slot)):
        row = slot[m]
        if count[row] > 0:
            elapsed = time[m] - last_time[row]
            usual = interval[row] if count[row] > 1 else elapsed
            gap[m] = min(max(math.log(elapsed / usual), -GAP_LIMIT), GAP_LIMIT)
            bounded = min(elapsed, 5.0 * usual) if count[row] > 20 else elapsed
            interval[row] = usual + (bounded - usual) / min(count[row], INTERVAL_MEMORY)
            # One long absence, which may have been ours, does not make the next one usual.
            bounded = min(elapsed, GAP_GROWTH * max(longest[row], usual))
            if not paused[row]:
                longest[row] = max(longest[row] * GAP_DECAY, bounded)
        last_time[row] = time[m]
    return gap


@kernel
def inputs(slot: NDArray[np.int32], u: F8, time: F8, gap: F4, last: F8) -> F4:
    """Return x (M, I) of M samples of distinct sensors; u (M, D), NaN = absent; last (S, D) is updated."""
    channels = u.shape[1]
    x = np.empty((len(slot), 2 * channels + SEASONAL + 1), np.float32)
    filled = np.empty(channels)
    for m in range(len(slot)):
        row = slot[m]
        for j in range(channels):
            carried = 0.0 if math.isnan(last[row, j]) else last[row, j]
            filled[j] = carried if math.isnan(u[m, j]) else u[m, j]
        fill_inputs(filled, last[row], time[m], gap[m], x[m])
        for j in range(channels):
            if not math.isnan(u[m, j]):
                last[row, j] = u[m, j]
    return x

"""The recent samples of each sensor, kept in a ring for retraining and for rebuilding the LSTM's state."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lstm_stream.detect.inputs import SEASONAL, WEEK, fill_inputs
from lstm_stream.jit import kernel

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]


@kernel
def append(
    slot: NDArray[np.int32],
    count: NDArray[np.int64],
    time: F8,
    u: F8,
    gap: F4,
    learnable: NDArray[np.bool_],
    past_time: F4,
    past_value: F4,
    past_gap: F4,
    past_learnable: NDArray[np.bool_],
) -> None:
    """Write M samples of distinct sensors into their rings (S, R) at count modulo R; of a time, that of the week."""
    ring = past_time.shape[1]
    for m in range(len(slot)):
        row = slot[m]
        k = count[row] % ring
        past_time[row, k], past_gap[row, k], past_learnable[row, k] = time[m] % WEEK, gap[m], learnable[m]
        for j in range(u.shape[1]):
            past_value[row, k, j] = u[m, j]


@kernel
def sequence(
    start: int, stop: int, past_time: F4, past_value: F4, past_gap: F4, past_learnable: NDArray[np.bool_]
) -> tuple[F4, F4]:
    """One sensor's samples number start..stop-1 from its ring (R, ...), as the LSTM saw them, with their targets.

    Returns x (N, I) and target (N, D): the next sample's values, NaN where absent, not learnable or not known yet.
    """
    ring, channels = past_value.shape
    n = stop - start
    x = np.empty((n, 2 * channels + SEASONAL + 1), np.float32)
    target = np.full((n, channels), np.nan, np.float32)
    filled, last = np.zeros(channels), np.full(channels, np.nan)
    for t in range(n):
        k = (start + t) % ring
        for j in range(channels):
            value = past_value[k, j]
            if not math.isnan(value):
                filled[j] = value
                if t > 0 and past_learnable[k]:
                    target[t - 1, j] = value
        fill_inputs(filled, last, past_time[k], past_gap[k], x[t])
        for j in range(channels):
            if not math.isnan(past_value[k, j]):
                last[j] = past_value[k, j]
    return x, target

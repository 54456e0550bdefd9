"""The recent samples of each sensor, kept in a ring for retraining and for rebuilding the LSTM's state.

Values are kept as they are. All else that the LSTM is shown of a sample, or that says whether it may learn it, is one
number of 32 bits: half of a sensor's memory is its ring.

    | time of the week, 16 bits | elapsed-time input, 15 bits | learnable, 1 bit |

Steps of 9.2 s and of 1/5461 are far below what a forecast notices: NAB and SKAB are as with floats.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_stream.detect.inputs import GAP_LIMIT, SEASONAL, WEEK, fill_inputs
from lstm_stream.jit import inline, kernel

TIMES = 1 << 16  # steps of the week
ZERO = 1 << 14  # what an elapsed-time input of 0 is kept as
GAPS = (ZERO - 1) / GAP_LIMIT  # steps of 1
LEARNABLE = 1  # the bit

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]
U4 = NDArray[np.uint32]


@inline
def pack(time: float, gap: float, learnable: bool) -> np.uint32:
    """Time (unix s), elapsed-time input (within +-GAP_LIMIT) and whether the sample may be learned, as one number."""
    when = int(time % WEEK / WEEK * TIMES + 0.5) % TIMES
    elapsed = int(gap * GAPS + 0.5 + ZERO)
    return np.uint32(when << 16 | elapsed << 1 | learnable)


def unpack(context: Any) -> Any:
    """Time (of the week, s), elapsed-time input and learnable of a packed number, or of an array of them."""
    elapsed = (context >> 1) % (2 * ZERO)
    return (context >> 16) * (WEEK / TIMES), elapsed / GAPS - ZERO / GAPS, context & LEARNABLE == LEARNABLE


_unpack = inline(unpack)


@kernel
def append(
    slot: NDArray[np.int32],
    count: NDArray[np.int64],
    time: F8,
    u: F8,
    gap: F4,
    learnable: NDArray[np.bool_],
    past_value: F4,
    past_context: U4,
) -> None:
    """Write M samples of distinct sensors into their rings (S, R, ...) at count modulo R."""
    ring = past_context.shape[1]
    for m in range(len(slot)):
        row = slot[m]
        k = count[row] % ring
        past_context[row, k] = pack(time[m], gap[m], learnable[m])
        for j in range(u.shape[1]):
            past_value[row, k, j] = u[m, j]


@kernel
def sequence(start: int, stop: int, past_value: F4, past_context: U4) -> tuple[F4, F4]:
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
        time, gap, learnable = _unpack(past_context[k])
        for j in range(channels):
            value = past_value[k, j]
            if not math.isnan(value):
                filled[j] = value
                if t > 0 and learnable:
                    target[t - 1, j] = value
        fill_inputs(filled, last, time, gap, x[t])
        for j in range(channels):
            if not math.isnan(past_value[k, j]):
                last[j] = past_value[k, j]
    return x, target

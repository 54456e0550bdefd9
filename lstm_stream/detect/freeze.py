"""The stuck view: a channel that repeats one value far longer than it ever did.

A sensor is frozen when a run of identical values exceeds three times its longest run so far (at least `SHORTEST`);
one that hardly ever moves is never called frozen. How long is long is learned from the completed runs.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lstm_stream.jit import kernel

SHORTEST = 24.0  # samples
FACTOR = 3.0
MOVES = 32  # changes of value before a channel can be called stuck
DECAY = 0.9995  # of the longest run, a sample
ALLOWANCE = 1.25  # times what a person called normal

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]


@kernel
def stuck_view(
    slot: NDArray[np.int32],
    values: F8,
    raw: F8,
    run: NDArray[np.int64],
    longest: F8,
    changes: NDArray[np.int64],
    allowed_run: F4,
    frozen_run: F4,
    paused: NDArray[np.bool_],
    share: F8,
) -> F8:
    """M samples (M, D) of distinct sensors; raw, run, changes and, unless paused (S,), longest (S, D) are updated.

    allowed_run (S, D) are runs that a person called normal, infinite while one has not ended; frozen_run (S, D), where
    that is kept, is the latest one beyond its limit.

    Returns (M,): the largest run over its limit, 1 and more meaning frozen; share (M, D) marks its channel.
    """
    ratio = np.zeros(len(slot))
    for m in range(len(slot)):
        row = slot[m]
        share[m] = 0.0
        frozen = 0
        for j in range(values.shape[1]):
            value = values[m, j]
            if math.isnan(value):
                continue
            limit = max(SHORTEST, FACTOR * longest[row, j], float(allowed_run[row, j]))
            if value == raw[row, j]:
                run[row, j] += 1
            else:
                # A run that raised an alarm is learned only in part: it may have been a fault.
                if allowed_run[row, j] == np.inf:  # it was normal when it had not ended yet
                    allowed_run[row, j] = ALLOWANCE * run[row, j]
                if frozen_run.shape[1] > 0 and run[row, j] >= limit:
                    frozen_run[row, j] = run[row, j]
                if not paused[row]:
                    bounded = min(float(run[row, j]), 2.0 * longest[row, j] + 12.0)
                    longest[row, j] = max(DECAY * longest[row, j], bounded)
                run[row, j] = 1
                changes[row, j] += 1
                raw[row, j] = value
            if changes[row, j] >= MOVES and run[row, j] / limit > ratio[m]:
                ratio[m], frozen = run[row, j] / limit, j
        share[m, frozen] = 1.0
    return ratio

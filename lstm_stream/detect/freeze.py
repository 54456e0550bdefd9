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

F8 = NDArray[np.float64]


@kernel
def stuck_view(
    slot: NDArray[np.int32],
    values: F8,
    raw: F8,
    run: NDArray[np.int64],
    longest: F8,
    changes: NDArray[np.int64],
    share: F8,
) -> F8:
    """M samples (M, D) of distinct sensors; raw, run, longest and changes (S, D) are updated.

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
            limit = max(SHORTEST, FACTOR * longest[row, j])
            if value == raw[row, j]:
                run[row, j] += 1
            else:
                # A run that raised an alarm is learned only in part: it may have been a fault.
                longest[row, j] = max(DECAY * longest[row, j], min(float(run[row, j]), 2.0 * longest[row, j] + 12.0))
                run[row, j] = 1
                changes[row, j] += 1
                raw[row, j] = value
            if changes[row, j] >= MOVES and run[row, j] / limit > ratio[m]:
                ratio[m], frozen = run[row, j] / limit, j
        share[m, frozen] = 1.0
    return ratio

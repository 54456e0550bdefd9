"""When an alarm opens and when it closes.

It opens at a score of at least the threshold. It closes after `QUIET` samples in a row below `CLOSE` of the threshold
(hysteresis), or after `accept_after` seconds, when the change counts as the new normal. For `REFRACTORY` samples after
it closed, only a score above its peak opens another: an echo of the same cause is not a second alarm. A new sensor is
not armed until it has been quiet once: what lasts since its warm-up is no event.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lstm_stream.jit import kernel

QUIET = 12  # samples
CLOSE = 0.8
REFRACTORY = 96  # samples

UNARMED = math.inf  # the peak of a sensor that has not been quiet since its warm-up

NOTHING, OPENED, CLOSED, ACCEPTED = 0, 1, 2, 3  # transitions

F8 = NDArray[np.float64]


@kernel
def decide(
    slot: NDArray[np.int32],
    time: F8,
    score: F8,
    threshold: F8,
    view: NDArray[np.int8],
    accept_after: float,
    is_open: NDArray[np.bool_],
    opened: F8,
    peak: F8,
    quiet: NDArray[np.int64],
    leading: NDArray[np.int8],
    paused: NDArray[np.bool_],
) -> NDArray[np.int8]:
    """Step the alarms of M distinct sensors; the state arrays (S,) are updated. Returns transitions (M,).

    While an alarm is open `quiet` counts samples towards its close; afterwards it counts down the refractory time.
    Nothing is accepted while learning is paused (S,).
    """
    transition = np.zeros(len(slot), np.int8)
    for m in range(len(slot)):
        row = slot[m]
        if peak[row] == UNARMED:
            quiet[row] = quiet[row] + 1 if math.isfinite(threshold[m]) and score[m] < CLOSE * threshold[m] else 0
            if quiet[row] >= QUIET:
                peak[row], quiet[row] = 0.0, 0
            continue
        if not is_open[row]:
            refractory = quiet[row] > 0
            if refractory:
                quiet[row] -= 1
            if score[m] >= threshold[m] and not (refractory and score[m] <= peak[row]):
                is_open[row], opened[row], peak[row], quiet[row] = True, time[m], score[m], 0
                leading[row] = view[m]
                transition[m] = OPENED
            continue
        peak[row] = max(peak[row], score[m])
        quiet[row] = quiet[row] + 1 if score[m] < CLOSE * threshold[m] else 0
        accepted = time[m] - opened[row] >= accept_after and not paused[row]
        if accepted or quiet[row] >= QUIET:
            is_open[row], quiet[row] = False, REFRACTORY
            transition[m] = ACCEPTED if accepted else CLOSED
    return transition

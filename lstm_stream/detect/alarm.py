"""When an alarm opens and when it closes.

It opens at a score of at least the threshold. It closes after `QUIET` samples in a row below `CLOSE` of the threshold
(hysteresis) with the levels back where they were, or after `accept_after` seconds, when the change counts as the new
normal. For `REFRACTORY` samples after it closed, only a score above its peak opens another: an echo of the same cause
is not a second alarm. A new sensor is not armed until it has been quiet once: what lasts since its warm-up is no event.

A step that stays is soon nothing new to the other views; were the alarm over then, the fault would be learned. Levels
are back where their statistic is among the usual nine tenths, or has sunk to `BACK` of what it was in this alarm: a
machine that recovers need not come back to the last digit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lstm_stream.jit import kernel

QUIET = 12  # samples
CLOSE = 0.8
REFRACTORY = 96  # samples
BACK = 0.6  # of the largest statistic of a level during the alarm

UNARMED = math.inf  # the peak of a sensor that has not been quiet since its warm-up

NOTHING, OPENED, CLOSED, ACCEPTED = 0, 1, 2, 3  # transitions

F8 = NDArray[np.float64]


@kernel
def are_back(
    slot: NDArray[np.int32],
    statistic: F8,
    fit: F8,
    votes: F8,
    views: tuple[int, int],
    is_open: NDArray[np.bool_],
    crest: F8,
) -> NDArray[np.bool_]:
    """Whether the levels of M sensors are where they were (M,), by these views' statistics (M, V) and their tails.

    crest (S, 2; of lean sensors 0), the largest statistics of the alarm, is updated. A view without a vote holds none.
    """
    result = np.ones(len(slot), np.bool_)
    for m in range(len(slot)):
        row = slot[m]
        for k in range(crest.shape[1]):
            now, usual = statistic[m, views[k] - 1], fit[row, views[k] - 1, 1]
            crest[row, k] = max(crest[row, k], now) if is_open[row] else now
            result[m] &= votes[views[k]] == 0.0 or now <= max(usual, BACK * crest[row, k])
    return result


@kernel
def decide(
    slot: NDArray[np.int32],
    time: F8,
    score: F8,
    threshold: F8,
    view: NDArray[np.int8],
    back: NDArray[np.bool_],
    accept_after: float,
    is_open: NDArray[np.bool_],
    opened: F8,
    peak: F8,
    quiet: NDArray[np.int64],
    leading: NDArray[np.int8],
    paused: NDArray[np.bool_],
) -> NDArray[np.int8]:
    """Step the alarms of M distinct sensors; the state arrays (S,) are updated. Returns transitions (M,).

    back (M,) says whose levels are where they were. While an alarm is open `quiet` counts samples towards its close;
    afterwards it counts down the refractory time.
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
        quiet[row] = quiet[row] + 1 if score[m] < CLOSE * threshold[m] and back[m] else 0
        accepted = time[m] - opened[row] >= accept_after and not paused[row]
        if accepted or quiet[row] >= QUIET:
            is_open[row], quiet[row] = False, REFRACTORY
            transition[m] = ACCEPTED if accepted else CLOSED
    return transition

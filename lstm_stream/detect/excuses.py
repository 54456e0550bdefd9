"""What a person called normal: patterns that raise no alarm any more, and what is noted of alarms for that.

While an alarm is open its `episode` is written: of each calibrated view the largest statistic; of each channel how far
its values lay from what is usual at their time of day, in scales, at both ends with 0; and its lowest and highest
value. An `excused` pattern is the former two of an episode, somewhat widened. A sample fits it if no view finds it
odder than the episode was, or odd at all, and no channel lies farther off, or on the other side: of another fault one
of these is not so. It then scores just less than what would make it doubtful, and nothing is learned from it but by the
LSTM, so that the pattern is no measure of what comes later.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lstm_stream.detect import calibration, freeze, levels
from lstm_stream.detect.slots import SlotArrays
from lstm_stream.jit import inline, kernel, part

WIDER = 2.0  # times the statistic
ASIDE = 0.25, 3.0  # of a channel's distances, and of its usual ones' root mean squares
ORDINARY = 2.0  # score of a view that says nothing

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]
I4 = NDArray[np.int32]


@inline
def fits(pattern: F4, statistic: F8, fit: F8, away: F8) -> bool:
    """Whether a sample with these statistics (V,) and distances away (D,) is of a pattern (V + 2 D,)."""
    views, channels = len(statistic), len(away)
    for v in range(views):
        if statistic[v] > pattern[v] and calibration.tail_score(statistic[v], fit[v]) > ORDINARY:
            return False
    for j in range(channels):  # noqa: SIM110 - a kernel
        if away[j] < pattern[views + j] or away[j] > pattern[views + channels + j]:  # an absent one, NaN, is neither
            return False
    return True


@part
def excuse(
    slot: I4,
    time: F8,
    u: F8,
    statistic: F8,
    baseline: F8,
    fit: F8,
    excused: F4,
    excuses: NDArray[np.uint8],
    ceiling: F8,
    score: F8,
) -> NDArray[np.bool_]:
    """Which of M samples fit a pattern that is normal: their scores (M,) are brought below the ceiling (M,)."""
    done = np.zeros(len(slot), np.bool_)
    for m in range(len(slot)):
        row = slot[m]
        if excuses[row] == 0 or not (score[m] >= ceiling[m]):
            continue
        away = np.sinh(u[m]) - np.sinh(levels.fitted(time[m], baseline[row]))
        for k in range(min(int(excuses[row]), excused.shape[1])):
            if fits(excused[row, k], statistic[m], fit[row], away):
                score[m], done[m] = ceiling[m] * (1.0 - 1e-9), True
                break
    return done


@part
def note(
    slot: I4,
    time: F8,
    u: F8,
    values: F8,
    statistic: F8,
    maximum: F8,
    baseline: F8,
    deviation: F8,
    is_open: NDArray[np.bool_],
    quiet: I4,
    begun: NDArray[np.bool_],
    odd: NDArray[np.bool_],
    hushed: NDArray[np.bool_],
    episode: F4,
    excused: F4,
    excuses: NDArray[np.uint8],
) -> None:
    """Write the episodes (S, V + 4 D) of the alarms that are open or echo at M samples; begun (M,): it has just opened.

    What is odd (M,) in the refractory time is the same alarm's echo. An alarm that a person called normal before it
    was over (hushed) is so as a whole: its pattern is kept when the refractory time has passed, too.
    """
    views, channels = statistic.shape[1], u.shape[1]
    for m in range(len(slot)):
        row = slot[m]
        if hushed[row, 0] and not is_open[row] and quiet[row] == 0:
            keep(episode[row], deviation[row], excused[row], excuses[row : row + 1])
            hushed[row, 0] = False
        if not (is_open[row] or (odd[m] and quiet[row] > 0)):
            continue
        one = episode[row]
        if begun[m] and not hushed[row, 0]:
            one[: views + 2 * channels] = 0.0
            one[views + 2 * channels :] = np.nan
            for v in range(views):  # the block under way has what led to it
                one[v] = maximum[row, v]
        away = np.sinh(u[m]) - np.sinh(levels.fitted(time[m], baseline[row]))
        for v in range(views):
            one[v] = max(float(one[v]), statistic[m, v])
        for j in range(channels):
            if math.isnan(away[j]):
                continue
            low, high = views + 2 * channels + j, views + 3 * channels + j
            one[views + j] = min(float(one[views + j]), away[j])
            one[views + channels + j] = max(float(one[views + channels + j]), away[j])
            one[low] = values[m, j] if math.isnan(one[low]) else min(float(one[low]), values[m, j])
            one[high] = values[m, j] if math.isnan(one[high]) else max(float(one[high]), values[m, j])


@kernel
def keep(episode: F4, deviation: F8, excused: F4, excuses: NDArray[np.uint8]) -> None:
    """The pattern of an episode (V + 4 D,) is normal from now on: one of excused (K, V + 2 D), in turn.

    deviation (D,) are the mean squares of the channels' usual distances; excuses (1,) counts the patterns.
    """
    channels, most = len(deviation), len(excused)
    views = len(episode) - 4 * channels
    one = excused[int(excuses[0]) % most]
    for v in range(views):
        one[v] = WIDER * episode[v]
    for j in range(channels):
        low, high = float(episode[views + j]), float(episode[views + channels + j])
        aside = ASIDE[0] * (high - low) + ASIDE[1] * math.sqrt(deviation[j])
        one[views + j], one[views + channels + j] = low - aside, high + aside
    count = int(excuses[0]) + 1
    excuses[0] = count if count <= 2 * most else count - most


@kernel
def teach(maximum: F8, histogram: F4, fit: F8) -> None:
    """Learn one block's maxima (V,)."""
    calibration.learn(maximum, histogram, fit)


def end_silences(a: SlotArrays, slot: I4, time: F8) -> None:
    """Samples of distinct sensors at time (M,) end their silences: what was normal of these is so from now on."""
    lasted = time - a.time[slot]
    hushed = a.hushed[slot, 1]
    a.allowed_gap[slot[hushed]] = np.maximum(a.allowed_gap[slot[hushed]], freeze.ALLOWANCE * lasted[hushed])
    a.hushed[slot, 1] = False
    if a.silence.shape[1]:
        a.silence[slot] = np.stack((a.silent_since[slot], lasted), axis=1)
    a.silent_since[slot] = np.nan

"""A sensor that falls silent is an anomaly of its own; one that stays so for very long is forgotten.

Silence is measured in data time, and against each sensor's own habits: longer than ten usual intervals and three times
its longest recent gap. It opens at that instant, not when somebody looks, so that it is the same event in any batching.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lstm_stream.jit import inline, kernel

INTERVALS, GAPS = 10.0, 3.0
KNOWN = 50  # samples before a sensor's habits are known

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]
I8 = NDArray[np.int64]
Mask = NDArray[np.bool_]


@inline
def heard_at(time: float, heard: bool, listening_since: float) -> float:
    """When a sensor was last heard, or could first have been."""
    return time if heard else max(time, listening_since)


@inline
def deadline(since: float, interval: float, gap: float, allowed: float, count: int) -> float:
    """The data time from which a sensor is silent; infinite while its habits are unknown.

    `since` it has not been heard; its usual interval, longest recent gap and what a person called normal in s, and its
    sample count.
    """
    return since + max(INTERVALS * interval, GAPS * gap, allowed) if count >= KNOWN else math.inf


@kernel
def ended(
    slot: NDArray[np.int32],
    heard_now: F8,
    time: F8,
    interval: F8,
    gap: F8,
    allowed_gap: F4,
    count: I8,
    heard: Mask,
    silent_since: F8,
    listening_since: float,
    wanted: bool,
    unseen: NDArray[np.intp],
    both: NDArray[np.intp],
) -> tuple[int, int]:
    """M samples of distinct sensors at heard_now (M,): which of them end a silence that was not told, and which any.

    Their numbers are written to unseen (M,) and both (M,); how many there are is returned.
    heard (S,) is set, and silent_since (S,) where the silence was not told. Unless silences are wanted no new one is.
    """
    n, b = 0, 0
    for m in range(len(slot)):
        row = slot[m]
        since = heard_at(time[row], heard[row], listening_since)
        due = deadline(since, interval[row], gap[row], float(allowed_gap[row]), count[row])
        told = not math.isnan(silent_since[row])
        heard[row] = True
        if wanted and not told and due < heard_now[m]:
            silent_since[row] = due
            unseen[n] = m
            n += 1
            told = True
        if told:
            both[b] = m
            b += 1
    return n, b


@kernel
def overdue(
    sensors: int,
    time: F8,
    interval: F8,
    gap: F8,
    allowed_gap: F4,
    count: I8,
    heard: Mask,
    silent_since: F8,
    listening_since: float,
    now: float,
) -> NDArray[np.int32]:
    """The first `sensors` rows whose deadline passed before `now` and was not told; silent_since (S,) is set to it."""
    found, n = np.empty(sensors, np.int32), 0
    for row in range(sensors):
        since = heard_at(time[row], heard[row], listening_since)
        due = deadline(since, interval[row], gap[row], float(allowed_gap[row]), count[row])
        if due < now and math.isnan(silent_since[row]):
            silent_since[row] = due
            found[n] = row
            n += 1
    return found[:n].copy()


@kernel
def unheard(
    sensors: int,
    time: F8,
    interval: F8,
    gap: F8,
    allowed_gap: F4,
    count: I8,
    heard: Mask,
    listening_since: float,
    now: float,
    after: float,
    most: int,
) -> NDArray[np.int32]:
    """Up to `most` of the first `sensors` rows not heard for `after` s at data time `now`, against their habits.

    Of free rows the count is 0.
    """
    found, n = np.empty(most, np.int32), 0
    for row in range(sensors):
        limit = max(after, INTERVALS * interval[row], GAPS * gap[row], float(allowed_gap[row]))
        if n < most and count[row] > 0 and heard_at(time[row], heard[row], listening_since) + limit < now:
            found[n] = row
            n += 1
    return found[:n].copy()

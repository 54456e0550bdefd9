"""Views on what has never been: how far is this moment from everything the sensor has shown so far?

Each channel remembers, for three looks at it, a bounded set of points; the statistic is the distance to the nearest:

    surprise   (forecast, error): an error of this size, where this was forecast
    shape      (mean, log spread) of the last `WINDOW` values: a level or an unrest that it never had
    clock      (sine and cosine of the day, value): a value that it has never had at this time of day

A point is kept if it is farther than a radius from all that are; when the memory is full, the radius grows and the set
is thinned out. Points of the last `RECENT` samples do not count: an oddity must not excuse itself. Those of its first
`RECENT` samples, whose scale is not known yet, are not looked at. A fourth view, the range, is how far a value lies
outside everything seen.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lstm_stream.detect.inputs import DAY
from lstm_stream.jit import inline, kernel, part
from lstm_stream.records import View

POINTS = 64  # of one look at one channel
LOOKS = 3
FIRST_COLUMN = (0, 2, 4, 7)  # of each look's points, and the end of the last
COORDINATES = 7
RECENT = 20  # samples
RADIUS, GROWTH = 0.02, 1.25  # scaled units; factor when the memory is full
WINDOW = 10  # samples
QUIETEST = 0.02  # variance, in scaled units, below which a window's spread does not matter
OUTSIDE = int(View.RANGE) - 1  # where the shares of the range are
STEP = 3.0  # scales by which a single value may widen the range where that is still narrow

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]


@inline
def distance(points: F4, k: int, point: F4 | F8, first: int, stop: int) -> float:
    """The square of the distance of `point` from the k-th of the points (P, COORDINATES) in these columns."""
    total = 0.0
    for a in range(first, stop):
        total += (point[a] - points[k, a]) ** 2
    return total


@part
def thin_out(points: F4, first: int, stop: int, radius: float) -> int:
    """Keep of the points in these columns, in order, those farther than the radius from all kept; returns how many."""
    kept = 0
    for k in range(len(points)):
        near = False
        for q in range(kept):
            if distance(points, q, points[k], first, stop) <= radius * radius:
                near = True
                break
        if not near:
            points[kept, first:stop] = points[k, first:stop]
            kept += 1
    return kept


@inline
def nearest_and_keep(points: F4, point: F8, first: int, stop: int, used: int, old: int, radius: float) -> float:
    """The distance of the point from the nearest of the first `old` points; negative where it is to be kept."""
    near_old, near = np.inf, np.inf
    for k in range(used):
        d = distance(points, k, point, first, stop)
        near = min(near, d)
        if k < old:
            near_old = near
    result = math.sqrt(near_old) if old > 0 else 0.0
    return -result - 1e-9 if near > radius * radius else result


@kernel
def novelty_views(
    slot: NDArray[np.int32],
    values: F8,
    u: F8,
    scale: F8,
    time: F8,
    forecast: F4,
    count: NDArray[np.int64],
    past_value: F4,
    points: F4,
    used: NDArray[np.int32],
    known: NDArray[np.uint8],
    radius: F4,
    lowest: F8,
    highest: F8,
    paused: NDArray[np.bool_],
    first_view: int,
    statistic: F8,
    outside: F8,
    share: F8,
) -> None:
    """M samples u (M, D), unscaled values (M, D), of distinct sensors; the state arrays (S, D, ...) are updated,
    unless learning is paused (S,).

    Writes statistic[:, first_view:], one for each look in `used`, the largest of all channels, outside (M,), the
    farthest beyond the range of a channel in lengths of that range, and each channel's part in share.
    """
    point = np.empty(COORDINATES)
    ring, looks = past_value.shape[1], used.shape[2]
    window = WINDOW if looks > 0 else 1
    for m in range(len(slot)):
        row = slot[m]
        angle = 2.0 * math.pi * (time[m] / DAY % 1.0)
        point[4], point[5] = math.sin(angle), math.cos(angle)
        place = count[row] % RECENT
        outside[m] = 0.0
        for look in range(looks):
            statistic[m, first_view + look] = 0.0
        for j in range(u.shape[1]):
            value = u[m, j]
            if math.isnan(value) or count[row] < RECENT:
                share[m, OUTSIDE, j] = 0.0
                for look in range(LOOKS):
                    share[m, first_view + look, j] = 0.0
                for look in range(looks):
                    known[row, j, look, place] = used[row, j, look]
                continue
            awaited = float(forecast[row, j])
            point[0], point[1] = (0.0, 0.0) if math.isnan(awaited) else (awaited, value - awaited)
            n, total, squares = 1.0, value, value * value
            for back in range(1, min(window, count[row] + 1)):
                past = float(past_value[row, (count[row] - back) % ring, j])
                if not math.isnan(past):
                    n, total, squares = n + 1.0, total + past, squares + past * past
            mean = total / n
            point[2], point[3] = mean, 0.5 * math.log(max(squares / n - mean * mean, 0.0) + QUIETEST)
            point[6] = value
            for look in range(looks):
                first, stop = FIRST_COLUMN[look], FIRST_COLUMN[look + 1]
                have, old = used[row, j, look], known[row, j, look, place]
                far = nearest_and_keep(points[row, j], point, first, stop, have, old, radius[row, j, look])
                if far < 0.0 and not paused[row]:
                    while have == points.shape[2]:
                        radius[row, j, look] *= GROWTH
                        have = thin_out(points[row, j], first, stop, float(radius[row, j, look]))
                        for k in range(RECENT):
                            known[row, j, look, k] = have
                    for a in range(first, stop):
                        points[row, j, have, a] = point[a]
                    have += 1
                    used[row, j, look] = have
                known[row, j, look, place] = have
                share[m, first_view + look, j] = far * far
                statistic[m, first_view + look] = max(statistic[m, first_view + look], abs(far))
            # A single value at most doubles the range: a wild one must not hide the next.
            if math.isnan(lowest[row, j]):
                lowest[row, j] = highest[row, j] = values[m, j]
            low, high = lowest[row, j], highest[row, j]
            span = high - low
            beyond = max(values[m, j] - high, low - values[m, j], 0.0) / (span + 1e-3 * scale[m, j])
            step = max(span, STEP * scale[m, j])
            if not paused[row]:
                lowest[row, j] = min(low, max(values[m, j], low - step))
                highest[row, j] = max(high, min(values[m, j], high + step))
            share[m, OUTSIDE, j] = beyond
            outside[m] = max(outside[m], beyond)

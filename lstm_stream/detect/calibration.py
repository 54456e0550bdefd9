"""From a statistic of any size to a score that means the same for every sensor: -log10 of its tail probability.

The memory of each view is a histogram, on a logarithmic axis, of the maxima of blocks of `BLOCK` samples, forgotten
slowly (`MEMORY` blocks). Beyond its 0.9 quantile a generalised Pareto distribution is fitted by probability-weighted
moments (Hosking & Wallis, Technometrics 29, 1987), its shape shrunk towards `SHAPE`; below, the score grows linearly.
A view's score of s means: a block of this sensor's own normal life exceeds this once in 10^s. The sensor's score is
their sum, weighted; it is not calibrated again, which would make every sensor's oddest blocks equally odd.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lstm_stream.detect.alarm import NOTHING, OPENED
from lstm_stream.jit import inline, kernel
from lstm_stream.records import View

BLOCK = 5  # samples
MEMORY = 4000.0  # blocks
FORGET = 1.0
QUARANTINE = 16  # blocks
BINS = 128
PER_OCTAVE = 8.0
LOWEST = -6.0  # log2 of the first bin's edge
TAIL = 0.1
SHAPE, SHAPE_WEIGHT, LIMIT = 0.05, 20.0, 0.2  # prior of the tail's shape, its weight in excesses, the largest shape
ENOUGH = 10.0  # blocks before there is a score
FIT = 4  # columns of a fit: blocks, tail threshold, tail scale, tail shape
MARGIN = 0.6  # decades above the threshold within which false alarms lie; beyond, learned as if here
PACE = 0.5  # decades of strictness for an alarm
LEAST, MOST = -0.5, 2.0  # decades
AT_FIRST = 0.0  # strictness of a new sensor
NOVICE = 300.0  # ... and what is added to it: this over the number of its samples
WEIGHT = 0.37  # of a view's score: so that blocks of quiet simulated sensors exceed a score of s once in 10^s
SINGLE = 0.65  # of the largest view's score, which may be enough by itself: some faults only one view sees
USUAL = 0.3  # score of a view
LEAN = 3  # calibrated views of a lean sensor
ALONE = 2.5  # what the views count that a single odd value shows in: forecast, surprise, and clock or range
RANGE_SLOPE, RANGE_UNIT = 1.5, 0.01  # score for each decade, and lengths of the range, by which a value is out of range
FASTEST = 30.0  # s; samples that come faster say the same thing several times
FORECAST, BURST, LEVEL = int(View.FORECAST), int(View.BURST), int(View.LEVEL)
DRIFT, RANGE = int(View.DRIFT), int(View.RANGE)
FLOOR = 2.0  # the lowest alarm threshold: one block in a hundred

F8 = NDArray[np.float64]
F4 = NDArray[np.float32]


@inline
def tail_score(x: float, fit: F8) -> float:
    """The score of statistic x under fit (FIT,); 0 while there is too little memory."""
    blocks, u, sigma, xi = float(fit[0]), float(fit[1]), float(fit[2]), float(fit[3])
    if blocks < ENOUGH:
        return 0.0
    at_threshold = -math.log10(TAIL)
    if x <= u:
        return at_threshold * max(x, 0.0) / u
    return at_threshold + math.log1p(xi * (x - u) / sigma) / (xi * math.log(10.0))


@inline
def tail_value(score: float, fit: F8) -> float:
    """The inverse of `tail_score`; infinite while there is too little memory."""
    blocks, u, sigma, xi = float(fit[0]), float(fit[1]), float(fit[2]), float(fit[3])
    if blocks < ENOUGH:
        return np.inf
    at_threshold = -math.log10(TAIL)
    if score <= at_threshold:
        return u * score / at_threshold
    return u + sigma / xi * math.expm1(xi * math.log(10.0) * (score - at_threshold))


@inline
def lowest(bins: int) -> float:
    """log2 of the first bin's edge: a histogram of fewer bins than `BINS` lacks as many at both ends."""
    return LOWEST + 0.5 * (BINS - bins) / PER_OCTAVE


@inline
def edge(index: float, bins: int) -> float:
    """The lower edge of a bin of a histogram of so many."""
    return math.pow(2.0, lowest(bins) + index / PER_OCTAVE)


@inline
def fit_tail(histogram: F4, fit: F8) -> None:
    """Fit the tail of histogram (bins,) into fit (FIT,)."""
    bins, total = len(histogram), 0.0
    for k in range(bins):
        total += histogram[k]
    fit[0] = total
    if total < ENOUGH:
        return
    first, above = bins, 0.0
    while above < TAIL * total:
        first -= 1
        above += histogram[first]
    # The threshold lies inside its bin where exactly TAIL of the mass is above, the bin being uniform.
    part = min((above - TAIL * total) / histogram[first], 0.999)
    u = edge(first + part, bins)
    mass, mean, ranked = 0.0, 0.0, 0.0
    for k in range(bins - 1, first - 1, -1):
        weight = histogram[k] * ((1.0 - part) if k == first else 1.0)
        middle = edge(k + 0.5 * (1.0 + part), bins) if k == first else edge(k + 0.5, bins)
        ranked += weight * (middle - u) * (mass + 0.5 * weight)
        mean += weight * (middle - u)
        mass += weight
    mean = max(mean / mass, 0.01 * u)
    ranked = ranked / mass / mass
    xi = 2.0 - mean / max(mean - 2.0 * ranked, 1e-3 * mean)
    xi = min(max((mass * xi + SHAPE_WEIGHT * SHAPE) / (mass + SHAPE_WEIGHT), 0.05), LIMIT)
    fit[1], fit[2], fit[3] = u, mean * (1.0 - xi), xi


@inline
def counts(view: int, views: int) -> float:
    """What a view, of so many, counts: half where another one looks at the same errors, or at the same levels."""
    paired = view in (FORECAST, BURST) or (views > LEAN and view in (LEVEL, DRIFT))
    return 0.5 if paired else 1.0


@inline
def weight_of(views: int) -> float:
    """What a view's score counts in the sum; of a lean sensor's few views each counts double, as half are missing."""
    return WEIGHT if views > LEAN else 2.0 * WEIGHT


@kernel
def score(slot: NDArray[np.int32], statistic: F8, outside: F8, fit: F8, votes: F8, leading: NDArray[np.int8]) -> F8:
    """Scores (M,) of M distinct sensors from their views' statistics (M, V) and how far a value is out of range (M,).

    It is `weight_of` times the sum of the views' own scores, as each `counts`, for what several views find odd is odder
    than what one does, or `SINGLE` times the largest, if that is more. votes (by View) are 1 for the views that may
    vote, else 0. leading (M,) receives the number of the view with the largest; 0 while too little is known.
    """
    views = statistic.shape[1]
    result = np.zeros(len(slot))
    for m in range(len(slot)):
        row = slot[m]
        leading[m] = 0
        if fit[row, 0, 0] < ENOUGH:
            continue
        largest = total = votes[RANGE] * RANGE_SLOPE * math.log10(1.0 + outside[m] / RANGE_UNIT)
        leading[m] = RANGE
        for v in range(views):
            s = votes[v + 1] * tail_score(statistic[m, v], fit[row, v])
            total += counts(v + 1, views) * s
            if s >= largest:
                largest, leading[m] = s, v + 1
        result[m] = max(weight_of(views) * total, SINGLE * largest)
    return result


@kernel
def thresholds(slot: NDArray[np.int32], interval: F8, strictness: F8, count: NDArray[np.int64], budget: float) -> F8:
    """The score (M,) that spends the alarm budget (false alarms a second) at each sensor's usual interval (S,) s.

    Higher by the strictness (S,), and while little is known: count (S,) is that of the samples seen.
    """
    result = np.empty(len(slot))
    for m in range(len(slot)):
        expected = budget * BLOCK * max(interval[slot[m]], FASTEST)
        result[m] = max(-math.log10(expected) + strictness[slot[m]] + NOVICE / (1.0 + count[slot[m]]), FLOOR)
    return result


@kernel
def keep_budget(
    slot: NDArray[np.int32],
    score: F8,
    threshold: F8,
    opened: NDArray[np.bool_],
    interval: F8,
    budget: float,
    strictness: F8,
    paused: NDArray[np.bool_],
) -> None:
    """Steer the strictness (S,), in decades, so that alarms come at the rate of the budget (false alarms a second).

    It sinks with time and rises with each alarm that opened (M,) within `MARGIN` of the threshold, as nine in ten of
    well-calibrated false alarms do; a clear fault, far beyond, says nothing about the budget. This is adaptive
    conformal inference (Gibbs & Candes, NeurIPS 2021) on the logarithm of the level.
    """
    usual = 1.0 - 10.0**-MARGIN
    for m in range(len(slot)):
        row = slot[m]
        if paused[row]:
            continue
        strictness[row] -= PACE * usual * budget * interval[row]
        if opened[m] and score[m] < threshold[m] + MARGIN:
            strictness[row] += PACE
        strictness[row] = min(max(strictness[row], LEAST), MOST)


@kernel
def band(slot: NDArray[np.int32], threshold: F8, fit: F8) -> F8:
    """The forecast error (M,), in its own units, from which a value by itself raises an alarm at threshold (M,).

    It then is as odd to the `ALONE` views on single values, all others being as usual. NaN while the threshold or the
    tails are unknown.
    """
    result = np.empty(len(slot))
    views, others = fit.shape[1], 1.0 - ALONE
    for v in range(views):
        others += counts(v + 1, views)
    for m in range(len(slot)):
        result[m] = tail_value((threshold[m] / weight_of(views) - USUAL * others) / ALONE, fit[slot[m], 0])
        if not math.isfinite(result[m]):
            result[m] = np.nan
    return result


@inline
def learn(maximum: F8, histogram: F4, fit: F8) -> None:
    """Add one block's maxima (V,) to the memory (V, bins) and refit the tails (V, FIT)."""
    bins = histogram.shape[1]
    for v in range(len(maximum)):
        # Early blocks weigh as (their number / all) ** FORGET: the sensor was not known yet.
        position = (math.log2(max(maximum[v], 1e-9)) - lowest(bins)) * PER_OCTAVE
        total = max(float(fit[v, 0]), 1.0)
        histogram[v] *= np.float32(1.0 - max(FORGET / ((FORGET + 1.0) * total), 1.0 / MEMORY))
        histogram[v, int(min(max(position, 0.0), bins - 1.0))] += np.float32(1.0)
        fit_tail(histogram[v], fit[v])


@kernel
def remember(
    slot: NDArray[np.int32],
    statistic: F8,
    learning: NDArray[np.bool_],
    transition: NDArray[np.int8],
    threshold: F8,
    histogram: F4,
    fit: F8,
    maximum: F8,
    block: NDArray[np.int64],
    waiting: F8,
    blocks: NDArray[np.int64],
) -> None:
    """Add M samples' statistics (M, V) to the block under way; full blocks enter the memory after a quarantine.

    waiting (S, Q, V) holds the latest blocks, blocks (S,) counts them: a slow fault must not become usual
    while it builds up, so an alarm that opens drops what waits. During the warm-up, when the threshold (M,) is
    infinite, nothing waits. Outside learning (M,) only the maximum grows. An alarm that closes is learned as one
    block, whatever its length, of at most `MARGIN` above the threshold, whatever its height: were a fault learned as
    high as it was, the next one would pass for usual.
    """
    quarantine = waiting.shape[1]
    for m in range(len(slot)):
        row = slot[m]
        for v in range(statistic.shape[1]):
            maximum[row, v] = max(maximum[row, v], statistic[m, v])
        if transition[m] == OPENED:
            blocks[row] = 0
        elif transition[m] != NOTHING:
            for v in range(statistic.shape[1]):
                maximum[row, v] = min(maximum[row, v], tail_value(threshold[m] + MARGIN, fit[row, v]))
            learn(maximum[row], histogram[row], fit[row])
            maximum[row], block[row] = 0.0, 0
        elif learning[m]:
            block[row] += 1
            if block[row] < BLOCK:
                continue
            if not math.isfinite(threshold[m]):
                learn(maximum[row], histogram[row], fit[row])
            else:
                place = blocks[row] % quarantine
                if blocks[row] >= quarantine:
                    learn(waiting[row, place], histogram[row], fit[row])
                waiting[row, place] = maximum[row]
                blocks[row] += 1
            maximum[row], block[row] = 0.0, 0

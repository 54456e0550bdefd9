"""From a statistic of any size to a score that means the same for every sensor: -log10 of its tail probability.

The memory is a histogram, on a logarithmic axis, of the maxima of blocks of `BLOCK` samples, forgotten slowly
(`MEMORY` blocks). Beyond its 0.9 quantile a generalised Pareto distribution is fitted by probability-weighted moments
(Hosking & Wallis, Technometrics 29, 1987), its shape shrunk towards `SHAPE`; below, the score grows linearly.
A score of s means: a block of this sensor's own normal life exceeds this once in 10^s.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lstm_stream.jit import inline, kernel

BLOCK = 5  # samples
MEMORY = 4000.0  # blocks
BINS = 128
PER_OCTAVE = 8.0
LOWEST = -6.0  # log2 of the first bin's edge
TAIL = 0.1
SHAPE, SHAPE_WEIGHT = 0.3, 20.0  # prior of the tail's shape, in excesses
ENOUGH = 20.0  # blocks before there is a score
FIT = 4  # columns of a fit: blocks, tail threshold, tail scale, tail shape
FLOOR = 1.3  # the lowest alarm threshold: one block in twenty

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
def edge(index: float) -> float:
    """The lower edge of a bin."""
    return math.pow(2.0, LOWEST + index / PER_OCTAVE)


@inline
def fit_tail(histogram: F4, fit: F8) -> None:
    """Fit the tail of histogram (BINS,) into fit (FIT,)."""
    total = 0.0
    for k in range(BINS):
        total += histogram[k]
    fit[0] = total
    if total < ENOUGH:
        return
    first, above = BINS, 0.0
    while above < TAIL * total:
        first -= 1
        above += histogram[first]
    # The threshold lies inside its bin where exactly TAIL of the mass is above, the bin being uniform.
    part = min((above - TAIL * total) / histogram[first], 0.999)
    u = edge(first + part)
    mass, mean, ranked = 0.0, 0.0, 0.0
    for k in range(BINS - 1, first - 1, -1):
        weight = histogram[k] * ((1.0 - part) if k == first else 1.0)
        middle = edge(k + 0.5 * (1.0 + part)) if k == first else edge(k + 0.5)
        ranked += weight * (middle - u) * (mass + 0.5 * weight)
        mean += weight * (middle - u)
        mass += weight
    mean = max(mean / mass, 0.01 * u)
    ranked = ranked / mass / mass
    xi = 2.0 - mean / max(mean - 2.0 * ranked, 1e-3 * mean)
    xi = min(max((mass * xi + SHAPE_WEIGHT * SHAPE) / (mass + SHAPE_WEIGHT), 0.05), 0.9)
    fit[1], fit[2], fit[3] = u, mean * (1.0 - xi), xi


@kernel
def score(slot: NDArray[np.int32], statistic: F8, fit: F8, leading: NDArray[np.int8]) -> F8:
    """Scores (M,) of M distinct sensors from their views' statistics (M, V+1), of which the last column is written.

    Each view gets its own score; the largest, as 2**score so that its tail has the prior's shape, is the statistic
    that is calibrated again. leading (M,) receives the number of that view, from 1.
    """
    views = statistic.shape[1] - 1
    result = np.empty(len(slot))
    for m in range(len(slot)):
        row = slot[m]
        largest = 0.0
        leading[m] = 0
        for v in range(views):
            s = tail_score(statistic[m, v], fit[row, v])
            if s > largest:
                largest, leading[m] = s, v + 1
        statistic[m, views] = 2.0**largest
        result[m] = tail_score(statistic[m, views], fit[row, views])
    return result


@kernel
def thresholds(slot: NDArray[np.int32], interval: F8, budget: float) -> F8:
    """The score (M,) that spends the alarm budget (false alarms a second) at each sensor's usual interval (S,) s."""
    result = np.empty(len(slot))
    for m in range(len(slot)):
        expected = budget * BLOCK * max(interval[slot[m]], 1e-3)
        result[m] = max(-math.log10(expected), FLOOR)
    return result


@kernel
def band(slot: NDArray[np.int32], threshold: F8, fit: F8) -> F8:
    """The forecast error (M,), in its own units, at which the forecast view alone would reach the threshold (M,)."""
    result = np.empty(len(slot))
    for m in range(len(slot)):
        result[m] = tail_value(threshold[m], fit[slot[m], 0])
    return result


@kernel
def remember(
    slot: NDArray[np.int32],
    statistic: F8,
    learning: NDArray[np.bool_],
    closing: NDArray[np.bool_],
    histogram: F4,
    fit: F8,
    maximum: F8,
    block: NDArray[np.int64],
) -> None:
    """Add M samples' statistics (M, V+1) to the block under way; a full block enters the memory and refits the tail.

    Outside learning (M,) the maximum grows but the block does not; closing (M,) ends it, so that a whole alarm counts
    as one block, whatever its length.
    """
    kinds = statistic.shape[1]
    for m in range(len(slot)):
        row = slot[m]
        for v in range(kinds):
            maximum[row, v] = max(maximum[row, v], statistic[m, v])
        if learning[m]:
            block[row] += 1
        if block[row] < BLOCK and not closing[m]:
            continue
        for v in range(kinds):
            position = (math.log2(max(maximum[row, v], 1e-9)) - LOWEST) * PER_OCTAVE
            histogram[row, v] *= np.float32(1.0 - 1.0 / MEMORY)
            histogram[row, v, int(min(max(position, 0.0), BINS - 1.0))] += np.float32(1.0)
            fit_tail(histogram[row, v], fit[row, v])
            maximum[row, v] = 0.0
        block[row] = 0

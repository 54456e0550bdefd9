"""The level view: is the smoothed level where this time of day and the other channels say it should be?

A seasonal baseline (constant, day, half-day, week; ridge regression on exponentially forgotten normal equations) is
taken off each scaled channel; the residual is smoothed, and Hotelling's T^2 = l' C^-1 l of all channels' smoothed
residuals tells a shifted level, a slow drift, and channels that have stopped moving together
(Hotelling 1947; on an exponentially weighted mean: Lowry et al., Technometrics 34, 1992).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lstm_stream.detect.calibration import ENOUGH
from lstm_stream.detect.inputs import SEASONAL, TERMS, seasons
from lstm_stream.jit import inline, kernel

MEMORY = 4000.0  # samples of the baseline
SPREAD_MEMORY = 2000.0  # samples of the covariance
SMOOTH = 12.0  # samples of the level
RIDGE = 30.0  # samples' worth of belief that there is no season
SOLVE_EVERY = 8  # samples
CLIP = 3.0  # a residual enters level and baseline clipped to so many of its own root mean squares: a spike is no level
DEVIATION_MEMORY = 1000.0  # samples of that mean square
BOUND = 16.0  # a T^2 beyond this enters the covariance shrunk to it

F8 = NDArray[np.float64]


@kernel
def fitted(time: float, baseline: F8) -> F8:
    """What is usual at `time` (unix s): scaled values (D,) of one sensor's baseline (T, D)."""
    terms = np.ones(TERMS)
    seasons(time, terms[1 : 1 + SEASONAL])
    result = np.zeros(baseline.shape[1])
    for a in range(len(baseline)):
        result += terms[a] * baseline[a]
    return result


@inline
def cholesky(a: F8) -> None:
    """The lower factor of the symmetric positive a (n, n), in its lower triangle."""
    n = len(a)
    for j in range(n):
        for k in range(j):
            a[j, j] -= a[j, k] * a[j, k]
        a[j, j] = math.sqrt(max(a[j, j], 1e-12))
        for i in range(j + 1, n):
            for k in range(j):
                a[i, j] -= a[i, k] * a[j, k]
            a[i, j] /= a[j, j]


@inline
def cholesky_solve(factor: F8, b: F8) -> None:
    """Solve in place for b (n,)."""
    n = len(factor)
    for i in range(n):
        for k in range(i):
            b[i] -= factor[i, k] * b[k]
        b[i] /= factor[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            b[i] -= factor[k, i] * b[k]
        b[i] /= factor[i, i]


@inline
def learn_baseline(terms: F8, target: F8, gram: F8, moment: F8, baseline: F8, solve: bool) -> None:
    """Add one sample with terms (T,) and target (D,) to the normal equations; solve them now and then."""
    keep = 1.0 - 1.0 / MEMORY
    for a in range(len(terms)):
        for b in range(len(terms)):
            gram[a, b] = keep * gram[a, b] + terms[a] * terms[b]
        for j in range(len(target)):
            moment[a, j] = keep * moment[a, j] + terms[a] * target[j]
    if solve:
        factor = gram.copy()
        factor[0, 0] += 1e-3
        for a in range(1, len(terms)):
            factor[a, a] += RIDGE
        cholesky(factor)
        for j in range(len(target)):
            column = moment[:, j].copy()
            cholesky_solve(factor, column)
            baseline[:, j] = column


@inline
def hotelling(covariance: F8, offset: F8, share: F8) -> float:
    """T^2 per channel of offset (D,); share (D,) receives each channel's part. covariance (D, D) is overwritten."""
    cholesky(covariance)
    weighted = offset.copy()
    cholesky_solve(covariance, weighted)
    total = 0.0
    for j in range(len(offset)):
        share[j] = max(offset[j] * weighted[j], 0.0)
        total += offset[j] * weighted[j]
    return max(total, 0.0) / len(offset)


@inline
def t_squared(level: F8, covariance: F8, share: F8) -> float:
    """T^2 per channel of level (D,); share (D,) receives each channel's part of it."""
    channels = len(level)
    ridge = 1e-6
    for j in range(channels):
        ridge += 1e-3 * covariance[j, j] / channels
    factor = covariance.copy()
    for j in range(channels):
        factor[j, j] += ridge
    return hotelling(factor, level, share)


@kernel
def level_view(
    slot: NDArray[np.int32],
    u: F8,
    time: F8,
    count: NDArray[np.int64],
    frozen: NDArray[np.bool_],
    gram: F8,
    moment: F8,
    baseline: F8,
    deviation: F8,
    level: F8,
    covariance: F8,
    fit: F8,
    warmup: int,
    statistic: F8,
    share: F8,
) -> None:
    """M samples u (M, D) of distinct sensors at time (M,); state arrays (S, ...) are updated, learning unless frozen.

    What is usual is not learned from levels beyond the tail's threshold in fit (S, V, FIT), the oddest tenth of blocks:
    a fault must not become usual before it is told. A change that stays raises that threshold, until it is learned.
    During the `warmup` samples, which nothing is told of, everything is.
    Writes statistic[:, 2] = sqrt(T^2 / D) and share[:, 2].
    """
    channels = u.shape[1]
    every = np.ones(TERMS)
    terms = every[: gram.shape[1]]  # the constant and the first so many of the seasons
    target = np.empty(channels)
    for m in range(len(slot)):
        row = slot[m]
        seasons(time[m], every[1 : 1 + SEASONAL])
        for j in range(channels):
            fitted = 0.0
            for a in range(len(terms)):
                fitted += terms[a] * baseline[row, a, j]
            target[j] = fitted
            if math.isnan(u[m, j]):
                continue
            bound = CLIP * math.sqrt(deviation[row, j])
            residual = min(max(u[m, j] - fitted, -bound), bound)
            target[j] += residual
            level[row, j] += (residual - level[row, j]) / SMOOTH
            if not frozen[row]:
                gain = 1.0 / min(count[row] + 1.0, DEVIATION_MEMORY)
                # The floor lets a channel out that began by repeating one value.
                deviation[row, j] += gain * (max(residual * residual, 1e-6) - deviation[row, j])
        t2 = t_squared(level[row], covariance[row], share[m, 2])
        statistic[m, 2] = math.sqrt(t2)
        usual = statistic[m, 2] <= fit[row, 2, 1] or fit[row, 2, 0] < ENOUGH or count[row] < warmup
        if usual and not frozen[row]:
            learn_baseline(terms, target, gram[row], moment[row], baseline[row], count[row] % SOLVE_EVERY == 0)
            gain = 1.0 / min(count[row] + 1.0, SPREAD_MEMORY)
            shrink = 1.0 if t2 <= BOUND else BOUND / t2
            for i in range(channels):
                for j in range(channels):
                    product = shrink * level[row, i] * level[row, j]
                    covariance[row, i, j] += gain * (product - covariance[row, i, j])

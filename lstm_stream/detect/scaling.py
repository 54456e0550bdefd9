"""Running normalisation: every channel on one scale, with statistics of the past only.

    u = asinh((x - mean) / s),   s = max(sd, 0.001 |mean| + 1e-9)

The statistics are cumulative until `MEMORY` samples, then exponential. The first `EARLY` values are kept, and those
far from their median are left out; later a deviation enters clipped to 5 s, so that a wild value does not move the
scale it is measured on. Each further one in a row doubles that bound: a scale that is too small is soon left behind.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lstm_stream.jit import inline, kernel

MEMORY = 2000.0  # samples
EARLY = 8  # present values that are looked at together
CLIP = 5.0
LONGEST = 60  # outliers in a row that are counted
PER_MEDIAN = 1.4826  # standard deviations in a median absolute deviation, of normal values

F8 = NDArray[np.float64]


@inline
def scale_of(mean: float, variance: float, seen: float) -> float:
    """The unit of the scaled value; generous while little is known."""
    floor = 0.05 if seen < 20.0 else 1e-3
    return max(math.sqrt(variance), floor * abs(mean) + 1e-9)


@inline
def inliers(values: F8) -> tuple[float, float]:
    """Mean and variance of those values (N,) that are not far from their median."""
    middle = np.median(values)
    bound = CLIP * scale_of(middle, (PER_MEDIAN * np.median(np.abs(values - middle))) ** 2, 0.0)
    n, mean, variance = 0.0, 0.0, 0.0
    for value in values:
        if abs(value - middle) <= bound:
            n += 1.0
            variance += (value - mean) ** 2 * (n - 1.0) / n
            mean += (value - mean) / n
    return mean, variance / n


@kernel
def standardise(
    slot: NDArray[np.int32],
    values: F8,
    seen: F8,
    mean: F8,
    variance: F8,
    early: F8,
    outliers: NDArray[np.int64],
    frozen: NDArray[np.bool_],
    center: F8,
    scale: F8,
) -> F8:
    """Scale M samples of distinct sensors with the statistics before them, then learn from them.

    slot (M,), values (M, D), NaN = absent; seen, mean, variance, early (S, D, EARLY) and outliers in a row (S, D) are
    updated unless frozen (S,). center and scale (M, D) receive what was used. Returns u (M, D).
    """
    u = np.empty_like(values)
    for m in range(len(slot)):
        row = slot[m]
        for j in range(values.shape[1]):
            n = seen[row, j]
            value = values[m, j]
            mu = mean[row, j] if n > 0.0 or math.isnan(value) else value
            s = scale_of(mu, variance[row, j], n)
            center[m, j], scale[m, j] = mu, s
            u[m, j] = math.asinh((value - mu) / s)
            if math.isnan(value) or frozen[row]:
                continue
            if n < EARLY:
                early[row, j, int(n)] = value
                mean[row, j], variance[row, j] = inliers(early[row, j, : int(n) + 1])
                seen[row, j] = n + 1.0
                continue
            deviation, bound = value - mu, CLIP * s
            if abs(deviation) > bound:
                bound *= 2.0 ** outliers[row, j]
                deviation = min(max(deviation, -bound), bound)
                outliers[row, j] = min(outliers[row, j] + 1, LONGEST)
            else:
                outliers[row, j] = 0
            gain = 1.0 / min(n + 1.0, MEMORY)
            mean[row, j] = mu + gain * deviation
            variance[row, j] = (1.0 - gain) * (variance[row, j] + gain * deviation * deviation)
            seen[row, j] = n + 1.0
    return u

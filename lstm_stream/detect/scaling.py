"""Running normalisation: every channel on one scale, with statistics of the past only.

    u = asinh((x - mean) / s),   s = max(sd, 0.001 |mean| + 1e-9)

The statistics are cumulative until `MEMORY` samples, then exponential; once they are settled a deviation enters them
clipped to 5 s, so that a fault does not move the scale it is measured on.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lstm_stream.jit import inline, kernel

MEMORY = 2000.0  # samples
SETTLED = 50.0  # present values before clipping starts
CLIP = 5.0

F8 = NDArray[np.float64]


@inline
def scale_of(mean: float, variance: float, seen: float) -> float:
    """The unit of the scaled value; generous while little is known."""
    floor = 0.05 if seen < 20.0 else 1e-3
    return max(math.sqrt(variance), floor * abs(mean) + 1e-9)


@kernel
def standardise(
    slot: NDArray[np.int32],
    values: F8,
    seen: F8,
    mean: F8,
    variance: F8,
    frozen: NDArray[np.bool_],
    center: F8,
    scale: F8,
) -> F8:
    """Scale M samples of distinct sensors with the statistics before them, then learn from them.

    slot (M,), values (M, D), NaN = absent; seen, mean, variance (S, D) are updated unless frozen (S,).
    center and scale (M, D) receive what was used. Returns u (M, D).
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
            deviation = value - mu
            if n >= SETTLED:
                deviation = min(max(deviation, -CLIP * s), CLIP * s)
            gain = 1.0 / min(n + 1.0, MEMORY)
            mean[row, j] = mu + gain * deviation
            variance[row, j] = (1.0 - gain) * (variance[row, j] + gain * deviation * deviation)
            seen[row, j] = n + 1.0
    return u

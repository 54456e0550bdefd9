"""Views on the forecast error: a value unlike its forecast, and a stretch of poor forecasts.

The error is that of the scaled value, in units of its own running root mean square; the short-term mean of its square
tells noise bursts and changed rhythms that no single sample shows.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lstm_stream.jit import kernel

MEMORY = 1000.0  # samples of the running mean square
BURST = 12.0  # samples of the short-term one
CLIP = 5.0  # errors enter the running mean square clipped to so many of its roots
BURST_CLIP = 10.0

F8 = NDArray[np.float64]


@kernel
def error_views(
    slot: NDArray[np.int32],
    u: F8,
    forecast: NDArray[np.float32],
    seen: F8,
    frozen: NDArray[np.bool_],
    error: F8,
    burst: F8,
    statistic: F8,
    share: F8,
) -> None:
    """Score M samples u (M, D) of distinct sensors against the forecasts (S, D) that awaited them.

    error and burst (S, D) are updated, the former unless frozen (S,). Writes statistic[:, 0], the largest |error|, and
    statistic[:, 1], the largest short-term root mean square, with each channel's share of it in share (M, 3, D).
    """
    for m in range(len(slot)):
        row = slot[m]
        single, sustained = 0.0, 0.0
        for j in range(u.shape[1]):
            e = u[m, j] - forecast[row, j]
            if math.isnan(e):
                share[m, 0, j] = 0.0
            else:
                z2 = min(e * e / (error[row, j] + 1e-6), 1e6)
                share[m, 0, j] = z2
                single = max(single, math.sqrt(z2))
                burst[row, j] += (min(z2, BURST_CLIP * BURST_CLIP) - burst[row, j]) / BURST
                if not frozen[row]:
                    gain = 1.0 / min(seen[row, j], MEMORY)
                    error[row, j] += gain * (min(e * e, CLIP * CLIP * error[row, j]) - error[row, j])
            share[m, 1, j] = burst[row, j]
            sustained = max(sustained, math.sqrt(burst[row, j]))
        statistic[m, 0], statistic[m, 1] = single, sustained

"""A sensor that falls silent is an anomaly of its own.

Silence is measured in data time, and against each sensor's own habits: longer than ten usual intervals and three times
its longest recent gap. It opens at that instant, not when somebody looks, so that it is the same event in any batching.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

INTERVALS, GAPS = 10.0, 3.0
KNOWN = 50  # samples before a sensor's habits are known


def deadline(
    time: NDArray[np.float64], interval: NDArray[np.float64], gap: NDArray[np.float64], count: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The data time (M,) from which a sensor is silent; infinite while its habits are unknown.

    time (M,) of its last sample, its usual interval (M,) and longest recent gap (M,) in s, and its sample count (M,).
    """
    limit = np.maximum(INTERVALS * interval, GAPS * gap)
    return np.where(count >= KNOWN, time + limit, np.inf)

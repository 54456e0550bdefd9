"""The drift view: are the channels' smoothed values, together, still where they have always been?

Hotelling's T^2 of the smoothed values of all channels against a reference that stands still while it is compared with:
their mean and covariance over all usual samples so far. It is taken anew only when it rests on twice as many samples
(at most `OFTEN` more), so that a fault which comes slowly does not move what it is measured by; the level view, which
follows the seasons, cannot be so patient.

During the warm-up everything is usual, and the reference of several channels is taken anew with every sample. Were it
to stand still, one channel on its way, such as a temperature after the start, would be so far from it that the tail of
T^2 is the measure of this channel alone, for days, and hides what the others do. A single channel hides nothing.

Few samples make a poor reference, and neighbouring ones repeat each other: n samples smoothed over `SMOOTH` are worth
n / (2 SMOOTH) of their own. With so many the correlations are shrunk as if D samples without any had been seen, and the
variances grown as if `UNSURE` more were needed (Ledoit & Wolf 2004 give reasons for the former), and T^2 is comparable
from the first reference to the last.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lstm_stream.detect.levels import hotelling
from lstm_stream.jit import inline, kernel

SMOOTH = 12.0  # samples
CLIP = 5.0  # scales from the centre at most: a spike is no level
EARLY = 48  # samples of a new sensor that no reference rests on: the scales were not known yet
SMALLEST = 16.0  # samples of the first reference
GROWTH, OFTEN = 2.0, 512.0  # when a reference is replaced: by this factor, or so many samples, more
MEMORY = 4096.0  # samples; beyond it what is old is halved with each new reference
UNSURE = 4.0  # samples of their own
USUAL = 3.0  # tail thresholds: what is farther out is not learned
LEAST = 1e-3  # scales: the smallest standard deviation of a level

F8 = NDArray[np.float64]


@inline
def distance(level: F8, scale: F8, samples: float, mean: F8, covariance: F8, share: F8) -> float:
    """T^2 per channel of level (D,) against a reference of so many samples; share (D,) receives each channel's part."""
    channels = len(level)
    own = samples / (2.0 * SMOOTH)
    correlated, grown = own / (own + channels), 1.0 + UNSURE / own
    factor, offset = np.empty((channels, channels)), np.empty(channels)
    for i in range(channels):
        offset[i] = level[i] - mean[i]
        for j in range(channels):
            factor[i, j] = covariance[i, j] * correlated
        factor[i, i] = covariance[i, i] * grown + (LEAST * scale[i]) ** 2
    # In units of each channel's own deviation, for channels may differ by powers of ten.
    unit = np.empty(channels)
    for i in range(channels):
        unit[i] = math.sqrt(factor[i, i])
        offset[i] /= unit[i]
    for i in range(channels):
        for j in range(channels):
            factor[i, j] /= unit[i] * unit[j]
    return hotelling(factor, offset, share)


@inline
def learn(level: F8, counts: F8, total: F8, product: F8, mean: F8, covariance: F8, early: bool) -> None:
    """Add one level (D,) to the sums of counts[0] samples; make them the reference, of counts[1], when it is due.

    Early, while there is no alarm yet, it always is.
    """
    channels = len(level)
    counts[0] += 1.0
    for i in range(channels):
        total[i] += level[i]
        for j in range(channels):
            product[i, j] += level[i] * level[j]
    n = counts[0]
    if n < SMALLEST or not (early or n >= min(GROWTH * counts[1], counts[1] + OFTEN)):
        return
    counts[1] = n
    for i in range(channels):
        mean[i] = total[i] / n
    for i in range(channels):
        for j in range(channels):
            covariance[i, j] = product[i, j] / n - mean[i] * mean[j]
    if n > MEMORY:
        counts[0] *= 0.5
        counts[1] *= 0.5
        for i in range(channels):
            total[i] *= 0.5
            for j in range(channels):
                product[i, j] *= 0.5


@kernel
def drift_view(
    slot: NDArray[np.int32],
    u: F8,
    center: F8,
    scale: F8,
    count: NDArray[np.int64],
    frozen: NDArray[np.bool_],
    origin: F8,
    smooth: F8,
    drift_counts: F8,
    drift_total: F8,
    drift_product: F8,
    drift_mean: F8,
    drift_covariance: F8,
    fit: F8,
    warmup: int,
    view: int,
    statistic: F8,
    share: F8,
) -> None:
    """M samples u (M, D) with their centers and scales (M, D) of distinct sensors; does nothing where origin is (S, 0).

    Levels are in the channels' own units from origin (S, D), the first value. smooth (S, D) and, unless frozen (S,) or
    after `warmup` samples far out by the tail in fit (S, V, FIT), the sums (drift_counts, drift_total, drift_product)
    and the reference (drift_mean, drift_covariance) are updated. Writes statistic[:, view] = sqrt(T^2 / D), 0 before
    the first reference, and share[:, view].
    """
    channels = origin.shape[1]
    if channels == 0:
        return
    for m in range(len(slot)):
        row = slot[m]
        for j in range(channels):
            if math.isnan(u[m, j]):
                continue
            value = center[m, j] + scale[m, j] * min(max(math.sinh(u[m, j]), -CLIP), CLIP)
            if math.isnan(origin[row, j]):
                origin[row, j] = value
            smooth[row, j] += (value - origin[row, j] - smooth[row, j]) / SMOOTH
        statistic[m, view] = 0.0
        if drift_counts[row, 1] > 0.0:
            samples, mean, covariance = drift_counts[row, 1], drift_mean[row], drift_covariance[row]
            statistic[m, view] = math.sqrt(distance(smooth[row], scale[m], samples, mean, covariance, share[m, view]))
        warming = count[row] < warmup
        usual = statistic[m, view] <= USUAL * fit[row, view, 1] or fit[row, view, 1] == 0.0
        if (usual or warming) and not frozen[row] and count[row] >= EARLY:
            counts, total, product = drift_counts[row], drift_total[row], drift_product[row]
            early = warming and channels > 1
            learn(smooth[row], counts, total, product, drift_mean[row], drift_covariance[row], early)

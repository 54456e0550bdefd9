"""A batch in waves of distinct sensors, and room for its verdicts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lstm_stream.records import Verdicts


def empty_verdicts(samples: int, channels: int) -> Verdicts:
    """Room for the verdicts of M samples of D channels."""
    wide = [np.empty((samples, channels)) for _ in range(4)]
    return Verdicts(
        expected=wide[0],
        lower=wide[1],
        upper=wide[2],
        contribution=wide[3],
        score=np.empty(samples),
        threshold=np.empty(samples),
        view=np.empty(samples, np.int8),
        anomaly=np.empty(samples, np.bool_),
    )


def waves(slot: NDArray[np.int32]) -> list[NDArray[np.intp]]:
    """Split a batch into rows of distinct sensors: the k-th wave holds each sensor's k-th sample, in arrival order."""
    if len(slot) == 1:
        return [np.zeros(1, np.intp)]
    order = np.argsort(slot, kind="stable")
    ordered = slot[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    rank = np.empty(len(slot), np.intp)
    rank[order] = np.arange(len(slot)) - np.repeat(starts, np.diff(np.r_[starts, len(slot)]))
    by_rank = np.argsort(rank, kind="stable")
    return np.split(by_rank, np.cumsum(np.bincount(rank))[:-1])

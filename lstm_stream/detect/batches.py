"""A batch in waves of distinct sensors, and room for its verdicts."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from lstm_stream.jit import kernel, uniform
from lstm_stream.records import Samples, Verdicts


def empty_verdicts(samples: int, channels: int) -> Verdicts:
    """Room for the verdicts of M samples of D channels."""
    wide = np.empty((4, samples, channels))
    narrow = np.empty((2, samples))
    return Verdicts(
        expected=wide[0],
        lower=wide[1],
        upper=wide[2],
        contribution=wide[3],
        score=narrow[0],
        threshold=narrow[1],
        view=np.empty(samples, np.int8),
        anomaly=np.empty(samples, np.bool_),
    )


def plain(samples: Samples) -> Samples:
    """The samples in arrays of one kind, for which the kernels are compiled: contiguous and writable."""
    return Samples(uniform(samples.slot), uniform(samples.time), uniform(samples.values))


def taken(samples: Samples, rows: NDArray[np.intp]) -> Samples:
    """Some of the samples."""
    return Samples(samples.slot[rows], samples.time[rows], samples.values[rows])


def put(some: Verdicts, rows: NDArray[np.intp], verdicts: Verdicts) -> None:
    """Write the verdicts on some samples where they belong."""
    for each in fields(Verdicts):
        getattr(verdicts, each.name)[rows] = getattr(some, each.name)


def waves(slot: NDArray[np.int32], seen: NDArray[np.int32]) -> list[NDArray[np.intp]]:
    """Split a batch into rows of distinct sensors: the k-th wave holds each sensor's k-th sample, in arrival order.

    seen (S,) is zero, and is so again afterwards.
    """
    rank = np.zeros(len(slot), np.int32)
    last = rank_samples(slot, seen, rank) if len(slot) > 1 else 0
    if last == 0:
        return [np.arange(len(slot))]
    by_rank = np.argsort(rank, kind="stable")
    return np.split(by_rank, np.cumsum(np.bincount(rank))[:-1])


@kernel
def rank_samples(slot: NDArray[np.int32], seen: NDArray[np.int32], rank: NDArray[np.int32]) -> int:
    """How many samples of its sensor came before each (M,) in this batch; returns the largest."""
    largest = 0
    for m in range(len(slot)):
        rank[m] = seen[slot[m]]
        seen[slot[m]] += 1
        largest = max(largest, rank[m])
    for m in range(len(slot)):
        seen[slot[m]] = 0
    return largest

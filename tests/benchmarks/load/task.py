"""What a consumer is told, and the latencies that it tells."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Snapshot = dict[str, Any]  # figures that only ever rise: a phase is the difference of two

PER_DECADE = 40
BINS = np.logspace(-5, 3, 8 * PER_DECADE + 1)  # s; edges of the latencies' histogram


class Task(NamedTuple):
    """One consumer's work."""

    kind: str
    port: int
    qos: int
    done: str  # file of the number of messages that it has finished
    latency: bool
    timed: bool  # payloads carry their time
    memory: int  # bytes that it may have
    config: dict[str, Any]  # of the daemon


class Latencies:
    """Counts by BINS of the seconds from a message's time to now."""

    def __init__(self) -> None:
        self.counts = np.zeros(len(BINS) - 1, np.int64)

    def add(self, times: NDArray[np.float64]) -> None:
        """Messages of these times (unix s) are through at this instant."""
        late = np.clip(time.time() - times, BINS[0], BINS[-2])
        self.counts += np.bincount(np.searchsorted(BINS, late, "right") - 1, minlength=len(self.counts))


def quantile(counts: Sequence[int], share: float) -> float:
    """The latency, s, that this share of the messages stays below: the upper edge of its bin, at most 6 % too high."""
    total = np.cumsum(counts)
    return float(BINS[np.searchsorted(total, share * total[-1]) + 1]) if len(total) and total[-1] else float("nan")

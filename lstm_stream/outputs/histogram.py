"""A Prometheus histogram that takes a whole batch at once.

prometheus_client spends about 1 µs an observation under a lock; this one spends a few µs a batch.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from lstm_stream.jit import kernel, uniform


@kernel
def count_in(values: NDArray[np.float64], bounds: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """Count values (M,) by the first of the bounds (B,) that is not below each, in counts (B + 1,).

    Returns the sum of the finite ones; NaN is left out.
    """
    total = 0.0
    for value in values:
        if value != value:
            continue
        low, high = 0, len(bounds)
        while low < high:
            middle = (low + high) // 2
            if bounds[middle] < value:
                low = middle + 1
            else:
                high = middle
        counts[low] += 1
        if abs(value) != np.inf:
            total += value
    return total


class BatchHistogram(Collector):
    """Cumulative buckets over `bounds` (ascending, finite, not negative; +Inf is added).

    Observed from one thread and scraped from another.
    """

    def __init__(self, name: str, documentation: str, bounds: Sequence[float], registry: CollectorRegistry) -> None:
        self._name = name
        self._documentation = documentation
        self._bounds = np.asarray(bounds, dtype=np.float64)
        self._labels = [*(str(float(bound)) for bound in bounds), "+Inf"]
        self._lock = threading.Lock()
        self._counts = np.zeros(len(bounds) + 1, dtype=np.int64)
        self._sum = 0.0
        registry.register(self)

    def observe(self, values: NDArray[np.float64]) -> None:
        """Add values (M,). NaN is left out; an infinity counts but cannot spoil the sum."""
        with self._lock:
            self._sum += count_in(uniform(values), self._bounds, self._counts)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The family, for the registry."""
        with self._lock:
            cumulative, total = np.cumsum(self._counts).tolist(), self._sum
        buckets = list(zip(self._labels, cumulative, strict=True))
        yield HistogramMetricFamily(self._name, self._documentation, buckets=buckets, sum_value=total)

"""What time it is for the sensors."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable, Iterable

RECENT = 64  # latest samples that make the data clock


class DataClock:
    """Our clock plus the median lead of the latest samples over it.

    Robust against single sensors with a wrong clock, and right for recorded or simulated time as well. The median is
    of the leads, not of the times: those of a few slow sensors reach hours back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._recent: deque[float] = deque(maxlen=RECENT)

    def observe(self, times: Iterable[float]) -> None:
        """Samples of these times (unix s) have arrived."""
        at = self._monotonic()
        self._recent.extend(time - at for time in times)

    def restart(self) -> None:
        """Forget: what comes next may be of another time."""
        self._recent.clear()

    @property
    def now(self) -> float | None:
        """Unix s; None before the first sample."""
        if not self._recent:
            return None
        return statistics.median(self._recent) + self._monotonic()

"""Samples that wait for more of themselves: one a sensor, each until a deadline in the time of arrivals."""

from __future__ import annotations

import heapq
import math
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from lstm_stream.records import Reading, Reason, Rejection

Key = tuple[str, str]  # group, sensor
Open = TypeVar("Open")


class Waiting(ABC, Generic[Open]):
    """The open samples of all sensors, of `most` sensors at most."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._open: dict[Key, Open] = {}
        self._closed: dict[Key, float] = {}  # time of the latest closed sample; -inf while there is none
        self._deadlines: list[tuple[float, int, Key]] = []  # a heap; entries of closed samples are passed over
        self._numbers: dict[Key, int] = {}  # of the open samples
        self._number = 0

    def __len__(self) -> int:
        return len(self._open)

    def memory(self) -> list[Any]:
        """Everything, as JSON can hold it."""
        deadlines = {number: deadline for deadline, number, _ in self._deadlines}
        kept: list[Any] = []
        for key, closed in self._closed.items():
            number = self._numbers.get(key)
            waiting = [] if number is None else [deadlines[number], number, self._kept(self._open[key])]
            kept.append([*key, None if closed == -math.inf else closed, *waiting])
        return kept

    def remember(self, memory: list[Any]) -> None:
        """Take up what memory() said; raises ValueError, TypeError or LookupError where it is something else."""
        for group, sensor, closed, *waiting in memory:
            key = str(group), str(sensor)
            self._closed[key] = -math.inf if closed is None else float(closed)
            if waiting:
                deadline, number, kept = waiting
                self._open[key], self._numbers[key] = self._revived(kept), int(number)
                self._number = max(self._number, int(number))
                self._deadlines.append((float(deadline), int(number), key))
        heapq.heapify(self._deadlines)

    @abstractmethod
    def _kept(self, waiting: Open) -> Any:
        """An open sample, as JSON can hold it."""

    @abstractmethod
    def _revived(self, kept: Any) -> Open:
        """The inverse of `_kept`."""

    @abstractmethod
    def _made(self, waiting: Open) -> Reading:
        """The sample that an open one has become."""

    def due(self, now: float) -> list[Reading]:
        """The samples whose deadlines have passed by `now` (unix s; infinite: all), in that order."""
        result = []
        while self._deadlines and self._deadlines[0][0] <= now:
            _, number, key = heapq.heappop(self._deadlines)
            if self._numbers.get(key) == number:
                result.append(self._close(key))
        return result

    def _admit(self, key: Key) -> Rejection | None:
        """Why a sensor is one too many; None if it is not."""
        if key in self._closed:
            return None
        if len(self._closed) >= self.most:
            detail = f"{key[1]!r} is one sensor too many; raise limits.sensors (now {self.most})"
            return Rejection(Reason.TOO_MANY_SENSORS, detail)
        self._closed[key] = -math.inf
        return None

    def _begin(self, key: Key, waiting: Open, deadline: float) -> None:
        self._number += 1
        self._open[key] = waiting
        self._numbers[key] = self._number
        heapq.heappush(self._deadlines, (deadline, self._number, key))

    def _close(self, key: Key) -> Reading:
        del self._numbers[key]
        sample = self._made(self._open.pop(key))
        self._closed[key] = sample.time
        return sample


def numbers(values: dict[str, float]) -> dict[str, Any]:
    """As JSON can hold them: what is not finite as text."""
    return {name: value if math.isfinite(value) else str(value) for name, value in values.items()}


def floats(values: dict[str, Any]) -> dict[str, float]:
    """The inverse of `numbers`."""
    return {name: float(value) for name, value in values.items()}

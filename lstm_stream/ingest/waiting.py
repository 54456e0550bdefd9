"""Samples that wait for more of themselves: one a sensor, each until a deadline in the time of arrivals."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from typing import Generic, TypeVar

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
        self._closed[key] = float("-inf")
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

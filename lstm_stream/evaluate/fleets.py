"""Simulated fleets to evaluate on, and the detection run on them.

    Fleets (how many sensors, how long, which seeds) -> parts for processes -> Simulation -> Watched, sensor by sensor

Sensors of all seeds of a part go together: the line costs about the same for one sensor at a time and for fifty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import overload

from lstm_stream.config import Group
from lstm_stream.evaluate.watch import Stream, Watched, watch
from lstm_stream.records import Reading
from lstm_stream.replay import Advance
from lstm_stream.simulate import DAY, KINDS, Series, Simulation, simulate

INTERVAL = 300.0  # s
AT_ONCE = 2_000_000  # samples of a part, about: 200 MB
FIRST_FAULT, FAULT_EVERY = 864, 1440  # samples: three days and five at the usual interval


@dataclass(frozen=True, slots=True)
class Fleets:
    """What to simulate: a fleet for each seed. Faults are as many and as long in samples, whatever the interval."""

    sensors: int
    days: float
    seeds: tuple[int, ...]
    interval: float = INTERVAL  # s
    kinds: tuple[str, ...] = tuple(KINDS)
    first: int = FIRST_FAULT  # samples before any fault
    every: int = FAULT_EVERY  # samples between two faults, about

    @property
    def samples(self) -> int:
        """Of one fleet, about."""
        return int(self.sensors * self.days * DAY / self.interval)

    def parts(self, count: int) -> list[Fleets]:
        """In at least `count` parts where there are as many seeds, none larger than memory takes."""
        seeds = len(self.seeds)
        many = min(max(1, AT_ONCE // max(self.samples, 1)), -(-seeds // count))
        return [replace(self, seeds=self.seeds[k : k + many]) for k in range(0, seeds, many)]

    def simulations(self, faulty: bool) -> list[Simulation]:
        """The fleet of each seed, with faults or without."""
        return [
            simulate(
                self.sensors,
                self.days * DAY,
                seed,
                interval=self.interval,
                warmup=self.first * self.interval,
                fault_every=self.every * self.interval if faulty else None,
                kinds=self.kinds,
            )
            for seed in self.seeds
        ]


class Readings(Sequence[Reading | None]):
    """What a simulated sensor says, made when it is asked for: as records all of it would not fit into memory."""

    def __init__(self, sensor: str, series: Series) -> None:
        self._sensor = sensor
        self._series = series

    def __len__(self) -> int:
        return len(self._series.time)

    @overload
    def __getitem__(self, rows: int) -> Reading | None: ...
    @overload
    def __getitem__(self, rows: slice) -> list[Reading | None]: ...
    def __getitem__(self, rows: int | slice) -> Reading | list[Reading | None] | None:
        if isinstance(rows, slice):
            return list(self._made(rows))
        row = range(len(self))[rows]
        return next(self._made(slice(row, row + 1)))

    def _made(self, rows: slice) -> Iterator[Reading | None]:
        s = self._series
        for time, values in zip(s.time[rows].tolist(), s.values[rows].tolist(), strict=True):
            present = {c: value for c, value in zip(s.channels, values, strict=True) if value == value}
            yield Reading(self._sensor, s.kind, time, present) if present else None


def watch_fleets(simulations: Sequence[Simulation], group: Group, advance: Advance | None) -> list[list[Watched]]:
    """The detection on all sensors of some fleets; the result is by fleet and sensor."""
    watched = iter(
        watch([stream(one, k) for k, fleet in enumerate(simulations) for one in fleet.series], group, advance)
    )
    return [list(islice(watched, len(fleet.series))) for fleet in simulations]


def stream(series: Series, fleet: int = 0) -> Stream:
    """Fleets are told apart by their number: sensors of two are called alike."""
    name = f"{series.sensor} {fleet}"
    return Stream(name, series.kind, Readings(name, series))

"""Synthetic fleets of sensors with injected, labelled faults.

    simulate(sensors=24, duration=21 * DAY, seed=1) -> Simulation(series, faults)
    messages(simulation) -> what the sensors would publish, in time order

Everything follows from the seed, and each sensor from the seed and its own number alone: one more sensor changes no
other. The kinds of sensors are in signals.py, the faults with their sizes in faults.py. Besides faults there is what
always happens: jittered intervals, lost messages, absent channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from lstm_stream.simulate.faults import Fault, Plan, inject, pace, plan
from lstm_stream.simulate.signals import DAY, KINDS, WIDEST, Array, Clock, Generator, Kind

__all__ = [
    "DAY",
    "KINDS",
    "START",
    "WIDEST",
    "Fault",
    "Kind",
    "Publication",
    "Series",
    "Simulation",
    "messages",
    "simulate",
]

START = 1767571200.0  # Monday 2026-01-05 00:00 UTC
SITES = ("north", "south", "harbour")
_TRAITS, _NOISE, _FAULTS, _LOSSES, _TWIN, _SHAKES = range(6)  # independent streams of random numbers of a sensor


@dataclass(frozen=True, slots=True)
class Series:
    """What one sensor published: N samples of D channels."""

    sensor: str
    site: str
    kind: str
    channels: tuple[str, ...]
    units: tuple[str, ...]
    time: Array  # (N,) unix s to the millisecond, increasing
    values: Array  # (N, D) NaN = absent
    scale: Array  # (D,) normal variation, in the channel's unit

    @property
    def topic(self) -> str:
        """Where it publishes."""
        return f"demo/{self.site}/{self.sensor}/telemetry"


@dataclass(frozen=True, slots=True)
class Simulation:
    """A fleet over a stretch of time. No fault begins before `start + warmup`."""

    series: list[Series]
    faults: list[Fault]
    start: float
    duration: float
    interval: float
    warmup: float


class Publication(NamedTuple):
    """One message as a sensor publishes it at `time` (unix s)."""

    time: float
    topic: str
    payload: bytes


def simulate(
    sensors: int = 24,
    duration: float = 21 * DAY,
    seed: int = 1,
    *,
    interval: float = 300.0,
    start: float = START,
    warmup: float = 3 * DAY,
    fault_every: float | None = 5 * DAY,
    missing: float = 0.01,
    kinds: Sequence[str] = tuple(KINDS),
) -> Simulation:
    """A fleet of `sensors`, its kinds in turn, over `duration` seconds.

    Each sensor has a fault every `fault_every` seconds on average (None: never), none before `warmup`; `missing` is the
    share of messages that are lost, and of values that are absent. Durations of faults are in samples: faults.py.
    Raises ValueError where nothing could come of it.
    """
    samples = int(duration / interval)
    if samples < 2:
        raise ValueError(f"duration {duration:g} s is less than two intervals of {interval:g} s")
    unknown = [name for name in kinds if name not in KINDS]
    if unknown or not kinds:
        raise ValueError(f"unknown kind of sensor {unknown}; known are {', '.join(KINDS)}")
    series, faults = [], []
    for index in range(sensors):
        sensor = _Sensor(KINDS[kinds[index % len(kinds)]], index, seed, samples, interval, start)
        plans = sensor.plan(int(np.ceil(warmup / interval)), fault_every)
        one, labels = sensor.publish(plans, missing)
        series.append(one)
        faults.extend(labels)
    faults.sort(key=lambda fault: (fault.start, fault.sensor))
    return Simulation(series, faults, start, duration, interval, warmup)


@dataclass(frozen=True, slots=True)
class _Sensor:
    kind: Kind
    index: int
    seed: int
    samples: int
    interval: float
    start: float

    @property
    def name(self) -> str:
        return f"{self.kind.name}-{self.index + 1:03d}"

    def chance(self, stream: int) -> Generator:
        return np.random.default_rng([self.seed, self.index, stream])

    def plan(self, warmup: int, fault_every: float | None) -> list[Plan]:
        if fault_every is None:
            return []
        return plan(self.kind, self.samples, max(warmup, 1), fault_every / self.interval, self.chance(_FAULTS))

    def signal(self, time: Array, rate: Array, stream: int) -> tuple[Array, Array]:
        return self.kind.signal(Clock(time, rate, self.interval), self.chance(_TRAITS), self.chance(stream))

    def publish(self, plans: list[Plan], missing: float) -> tuple[Series, list[Fault]]:
        chance = self.chance(_LOSSES)
        time = self._time(chance)
        values, plans, scale = self._values(time, plans)
        kept = self._lose(values, plans, missing, chance)
        site = SITES[(self.index + self.index // len(KINDS)) % len(SITES)]
        units, channels = self.kind.units, self.kind.channels
        series = Series(self.name, site, self.kind.name, channels, units, time[kept], values[kept], scale)
        return series, [self._label(fault, time) for fault in plans]

    def _time(self, chance: Generator) -> Array:
        """(N,) at about the interval, never two at once, to the millisecond."""
        jitter = np.clip(0.02 * chance.standard_normal(self.samples), -0.2, 0.2)
        time: Array = np.round(
            self.start + (np.arange(self.samples) + 0.3 + 0.4 * chance.random() + jitter) * self.interval, 3
        )
        return time

    def _values(self, time: Array, plans: list[Plan]) -> tuple[Array, list[Plan], Array]:
        steady = np.ones(self.samples)
        values, scale = self.signal(time, steady, _NOISE)
        paced, _ = self.signal(time, pace(self.samples, plans), _NOISE)
        twin, _ = self.signal(time - DAY / 2, steady, _TWIN)
        shakes = self.chance(_SHAKES)
        done = [inject(fault, values, scale, twin, paced, self.kind, shakes) for fault in plans]
        return self.kind.measure(values), done, scale

    def _lose(self, values: Array, plans: list[Plan], missing: float, chance: Generator) -> NDArray[np.bool_]:
        """Makes values absent in place, at most one a message; returns (N,) the messages that arrive."""
        channels = values.shape[1]
        lost = chance.random(self.samples) < missing
        absent = chance.random(self.samples) < missing * channels
        column = chance.integers(channels, size=self.samples)
        for fault in plans:
            if fault.kind == "spike":  # a spike that nobody sends is none
                lost[fault.rows] = absent[fault.rows] = False
            elif fault.kind == "silence":
                lost[fault.rows] = True
        if channels > 1:
            values[absent, column[absent]] = np.nan
        return ~lost

    def _label(self, fault: Plan, time: Array) -> Fault:
        channels = tuple(self.kind.channels[column] for column in fault.columns)
        return Fault(
            self.name, fault.kind, float(time[fault.first]), float(time[fault.stop]), channels, fault.magnitude
        )


def messages(simulation: Simulation) -> Iterator[Publication]:
    """All that the fleet publishes, in time order; sensors write ISO times or epoch milliseconds, in turn."""
    time = np.concatenate([series.time for series in simulation.series])
    owner = np.repeat(np.arange(len(simulation.series)), [len(series.time) for series in simulation.series])
    row = np.concatenate([np.arange(len(series.time)) for series in simulation.series])
    order = np.argsort(time, kind="stable")
    for one, at in zip(owner[order].tolist(), row[order].tolist(), strict=True):
        series = simulation.series[one]
        iso = (one + one // len(KINDS)) % 2 == 0
        yield Publication(float(series.time[at]), series.topic, _payload(series, at, iso))


def _payload(series: Series, at: int, iso: bool) -> bytes:
    milliseconds = round(series.time[at] * 1000)
    stamp = f"{np.datetime64(milliseconds, 'ms')}Z" if iso else milliseconds
    values = zip(series.channels, series.values[at].tolist(), strict=True)
    return orjson.dumps(
        {"timestamp" if iso else "ts": stamp, **{name: value for name, value in values if value == value}}
    )

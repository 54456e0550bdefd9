"""What healthy sensors show: six kinds, each a function of time, vectorised, with its own randomness.

A signal is called as `signal(clock, traits, noise)` and returns `(values (N, D), scale (D,))`:
`traits` draws what makes this sensor this sensor (its mean, its period), `noise` what happens to it (weather,
jitter, measurement noise). The order of draws never depends on the clock, so that the same generators with another
clock give the same sensor at another time or another pace.

`scale` is the sensor's own normal variation in the channel's unit: the standard deviation of what remains when season
and cycle are taken away. Faults are sized in multiples of it (faults.py).

| kind      | channels (unit)                | what it does                                      | scale          |
|-----------|--------------------------------|---------------------------------------------------|----------------|
| climate   | temperature (°C), humidity (%) | day and weather; humidity falls when it gets warm | 1 °C, 3 %      |
| machine   | power (kW), current (A),       | runs and rests in uneven cycles; heats up with a  | 5 % of power   |
|           | temperature (°C)               | lag                                               |                |
| tank      | level (%)                      | drawn by time of day, refilled when low           | 2.5 %          |
| events    | events (1 per interval)        | Poisson counts with rush hours and bursts         | about rate / 2 |
| battery   | voltage (V)                    | discharges for months, sags when cold, 5 mV steps | 8 mV           |
| vibration | rms (mm/s), peak (mm/s)        | swings with a characteristic period, grows with   | 8 % of mean    |
|           |                                | load                                              |                |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Generator = np.random.Generator

HOUR = 3600.0
DAY = 86400.0
FASTEST = 3.0  # the highest pace a clock may have: as many cycles are drawn


@dataclass(frozen=True, slots=True)
class Clock:
    """When a sensor samples: `time` (N,) unix s; `pace` (N,) how fast its cycles run, 1 = as usual."""

    time: Array
    pace: Array
    interval: float

    @property
    def cycle_time(self) -> Array:
        """(N,) seconds since the first sample as the cycles count them."""
        return np.cumsum(np.diff(self.time, prepend=self.time[0]) * self.pace)

    def steps(self, seconds: float) -> float:
        """How many samples a duration is."""
        return seconds / self.interval


Signal = Callable[[Clock, Generator, Generator], tuple[Array, Array]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of sensor: its channels with unit, resolution and physical limits, and the faults it can have."""

    name: str
    channels: tuple[str, ...]
    units: tuple[str, ...]
    quantum: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    faults: tuple[str, ...]
    signal: Signal

    def measure(self, values: Array) -> Array:
        """What the sensor reports of (N, D) true values: within its limits, in its resolution."""
        quantum = np.array(self.quantum)
        clipped = np.clip(values, self.low, self.high)
        decimals = max(0, *(int(np.ceil(-np.log10(q))) for q in self.quantum))
        rounded: Array = np.round(np.round(clipped / quantum) * quantum, decimals)
        return rounded


def decay(x: Array, steps: float) -> Array:
    """(N,) y[k] = a y[k-1] + x[k] with a = exp(-1/steps): a first-order filter, by doubling instead of a loop."""
    a = np.exp(-1.0 / steps)
    y = x.copy()
    shift, weight = 1, a
    while shift < len(y) and weight > 1e-9:
        y[shift:] = y[shift:] + weight * y[:-shift]
        shift, weight = 2 * shift, weight * weight
    return y


def lag(x: Array, steps: float) -> Array:
    """(N,) x as something slow follows it, settled at the first value."""
    a = np.exp(-1.0 / steps)
    settled: Array = x[0] + (1 - a) * decay(x - x[0], steps)
    return settled


def wander(n: int, steps: float, noise: Generator) -> Array:
    """(N,) a stationary Gaussian process of mean 0 and standard deviation 1 that forgets within `steps` samples."""
    a = np.exp(-1.0 / steps)
    white = noise.standard_normal(n) * np.sqrt(1 - a * a)
    white[0] /= np.sqrt(1 - a * a)
    return decay(white, steps)


def weekend(time: Array) -> Array:
    """(N,) 1 on Saturday and Sunday, else 0."""
    return ((np.floor(time / DAY) + 3) % 7 >= 5).astype(np.float64)


def bump(time: Array, hour: float, width: float) -> Array:
    """(N,) 1 at this hour of the day, falling off within `width` hours."""
    angle = 2 * np.pi * (time / HOUR - hour) / 24
    sharpness = (24 / (2 * np.pi * width)) ** 2
    bell: Array = np.exp(sharpness * (np.cos(angle) - 1))
    return bell


def warmth(time: Array) -> Array:
    """(N,) the course of a day's temperature: -1 before sunrise, about 1 in the afternoon."""
    angle = 2 * np.pi * (time / HOUR - 9.5) / 24
    course: Array = np.sin(angle) + 0.22 * np.sin(2 * angle + 0.6)
    return course


def climate(clock: Clock, traits: Generator, noise: Generator) -> tuple[Array, Array]:
    """Temperature and humidity of a place with weather."""
    n = len(clock.time)
    base, swing, weather = traits.uniform(8, 22), traits.uniform(3, 6), traits.uniform(0.6, 1.1)
    humid, coupling, air = traits.uniform(50, 65), traits.uniform(1.8, 2.6), traits.uniform(1.5, 2.5)
    sunny = 1 + 0.15 * wander(n, clock.steps(DAY), noise)
    fronts = weather * wander(n, clock.steps(8 * HOUR), noise)
    gusts = 0.15 * wander(n, clock.steps(0.5 * HOUR), noise)
    truth = base + swing * sunny * warmth(clock.time) + fronts + gusts
    temperature = truth + 0.05 * noise.standard_normal(n)
    moisture = air * wander(n, clock.steps(6 * HOUR), noise)
    humidity = humid - coupling * (truth - base) + moisture + 0.3 * noise.standard_normal(n)
    unrest = np.hypot(weather, 0.1 * swing)
    return np.column_stack([temperature, humidity]), np.array([unrest, np.hypot(coupling * unrest, air)])


def machine(clock: Clock, traits: Generator, noise: Generator) -> tuple[Array, Array]:
    """Power, current and temperature of a machine that runs and rests in uneven cycles."""
    n, fine = len(clock.time), 5  # heat is followed on a grid finer than the samples
    period, share = traits.uniform(50, 100) * 60, traits.uniform(0.4, 0.65)
    nominal, standby = traits.uniform(5, 15), traits.uniform(0.02, 0.06)
    amperes, heat, slow = traits.uniform(1.5, 1.8), traits.uniform(15, 30), traits.uniform(20, 35) * 60

    index, samples = np.linspace(0, n - 1, fine * (n - 1) + 1), np.arange(n)
    cycles = int(FASTEST * (clock.time[-1] - clock.time[0]) / period) + 2
    edges = np.cumsum(_durations(cycles, period, share, noise))  # on, off, on, ...
    effort = 1 + 0.03 * noise.standard_normal(cycles + 1)
    start = noise.uniform(0, period)
    phase = np.searchsorted(edges, start + np.interp(index, samples, clock.cycle_time))
    shift = 1 + 0.03 * bump(np.interp(index, samples, clock.time), 12, 5)
    load = np.where(phase % 2 == 0, effort[np.minimum(phase // 2, cycles)] * shift, standby)
    warm = lag(load, fine * clock.steps(slow))

    ripple = 1 + 0.015 * noise.standard_normal(n)
    power = nominal * load[::fine] * ripple
    current = amperes * power * (1 + 0.01 * noise.standard_normal(n)) + 0.05 * noise.standard_normal(n)
    room = 21 + 1.5 * warmth(clock.time) + 0.5 * wander(n, clock.steps(6 * HOUR), noise)
    temperature = room + heat * warm[::fine] + 0.15 * noise.standard_normal(n)
    scale = np.array([0.05 * nominal, 0.05 * nominal * amperes, np.hypot(0.5, 0.05 * heat)])
    return np.column_stack([power, current, temperature]), scale


def _durations(cycles: int, period: float, share: float, noise: Generator) -> Array:
    """(2 cycles,) seconds on, off, on, ... : no two are equally long."""
    mean = period * np.tile([share, 1 - share], cycles)
    lengths: Array = mean * np.clip(1 + 0.12 * noise.standard_normal(2 * cycles), 0.5, 1.5)
    return lengths


def tank(clock: Clock, traits: Generator, noise: Generator) -> tuple[Array, Array]:
    """Level of a tank that is drawn from by time of day and refilled when it runs low."""
    n = len(clock.time)
    fills, morning, evening = traits.uniform(1.6, 2.8), traits.uniform(6, 9), traits.uniform(17, 20)
    low, high, filling = traits.uniform(18, 28), traits.uniform(85, 94), traits.uniform(12, 30) * 60

    usual = 0.45 + bump(clock.time, morning, 1.8) + bump(clock.time, evening, 2.2)
    habit = np.exp(0.15 * wander(n, clock.steps(3 * HOUR), noise)) * (1 - 0.08 * weekend(clock.time))
    draw = usual * habit * fills * (high - low) / (0.85 * DAY)  # the mean of `usual` over a day is about 0.85
    used = np.cumsum(draw * np.diff(clock.time, prepend=clock.time[0]))

    count = int(used[-1] / 40) + 8
    lows = low + 2.5 * noise.standard_normal(count)
    highs = np.concatenate([[noise.uniform(40, high)], high + 1.0 * noise.standard_normal(count - 1)])
    due = np.interp(np.cumsum(highs - lows), used, clock.time, right=np.inf)  # when each low is reached
    filled = np.cumsum(highs[1:] - lows[:-1])
    knots = np.column_stack([due[:-1], due[:-1] + filling]).ravel()
    total = np.column_stack([np.concatenate([[0.0], filled[:-1]]), filled]).ravel()
    real = np.isfinite(knots)
    refilled = np.interp(clock.time, knots[real], total[real]) if real.any() else 0.0
    slosh = 0.4 * wander(n, clock.steps(0.25 * HOUR), noise) + 0.25 * noise.standard_normal(n)
    return (highs[0] - used + refilled + slosh)[:, None], np.array([2.5])


def events(clock: Clock, traits: Generator, noise: Generator) -> tuple[Array, Array]:
    """Counts per interval with rush hours and bursts."""
    n = len(clock.time)
    rate, first, second = traits.uniform(10, 25), traits.uniform(8, 11), traits.uniform(15, 19)
    profile = rate * (0.35 + bump(clock.time, first, 2.0) + 0.8 * bump(clock.time, second, 2.5))
    profile = profile * (1 - 0.12 * weekend(clock.time))
    begins = noise.random(n) < 3 / clock.steps(DAY)
    strength = begins * noise.uniform(0.8, 1.8, n)
    burst = decay(strength, clock.steps(0.4 * HOUR))
    mood = np.exp(0.12 * wander(n, clock.steps(3 * HOUR), noise))
    counts = noise.poisson(profile * mood * (1 + burst)).astype(np.float64)
    return counts[:, None], np.array([np.std(counts - profile)])


def battery(clock: Clock, traits: Generator, noise: Generator) -> tuple[Array, Array]:
    """Voltage of a battery that discharges for months and sags when it is cold."""
    n = len(clock.time)
    full, loss = traits.uniform(3.85, 4.1), traits.uniform(2e-3, 6e-3)
    cold, weather = traits.uniform(0.010, 0.018), traits.uniform(0.006, 0.010)
    days = (clock.time - clock.time[0]) / DAY
    climate = cold * warmth(clock.time) + weather * wander(n, clock.steps(8 * HOUR), noise)
    sending = 0.012 * (noise.random(n) < 0.02)  # a retry just when it measures
    voltage = full - loss * days + climate - sending + 0.002 * noise.standard_normal(n)
    return voltage[:, None], np.array([np.hypot(weather, 0.002)])


def vibration(clock: Clock, traits: Generator, noise: Generator) -> tuple[Array, Array]:
    """Root mean square and peak of a bearing's vibration: a slow swing, and more of it under load."""
    n = len(clock.time)
    mean, depth, period = traits.uniform(1.5, 4), traits.uniform(0.25, 0.4), traits.uniform(40, 75) * 60
    crest, busy = traits.uniform(2.8, 3.4), traits.uniform(10, 14)
    slip = 0.25 * wander(n, clock.steps(6 * HOUR), noise)
    swing = np.sin(2 * np.pi * (clock.cycle_time / period + noise.random()) + slip)
    load = 1 + 0.25 * bump(clock.time, busy, 4) - 0.05 * weekend(clock.time)
    load = load * np.exp(0.06 * wander(n, clock.steps(2 * HOUR), noise))
    truth = mean * load * (1 + depth * swing)
    rms = truth * (1 + 0.03 * noise.standard_normal(n))
    peak = crest * truth * np.exp(0.06 * noise.standard_normal(n))
    return np.column_stack([rms, peak]), mean * np.array([0.075, 0.09 * crest])


COMMON = ("spike", "level_shift", "drift", "stuck", "noise_burst", "silence")
CYCLE = "frequency_change"
PAIR = "correlation_break"

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "climate", ("temperature", "humidity"), ("°C", "%"), (0.1, 0.5), (-40, 0), (85, 100),
            (*COMMON, PAIR), climate,
        ),
        Kind(
            "machine", ("power", "current", "temperature"), ("kW", "A", "°C"), (0.01, 0.05, 0.1), (0, 0, -40),
            (60, 100, 150), (*COMMON, CYCLE, PAIR), machine,
        ),
        Kind("tank", ("level",), ("%",), (0.1,), (0,), (100,), COMMON, tank),
        Kind("events", ("events",), ("1",), (1.0,), (0,), (1e6,), COMMON, events),
        Kind("battery", ("voltage",), ("V",), (0.005,), (0,), (5,), COMMON, battery),
        Kind(
            "vibration", ("rms", "peak"), ("mm/s", "mm/s"), (0.01, 0.05), (0, 0), (50, 200),
            (*COMMON, CYCLE, PAIR), vibration,
        ),
    )
}  # fmt: skip
WIDEST = max(len(kind.channels) for kind in KINDS.values())  # channels of a sensor

"""Simulated sensors to learn from: far more varied than the fleets of `simulate`, for what comes is not known.

Half of them are sensors of `simulate` at any interval and time, mixed, disturbed and rounded. The other half follow
no model of a thing: tides of any period, wandering, switching, bursts, in any mixture. Each follows from the seed and
its own number alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lstm_stream.coldstart import Stream
from lstm_stream.simulate import DAY, KINDS, START, simulate

F8 = NDArray[np.float64]
Chance = np.random.Generator

INTERVALS = 30.0, 3600.0  # s
MISSING = 0.01  # share of samples, and of values


def synthetic(count: int, channels: int, length: int, seed: int) -> list[Stream]:
    """`count` sensors with about `length` samples each, without faults."""
    return [_sensor(np.random.default_rng([seed, k]), f"simulated-{k + 1}", channels, length) for k in range(count)]


def _sensor(chance: Chance, name: str, channels: int, length: int) -> Stream:
    interval = float(np.exp(chance.uniform(*np.log(INTERVALS))))
    start = START + chance.uniform(0, 28 * DAY)
    if chance.random() < 0.5:
        time, values = _of_a_kind(chance, channels, length, interval, start)
    else:
        time, values = _of_none(chance, channels, length, interval, start)
    for j in range(channels):
        values[:, j] = _disturbed(values[:, j], chance)
    there = ~np.isnan(values).all(axis=1)  # a message without a value is none
    return Stream(name, time[there], values[there])


def _of_a_kind(chance: Chance, channels: int, length: int, interval: float, start: float) -> tuple[F8, F8]:
    """Channels of as many sensors as it takes, in any order; (N,) times and (N, D) values."""
    columns: list[F8] = []
    duration = (length + 0.5) * interval
    while len(columns) < channels:
        seed, kind = int(chance.integers(2**32)), str(chance.choice(list(KINDS)))
        chosen = simulate(
            1, duration, seed, interval=interval, start=start, fault_every=None, missing=0.0, kinds=(kind,)
        )
        time = chosen.series[0].time  # those of the last sensor, close to the others'
        columns += list(chance.permutation(chosen.series[0].values.T))
    kept = chance.random(length) >= MISSING
    return time[kept], np.column_stack(columns[:channels])[kept]


def _of_none(chance: Chance, channels: int, length: int, interval: float, start: float) -> tuple[F8, F8]:
    """Each channel a part of its own and a part that all have in common."""
    kept = chance.random(length) >= MISSING
    jitter = np.clip(chance.choice((0.0, 0.01, 0.1)) * chance.standard_normal(length), -0.3, 0.3)
    time = start + (np.arange(length) + jitter) * interval
    common = _mixture(time, chance)
    share = chance.choice((0.0, 0.5, 0.9)) if channels > 1 else 0.0
    parts = [share * chance.choice((-1, 1)) * common + (1 - share) * _mixture(time, chance)
             for _ in range(channels)]  # fmt: skip
    return time[kept], np.column_stack(parts)[kept]


def _mixture(time: F8, chance: Chance) -> F8:
    """(N,) a few components of random size, and noise."""
    n = len(time)
    components = (_tide, _wander, _switch, _bursts)
    value = np.zeros(n)
    for component in chance.permutation(np.array(components))[: chance.integers(1, 4)]:
        value += np.exp(0.7 * chance.standard_normal()) * component(time, chance)
    value += np.exp(chance.uniform(np.log(0.01), np.log(1.0))) * chance.standard_normal(n)
    return value


def _tide(time: F8, chance: Chance) -> F8:
    """A period of a day or of anything from 4 to 400 samples, with its first overtone."""
    interval = (time[-1] - time[0]) / (len(time) - 1)
    period = DAY if chance.random() < 0.5 else interval * np.exp(chance.uniform(np.log(4), np.log(400)))
    angle = 2 * np.pi * (time / period + chance.random())
    tide: F8 = np.sin(angle) + chance.uniform(0, 0.7) * np.sin(2 * angle + 2 * np.pi * chance.random())
    return tide


def _wander(time: F8, chance: Chance) -> F8:
    """An autoregression that forgets within 2 to 500 samples, perhaps a smooth one."""
    keep = 1 - 1 / np.exp(chance.uniform(np.log(2), np.log(500)))
    shocks = chance.standard_normal(len(time))
    once = _leak(shocks, keep)
    return _scaled(_leak(once, chance.uniform(0, 0.9)))


def _switch(time: F8, chance: Chance) -> F8:
    """On and off for uneven times, with a lag as of something that heats up."""
    mean = np.exp(chance.uniform(np.log(3), np.log(100)))
    edges = np.cumsum(mean * chance.uniform(0.6, 1.4, 2 * len(time)))
    on = np.searchsorted(edges, np.arange(len(time))) % 2 - 0.5
    return _scaled(_leak(on.astype(np.float64), chance.choice((0.0, chance.uniform(0, 0.95)))))


def _bursts(time: F8, chance: Chance) -> F8:
    """Rare and sudden, slow to go."""
    begins = chance.random(len(time)) < chance.uniform(0.005, 0.1)
    return _scaled(_leak(begins * chance.exponential(1, len(time)), chance.uniform(0, 0.9)))


def _leak(shocks: F8, keep: float) -> F8:
    """(N,) what is left of all shocks so far when each time a share of it stays."""
    out, level = np.empty(len(shocks)), 0.0
    for k, shock in enumerate(shocks.tolist()):
        level = keep * level + shock
        out[k] = level
    return out


def _scaled(values: F8) -> F8:
    scaled: F8 = values / (values.std() + 1e-9)
    return scaled


def _disturbed(values: F8, chance: Chance) -> F8:
    """A channel as some instrument shows it: upside down, noisy, rounded, far from zero, or with values missing."""
    spread = values.std() + 1e-9
    values = values * chance.choice((-1, 1))
    if chance.random() < 0.3:
        values = values + spread * np.exp(chance.uniform(np.log(0.03), 0)) * chance.standard_normal(len(values))
    if chance.random() < 0.1:
        values = spread * np.exp(np.clip((values - values.mean()) / spread, -5, 5))
    if chance.random() < 0.3:
        step = spread / chance.uniform(1, 20)
        values = np.round(values / step) * step
    values = values + spread * chance.choice((0.0, 3.0, 30.0)) * chance.standard_normal()
    if chance.random() < 0.2:
        values[chance.random(len(values)) < MISSING] = np.nan
    return values

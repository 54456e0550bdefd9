"""Faults as a technician knows them, injected into a healthy signal and labelled.

Sizes are multiples of the sensor's own normal variation (`scale` in signals.py), so that they mean the same for a
battery and a machine. They are what one would send somebody out for; no detector was asked.

| fault             | what happens                                               | size           | samples (at 5 min) |
|-------------------|------------------------------------------------------------|----------------|--------------------|
| spike             | a channel jumps away and back                              | 8-15 x scale   | 1-3 (5-15 min)     |
| level_shift       | a channel is off by a constant                             | 4-8 x scale    | 72-288 (6-24 h)    |
| drift             | a channel runs off steadily, until it is recalibrated      | to 6-10 x      | 216-360 (18-30 h)  |
| stuck             | one channel or all repeat their last value                 |                | 48-144 (4-12 h)    |
| noise_burst       | white noise on a channel, of this standard deviation       | 3-5 x scale    | 24-96 (2-8 h)      |
| frequency_change  | the cycles of a machine or vibration run faster or slower  | factor 1.6-2.4 | 144-288 (12-24 h)  |
| correlation_break | one of several channels shows what a twin of the sensor    |                | 72-216 (6-18 h)    |
|                   | does, half a day off: plausible alone, wrong with the rest |                |                    |
| silence           | no message comes                                           |                | 36-96 (3-8 h)      |

An offset against a physical limit (power below zero) would not show: it goes the way that has room.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_stream.simulate.signals import FASTEST, Array, Generator, Kind


@dataclass(frozen=True, slots=True)
class Fault:
    """One injected fault: `start` is the time of the first sample it touches, `end` that of the first healthy one.

    `magnitude` is signed and in multiples of the sensor's normal variation (at a drift's end: its largest); for
    frequency_change the factor on the pace; 0 where the fault has no size.
    """

    sensor: str
    kind: str
    start: float
    end: float
    channels: tuple[str, ...]
    magnitude: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A fault before it happens: rows [first, stop), the channels' columns, the size."""

    kind: str
    first: int
    stop: int
    columns: NDArray[np.intp]
    magnitude: float

    @property
    def rows(self) -> slice:
        """The samples it touches."""
        return slice(self.first, self.stop)


LENGTH = {
    "spike": (1, 3),
    "level_shift": (72, 288),
    "drift": (216, 360),
    "stuck": (48, 144),
    "noise_burst": (24, 96),
    "frequency_change": (144, 288),
    "correlation_break": (72, 216),
    "silence": (36, 96),
}  # samples, both included

SIZE = {
    "spike": (8.0, 15.0),
    "level_shift": (4.0, 8.0),
    "drift": (6.0, 10.0),
    "noise_burst": (3.0, 5.0),
    "frequency_change": (1.6, 2.4),
}

GAP = 144  # healthy samples between two faults of a sensor, at least

assert SIZE["frequency_change"][1] <= FASTEST


def plan(kind: Kind, samples: int, warmup: int, every: float, chance: Generator) -> list[Plan]:
    """The faults of one sensor in order: one in `every` samples on average, each kind in turn, none before `warmup`."""
    plans: list[Plan] = []
    deck: list[str] = []
    first = warmup + int(every * chance.random())
    while True:
        deck = deck or [str(name) for name in chance.permutation(np.array(kind.faults))]
        fault = _draw(kind, deck.pop(), first, chance)
        if fault.stop >= samples:
            return plans
        plans.append(fault)
        first = max(first + int(every * chance.uniform(0.6, 1.4)), fault.stop + GAP)


def _draw(kind: Kind, name: str, first: int, chance: Generator) -> Plan:
    shortest, longest = LENGTH[name]
    stop = first + int(chance.integers(shortest, longest + 1))
    size = chance.uniform(*SIZE[name]) if name in SIZE else 0.0
    down = chance.random() < 0.5
    if name == "frequency_change":
        size = 1 / size if down else size
    elif name != "noise_burst":
        size = -size if down else size
    one, whole = np.array([chance.integers(len(kind.channels))]), np.arange(len(kind.channels))
    everywhere = name in ("silence", "frequency_change") or (name == "stuck" and chance.random() < 0.5)
    return Plan(name, first, stop, whole if everywhere else one, float(size) + 0.0)


def pace(samples: int, plans: list[Plan]) -> Array:
    """(N,) how fast the cycles run under these faults: 1 wherever none changes the frequency."""
    rate = np.ones(samples)
    for fault in plans:
        if fault.kind == "frequency_change":
            rate[fault.rows] = fault.magnitude
    return rate


def inject(fault: Plan, values: Array, scale: Array, twin: Array, paced: Array, kind: Kind, chance: Generator) -> Plan:
    """Changes `values` (N, D) in the fault's rows and columns, in place; returns the fault as it came out.

    `twin` (N, D) is the same sensor elsewhere, `paced` (N, D) the sensor with the faults' pace. `silence` changes
    no value.
    """
    column, rows = fault.columns, fault.rows
    count = fault.stop - fault.first
    if fault.kind in ("spike", "level_shift"):
        fault = _with_room(fault, values, scale, kind)
        values[rows, column] += fault.magnitude * scale[column]
    elif fault.kind == "drift":
        fault = _with_room(fault, values, scale, kind)
        values[rows, column] += np.linspace(0, 1, count + 1)[1:, None] * fault.magnitude * scale[column]
    elif fault.kind == "stuck":
        values[rows, column] = values[fault.first - 1, column]
    elif fault.kind == "noise_burst":
        values[rows, column] += fault.magnitude * scale[column] * chance.standard_normal((count, 1))
    elif fault.kind == "frequency_change":
        values[rows] = paced[rows]
    elif fault.kind == "correlation_break":
        values[rows, column] = twin[rows, column]
    return fault


def _with_room(fault: Plan, values: Array, scale: Array, kind: Kind) -> Plan:
    """The fault with the other sign, if a physical limit would hide it and the other way has more room."""
    column = int(fault.columns[0])
    usual = float(np.median(values[fault.rows, column]))
    below, above = usual - kind.low[column], kind.high[column] - usual
    needed = abs(fault.magnitude) * float(scale[column])
    room, other = (above, below) if fault.magnitude > 0 else (below, above)
    if needed <= room or other <= room:
        return fault
    return Plan(fault.kind, fault.first, fault.stop, fault.columns, -fault.magnitude)

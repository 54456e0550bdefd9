"""`lstm-stream bench`: what the LSTM engine does on this machine, on one core, in some seconds.

Nothing but the engine is measured, with the default settings of a group: the network of a sensor with one channel, and
the rounds of retraining that the daemon would run. The comparison with other frameworks is in tests/benchmarks.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import llvmlite
import numba
import numpy as np
from numpy.typing import NDArray

from lstm_stream import __version__
from lstm_stream.config import Group
from lstm_stream.lstm import kernels, training
from lstm_stream.lstm.params import CELLS, Shape, initial
from lstm_stream.lstm.simd import WIDTH

HIDDEN = (16, 32, 64)
INPUTS, CHANNELS = 9, 1  # of a sensor with one channel, see detect/inputs.py
BATCH = 4096  # sensors that share their weights
WEIGHTS = 128 * 2**20  # bytes of weights of sensors that do not: more than the caches hold
MEASUREMENTS = 4  # of each size

F4 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured, and with what."""

    cpu: str
    cores: int
    vector_width: int  # float32 values in a register as the kernels use it
    python: str
    numpy: str
    numba: str
    llvmlite: str
    lstm_stream: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What one core does with networks of one size."""

    hidden: int
    one_step_us: float  # of one sensor alone, the call included
    shared_steps_per_s: float  # of a large batch of sensors that share their weights
    own_steps_per_s: float  # of many sensors with weights of their own
    rounds_per_s: float  # of retraining
    sensors_at_1_hz: int  # with weights of their own, one core for the steps and another for the retraining


def run_bench(args: argparse.Namespace) -> int:
    """The verb."""
    group = Group()
    each = args.seconds / (len(HIDDEN) * MEASUREMENTS)
    machine, figures = this_machine(), [measure(hidden, group, each) for hidden in HIDDEN]
    if args.json:
        print(json.dumps({"machine": asdict(machine), "figures": [asdict(one) for one in figures]}, indent=2))
    else:
        print(to_text(machine, figures, group))
    return 0


def this_machine() -> Machine:
    """What can be told of it."""
    return Machine(
        cpu_name(),
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        WIDTH,
        platform.python_version(),
        np.__version__,
        numba.__version__,
        llvmlite.__version__,
        __version__,
    )


def cpu_name() -> str:
    """The processor's model, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:  # no Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


# --- measuring


def measure(hidden: int, group: Group, seconds: float) -> Figures:
    """All figures of one size, each measured for that many seconds."""
    shape = Shape(INPUTS, hidden, CHANNELS, group.model.cell)
    flat = initial(shape, group.model.seed)
    one = median_time(_stepping(shape, flat[None], 1), seconds)
    shared = median_time(_stepping(shape, flat[None], BATCH), seconds) / BATCH
    sensors = WEIGHTS // flat.nbytes
    own = median_time(_stepping(shape, np.tile(flat, (sensors, 1)), sensors), seconds) / sensors
    training_round = median_time(_training(shape, flat, group), seconds)
    at_1_hz = min(1 / own, group.retraining.every / training_round)
    return Figures(hidden, one * 1e6, 1 / shared, 1 / own, 1 / training_round, int(at_1_hz))


def median_time(call: Callable[[], object], seconds: float) -> float:
    """The median time of a call, s; the first one, which may compile, does not count."""
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or times[-1] + time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _stepping(shape: Shape, weights: F4, sensors: int) -> Callable[[], object]:
    """One step of that many sensors; weights (S, P) or, shared, (1, P)."""
    rng = np.random.default_rng(0)
    slot = np.arange(sensors, dtype=np.int32)
    x = rng.standard_normal((sensors, shape.inputs), np.float32)
    state = np.zeros((sensors, 2 * shape.width), np.float32)
    forecast = np.zeros((sensors, shape.outputs), np.float32)
    code = CELLS[shape.cell].code
    return lambda: kernels.step_rows(code, shape.hidden, slot, weights, x, state, forecast)


def _training(shape: Shape, flat: F4, group: Group) -> Callable[[], object]:
    """One round of retraining of one sensor; every call begins with the same weights."""
    settings = group.retraining
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, settings.history, shape.inputs), np.float32)
    target = rng.standard_normal((1, settings.history, shape.outputs), np.float32)
    code, rate, clip = CELLS[shape.cell].code, settings.learning_rate, settings.clip
    return lambda: training.train(code, shape.hidden, flat.copy(), x, target, settings.epochs, rate, clip)


# --- saying it


def to_text(machine: Machine, figures: Sequence[Figures], group: Group) -> str:
    """A table, a column for each size."""
    settings = group.retraining
    rows = [
        ("hidden units", [f"{one.hidden}" for one in figures]),
        ("one sensor, one step, µs", [f"{one.one_step_us:.1f}" for one in figures]),
        ("steps a second, shared weights", [f"{one.shared_steps_per_s:,.0f}" for one in figures]),
        ("steps a second, weights of their own", [f"{one.own_steps_per_s:,.0f}" for one in figures]),
        ("rounds of retraining a second", [f"{one.rounds_per_s:,.1f}" for one in figures]),
        ("sensors at a sample a second", [f"{one.sensors_at_1_hz:,}" for one in figures]),
    ]
    return "\n".join(
        [
            f"lstm_stream {machine.lstm_stream} on {machine.cpu}, {machine.cores} cores",
            f"vectors of {machine.vector_width} float32; Numba {machine.numba}, Python {machine.python}; one core, "
            f"{group.model.cell} cell",
            "",
            *(f"{name:38}" + "".join(f"{value:>14}" for value in values) for name, values in rows),
            "",
            f"A round: {settings.epochs} passes over the last {settings.history} samples, every {settings.every} "
            "samples of a sensor. Sensors: with weights of their own,",
            "one core for their steps, another for their rounds. This is the LSTM alone: reading, scoring and deciding "
            "cost more.",
        ]
    )

"""The speed of the LSTM engine beside PyTorch, ONNX Runtime and NumPy, on one core of the machine at hand.

    python -m tests.benchmarks.engine                       some minutes; onnx and onnxruntime are used if installed
    python -m tests.benchmarks.engine --json FILE --plot FILE.png
    python -m tests.benchmarks.engine --only own training   some of the tables

All that stands in one row was measured in turn in one run, and computed the same: this is checked before.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from lstm_stream.bench import this_machine
from lstm_stream.lstm.params import CELLS
from tests.benchmarks import rivals, stopwatch
from tests.benchmarks.rivals import Step, Task
from tests.benchmarks.updates import UPDATES, engine_updates, torch_update

OURS, CELL, LSTM, ADDMM, COMPILE, ONNX, NUMPY = (
    "lstm_stream",
    "torch LSTMCell",
    "torch LSTM",
    "torch addmm",
    "torch.compile",
    "ONNX Runtime",
    "NumPy",
)
FACTS_GATES = 0.88e-9  # s a unit, measured elsewhere with AVX-512: for comparison only
SENSORS, MANY = 10_000, 1_000_000
SAME = 1e-5  # how far apart the results of one task may be


@dataclass(frozen=True)
class Goal:
    """What issue 3 asks for, of a machine with AVX-512."""

    what: str
    value: float
    goal: float
    at_most: bool = False

    @property
    def reached(self) -> bool:
        return self.value <= self.goal if self.at_most else self.value >= self.goal


@dataclass
class Row:
    """One task: seconds for one step of one sensor, or for one update."""

    name: str
    seconds: dict[str, float]
    floor: float | None = None
    goals: list[Goal] = field(default_factory=list)
    note: str = ""

    def ratio(self, other: str) -> float:
        """How many times as fast as that one this engine is."""
        return self.seconds[other] / self.seconds[OURS]


@dataclass
class Peaks:
    """What the machine can do, measured."""

    flops: float
    gates: float  # s a unit

    def floor(self, inputs: int, hidden: int) -> float:
        """The time that one step needs at least, s: its products at the peak, and then its gates."""
        return 2 * 4 * hidden * (inputs + hidden) / self.flops + hidden * self.gates


Table = tuple[str, str, float, list[Row]]  # name, unit, how many of it a second has, rows


def compare(steps: Mapping[str, Step], per: float, rounds: int = stopwatch.ROUNDS) -> dict[str, float]:
    """Seconds by name, divided by `per`; raises AssertionError where the first results differ."""
    expected = steps[OURS]().copy()
    for name, step in steps.items():
        if name != OURS:
            np.testing.assert_allclose(step(), expected, atol=SAME, err_msg=name)
    return {name: seconds / per for name, seconds in stopwatch.interleaved(steps, rounds).items()}


def others(task: Task, which: Sequence[str]) -> dict[str, Step]:
    """The rivals that are installed, of those."""
    makers = {
        CELL: rivals.torch_cell,
        LSTM: rivals.torch_lstm,
        ADDMM: rivals.torch_addmm,
        COMPILE: rivals.torch_compile,
        ONNX: rivals.onnx,
        NUMPY: rivals.numpy_step,
    }
    return {name: makers[name](task) for name in which if name != ONNX or rivals.onnxruntime is not None}


# --- the tables


def shared_weights(peaks: Peaks) -> Table:
    rows = []
    for inputs, hidden, batch in ((4, 32, 4096), (1, 16, 256), (8, 64, 256), (16, 128, 256), (4, 32, 1)):
        task = Task.of(inputs, hidden, batch)
        steps = {OURS: rivals.engine_step(task)} | others(task, (CELL, LSTM, ADDMM, COMPILE, ONNX, NUMPY))
        row = Row(f"I={inputs} H={hidden} B={batch}", compare(steps, batch))
        row.floor = peaks.floor(inputs, hidden) if batch > 1 else None
        row.goals = _step_goals(row, hidden, batch)
        rows.append(row)
    return "One step, shared weights", "ns a sensor", 1e9, rows


def _step_goals(row: Row, hidden: int, batch: int) -> list[Goal]:
    cell = row.ratio(CELL)
    if batch == 4096:
        best = min(row.ratio(name) for name in row.seconds if name not in (OURS, CELL, NUMPY, ADDMM))
        share = row.floor / row.seconds[OURS] if row.floor else 0.0
        return [Goal("LSTMCell", cell, 4), Goal("best of the others", best, 2.5), Goal("of the floor", share, 0.8)]
    if batch == 1:
        return [Goal("LSTMCell", cell, 25), Goal("µs", row.seconds[OURS] * 1e6, 0.7, at_most=True)]
    return [Goal("LSTMCell", cell, {16: 10.0, 64: 2.2}[hidden])] if hidden in (16, 64) else []


def sequences(peaks: Peaks) -> Table:
    rows = []
    for hidden in (16, 32, 64):
        task = Task.of(4, hidden, 1, steps=256)
        steps = {OURS: rivals.engine_sequence(task)} | others(task, (LSTM, ONNX))
        rows.append(Row(f"I=4 H={hidden} T=256", compare(steps, 256), peaks.floor(4, hidden)))
    return "Consecutive steps of one sensor", "ns a step", 1e9, rows


def many_rows(peaks: Peaks) -> Table:
    task = Task.of(4, 32, MANY)
    order = np.random.default_rng(1).permutation(MANY).astype(np.int32)
    random = rivals.engine_step(task, order)
    row = Row("H=32, random rows", compare({OURS: random, CELL: rivals.torch_random_rows(task, order)}, MANY, rounds=3))
    times = stopwatch.interleaved({"in order": rivals.engine_step(task), OURS: random}, rounds=5)
    row.seconds[OURS], row.floor = times[OURS] / MANY, peaks.floor(4, 32)
    row.goals = [Goal("the time of rows in order", times[OURS] / times["in order"], 1.7, at_most=True)]
    ordered = Row("H=32, rows in order", {OURS: times["in order"] / MANY}, row.floor)
    return "One step of a million sensors", "ns a sensor", 1e9, [ordered, row]


def own_weights(_: Peaks) -> Table:
    """The floor is the time in which the weights, states and inputs can be read, measured beside."""
    task = Task.of(4, 32, SENSORS)
    size, reading = task.flat.nbytes + 4 * (2 * 32 + 4), stopwatch.Reading()
    steps = {OURS: rivals.engine_step(task, own=True), "torch bmm": rivals.torch_bmm(task)}
    compare(steps, SENSORS, rounds=1)
    times = stopwatch.interleaved({**steps, "reading": reading})
    bandwidth = reading.size / times.pop("reading")
    row = Row(f"I=4 H=32, {SENSORS} sensors", {name: seconds / SENSORS for name, seconds in times.items()})
    row.floor, rate = size / bandwidth, size / row.seconds[OURS]
    row.note = f"{rate / 1e9:.1f} of {bandwidth / 1e9:.1f} GB/s"
    row.goals = [Goal("of the bandwidth", rate / bandwidth, 0.85), Goal("torch bmm", row.ratio("torch bmm"), 2)]
    return "One step, weights of their own", "ns a sensor", 1e9, [row]


def training(_: Peaks) -> Table:
    rows = []
    for batch, hidden, goal in ((1, 16, None), (1, 32, 28), (32, 32, 4), (1, 64, None)):
        task = Task.of(1, hidden, batch, steps=64)
        np.testing.assert_allclose(engine_updates(task, 1)(), torch_update(task)(), rtol=1e-4)
        calls = {OURS: engine_updates(task), "torch fused Adam": torch_update(task)}
        times = stopwatch.interleaved(calls)
        times[OURS] /= UPDATES
        row = Row(f"T=64 B={batch} I=1 H={hidden}", times)
        row.goals = [Goal("torch fused Adam", row.ratio("torch fused Adam"), goal)] if goal else []
        rows.append(row)
    return "One update of training", "µs", 1e6, rows


def cells(_: Peaks) -> Table:
    """The time of every cell; the ratio to be kept is that to the standard one."""
    tasks: dict[str, tuple[Callable[[str], stopwatch.Call], float]] = {
        "step, I=4 H=32 B=4096": (lambda cell: rivals.engine_step(Task.of(4, 32, 4096, cell=cell)), 4096),
        "step, I=4 H=32 B=1": (lambda cell: rivals.engine_step(Task.of(4, 32, 1, cell=cell)), 1),
        "update, T=64 B=1 I=1 H=32": (lambda cell: engine_updates(Task.of(1, 32, 1, 64, cell)), UPDATES),
    }
    rows = []
    for name, (make, per) in tasks.items():
        times = stopwatch.interleaved({cell: make(cell) for cell in CELLS})
        row = Row(name, {cell: seconds / per for cell, seconds in times.items()})
        slowest = max(row.seconds.values()) / row.seconds["standard"]
        row.goals = [Goal("standard, the slowest", slowest, 1.5, at_most=True)]
        rows.append(row)
    return "The cells", "ns", 1e9, rows


TABLES = {
    "shared": shared_weights,
    "sequences": sequences,
    "rows": many_rows,
    "own": own_weights,
    "training": training,
    "cells": cells,
}


# --- saying it


def to_text(table: Table) -> str:
    """A column for each rival, with how many times its time is ours."""
    title, unit, scale, rows = table
    names = list(dict.fromkeys(name for row in rows for name in row.seconds))
    lines = [f"{title}, {unit}", f"{'':27}" + "".join(f"{name:>18}" for name in names) + f"{'floor':>10}"]
    for row in rows:
        times = [_number(row.seconds.get(name), scale) + _times(row, name) for name in names]
        floor = f"{_number(row.floor, scale):>10}" if row.floor else ""
        lines.append(f"{row.name:27}" + "".join(f"{value:>18}" for value in times) + f"{floor}  {row.note}".rstrip())
    for row in rows:
        for goal in row.goals:
            told, sign = "reached" if goal.reached else "MISSED", "at most" if goal.at_most else "at least"
            lines.append(f"  {row.name}: {goal.value:.2f} x {goal.what}, asked {sign} {goal.goal:g}: {told}")
    return "\n".join(lines)


def _number(value: float | None, scale: float) -> str:
    return "" if value is None else f"{value * scale:,.0f}" if value * scale >= 100 else f"{value * scale:.1f}"


def _times(row: Row, name: str) -> str:
    if name == OURS or name not in row.seconds or OURS not in row.seconds:
        return ""
    return f" {f'({row.ratio(name):.1f}x)':>8}"


def to_json(tables: Sequence[Table], peaks: Peaks) -> str:
    versions = {"torch": torch.__version__, "onnxruntime": getattr(rivals.onnxruntime, "__version__", None)}
    return json.dumps(
        {
            "machine": asdict(this_machine()) | versions,
            "peaks": asdict(peaks) | {"gates_elsewhere": FACTS_GATES},
            "tables": [
                {"title": title, "unit": unit, "rows": [_row_json(row) for row in rows]}
                for title, unit, _, rows in tables
            ],
        },
        indent=1,
    )


def _row_json(row: Row) -> dict[str, object]:
    ratios = {name: row.ratio(name) for name in row.seconds} if OURS in row.seconds else {}
    goals = [asdict(goal) | {"reached": goal.reached} for goal in row.goals]
    return asdict(row) | {"ratios": ratios, "goals": goals}


def heading(peaks: Peaks) -> str:
    machine = this_machine()
    onnx = "not installed" if rivals.onnxruntime is None else rivals.onnxruntime.__version__
    return (
        f"{machine.cpu}, vectors of {machine.vector_width} float32, one thread; best of {stopwatch.ROUNDS}\n"
        f"lstm_stream {machine.lstm_stream}, Numba {machine.numba}, NumPy {machine.numpy}, torch {torch.__version__}, "
        f"ONNX Runtime {onnx}\n"
        f"sgemm {peaks.flops / 1e9:.0f} GFLOP/s; gates {peaks.gates * 1e9:.2f} ns a unit "
        f"(elsewhere, AVX-512: {FACTS_GATES * 1e9:.2f})"
    )


def main() -> None:
    stopwatch.on_one_thread("tests.benchmarks.engine")
    parser = argparse.ArgumentParser(description="The engine's speed beside other frameworks.")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES), help="default: all tables")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a picture; needs matplotlib")
    args = parser.parse_args()
    if args.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("argument --plot: matplotlib is not installed")
    torch.set_num_threads(1)
    peaks = Peaks(stopwatch.sgemm_peak(), stopwatch.gate_floor())
    print(heading(peaks), flush=True)
    tables = []
    for name in args.only:
        with torch.inference_mode(name != "training"):
            tables.append(TABLES[name](peaks))
        print("\n" + to_text(tables[-1]), flush=True)
    if args.json:
        args.json.write_text(to_json(tables, peaks) + "\n")
    if args.plot:
        from tests.benchmarks.pictures import draw_speed

        draw_speed(tables, heading(peaks), args.plot)


if __name__ == "__main__":
    main()

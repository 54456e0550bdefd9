"""What the tests of the mathematics share: an oracle too dumb to be wrong, the registry of implementations, problems.

A new cell or kernel is registered once, in FORWARDS or GRADIENTS, and every test of its kind then runs on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from lstm_stream.lstm import cell, kernels, training
from lstm_stream.lstm.params import Shape, views

Floats = NDArray[np.floating]
Numbers = list[float]

# (inputs, hidden, outputs), batch: around the lengths of vectors (4, 8, 16, 32), below and above.
CASES = [
    (Shape(1, 1, 1), 1),
    (Shape(2, 3, 1), 2),
    (Shape(3, 7, 2), 5),
    (Shape(4, 8, 4), 4),
    (Shape(5, 15, 3), 7),
    (Shape(9, 16, 1), 3),
    (Shape(6, 17, 4), 2),
    (Shape(7, 31, 2), 1),
    (Shape(8, 32, 3), 6),
    (Shape(9, 33, 4), 2),
]


@dataclass(frozen=True)
class Problem:
    """B sequences of T steps with random parameters; float64."""

    shape: Shape
    flat: Floats  # (P,)
    x: Floats  # (B, T, I)
    target: Floats  # (B, T, D) some NaN
    state: Floats  # (B, 2H) rows [h | c]

    def as_float32(self) -> Problem:
        """The same, rounded, so that float32 and float64 start from the same numbers."""
        arrays = {name: getattr(self, name).astype(np.float32) for name in ("flat", "x", "target", "state")}
        return replace(self, **arrays)


def make_problem(shape: Shape, batch: int, steps: int, seed: int = 0) -> Problem:
    rng = np.random.default_rng(seed)
    target = 2 * rng.standard_normal((batch, steps, shape.outputs))  # beyond and within Huber's delta of 1
    target[rng.random(target.shape) < 0.2] = np.nan
    return Problem(
        shape,
        rng.uniform(-0.8, 0.8, shape.size) / np.sqrt(max(shape.hidden, 4)) * 2,
        rng.standard_normal((batch, steps, shape.inputs)),
        target,
        0.5 * rng.standard_normal((batch, 2 * shape.hidden)),
    )


@pytest.fixture(params=CASES, ids=lambda case: "x".join(map(str, (*case[0], case[1]))))
def problem(request: pytest.FixtureRequest) -> Problem:
    """A few steps of every shape."""
    shape, batch = request.param
    return make_problem(shape, batch, steps=5).as_float32()


@pytest.fixture
def problem_of() -> Callable[..., Problem]:
    """`problem_of(shape, batch, steps, seed=0)`."""
    return make_problem


# --- tier one: scalar loops


class Scalars(NamedTuple):
    """The parameters as lists of Python floats."""

    wx: list[Numbers]
    wh: list[Numbers]
    b: Numbers
    vh: list[Numbers]
    vx: list[Numbers]
    vb: Numbers


def scalars(flat: Floats, shape: Shape) -> Scalars:
    """Cut by hand: the order is wx, wh, b, vh, vx, vb, row after row."""
    i, h, d = shape
    rest = [float(v) for v in flat]

    def take(rows: int, columns: int) -> list[Numbers]:
        return [[rest.pop(0) for _ in range(columns)] for _ in range(rows)]

    parts = [take(i, 4 * h), take(h, 4 * h), take(1, 4 * h), take(h, d), take(i, d), take(1, d)]
    assert not rest
    return Scalars(parts[0], parts[1], parts[2][0], parts[3], parts[4], parts[5][0])


def logistic(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def scalar_step(p: Scalars, x: Numbers, h: Numbers, c: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """One step of one row: forecast, h, c."""
    hidden = len(h)

    def before_gate(gate: int, j: int) -> float:
        column = gate * hidden + j
        total = p.b[column]
        for k in range(len(x)):
            total += x[k] * p.wx[k][column]
        for k in range(hidden):
            total += h[k] * p.wh[k][column]
        return total

    new_h, new_c = [], []
    for j in range(hidden):
        i, f = logistic(before_gate(0, j)), logistic(before_gate(1, j))
        g, o = math.tanh(before_gate(2, j)), logistic(before_gate(3, j))
        new_c.append(f * c[j] + i * g)
        new_h.append(o * math.tanh(new_c[j]))
    y = []
    for j in range(len(p.vb)):
        total = p.vb[j]
        for k in range(hidden):
            total += new_h[k] * p.vh[k][j]
        for k in range(len(x)):
            total += x[k] * p.vx[k][j]
        y.append(total)
    return y, new_h, new_c


def oracle_forward(problem: Problem) -> tuple[Floats, Floats]:
    """Forecasts (B, T, D) and the last state (B, 2H)."""
    p, hidden = scalars(problem.flat, problem.shape), problem.shape.hidden
    forecasts, states = [], []
    for row in range(len(problem.x)):
        state = [float(v) for v in problem.state[row]]
        h, c = state[:hidden], state[hidden:]
        forecasts.append([])
        for x in problem.x[row]:
            y, h, c = scalar_step(p, [float(v) for v in x], h, c)
            forecasts[-1].append(y)
        states.append(h + c)
    return np.array(forecasts), np.array(states)


def oracle_loss(problem: Problem) -> float:
    """The mean Huber loss over the targets that are present."""
    forecasts, _ = oracle_forward(problem)
    total, present = 0.0, 0
    for forecast, target in zip(forecasts.ravel(), problem.target.ravel(), strict=True):
        if not math.isnan(target):
            error = abs(float(forecast) - float(target))
            total += 0.5 * error**2 if error <= 1 else error - 0.5
            present += 1
    return total / present if present else 0.0


@pytest.fixture
def oracle() -> Callable[[Problem], tuple[Floats, Floats]]:
    return oracle_forward


@pytest.fixture
def loss_oracle() -> Callable[[Problem], float]:
    return oracle_loss


# --- tiers two and three, registered


@dataclass(frozen=True)
class Forward:
    """`run(problem)` -> forecasts (B, T, D), last state (B, 2H)."""

    name: str
    run: Callable[[Problem], tuple[Floats, Floats]]
    tolerance: float


@dataclass(frozen=True)
class Gradient:
    """`run(problem)` -> mean loss, its gradient (P,), last state (B, 2H)."""

    name: str
    run: Callable[[Problem], tuple[float, Floats, Floats]]
    tolerance: float  # relative L2


def cell_forward(problem: Problem) -> tuple[Floats, Floats]:
    p = views(problem.flat.astype(np.float64), problem.shape)
    h, c = np.split(problem.state.astype(np.float64), 2, axis=1)
    forecasts = []
    for t in range(problem.x.shape[1]):
        x = problem.x[:, t].astype(np.float64)
        step = cell.forward(p, x, h, c)
        h, c = step.h, step.c
        forecasts.append(cell.forecast(p, x, h))
    return np.stack(forecasts, axis=1), np.concatenate((h, c), axis=1)


def step_rows_forward(problem: Problem, shared: bool) -> tuple[Floats, Floats]:
    """Rows of a larger fleet, in another order than the batch."""
    q = problem.as_float32()
    batch, steps, _ = q.x.shape
    slot = np.arange(batch, dtype=np.int32)[::-1] * 2 + 1
    weights = q.flat[None] if shared else np.full((2 * batch + 1, len(q.flat)), np.nan, np.float32)
    state = np.zeros((2 * batch + 1, q.state.shape[1]), np.float32)
    state[slot] = q.state
    if not shared:
        weights[slot] = q.flat
    forecast = np.zeros((2 * batch + 1, q.shape.outputs), np.float32)
    forecasts = np.empty((batch, steps, q.shape.outputs), np.float32)
    for t in range(steps):
        kernels.step_rows(slot, weights, np.ascontiguousarray(q.x[:, t]), state, forecast)
        forecasts[:, t] = forecast[slot]
    others = np.setdiff1d(np.arange(2 * batch + 1), slot)
    assert not state[others].any(), "a row that is not in the batch was stepped"
    return forecasts, state[slot]


def run_sequence_forward(problem: Problem) -> tuple[Floats, Floats]:
    q = problem.as_float32()
    state = q.state.copy()
    forecasts = np.empty((*q.x.shape[:2], q.shape.outputs), np.float32)
    for row in range(len(q.x)):
        kernels.run_sequence(q.flat, q.x[row], state[row], forecasts[row])
    return forecasts, state


FORWARDS = [
    Forward("cell", cell_forward, 1e-12),
    Forward("step_rows-own", lambda problem: step_rows_forward(problem, shared=False), 3e-6),
    Forward("step_rows-shared", lambda problem: step_rows_forward(problem, shared=True), 3e-6),
    Forward("run_sequence", run_sequence_forward, 3e-6),
]


def cell_gradient(problem: Problem) -> tuple[float, Floats, Floats]:
    flat = problem.flat.astype(np.float64)
    grad = np.zeros_like(flat)
    h, c = np.split(problem.state.astype(np.float64), 2, axis=1)
    x, target = (np.swapaxes(a.astype(np.float64), 0, 1) for a in (problem.x, problem.target))
    loss, h, c = cell.sequence_gradient(views(flat, problem.shape), x, target, h, c, views(grad, problem.shape))
    return loss, grad, np.concatenate((h, c), axis=1)


def segment_gradient(problem: Problem) -> tuple[float, Floats, Floats]:
    q = problem.as_float32()
    state, grad = q.state.copy(), np.full_like(q.flat, 7.0)  # overwritten, whatever it holds
    loss = training.segment_gradient(q.flat, q.x, q.target, state, grad)
    return loss, grad, state


GRADIENTS = [Gradient("cell", cell_gradient, 1e-12), Gradient("segment_gradient", segment_gradient, 1e-5)]


@pytest.fixture(params=FORWARDS, ids=lambda each: each.name)
def forward(request: pytest.FixtureRequest) -> Forward:
    """Every implementation of the forward pass in turn."""
    return request.param


@pytest.fixture(params=GRADIENTS, ids=lambda each: each.name)
def gradient(request: pytest.FixtureRequest) -> Gradient:
    """Every implementation of backpropagation through time in turn."""
    return request.param


@pytest.fixture
def reference_gradient() -> Callable[[Problem], tuple[float, Floats, Floats]]:
    """The gradient of the NumPy cell."""
    return cell_gradient

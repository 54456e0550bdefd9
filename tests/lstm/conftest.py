"""What the tests of the mathematics share: an oracle too dumb to be wrong, the registry of implementations, problems.

A new cell is one function of one unit here, in UNITS; a new kernel is one line in FORWARDS or GRADIENTS. Every test
then runs over it.
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
from lstm_stream.lstm.params import CELLS, Parameters, Shape, pack, zeros

Floats = NDArray[np.floating]
Numbers = list[float]

# (inputs, hidden, outputs), batch: around the lengths of vectors (4, 8, 16, 32) and of tiles, below and above.
CASES = [
    ((1, 1, 1), 1),
    ((2, 3, 1), 2),
    ((3, 7, 2), 5),
    ((4, 8, 4), 4),
    ((5, 15, 3), 7),
    ((9, 16, 1), 3),
    ((6, 17, 4), 2),
    ((7, 31, 2), 1),
    ((8, 32, 3), 11),
    ((9, 33, 4), 2),
]

# The gates, of i f g o, for which a cell does not read these parameters.
UNREAD = {"peephole": [("extra", 2)], "coupled": [("wx", 0), ("wh", 0), ("b", 0)], "elysium": [("wx", 2)]}


@dataclass(frozen=True)
class Problem:
    """B sequences of T steps with random parameters; float64."""

    shape: Shape
    p: Parameters  # plain matrices
    x: Floats  # (B, T, I)
    target: Floats  # (B, T, D) some NaN
    h: Floats  # (B, H)
    c: Floats  # (B, H)

    @property
    def flat(self) -> Floats:
        """The parameters as the kernels take them, (P,)."""
        return pack(self.p, self.shape)

    @property
    def state(self) -> Floats:
        """The state as the kernels take it: rows [h | c] (B, 2W), filled up with zeros."""
        fill = ((0, 0), (0, self.shape.width - self.shape.hidden))
        return np.concatenate((np.pad(self.h, fill), np.pad(self.c, fill)), axis=1)

    @property
    def unread(self) -> NDArray[np.bool_]:
        """Which places of a parameter vector mean nothing to the cell, (P,)."""
        ones = Parameters(*(np.ones_like(part) for part in zeros(self.shape)))
        for name, gate in UNREAD.get(self.shape.cell, []):
            getattr(ones, name).reshape(-1, 4, self.shape.hidden)[:, gate] = 0
        return pack(ones, self.shape) == 0

    def astype(self, dtype: type) -> Problem:
        """The same numbers, rounded: in float32 and back, implementations of either precision start from the same."""
        arrays = {name: getattr(self, name).astype(dtype) for name in ("x", "target", "h", "c")}
        return replace(self, p=Parameters(*(part.astype(dtype) for part in self.p)), **arrays)

    def rows(self, which: list[int] | slice) -> Problem:
        """Some of its sequences."""
        return replace(self, **{name: getattr(self, name)[which] for name in ("x", "target", "h", "c")})

    def steps(self, which: slice) -> Problem:
        """Some of its steps."""
        return replace(self, x=self.x[:, which], target=self.target[:, which])


def make_problem(shape: Shape, batch: int, steps: int, seed: int = 0) -> Problem:
    """Random numbers in all parameters, but for those that the cell holds at zero; rounded to float32."""
    rng = np.random.default_rng(seed)
    size = 1.6 / np.sqrt(max(shape.hidden, 4))
    p = Parameters(*(rng.uniform(-size, size, part.shape) for part in zeros(shape)))
    if shape.cell == "elysium":
        p.wx[:, 2 * shape.hidden : 3 * shape.hidden] = 0
    target = 2 * rng.standard_normal((batch, steps, shape.outputs))  # beyond and within Huber's delta of 1
    target[rng.random(target.shape) < 0.2] = np.nan
    h, c = 0.5 * rng.standard_normal((2, batch, shape.hidden))
    problem = Problem(shape, p, rng.standard_normal((batch, steps, shape.inputs)), target, h, c)
    return problem.astype(np.float32).astype(np.float64)


def split_state(state: Floats, shape: Shape) -> tuple[Floats, Floats]:
    """h, c (B, H) of a kernel's rows (B, 2W), whose padding must be zero, whatever was computed."""
    h, c = np.split(state, 2, axis=1)
    assert not h[:, shape.hidden :].any(), "a unit that does not exist has an h"
    assert not c[:, shape.hidden :].any(), "a unit that does not exist has a c"
    return h[:, : shape.hidden], c[:, : shape.hidden]


@pytest.fixture(params=list(CELLS))
def cell_name(request: pytest.FixtureRequest) -> str:
    """Every cell in turn."""
    return request.param


@pytest.fixture(params=CASES, ids=lambda case: "x".join(map(str, (*case[0], case[1]))))
def problem(request: pytest.FixtureRequest, cell_name: str) -> Problem:
    """A few steps of every shape and cell."""
    sizes, batch = request.param
    return make_problem(Shape(*sizes, cell_name), batch, steps=5)


@pytest.fixture(scope="session")
def problem_of() -> Callable[..., Problem]:
    """`problem_of(shape, batch, steps, seed=0)`."""
    return make_problem


# --- tier one: scalar loops, on plain matrices


class Unit(NamedTuple):
    """What one hidden unit sees at one step, as Python floats; gates in the order i f g o."""

    s: Numbers  # bias + inputs + hidden units, for each gate
    without_x: Numbers  # bias + hidden units
    extra: list[Numbers]  # (E, 4)
    x: Numbers  # (I,)
    c: float  # before the step


def logistic(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def standard(u: Unit) -> tuple[float, float]:
    """The output gate and the new cell state, as of all cells."""
    c = logistic(u.s[1]) * u.c + logistic(u.s[0]) * math.tanh(u.s[2])
    return logistic(u.s[3]), c


def peephole(u: Unit) -> tuple[float, float]:
    (p,) = u.extra
    c = logistic(u.s[1] + p[1] * u.c) * u.c + logistic(u.s[0] + p[0] * u.c) * math.tanh(u.s[2])
    return logistic(u.s[3] + p[3] * c), c


def coupled(u: Unit) -> tuple[float, float]:
    f = logistic(u.s[1])
    return logistic(u.s[3]), f * u.c + (1 - f) * math.tanh(u.s[2])


def elysium(u: Unit) -> tuple[float, float]:
    return standard(u._replace(s=[u.s[0], u.s[1], u.without_x[2], u.s[3]]))


def ltms(u: Unit) -> tuple[float, float]:
    tau, changed = u.x[-1], []
    for gate in range(4):
        scale = u.extra[0][gate]
        for k in range(len(u.x)):
            scale += u.x[k] * u.extra[1 + k][gate]
        changed.append(u.s[gate] * (1 + tau * scale))
    return standard(u._replace(s=changed))


UNITS: dict[str, Callable[[Unit], tuple[float, float]]] = {
    "standard": standard,
    "peephole": peephole,
    "coupled": coupled,
    "elysium": elysium,
    "ltms": ltms,
}


def scalar_step(name: str, p: list, x: Numbers, h: Numbers, c: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """One step of one row: forecast, h, c; `p` are the plain matrices as lists."""
    wx, wh, b, extra, vh, vx, vb = p
    hidden, new_h, new_c = len(h), [], []
    for j in range(hidden):
        columns = [gate * hidden + j for gate in range(4)]
        without_x, s = [], []
        for column in columns:
            total = b[column]
            for k in range(hidden):
                total += h[k] * wh[k][column]
            without_x.append(total)
            for k in range(len(x)):
                total += x[k] * wx[k][column]
            s.append(total)
        unit = Unit(s, without_x, [[row[column] for column in columns] for row in extra], x, c[j])
        o, after = UNITS[name](unit)
        new_c.append(after)
        new_h.append(o * math.tanh(after))
    y = []
    for d in range(len(vb)):
        total = vb[d]
        for k in range(hidden):
            total += new_h[k] * vh[k][d]
        for k in range(len(x)):
            total += x[k] * vx[k][d]
        y.append(total)
    return y, new_h, new_c


Run = tuple[Floats, Floats, Floats]  # forecasts (B, T, D), the last h and c (B, H)


def oracle_forward(problem: Problem) -> Run:
    p = [part.tolist() for part in problem.p]
    forecasts = np.empty((*problem.x.shape[:2], problem.shape.outputs))
    last_h, last_c = np.empty_like(problem.h), np.empty_like(problem.c)
    for row, sequence in enumerate(problem.x.tolist()):
        h, c = problem.h[row].tolist(), problem.c[row].tolist()
        for t, x in enumerate(sequence):
            y, h, c = scalar_step(problem.shape.cell, p, x, h, c)
            forecasts[row, t] = y
        last_h[row], last_c[row] = h, c
    return forecasts, last_h, last_c


def oracle_loss(problem: Problem) -> float:
    """The mean Huber loss over the targets that are present."""
    forecasts, _, _ = oracle_forward(problem)
    total, present = 0.0, 0
    for forecast, target in zip(forecasts.ravel().tolist(), problem.target.ravel().tolist(), strict=True):
        if not math.isnan(target):
            error = abs(forecast - target)
            total += 0.5 * error**2 if error <= 1 else error - 0.5
            present += 1
    return total / present if present else 0.0


@pytest.fixture(scope="session")
def oracle() -> Callable[[Problem], Run]:
    return oracle_forward


@pytest.fixture(scope="session")
def loss_oracle() -> Callable[[Problem], float]:
    return oracle_loss


# --- tiers two and three, registered


@dataclass(frozen=True)
class Forward:
    """`run(problem)` -> forecasts (B, T, D), the last h and c (B, H)."""

    name: str
    run: Callable[[Problem], Run]
    tolerance: float


@dataclass(frozen=True)
class Gradient:
    """`run(problem)` -> mean loss, its gradient (P,), the last h and c (B, H)."""

    name: str
    run: Callable[[Problem], tuple[float, Floats, Floats, Floats]]
    tolerance: float  # relative L2


def cell_forward(problem: Problem) -> Run:
    q, forecasts = problem.astype(np.float64), []
    h, c = q.h, q.c
    for x in np.swapaxes(q.x, 0, 1):
        gates = cell.forward(q.shape.cell, q.p, x, h, c).gates
        h, c = gates.h, gates.c
        forecasts.append(cell.forecast(q.p, x, h))
    return np.stack(forecasts, axis=1), h, c


def step_rows_forward(problem: Problem, shared: bool) -> Run:
    """Rows of a larger fleet, in another order than the batch."""
    q = problem.astype(np.float32)
    batch, steps, _ = q.x.shape
    slot = np.ascontiguousarray(np.arange(batch, dtype=np.int32)[::-1] * 2 + 1)
    weights = q.flat[None] if shared else np.full((2 * batch + 1, q.shape.size), np.nan, np.float32)
    state = np.zeros((2 * batch + 1, 2 * q.shape.width), np.float32)
    state[slot] = q.state
    if not shared:
        weights[slot] = q.flat
    forecast = np.zeros((2 * batch + 1, q.shape.outputs), np.float32)
    forecasts = np.empty((batch, steps, q.shape.outputs), np.float32)
    code = CELLS[q.shape.cell].code
    for t in range(steps):
        kernels.step_rows(code, q.shape.hidden, slot, weights, np.ascontiguousarray(q.x[:, t]), state, forecast)
        forecasts[:, t] = forecast[slot]
    others = np.setdiff1d(np.arange(2 * batch + 1), slot)
    assert not state[others].any(), "a row that is not in the batch was stepped"
    assert not forecast[others].any(), "a row that is not in the batch was forecast"
    return (forecasts, *split_state(state[slot], q.shape))


def run_sequence_forward(problem: Problem) -> Run:
    q = problem.astype(np.float32)
    flat, state, x = q.flat, q.state, np.ascontiguousarray(q.x)
    forecasts = np.empty((*x.shape[:2], q.shape.outputs), np.float32)
    for row in range(len(x)):
        kernels.run_sequence(CELLS[q.shape.cell].code, q.shape.hidden, flat, x[row], state[row], forecasts[row])
    return (forecasts, *split_state(state, q.shape))


FORWARDS = [
    Forward("cell", cell_forward, 1e-12),
    Forward("step_rows-own", lambda problem: step_rows_forward(problem, shared=False), 3e-6),
    Forward("step_rows-shared", lambda problem: step_rows_forward(problem, shared=True), 3e-6),
    Forward("run_sequence", run_sequence_forward, 3e-6),
]


def cell_gradient(problem: Problem) -> tuple[float, Floats, Floats, Floats]:
    q = problem.astype(np.float64)
    grad, x, target = zeros(q.shape), np.swapaxes(q.x, 0, 1), np.swapaxes(q.target, 0, 1)
    loss, h, c = cell.sequence_gradient(q.shape.cell, q.p, x, target, q.h, q.c, grad)
    return loss, pack(grad, q.shape), h, c


def strided(array: Floats) -> Floats:
    """The same as part of a larger array, as a segment is in training: another type for Numba."""
    return np.pad(array, ((0, 0), (0, 0), (0, 1)))[:, :, :-1]


def segment_gradient(problem: Problem) -> tuple[float, Floats, Floats, Floats]:
    q = problem.astype(np.float32)
    x, target = strided(q.x), strided(q.target)
    flat, state, grad = q.flat, q.state, np.full(q.shape.size, 7.0, np.float32)  # overwritten, whatever it holds
    loss = training.segment_gradient(CELLS[q.shape.cell].code, q.shape.hidden, flat, x, target, state, grad)
    return (loss, grad, *split_state(state, q.shape))


GRADIENTS = [Gradient("cell", cell_gradient, 1e-12), Gradient("segment_gradient", segment_gradient, 1e-5)]


@pytest.fixture(params=FORWARDS, ids=lambda each: each.name)
def forward(request: pytest.FixtureRequest) -> Forward:
    """Every implementation of the forward pass in turn."""
    return request.param


@pytest.fixture(params=GRADIENTS, ids=lambda each: each.name)
def gradient(request: pytest.FixtureRequest) -> Gradient:
    """Every implementation of backpropagation through time in turn."""
    return request.param


@pytest.fixture(params=FORWARDS[1:], ids=lambda each: each.name)
def kernel(request: pytest.FixtureRequest) -> Forward:
    """Every implementation of the forward pass but the reference."""
    return request.param


@pytest.fixture(params=GRADIENTS[1:], ids=lambda each: each.name)
def gradient_kernel(request: pytest.FixtureRequest) -> Gradient:
    """Every implementation of backpropagation through time but the reference."""
    return request.param


@pytest.fixture(scope="session")
def reference() -> Callable[[Problem], Run]:
    """The forward pass of the NumPy cell."""
    return cell_forward


@pytest.fixture(scope="session")
def reference_gradient() -> Callable[[Problem], tuple[float, Floats, Floats, Floats]]:
    """The gradient of the NumPy cell."""
    return cell_gradient

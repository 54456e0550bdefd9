"""The cells are torch.nn.LSTM, or an independent one in PyTorch, with a linear head; their gradient is autograd's."""

from __future__ import annotations

import functools
import os

import numpy as np
import pytest

from lstm_stream.lstm.params import CELLS, Parameters, Shape, pack

if os.environ.get("CI", "").lower() in ("", "0", "false"):
    torch = pytest.importorskip("torch")
else:
    import torch  # CI must not skip this

SIZES = [(3, 7, 2), (6, 33, 4)]
# sizes, batch, steps: hidden units from 1 to 128, batches from 1 to 300, with and without a tail
GRADIENTS = [
    ((1, 1, 1), 1, 64),
    ((3, 7, 2), 3, 64),
    ((9, 16, 1), 1, 64),
    ((6, 33, 4), 5, 64),
    ((2, 65, 1), 17, 24),
    ((12, 100, 3), 2, 32),
    ((4, 128, 2), 7, 16),
    ((1, 15, 1), 300, 8),
    ((5, 48, 3), 64, 8),
]


class Loops:
    """A cell as a loop over PyTorch's operations in double precision; parameters are leaves of autograd."""

    def __init__(self, problem) -> None:
        self.cell = problem.shape.cell
        self.p = Parameters(*(torch.tensor(part, requires_grad=True) for part in problem.p))

    def forward(self, problem):
        x, h, c = (torch.from_numpy(array) for array in (problem.x, problem.h, problem.c))
        forecasts = []
        for t in range(x.shape[1]):
            h, c = self.step(x[:, t], h, c)
            forecasts.append(h @ self.p.vh + x[:, t] @ self.p.vx + self.p.vb)
        return torch.stack(forecasts, dim=1)

    def step(self, x, h, c):
        """One cell after the other, as its paper or our description has it."""
        p = self.p
        i, f, g, o = torch.chunk(x @ p.wx + h @ p.wh + p.b, 4, dim=1)
        if self.cell == "peephole":
            to_i, to_f, _, to_o = torch.chunk(p.extra, 4, dim=1)
            c = torch.sigmoid(f + to_f * c) * c + torch.sigmoid(i + to_i * c) * torch.tanh(g)
            return torch.sigmoid(o + to_o * c) * torch.tanh(c), c
        if self.cell == "coupled":
            c = torch.lerp(torch.tanh(g), c, torch.sigmoid(f))
            return torch.sigmoid(o) * torch.tanh(c), c
        if self.cell == "elysium":
            g = torch.chunk(h @ p.wh + p.b, 4, dim=1)[2]
        if self.cell == "ltms":
            bias, weights = p.extra[:1], p.extra[1:]
            scales = torch.chunk(1 + x[:, -1:] * (x @ weights + bias), 4, dim=1)
            i, f, g, o = (gate * scale for gate, scale in zip((i, f, g, o), scales, strict=True))
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def gradient(self) -> Parameters:
        return Parameters(*(np.zeros(p.shape) if p.grad is None else p.grad.numpy() for p in self.p))


class Module(torch.nn.Module):
    """The parameters of the standard cell in PyTorch's own modules."""

    def __init__(self, problem) -> None:
        super().__init__()
        i, h, d = problem.shape[:3]
        p = problem.p
        self.lstm = torch.nn.LSTM(i, h, batch_first=True).double()
        self.from_hidden = torch.nn.Linear(h, d).double()
        self.skip = torch.nn.Linear(i, d, bias=False).double()
        self.extra = p.extra
        self.places = [
            (self.lstm.weight_ih_l0, p.wx.T),
            (self.lstm.weight_hh_l0, p.wh.T),
            (self.lstm.bias_ih_l0, p.b),
            (self.from_hidden.weight, p.vh.T),
            (self.skip.weight, p.vx.T),
            (self.from_hidden.bias, p.vb),
        ]
        with torch.no_grad():
            self.lstm.bias_hh_l0.zero_()
            for parameter, value in self.places:
                parameter.copy_(torch.from_numpy(value.copy()))

    def forward(self, problem):
        x, h, c = (torch.from_numpy(array) for array in (problem.x, problem.h, problem.c))
        hidden, _ = self.lstm(x, (h[None], c[None]))
        return self.from_hidden(hidden) + self.skip(x)

    def gradient(self) -> Parameters:
        wx, wh, b, vh, vx, vb = (parameter.grad.numpy().T for parameter, _ in self.places)
        return Parameters(wx, wh, b, self.extra, vh, vx, vb)


@pytest.fixture(params=[*CELLS, "torch.nn.LSTM"])
def network(request):
    """`(class, cell)`: for every cell the loop, and for the standard one PyTorch's own as well."""
    return (Module, "standard") if request.param == "torch.nn.LSTM" else (Loops, request.param)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Two threads that wait for each other on a busy machine cost more than they save."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def forecasts_of_torch(problem_of):
    """`forecasts_of_torch(class, shape)` over 1,000 steps, as (problem, forecasts)."""

    @functools.cache
    def compute(make, shape):
        problem = problem_of(shape, 2, steps=1000)
        with torch.no_grad():
            return problem, make(problem).forward(problem).numpy()

    return compute


@pytest.fixture(scope="module")
def gradient_of_torch(problem_of):
    """`gradient_of_torch(class, shape, batch, steps)`, as (problem, loss, gradient (P,))."""

    @functools.cache
    def compute(make, shape, batch, steps):
        problem = problem_of(shape, batch, steps)
        one = make(problem)
        present = torch.from_numpy(~np.isnan(problem.target))
        target = torch.from_numpy(np.nan_to_num(problem.target))
        loss = torch.nn.functional.huber_loss(one.forward(problem)[present], target[present], delta=1.0)
        loss.backward()
        return problem, loss.item(), pack(one.gradient(), shape)

    return compute


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_a_thousand_steps_are_those_of_torch(forward, network, forecasts_of_torch, sizes) -> None:
    make, cell = network
    problem, expected = forecasts_of_torch(make, Shape(*sizes, cell))
    forecasts, _, _ = forward.run(problem)
    assert np.abs(forecasts - expected).max() < (1e-10 if forward.name == "cell" else 1e-5)


@pytest.mark.parametrize(("sizes", "batch", "steps"), GRADIENTS, ids=str)
def test_the_gradient_is_that_of_autograd(gradient, network, gradient_of_torch, sizes, batch, steps) -> None:
    make, cell = network
    problem, expected_loss, expected = gradient_of_torch(make, Shape(*sizes, cell), batch, steps)
    loss, grad, _, _ = gradient.run(problem)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert np.linalg.norm(grad - expected) / np.linalg.norm(expected) <= max(gradient.tolerance, 1e-10)

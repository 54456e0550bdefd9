"""The cell is torch.nn.LSTM with a linear head, and its gradient is autograd's."""

from __future__ import annotations

import os

import numpy as np
import pytest

from lstm_stream.lstm.params import Shape, views

if os.environ.get("CI", "").lower() in ("", "0", "false"):
    torch = pytest.importorskip("torch")
else:
    import torch  # CI must not skip this

SHAPES = [Shape(1, 1, 1), Shape(3, 7, 2), Shape(9, 16, 1), Shape(6, 33, 4)]


class Network(torch.nn.Module):
    """The parameters of a problem in PyTorch's own modules."""

    def __init__(self, problem) -> None:
        super().__init__()
        i, h, d = problem.shape
        p = views(problem.flat.astype(np.float64), problem.shape)
        self.lstm = torch.nn.LSTM(i, h, batch_first=True).double()
        self.from_hidden = torch.nn.Linear(h, d).double()
        self.skip = torch.nn.Linear(i, d, bias=False).double()
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
        h, c = (torch.from_numpy(part[None].copy()) for part in np.split(problem.state.astype(np.float64), 2, axis=1))
        x = torch.from_numpy(problem.x.astype(np.float64))
        hidden, _ = self.lstm(x, (h, c))
        return self.from_hidden(hidden) + self.skip(x)

    def flat_gradient(self):
        """In the order of `params.Parameters`."""
        gradients = [parameter.grad.numpy() for parameter, _ in self.places]
        return np.concatenate([(g.T if g.ndim == 2 else g).ravel() for g in gradients])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_thousand_steps_are_those_of_torch(forward, problem_of, shape) -> None:
    problem = problem_of(shape, 2, steps=1000).as_float32()
    forecasts, _ = forward.run(problem)
    with torch.no_grad():
        expected = Network(problem)(problem).numpy()
    assert np.abs(forecasts - expected).max() < 1e-5


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_gradient_is_that_of_autograd(gradient, problem_of, shape) -> None:
    problem = problem_of(shape, 3, steps=64).as_float32()
    loss, grad, _ = gradient.run(problem)
    network = Network(problem)
    forecasts = network(problem)
    present = torch.from_numpy(~np.isnan(problem.target))
    target = torch.from_numpy(np.nan_to_num(problem.target).astype(np.float64))
    expected = torch.nn.functional.huber_loss(forecasts[present], target[present], delta=1.0)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    autograd = network.flat_gradient()
    assert np.linalg.norm(grad - autograd) / np.linalg.norm(autograd) <= max(gradient.tolerance, 1e-10)

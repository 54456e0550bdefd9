"""The LSTM cell in plain NumPy, forward and backward: the reference, written to be read.

It refuses to be fast. `kernels.py` and `training.py` compute the same in Numba and are tested against this file;
this file is tested against finite differences and PyTorch.

    i = sigmoid(x Wxi + h Whi + bi)      input gate
    f = sigmoid(x Wxf + h Whf + bf)      forget gate
    g = tanh   (x Wxg + h Whg + bg)      candidate
    o = sigmoid(x Wxo + h Who + bo)      output gate
    c' = f * c + i * g                   cell state: additive, so that its gradient does not vanish
    h' = o * tanh(c')                    hidden state
    y  = h' Vh + x Vx + vb               forecast of the next sample, with a linear skip

Hochreiter & Schmidhuber, Long Short-Term Memory, Neural Computation 9(8), 1997; the forget gate is that of
Gers, Schmidhuber & Cummins, Learning to Forget, Neural Computation 12(10), 2000. Equal to torch.nn.LSTM.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lstm_stream.lstm.params import Floats, Parameters


class Step(NamedTuple):
    """What one forward step leaves behind for the backward step; every field is (B, ...)."""

    x: Floats  # (B, I)
    h_before: Floats  # (B, H)
    c_before: Floats
    i: Floats
    f: Floats
    g: Floats
    o: Floats
    c: Floats
    h: Floats


def sigmoid(z: Floats) -> Floats:
    """The logistic function, written so that large |z| neither overflows nor warns."""
    s: Floats = 0.5 * (1.0 + np.tanh(0.5 * z))
    return s


def forward(p: Parameters, x: Floats, h: Floats, c: Floats) -> Step:
    """One step of B rows: x (B, I), h and c (B, H)."""
    zi, zf, zg, zo = np.split(x @ p.wx + h @ p.wh + p.b, 4, axis=1)
    i, f, g, o = sigmoid(zi), sigmoid(zf), np.tanh(zg), sigmoid(zo)
    c_after = f * c + i * g
    return Step(x, h, c, i, f, g, o, c_after, o * np.tanh(c_after))


def backward(p: Parameters, s: Step, dh: Floats, dc: Floats, grad: Parameters) -> tuple[Floats, Floats, Floats]:
    """The adjoint of `forward`: from dL/dh', dL/dc' (B, H) to dL/dx, dL/dh, dL/dc; adds dL/dp to `grad`."""
    tanh_c = np.tanh(s.c)
    dc = dc + dh * s.o * (1 - tanh_c**2)
    dzi = dc * s.g * s.i * (1 - s.i)
    dzf = dc * s.c_before * s.f * (1 - s.f)
    dzg = dc * s.i * (1 - s.g**2)
    dzo = dh * tanh_c * s.o * (1 - s.o)
    dz = np.concatenate((dzi, dzf, dzg, dzo), axis=1)
    grad.wx[:] += s.x.T @ dz
    grad.wh[:] += s.h_before.T @ dz
    grad.b[:] += dz.sum(axis=0)
    return dz @ p.wx.T, dz @ p.wh.T, dc * s.f


def forecast(p: Parameters, x: Floats, h: Floats) -> Floats:
    """The forecast (B, D) of the next sample from the step's input x (B, I) and its hidden state h (B, H)."""
    return h @ p.vh + x @ p.vx + p.vb


def huber(error: Floats) -> tuple[Floats, Floats]:
    """Huber's loss (delta 1) and its derivative, elementwise; 0 where the error is NaN (absent channels)."""
    error = np.where(np.isnan(error), 0, error)
    bounded = np.clip(error, -1, 1)
    return bounded * (error - 0.5 * bounded), bounded


def sequence_gradient(
    p: Parameters, x: Floats, target: Floats, h: Floats, c: Floats, grad: Parameters
) -> tuple[float, Floats, Floats]:
    """Backpropagation through time over one segment.

    x (T, B, I); target (T, B, D) with NaN = no loss; h, c (B, H) carried in. Adds the gradient of the mean loss over
    the present targets to `grad`, and returns that loss with the h and c to carry into the next segment.
    """
    steps: list[Step] = []
    for t in range(len(x)):
        steps.append(forward(p, x[t], h, c))
        h, c = steps[-1].h, steps[-1].c
    present = max(1, int(np.sum(~np.isnan(target))))
    loss, dh, dc = 0.0, np.zeros_like(h), np.zeros_like(c)
    for t in range(len(x) - 1, -1, -1):
        s = steps[t]
        each, dy = huber(forecast(p, s.x, s.h) - target[t])
        loss += float(each.sum()) / present
        dy = dy / present
        grad.vh[:] += s.h.T @ dy
        grad.vx[:] += s.x.T @ dy
        grad.vb[:] += dy.sum(axis=0)
        _, dh, dc = backward(p, s, dh + dy @ p.vh.T, dc, grad)
    return loss, h, c

"""The LSTM and its variants in plain NumPy, forward and backward: the reference, written to be read.

It refuses to be fast. `gates.py`, `kernels.py` and `training.py` compute the same in Numba and are tested against this
file; this file is tested against finite differences and PyTorch.

Every cell begins with the same sums and ends with the same forecast; what lies between makes the variant:

    s  = x Wx + h Wh + b                 pre-activations of the gates i f g o
    h' , c'  from  s, c                  the cell, below
    y  = h' Vh + x Vx + vb               forecast of the next sample, with a linear skip

Some cells have extra parameters; `a` is what these say at this step, one number a gate and unit:

    a  = [1 | x] extra                   as many rows of [1 | x] as `extra` has
    tau = the last input                 log(elapsed / usual time since the last sample): 0 where samples come regularly
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lstm_stream.lstm.params import Floats, Parameters

Four = tuple[Floats, Floats, Floats, Floats]
"""One array (B, H) for each of the gates i f g o."""


class Gates(NamedTuple):
    """What one cell computes at one step; every field is (B, H)."""

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


# --- standard


def standard(s: Four, c: Floats, a: Four, tau: Floats) -> Gates:
    """The LSTM: what to write, what to keep, what to show, each decided by a gate.

        i = sigmoid(si)     input gate            g = tanh(sg)       candidate
        f = sigmoid(sf)     forget gate           c' = f c + i g     cell state: additive, its gradient does not vanish
        o = sigmoid(so)     output gate           h' = o tanh(c')    hidden state

    Hochreiter & Schmidhuber, Long Short-Term Memory, Neural Computation 9(8), 1997; the forget gate is that of
    Gers, Schmidhuber & Cummins, Learning to Forget, Neural Computation 12(10), 2000. Equal to torch.nn.LSTM.
    """
    i, f, g, o = sigmoid(s[0]), sigmoid(s[1]), np.tanh(s[2]), sigmoid(s[3])
    c = f * c + i * g
    return Gates(i, f, g, o, c, o * np.tanh(c))


def standard_backward(
    u: Gates,
    c: Floats,
    dh: Floats,
    dc: Floats,
    s: Four,
    a: Four,
    tau: Floats,
) -> tuple[Four, Four, Floats]:
    """From dL/dh', dL/dc' to dL/ds, dL/da and dL/dc; c is the cell state before the step."""
    tanh_c = np.tanh(u.c)
    dc = dc + dh * u.o * (1 - tanh_c**2)
    dsi = dc * u.g * u.i * (1 - u.i)
    dsf = dc * c * u.f * (1 - u.f)
    dsg = dc * u.i * (1 - u.g**2)
    dso = dh * tanh_c * u.o * (1 - u.o)
    return (dsi, dsf, dsg, dso), nothing(a), dc * u.f


# --- peephole


def peephole(s: Four, c: Floats, a: Four, tau: Floats) -> Gates:
    """The gates see the cell state, each unit its own: `extra` is one row of peephole weights (that of g is not used).

        i = sigmoid(si + pi c)    f = sigmoid(sf + pf c)    o = sigmoid(so + po c')    the rest as standard

    Gers & Schmidhuber, Recurrent Nets that Time and Count, IJCNN 2000.
    """
    i, f, g = sigmoid(s[0] + a[0] * c), sigmoid(s[1] + a[1] * c), np.tanh(s[2])
    c = f * c + i * g
    o = sigmoid(s[3] + a[3] * c)
    return Gates(i, f, g, o, c, o * np.tanh(c))


def peephole_backward(
    u: Gates,
    c: Floats,
    dh: Floats,
    dc: Floats,
    s: Four,
    a: Four,
    tau: Floats,
) -> tuple[Four, Four, Floats]:
    """As `standard_backward`."""
    tanh_c = np.tanh(u.c)
    dso = dh * tanh_c * u.o * (1 - u.o)
    dc = dc + dh * u.o * (1 - tanh_c**2) + dso * a[3]
    dsi = dc * u.g * u.i * (1 - u.i)
    dsf = dc * c * u.f * (1 - u.f)
    dsg = dc * u.i * (1 - u.g**2)
    return (dsi, dsf, dsg, dso), (dsi * c, dsf * c, 0 * dsg, dso * u.c), dc * u.f + dsi * a[0] + dsf * a[1]


# --- coupled


def coupled(s: Four, c: Floats, a: Four, tau: Floats) -> Gates:
    """One gate decides what to forget and, by the same amount, what to write: i = 1 - f. The slots of i stay zero.

    Greff, Srivastava, Koutnik, Steunebrink & Schmidhuber, LSTM: A Search Space Odyssey, IEEE TNNLS 28(10), 2017 (CIFG).
    """
    f, g, o = sigmoid(s[1]), np.tanh(s[2]), sigmoid(s[3])
    c = f * c + (1 - f) * g
    return Gates(1 - f, f, g, o, c, o * np.tanh(c))


def coupled_backward(
    u: Gates,
    c: Floats,
    dh: Floats,
    dc: Floats,
    s: Four,
    a: Four,
    tau: Floats,
) -> tuple[Four, Four, Floats]:
    """As `standard_backward`."""
    tanh_c = np.tanh(u.c)
    dc = dc + dh * u.o * (1 - tanh_c**2)
    dsf = dc * (c - u.g) * u.f * (1 - u.f)
    dsg = dc * u.i * (1 - u.g**2)
    dso = dh * tanh_c * u.o * (1 - u.o)
    return (0 * dsf, dsf, dsg, dso), nothing(a), dc * u.f


# --- elysium


def elysium(s: Four, c: Floats, a: Four, tau: Floats) -> Gates:
    """The input acts through the gates alone: the candidate is a function of the hidden state, Wx of g stays zero.

    Not a name of the literature. Our reading of "the input passes through the gates, the forget gate above all, but not
    directly into the cell state". What x may not do is a matter of weights that are held at zero, see `held`.
    """
    return standard(s, c, a, tau)


# --- ltms


def ltms(s: Four, c: Floats, a: Four, tau: Floats) -> Gates:
    """Weights that vary with the elapsed time and the input: each gate's sum is scaled, unit by unit, by both.

        z = s (1 + tau a)      then as standard with z for s;    a = [1 | x] extra

    Not a name of the literature. Our reading of "a separate set of weights for each gate that varies with the time step
    and the input", in the way of Ha, Dai & Le, HyperNetworks, 2016: a hypernetwork scales the rows of the weights. (tau
    is an input too, so a shift by it is in s already.) With regular samples, tau = 0, it is the standard cell.
    """
    return standard(modulated(s, a, tau), c, a, tau)


def modulated(s: Four, a: Four, tau: Floats) -> Four:
    """The sums after the hypernetwork; tau (B, 1)."""
    si, sf, sg, so = (one * (1 + tau * scale) for one, scale in zip(s, a, strict=True))
    return si, sf, sg, so


def ltms_backward(
    u: Gates, c: Floats, dh: Floats, dc: Floats, s: Four, a: Four, tau: Floats
) -> tuple[Four, Four, Floats]:
    """As `standard_backward`. The derivative by tau is left out: it is an input, and inputs are not learned."""
    dz, _, dc = standard_backward(u, c, dh, dc, s, a, tau)
    dsi, dsf, dsg, dso = (one * (1 + tau * scale) for one, scale in zip(dz, a, strict=True))
    dai, daf, dag, dao = (one * tau * before for one, before in zip(dz, s, strict=True))
    return (dsi, dsf, dsg, dso), (dai, daf, dag, dao), dc


# --- the step, for every cell

Forward = Callable[[Four, Floats, Four, Floats], Gates]
Backward = Callable[[Gates, Floats, Floats, Floats, Four, Four, Floats], tuple[Four, Four, Floats]]

EQUATIONS: dict[str, tuple[Forward, Backward]] = {
    "standard": (standard, standard_backward),
    "peephole": (peephole, peephole_backward),
    "coupled": (coupled, coupled_backward),
    "elysium": (elysium, standard_backward),
    "ltms": (ltms, ltms_backward),
}


class Step(NamedTuple):
    """What one forward step leaves behind for the backward step."""

    x: Floats  # (B, I)
    h_before: Floats  # (B, H)
    c_before: Floats
    s: Four
    a: Four
    gates: Gates


def forward(cell: str, p: Parameters, x: Floats, h: Floats, c: Floats) -> Step:
    """One step of B rows: x (B, I), h and c (B, H)."""
    s = split(x @ p.wx + h @ p.wh + p.b)
    a = split(with_one(x)[:, : len(p.extra)] @ p.extra)
    return Step(x, h, c, s, a, EQUATIONS[cell][0](s, c, a, x[:, -1:]))


def backward(
    cell: str, p: Parameters, step: Step, dh: Floats, dc: Floats, grad: Parameters
) -> tuple[Floats, Floats, Floats]:
    """The adjoint of `forward`: from dL/dh', dL/dc' (B, H) to dL/dx, dL/dh, dL/dc; adds dL/dp to `grad`.

    dL/dx is what passes through the sums s; see `ltms_backward`.
    """
    fours = EQUATIONS[cell][1](step.gates, step.c_before, dh, dc, step.s, step.a, step.x[:, -1:])
    ds, da = np.concatenate(fours[0], axis=1), np.concatenate(fours[1], axis=1)
    grad.wx[:] += held(cell, step.x.T @ ds)
    grad.wh[:] += step.h_before.T @ ds
    grad.b[:] += ds.sum(axis=0)
    grad.extra[:] += with_one(step.x)[:, : len(p.extra)].T @ da
    return ds @ p.wx.T, ds @ p.wh.T, fours[2]


def split(s: Floats) -> Four:
    """(B, 4H) -> four times (B, H)."""
    si, sf, sg, so = np.split(s, 4, axis=1)
    return si, sf, sg, so


def with_one(x: Floats) -> Floats:
    """[1 | x]."""
    return np.concatenate((np.ones((len(x), 1), x.dtype), x), axis=1)


def nothing(a: Four) -> Four:
    """The derivative by extras that the cell does not have."""
    return 0 * a[0], 0 * a[1], 0 * a[2], 0 * a[3]


def held(cell: str, grad: Floats) -> Floats:
    """The gradient (I, 4H) by Wx, zero where a cell holds its weights at zero."""
    if cell == "elysium":
        hidden = grad.shape[1] // 4
        grad[:, 2 * hidden : 3 * hidden] = 0
    return grad


def forecast(p: Parameters, x: Floats, h: Floats) -> Floats:
    """The forecast (B, D) of the next sample from the step's input x (B, I) and its hidden state h (B, H)."""
    return h @ p.vh + x @ p.vx + p.vb


def huber(error: Floats) -> tuple[Floats, Floats]:
    """Huber's loss (delta 1) and its derivative, elementwise; 0 where the error is NaN (absent channels)."""
    error = np.where(np.isnan(error), 0, error)
    bounded = np.clip(error, -1, 1)
    return bounded * (error - 0.5 * bounded), bounded


def sequence_gradient(
    cell: str, p: Parameters, x: Floats, target: Floats, h: Floats, c: Floats, grad: Parameters
) -> tuple[float, Floats, Floats]:
    """Backpropagation through time over one segment.

    x (T, B, I); target (T, B, D) with NaN = no loss; h, c (B, H) carried in. Adds the gradient of the mean loss over
    the present targets to `grad`, and returns that loss with the h and c to carry into the next segment.
    """
    steps: list[Step] = []
    for t in range(len(x)):
        steps.append(forward(cell, p, x[t], h, c))
        h, c = steps[-1].gates.h, steps[-1].gates.c
    present = max(1, int(np.sum(~np.isnan(target))))
    loss, dh, dc = 0.0, np.zeros_like(h), np.zeros_like(c)
    for t in range(len(x) - 1, -1, -1):
        step = steps[t]
        each, dy = huber(forecast(p, step.x, step.gates.h) - target[t])
        loss += float(each.sum()) / present
        dy = dy / present
        grad.vh[:] += step.gates.h.T @ dy
        grad.vx[:] += step.x.T @ dy
        grad.vb[:] += dy.sum(axis=0)
        _, dh, dc = backward(cell, p, step, dh + dy @ p.vh.T, dc, grad)
    return loss, h, c

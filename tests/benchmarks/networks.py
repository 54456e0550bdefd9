"""The networks that the adding problem is put to: the engine's cells, and the plain tanh RNN that they are to beat.

Both are flat float32 vectors with a gradient, so that one loop trains either with the same Adam and the same clipping.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lstm_stream.lstm import cell as reference
from lstm_stream.lstm import kernels, training
from lstm_stream.lstm.params import CELLS, LANES, Shape, initial, pack, unpack

F4 = NDArray[np.float32]


class Network(Protocol):
    """What can be trained: `flat` (P,), P a multiple of 16."""

    name: str
    flat: F4

    def gradient(self, x: F4, target: F4, grad: F4) -> float:
        """The mean loss over x (B, T, I) and target (B, T, 1), NaN = none; its gradient into grad (P,)."""
        ...

    def forecasts(self, x: F4) -> F4:
        """Forecasts (B, T) of x (B, T, I)."""
        ...

    def gradient_norms(self, x: F4) -> NDArray[np.float64]:
        """|d r'h at the end / d state k steps before|, k = 0 .. T-1, the mean over the sequences x (B, T, I).

        With `reading_out` for r instead of the network's own forecast, which is nothing before the training.
        """
        ...


def reading_out(hidden: int) -> NDArray[np.float64]:
    """A direction (H,) at random, of length 1."""
    r = np.random.default_rng(0).standard_normal(hidden)
    return r / np.linalg.norm(r)


# --- the engine's cells


@dataclass
class Engine:
    """One of the LSTM cells; `code` and `flat` go to the kernels."""

    name: str
    shape: Shape
    flat: F4

    @classmethod
    def fresh(cls, cell: str, inputs: int, hidden: int, span: int, seed: int) -> Engine:
        """With gates that begin half open for lags up to `span` steps, the same for every cell.

        Tallec & Ollivier, Can Recurrent Neural Networks Warp Time?, ICLR 2018: forget biases log U(1, span), input
        biases their negative. The candidate's biases are U(-1, 1): elysium's candidate sees no input, and would stay 0.
        """
        shape = Shape(inputs, hidden, 1, cell)
        p, rng = unpack(initial(shape, seed), shape), np.random.default_rng(seed)
        keep = np.log(rng.uniform(1, span, hidden))
        p.b[:hidden] = 0 if cell == "coupled" else -keep
        p.b[hidden : 2 * hidden] = keep
        p.b[2 * hidden : 3 * hidden] = rng.uniform(-1, 1, hidden)
        p.vx[:] = 0
        return cls(cell, shape, pack(p, shape).astype(np.float32))

    @property
    def code(self) -> int:
        return CELLS[self.shape.cell].code

    def gradient(self, x: F4, target: F4, grad: F4) -> float:
        state = np.zeros((len(x), 2 * self.shape.width), np.float32)
        return training.segment_gradient(self.code, self.shape.hidden, self.flat, x, target, state, grad)

    def forecasts(self, x: F4) -> F4:
        batch, steps, _ = x.shape
        slot = np.arange(batch, dtype=np.int32)
        state = np.zeros((batch, 2 * self.shape.width), np.float32)
        y, all_y = np.zeros((batch, 1), np.float32), np.empty((batch, steps), np.float32)
        for t in range(steps):
            step_x = np.ascontiguousarray(x[:, t])
            kernels.step_rows(self.code, self.shape.hidden, slot, self.flat[None], step_x, state, y)
            all_y[:, t] = y[:, 0]
        return all_y

    def gradient_norms(self, x: F4) -> NDArray[np.float64]:
        """By the NumPy reference in float64; the state is h and c."""
        cell, p = self.shape.cell, unpack(self.flat.astype(np.float64), self.shape)
        h, c = np.zeros((2, len(x), self.shape.hidden))
        steps = []
        for t in range(x.shape[1]):
            steps.append(reference.forward(cell, p, x[:, t].astype(np.float64), h, c))
            h, c = steps[-1].gates.h, steps[-1].gates.c
        unused = unpack(np.zeros(self.shape.size), self.shape)
        dh, dc = np.tile(reading_out(self.shape.hidden), (len(x), 1)), np.zeros_like(c)
        norms = []
        for step in reversed(steps):
            norms.append(np.sqrt((dh**2 + dc**2).sum(axis=1)).mean())
            _, dh, dc = reference.backward(cell, p, step, dh, dc, unused)
        return np.array(norms)


# --- the plain RNN


@dataclass
class TanhRnn:
    """h' = tanh(x Wx + h Wh + b),  y = h' v + x u + w: what came before the LSTM (Elman 1990)."""

    name: str
    inputs: int
    hidden: int
    flat: F4

    @classmethod
    def fresh(cls, inputs: int, hidden: int, seed: int) -> TanhRnn:
        """Recurrent weights are orthogonal: the start at which its gradient vanishes the slowest."""
        size = hidden * (inputs + hidden + 2) + inputs + 1
        rnn = cls("tanh RNN", inputs, hidden, np.zeros(-(-size // LANES) * LANES, np.float32))
        rng = np.random.default_rng(seed)
        wx, wh, _, v, _, _ = rnn.parts(rnn.flat)
        q, r = np.linalg.qr(rng.standard_normal((hidden, hidden)))
        wx[:] = rng.uniform(-1, 1, wx.shape) / np.sqrt(inputs)
        wh[:] = q * np.sign(np.diag(r))
        v[:] = 0
        return rnn

    def parts(self, flat: NDArray[np.floating]) -> list[NDArray[np.floating]]:
        """Views of Wx (I, H), Wh (H, H), b (H,), v (H,), u (I,), w (1,)."""
        i, h = self.inputs, self.hidden
        shapes, parts, start = ((i, h), (h, h), (h,), (h,), (i,), (1,)), [], 0
        for shape in shapes:
            stop = start + int(np.prod(shape))
            parts.append(flat[start:stop].reshape(shape))
            start = stop
        return parts

    def states(self, x: NDArray[np.floating], flat: NDArray[np.floating]) -> NDArray[np.floating]:
        """The hidden states (T + 1, B, H), the first zero."""
        wx, wh, b, *_ = self.parts(flat)
        h = np.zeros((x.shape[1] + 1, len(x), self.hidden), flat.dtype)
        drive = np.swapaxes(x @ wx + b, 0, 1)
        for t in range(x.shape[1]):
            np.tanh(drive[t] + h[t] @ wh, out=h[t + 1])
        return h

    def forecasts(self, x: F4) -> F4:
        *_, v, u, w = self.parts(self.flat)
        return np.swapaxes(self.states(x, self.flat)[1:] @ v, 0, 1) + x @ u + w

    def gradient(self, x: F4, target: F4, grad: F4) -> float:
        wx, wh, b, v, u, w = self.parts(grad)
        _, weights, _, head, skip, bias = self.parts(self.flat)
        h, xt = self.states(x, self.flat), np.swapaxes(x, 0, 1)
        present = max(1, int(np.sum(~np.isnan(target))))
        each, dy = reference.huber(
            np.einsum("tbh,h->tb", h[1:], head) + xt @ skip + bias - np.swapaxes(target[..., 0], 0, 1)
        )
        dy = dy.astype(np.float32) / np.float32(present)
        dh = np.zeros_like(h[0])
        grad[:] = 0
        for t in range(len(xt) - 1, -1, -1):  # products of one step are too small for threads to wait for each other
            dz = (dh + dy[t][:, None] * head) * (1 - h[t + 1] ** 2)
            wx += xt[t].T @ dz
            wh += h[t].T @ dz
            b += dz.sum(axis=0)
            v += dy[t] @ h[t + 1]
            u += dy[t] @ xt[t]
            dh = dz @ weights.T
        w[:] = dy.sum()
        return float(each.sum()) / present

    def gradient_norms(self, x: F4) -> NDArray[np.float64]:
        flat = self.flat.astype(np.float64)
        h = self.states(x.astype(np.float64), flat)
        _, wh, *_ = self.parts(flat)
        dh, norms = np.tile(reading_out(self.hidden), (len(x), 1)), []
        for t in range(x.shape[1], 0, -1):
            norms.append(np.sqrt((dh**2).sum(axis=1)).mean())
            dh = (dh * (1 - h[t] ** 2)) @ wh.T
        return np.array(norms)

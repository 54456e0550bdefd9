"""Truncated backpropagation through time, global-norm clipping and Adam, in one nogil kernel.

The same gradient as `cell.sequence_gradient`; a whole training run is one call, so that the trainer thread never
holds the GIL. Deterministic: segments are visited in order and nothing is drawn at random.

Adam: Kingma & Ba 2015, in the order of computation at the end of section 2. Clipping by the global norm: Pascanu,
Mikolov & Bengio 2013.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lstm_stream.jit import inline, kernel
from lstm_stream.lstm.kernels import cell_step, head, split

Array = NDArray[np.float32]

BETA1, BETA2, EPSILON = np.float32(0.9), np.float32(0.99), np.float32(1e-8)
SEGMENT = 64  # steps of one truncated backpropagation


@inline
def _forward(
    flat: Array, x: Array, target: Array, state: Array, gates: Array, hs: Array, cs: Array, dy: Array
) -> float:
    """One sequence, one segment: x (T, I), target (T, D), state (2H,) carried.

    Fills gates (T, 4H), hs and cs (T+1, H) with the initial state first, and dy (T, D), the derivative of the summed
    Huber loss; returns that sum. NaN targets cost nothing.
    """
    hidden = state.shape[0] // 2
    wx, wh, b, vh, vx, vb = split(flat, x.shape[1], hidden, target.shape[1])
    loss = 0.0
    hs[0], cs[0] = state[:hidden], state[hidden:]
    for t in range(len(x)):
        cell_step(wx, wh, b, x[t], state[:hidden], state[hidden:], gates[t])
        hs[t + 1], cs[t + 1] = state[:hidden], state[hidden:]
        head(vh, vx, vb, x[t], state[:hidden], dy[t])
        for j in range(target.shape[1]):
            error = dy[t, j] - target[t, j]
            bounded = np.float32(0.0) if np.isnan(error) else min(max(error, np.float32(-1.0)), np.float32(1.0))
            if bounded != 0.0:
                loss += bounded * (error - np.float32(0.5) * bounded)
            dy[t, j] = bounded
    return loss


@inline
def _gate_gradient(gates: Array, c: Array, c_before: Array, dh: Array, dc: Array, dz: Array) -> None:
    """The pointwise part of `cell.backward`; dc (H,) becomes the gradient of the cell state one step earlier."""
    hidden = c.shape[0]
    one = np.float32(1.0)
    for j in range(hidden):
        i, f, g, o = gates[j], gates[hidden + j], gates[2 * hidden + j], gates[3 * hidden + j]
        tanh_c = np.float32(2.0) / (one + np.exp(np.float32(-2.0) * c[j])) - one
        d = dc[j] + dh[j] * o * (one - tanh_c * tanh_c)
        dz[j] = d * g * i * (one - i)
        dz[hidden + j] = d * c_before[j] * f * (one - f)
        dz[2 * hidden + j] = d * i * (one - g * g)
        dz[3 * hidden + j] = dh[j] * tanh_c * o * (one - o)
        dc[j] = d * f


@inline
def _outer(a: Array, b: Array, out: Array) -> None:
    for k in range(a.shape[0]):
        for j in range(b.shape[0]):
            out[k, j] += a[k] * b[j]


@inline
def _dot_rows(matrix: Array, vector: Array, out: Array) -> None:
    """Adds matrix (K, J) @ vector (J,) to out (K,)."""
    for k in range(out.shape[0]):
        total = np.float32(0.0)
        for j in range(vector.shape[0]):
            total += matrix[k, j] * vector[j]
        out[k] += total


@inline
def _backward(flat: Array, grad: Array, x: Array, gates: Array, hs: Array, cs: Array, dy: Array) -> None:
    """Adds the gradient of one sequence's segment to grad (P,); shapes as in `_forward`."""
    hidden, inputs, outputs = hs.shape[1], x.shape[1], dy.shape[1]
    _, wh, _, vh, _, _ = split(flat, inputs, hidden, outputs)
    gwx, gwh, gb, gvh, gvx, gvb = split(grad, inputs, hidden, outputs)
    dh, dc = np.zeros(hidden, np.float32), np.zeros(hidden, np.float32)
    dz = np.empty(4 * hidden, np.float32)
    for t in range(len(x) - 1, -1, -1):
        _dot_rows(vh, dy[t], dh)
        _outer(hs[t + 1], dy[t], gvh)
        _outer(x[t], dy[t], gvx)
        gvb += dy[t]
        _gate_gradient(gates[t], cs[t + 1], cs[t], dh, dc, dz)
        _outer(x[t], dz, gwx)
        _outer(hs[t], dz, gwh)
        gb += dz
        dh[:] = 0.0
        _dot_rows(wh, dz, dh)


@kernel
def segment_gradient(flat: Array, x: Array, target: Array, state: Array, grad: Array) -> float:
    """One segment of B sequences: the mean loss over the present targets, its gradient in grad (P,).

    x (B, T, I); target (B, T, D), NaN = no loss; state (B, 2H) carried in and out; grad is overwritten.
    """
    batch, length, _ = x.shape
    hidden, outputs = state.shape[1] // 2, target.shape[2]
    gates = np.empty((length, 4 * hidden), np.float32)
    hs, cs = np.empty((length + 1, hidden), np.float32), np.empty((length + 1, hidden), np.float32)
    dy = np.empty((length, outputs), np.float32)
    grad[:] = 0.0
    loss, present = 0.0, 0
    for b in range(batch):
        loss += _forward(flat, x[b], target[b], state[b], gates, hs, cs, dy)
        for t in range(length):
            for j in range(outputs):
                present += not np.isnan(target[b, t, j])
        _backward(flat, grad, x[b], gates, hs, cs, dy)
    present = max(present, 1)
    grad /= np.float32(present)
    return loss / present


@kernel
def adam(flat: Array, grad: Array, moments: Array, step: int, rate: float, clip: float) -> None:
    """Clip grad (P,) to the global norm `clip`, then one Adam step on flat (P,); moments (2, P); step counts from 1."""
    square = 0.0
    for k in range(len(grad)):
        square += grad[k] * grad[k]
    norm = math.sqrt(square)
    if not math.isfinite(norm):
        return
    shrink = np.float32(clip / norm) if norm > clip else np.float32(1.0)
    size = np.float32(rate * math.sqrt(1.0 - BETA2**step) / (1.0 - BETA1**step))
    m, v = moments[0], moments[1]
    for k in range(len(grad)):
        g = grad[k] * shrink
        m[k] = BETA1 * m[k] + (np.float32(1.0) - BETA1) * g
        v[k] = BETA2 * v[k] + (np.float32(1.0) - BETA2) * g * g
        flat[k] -= size * m[k] / (math.sqrt(v[k]) + EPSILON)


@kernel
def train(flat: Array, x: Array, target: Array, hidden: int, epochs: int, rate: float, clip: float) -> float:
    """Train flat (P,) in place on B sequences x (B, N, I), target (B, N, D); returns the last epoch's mean loss.

    Every epoch walks the segments in order and carries the state from one to the next; the learning rate decays
    linearly over the run, so that the last steps settle instead of wandering.
    """
    batch, length, _ = x.shape
    grad, moments = np.empty_like(flat), np.zeros((2, len(flat)), np.float32)
    updates = epochs * ((length + SEGMENT - 1) // SEGMENT)
    step, mean = 0, 0.0
    for _ in range(epochs):
        state = np.zeros((batch, 2 * hidden), np.float32)
        mean, parts = 0.0, 0
        for start in range(0, length, SEGMENT):
            stop = min(start + SEGMENT, length)
            mean += segment_gradient(flat, x[:, start:stop], target[:, start:stop], state, grad)
            step, parts = step + 1, parts + 1
            adam(flat, grad, moments, step, rate * (1.0 - (step - 1) / updates), clip)
        mean /= parts
    return mean


@kernel
def evaluate(flat: Array, x: Array, target: Array, hidden: int, start: int) -> float:
    """The mean loss of flat (P,) over targets from row `start` on, the state built from row 0; NaN if there is none."""
    batch, length, _ = x.shape
    outputs = target.shape[2]
    gates = np.empty(4 * hidden, np.float32)
    y = np.empty(outputs, np.float32)
    wx, wh, b, vh, vx, vb = split(flat, x.shape[2], hidden, outputs)
    loss, present = 0.0, 0
    for row in range(batch):
        h, c = np.zeros(hidden, np.float32), np.zeros(hidden, np.float32)
        for t in range(length):
            cell_step(wx, wh, b, x[row, t], h, c, gates)
            head(vh, vx, vb, x[row, t], h, y)
            for j in range(outputs):
                error = abs(y[j] - target[row, t, j])
                if t >= start and not np.isnan(error):
                    loss += error - 0.5 if error > 1.0 else 0.5 * error * error
                    present += 1
    return loss / present if present else np.nan

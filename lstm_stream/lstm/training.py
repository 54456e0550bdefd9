"""Training in one nogil kernel: truncated backpropagation through time, global-norm clipping and Adam.

A whole training run is one call, so that the trainer thread never holds the GIL. Deterministic: segments are visited in
order and nothing is drawn at random.

Adam: Kingma & Ba 2015, in the order of computation at the end of section 2. Clipping by the global norm: Pascanu,
Mikolov & Bengio 2013.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lstm_stream.jit import inline, kernel, part
from lstm_stream.lstm.bptt import Tape, backward_group, clear, copy_rows, forward_group, group_of, new_tape, transpose
from lstm_stream.lstm.kernels import step_row, whole_blocks, workspace_of_row
from lstm_stream.lstm.simd import WIDTH, fma, load, splat, sqrt, store, total

Array = NDArray[np.float32]

BETA1, BETA2, EPSILON = 0.9, 0.99, 1e-8
SEGMENT = 64  # steps of one truncated backpropagation


@part
def _present(target: Array) -> int:
    count = 0
    for b in range(target.shape[0]):
        for t in range(target.shape[1]):
            for d in range(target.shape[2]):
                count += not np.isnan(target[b, t, d])
    return count


@part
def _segment(
    cell: int, hidden: int, flat: Array, x: Array, target: Array, state: Array, grad: Array, tape: Tape
) -> float:
    """`segment_gradient`, with a tape for groups of its size and at least its steps."""
    batch, steps, _ = x.shape
    rows, w = group_of(batch), flat.reshape(1, len(flat))
    transpose(w, hidden, x.shape[2], tape.back)
    grad[:] = 0.0
    loss = 0.0
    for first in range(0, batch, rows):
        count = min(rows, batch - first)
        if count < rows:  # the sequences that fill up the last group are zero
            clear(tape)
        copy_rows(state, first, tape.state, 0, count)
        loss += forward_group(cell, hidden, w, x, target, first, count, rows, tape)
        copy_rows(tape.state, steps * rows, state, first, count)
        backward_group(cell, hidden, w, x.shape[2], steps, count, rows, tape, grad)
    present = max(1, _present(target))
    share = splat(1.0 / present)
    for k in range(0, len(grad), WIDTH):
        store(share * load(grad, k), grad, k)
    return loss / present


@kernel
def segment_gradient(cell: int, hidden: int, flat: Array, x: Array, target: Array, state: Array, grad: Array) -> float:
    """One segment of B sequences: the mean loss over the present targets, its gradient in grad (P,).

    x (B, T, I); target (B, T, D), NaN = no loss; state (B, 2W) carried in and out; grad is overwritten.
    """
    rows, width = group_of(x.shape[0]), state.shape[1] // 2
    tape = new_tape(cell, hidden, width, x.shape[2], target.shape[2], x.shape[1], rows)
    return _segment(cell, hidden, flat, x, target, state, grad, tape)


@inline
def _norm(grad: Array) -> float:
    """The global norm; lanes are summed apart."""
    squares = splat(0.0)
    for k in range(0, len(grad), WIDTH):
        g = load(grad, k)
        squares = fma(g, g, squares)
    return math.sqrt(np.float64(total(squares)))


@part
def _adam(flat: Array, grad: Array, moments: Array, step: int, rate: float, clip: float) -> None:
    norm = _norm(grad)
    if not math.isfinite(norm):
        return
    shrink = splat(clip / norm if norm > clip else 1.0)
    size = splat(-rate * math.sqrt(1.0 - BETA2**step) / (1.0 - BETA1**step))
    beta1, rest1, beta2, rest2 = splat(BETA1), splat(1.0 - BETA1), splat(BETA2), splat(1.0 - BETA2)
    count = len(grad)
    for k in range(0, count, WIDTH):
        g = shrink * load(grad, k)
        m = fma(beta1, load(moments, k), rest1 * g)
        v = fma(beta2, load(moments, count + k), rest2 * (g * g))
        store(m, moments, k)
        store(v, moments, count + k)
        store(fma(size, m / (sqrt(v) + splat(EPSILON)), load(flat, k)), flat, k)


@kernel
def adam(flat: Array, grad: Array, moments: Array, step: int, rate: float, clip: float) -> None:
    """Clip grad (P,) to the global norm `clip`, then one Adam step on flat (P,); moments (2, P); step counts from 1.

    P must be a multiple of 16, as `Shape.size` is. A gradient that is not finite changes nothing.
    """
    _adam(flat, grad, moments, step, rate, clip)


@kernel
def train(cell: int, hidden: int, flat: Array, x: Array, target: Array, epochs: int, rate: float, clip: float) -> float:
    """Train flat (P,) in place on B sequences x (B, N, I), target (B, N, D); returns the last epoch's mean loss.

    Every epoch walks the segments in order and carries the state from one to the next; the learning rate decays
    linearly over the run, so that the last steps settle instead of wandering.
    """
    batch, length, inputs = x.shape
    width = whole_blocks(hidden)
    rows, outputs = group_of(batch), target.shape[2]
    tape = new_tape(cell, hidden, width, inputs, outputs, min(length, SEGMENT), rows)
    rest = new_tape(cell, hidden, width, inputs, outputs, length % SEGMENT, rows)
    grad, moments = np.empty_like(flat), np.zeros((2, len(flat)), np.float32)
    updates = epochs * ((length + SEGMENT - 1) // SEGMENT)
    step, mean = 0, 0.0
    for _ in range(epochs):
        state = np.zeros((batch, 2 * width), np.float32)
        mean, parts = 0.0, 0
        for start in range(0, length, SEGMENT):
            stop = min(start + SEGMENT, length)
            chosen = tape if stop - start == min(length, SEGMENT) else rest
            mean += _segment(cell, hidden, flat, x[:, start:stop], target[:, start:stop], state, grad, chosen)
            step, parts = step + 1, parts + 1
            _adam(flat, grad, moments, step, rate * (1.0 - (step - 1) / updates), clip)
        mean /= parts
    return mean


@kernel
def evaluate(cell: int, hidden: int, flat: Array, x: Array, target: Array, start: int) -> float:
    """The mean loss of flat (P,) over targets from row `start` on, the state built from row 0; NaN if there is none."""
    batch, length, inputs = x.shape
    width, outputs = whole_blocks(hidden), target.shape[2]
    work, y, w = workspace_of_row(width, inputs), np.empty((1, outputs), np.float32), flat.reshape(1, len(flat))
    loss, present, zero = 0.0, 0, np.intp(0)
    for b in range(batch):
        state = np.zeros((1, 2 * width), np.float32)
        for t in range(length):
            step_row(cell, hidden, w, zero, x[b], t, state, zero, y, zero, work)
            for d in range(outputs):
                error = abs(y[0, d] - target[b, t, d])
                if t >= start and not np.isnan(error):
                    loss += error - 0.5 if error > 1.0 else 0.5 * error * error
                    present += 1
    return loss / present if present else np.nan

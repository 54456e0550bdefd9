"""Backpropagation through time over a segment of R sequences of T steps, for kernels; the same as `cell.py`.

    forward    t = 0 .. T-1: the step, all of it kept on a tape
    backward   t = T-1 .. 0: dh, dc -> ds, written over the gates;  dh of the step before = ds Wh'
               at the end, one product over all the rows of the tape:  dW = v' ds

The tape has N = T R rows n = t R + r. One sequence is computed alone; more are done in groups of `simd.ROWS`, a group
that is not full being filled up with sequences that are zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.jit import inline, part
from lstm_stream.lstm import gates
from lstm_stream.lstm.kernels import (
    FOUR,
    Index,
    clear_padding,
    extra_rows,
    forecast_row,
    four,
    gather_hidden,
    head_at,
    store_four,
    sums_of_block,
    sums_of_row,
    update_cell,
    update_hidden,
)
from lstm_stream.lstm.params import CELLS, LANES
from lstm_stream.lstm.simd import PIECES, ROWS, WIDTH, fma, load, peek, splat, store, tile

Array = NDArray[np.float32]

ELYSIUM, LTMS = CELLS["elysium"].code, CELLS["ltms"].code

DEPTH = 64  # rows of the tape in one product for the weights' gradient: what a block needs of them stays in the cache

_rows_back = tile(ROWS, own=True)
_row_back = tile(1, PIECES, own=True)
_rows_add = tile(ROWS, add=True)
_row_add = tile(1, PIECES, add=True)


class Tape(NamedTuple):
    """What the forward pass leaves for the backward pass, and room for that; K = 1 + I + H, W = `Shape.width`."""

    v: Array  # (N, K) [1 | x | h before]
    u: Array  # (blocks, N, 4, 16) the gates; then ds
    s: Array  # (blocks, N, 4, 16) the sums, of cells with extras; then da
    a: Array  # (blocks, N, 4, 16) the extras, of cells with extras
    state: Array  # (T + 1, R, 2 W) rows [h | c], the first those before the segment
    dy: Array  # (N, D) the derivative of the summed loss by the forecast
    back: Array  # (blocks, H, 4, 16) Wh transposed: by unit to receive, unit to send, gate
    ds: Array  # (R, 4, W) of one step
    dh: Array  # (R, W)
    dc: Array  # (R, W)
    part: Array  # (R, 4, 16) of dh, one for each gate


@inline
def group_of(batch: int) -> int:
    """R: how many sequences are done together."""
    return 1 if batch == 1 else ROWS


@part
def new_tape(cell: int, hidden: int, width: int, inputs: int, outputs: int, steps: int, rows: int) -> Tape:
    """Room for `rows` = R sequences of `steps` = T."""
    n, blocks, k = steps * rows, width // LANES, 1 + inputs + hidden
    extra = n * 4 * width if extra_rows(cell, inputs) > 0 else FOUR
    return Tape(
        np.zeros(n * k + LANES, np.float32),
        np.zeros(n * 4 * width, np.float32),
        np.zeros(extra, np.float32),
        np.zeros(extra, np.float32),
        np.zeros(((steps + 1) * rows, 2 * width), np.float32),
        np.zeros((n, outputs), np.float32),
        np.zeros(blocks * hidden * FOUR, np.float32),
        np.zeros(rows * 4 * width, np.float32),
        np.zeros((rows, width), np.float32),
        np.zeros((rows, width), np.float32),
        np.zeros(rows * FOUR, np.float32),
    )


@part
def clear(tape: Tape) -> None:
    """Make all sequences zero."""
    tape.v[:] = 0.0
    tape.u[:] = 0.0
    tape.s[:] = 0.0
    tape.ds[:] = 0.0


@inline
def copy_rows(source: Array, at: int, target: Array, to: int, count: int) -> None:
    """target[to:to + count] = source[at:at + count]."""
    for r in range(count):
        for j in range(target.shape[1]):
            target[to + r, j] = source[at + r, j]


@part
def transpose(w: Array, hidden: int, inputs: int, back: Array) -> None:
    """Write back[k block, j, gate, k] = Wh[k, gate, j], so that the product that takes ds back streams along rows."""
    n = 1 + inputs + hidden
    for k in range(hidden):
        to = (k // LANES * hidden) * FOUR + k % LANES
        for j in range(hidden):
            at = (j // LANES * n + 1 + inputs + k) * FOUR + j % LANES
            for gate in range(4):
                back[to + j * FOUR + gate * LANES] = peek(w, at + gate * LANES)


# --- forward


@part
def forward_group(
    cell: int, hidden: int, w: Array, x: Array, target: Array, first: int, count: int, rows: int, tape: Tape
) -> float:
    """`count` of `rows` = R sequences from number `first` on; x (B, T, I), target (B, T, D).

    tape.state[0] holds the state before the segment. Returns the summed Huber loss; NaN targets cost nothing.
    """
    steps, inputs, width = x.shape[1], x.shape[2], tape.dh.shape[1]
    head, k = head_at(cell, inputs, hidden, width), 1 + inputs + hidden
    loss = 0.0
    for t in range(steps):
        for r in range(count):
            n = t * rows + r
            tape.v[n * k] = 1.0
            for j in range(inputs):
                tape.v[n * k + 1 + j] = x[first + r, t, j]
            gather_hidden(tape.state, n, tape.v, n * k + 1 + inputs)
        tape_sums(cell, hidden, w, inputs, width, steps, t, rows, tape)
        tape_update(cell, k, inputs, steps, t, count, rows, tape)
        for r in range(count):
            n = t * rows + r
            clear_padding(tape.state, n + rows, hidden)
            forecast_row(w, head, tape.v, n * k, inputs, tape.state, n + rows, tape.dy, n)
            loss += huber(target, first + r, t, tape.dy, n)
    return loss


@inline
def tape_sums(
    cell: int, hidden: int, w: Array, inputs: int, width: int, steps: int, t: int, rows: int, tape: Tape
) -> None:
    """The sums and extras of step t."""
    k, extra, blocks = 1 + inputs + hidden, extra_rows(cell, inputs), width // LANES
    stride, n = steps * rows * FOUR, t * rows
    extra_at = k * blocks * FOUR
    if rows == 1:
        sums_of_row(k, w, 0, blocks, tape.v, n * k, tape.u, n * FOUR, stride)
        if extra > 0:
            sums_of_row(extra, w, extra_at, blocks, tape.v, n * k, tape.a, n * FOUR, stride)
        return
    for block in range(blocks):
        at = block * stride + n * FOUR
        sums_of_block(k, w, block * k * FOUR, rows, tape.v, n * k, k, tape.u, at)
        if extra > 0:
            sums_of_block(extra, w, extra_at + block * extra * FOUR, rows, tape.v, n * k, k, tape.a, at)


@inline
def tape_update(cell: int, k: int, inputs: int, steps: int, t: int, count: int, rows: int, tape: Tape) -> None:
    """The gates of step t, and the state after it."""
    width = tape.dh.shape[1]
    for block in range(width // LANES):
        for r in range(count):
            n = t * rows + r
            at, c_at = (block * steps * rows + n) * FOUR, (2 * n + 1) * width + block * LANES
            if cell == LTMS:
                for j in range(at, at + FOUR, WIDTH):
                    store(load(tape.u, j), tape.s, j)
            a_at = at if len(tape.a) > FOUR else 0
            tau = peek(tape.v, n * k + inputs)
            update_cell(cell, tape.u, at, tape.a, a_at, tau, tape.state, c_at, c_at + 2 * rows * width, True)
    for block in range(width // LANES):
        for r in range(count):
            n = t * rows + r
            h_at = 2 * (n + rows) * width + block * LANES
            update_hidden(tape.u, (block * steps * rows + n) * FOUR, tape.state, h_at + width, h_at)


@inline
def huber(target: Array, b: int, t: int, y: Array, n: int) -> float:
    """The loss (delta 1) of the forecast y[n] (D,), which becomes the derivative of it."""
    loss = 0.0
    for d in range(y.shape[1]):
        error = y[n, d] - target[b, t, d]
        bounded = np.float32(0.0) if np.isnan(error) else min(max(error, np.float32(-1.0)), np.float32(1.0))
        if bounded != 0.0:
            loss += bounded * (error - np.float32(0.5) * bounded)
        y[n, d] = bounded
    return loss


# --- backward


@part
def backward_group(
    cell: int, hidden: int, w: Array, inputs: int, steps: int, count: int, rows: int, tape: Tape, grad: Array
) -> None:
    """Add the gradient of the group's summed loss to grad (P,)."""
    width = tape.dh.shape[1]
    head, k = head_at(cell, inputs, hidden, width), 1 + inputs + hidden
    blocks, n = width // LANES, steps * rows
    tape.dh[:] = 0.0
    tape.dc[:] = 0.0
    for t in range(steps - 1, -1, -1):
        for r in range(count):
            head_gradient(w, grad, head, k, inputs, tape, t * rows + r, r, rows)
        for block in range(blocks):
            for r in range(count):
                gate_gradient(cell, k, inputs, block, n, t * rows + r, r, rows, tape)
        carry_back(hidden, rows, tape)
    weight_gradient(k, k, blocks, n, tape.v, tape.u, grad, np.intp(0))
    extra = extra_rows(cell, inputs)
    if extra > 0:
        weight_gradient(extra, k, blocks, n, tape.v, tape.s, grad, k * 4 * width)
    if cell == ELYSIUM:
        hold_candidate(inputs, hidden, blocks, grad)


@inline
def head_gradient(w: Array, grad: Array, head: int, k: int, inputs: int, tape: Tape, n: int, r: int, rows: int) -> None:
    """From dy[n] to dh[r], and the head's own gradient."""
    width, outputs = tape.dh.shape[1], tape.dy.shape[1]
    skip_at = head + outputs * width
    for d in range(outputs):
        dy = tape.dy[n, d]
        if dy == 0.0:
            continue
        every = splat(dy)
        for j in range(0, width, WIDTH):
            at = head + d * width + j
            store(fma(every, load(w, at), load(tape.dh, r * width + j)), tape.dh, r * width + j)
            h = load(tape.state, (n + rows) * 2 * width + j)
            store(fma(every, h, load(grad, at)), grad, at)
        for j in range(inputs):
            grad[skip_at + d * inputs + j] += dy * peek(tape.v, n * k + 1 + j)
        grad[skip_at + outputs * inputs + d] += dy


@inline
def gate_gradient(
    cell: int, k: int, inputs: int, block: int, total: int, n: int, r: int, rows: int, tape: Tape
) -> None:
    """One block of units of row n: ds over the gates, da over the sums, dc one step earlier."""
    width = tape.dh.shape[1]
    at, c_at, d_at = (block * total + n) * FOUR, (2 * n + 1) * width + block * LANES, r * width + block * LANES
    has_extra, tau = len(tape.a) > FOUR, peek(tape.v, n * k + inputs)
    a_at = at if has_extra else 0
    for p in range(0, LANES, WIDTH):
        ds, da, dc = gates.backward(
            cell,
            four(tape.u, at + p),
            load(tape.state, c_at + p),
            load(tape.state, c_at + 2 * rows * width + p),
            load(tape.dh, d_at + p),
            load(tape.dc, d_at + p),
            four(tape.s, a_at + p),
            four(tape.a, a_at + p),
            splat(tau),
        )
        store_four(ds, tape.u, at + p)
        if has_extra:
            store_four(da, tape.s, at + p)
        store(dc, tape.dc, d_at + p)
        for gate, one in enumerate(ds):
            store(one, tape.ds, (r * 4 + gate) * width + block * LANES + p)


@inline
def carry_back(hidden: int, rows: int, tape: Tape) -> None:
    """Take dh (R, W) one step back, ds Wh'; the four gates are summed apart, so that more sums are under way."""
    width = tape.dh.shape[1]
    for block in range(width // LANES):
        at = block * hidden * FOUR
        if rows == 1:
            _row_back(hidden, (tape.back, at, FOUR, WIDTH), (tape.ds, 0, 0, 1, width), (tape.part, 0, 0, WIDTH))
        else:
            for p in range(0, LANES, WIDTH):
                ds = (tape.ds, 0, 4 * width, 1, width)
                _rows_back(hidden, (tape.back, at + p, FOUR, 0), ds, (tape.part, p, FOUR, 0))
        for r in range(rows):
            for p in range(0, LANES, WIDTH):
                i, f, g, o = four(tape.part, r * FOUR + p)
                store((i + f) + (g + o), tape.dh, r * width + block * LANES + p)


@part
def weight_gradient(
    count: int, stride: int, blocks: int, n: int, v: Array, d: Array, grad: Array, start: Index
) -> None:
    """Add v' d to (blocks, count, 4, 16) at grad.flat[start]; v (n, stride), `count` of it; d (blocks, n, 4, 16)."""
    whole = count // ROWS * ROWS
    for block in range(blocks):
        to = start + block * count * FOUR
        for first in range(0, n, DEPTH):
            at, v_at, some = (block * n + first) * FOUR, first * stride, min(DEPTH, n - first)
            for p in range(0, LANES, WIDTH):
                for k in range(0, whole, ROWS):
                    place = (grad, to + k * FOUR + p, FOUR, 0)
                    _rows_add(some, (d, at + p, FOUR, 0), (v, v_at + k, 1, stride, 0), place)
            for k in range(whole, count):
                place = (grad, to + k * FOUR, 0, WIDTH)
                _row_add(some, (d, at, FOUR, WIDTH), (v, v_at + k, 0, stride, 0), place)


@inline
def hold_candidate(inputs: int, hidden: int, blocks: int, grad: Array) -> None:
    """`elysium`: no input reaches the candidate, these weights stay zero."""
    for block in range(blocks):
        for k in range(1, 1 + inputs):
            at = (block * (1 + inputs + hidden) + k) * FOUR + 2 * LANES
            grad[at : at + LANES] = 0.0

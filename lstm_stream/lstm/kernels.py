"""The LSTM step over rows of many sensors, in Numba; the same numbers as `cell.py`.

    v = [1 | x | h]                        gathered, a chunk of rows at a time
    s = v W, block of units by block       `simd.tile`: the block's weights stay in the cache, the sums in registers
    (c, h) = gates(s, c)                   `gates.py`
    y = head(x, h)

Each row is computed on its own, in a fixed order of additions, so that a sensor's result does not depend on which
other rows share its batch, bitwise.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lstm_stream.jit import inline, kernel, part
from lstm_stream.lstm import gates
from lstm_stream.lstm.params import CELLS, LANES
from lstm_stream.lstm.simd import PIECES, ROWS, WIDTH, fma, load, peek, prefetch, splat, store, tile, total

Array = NDArray[np.float32]
Index: TypeAlias = "int | np.intp"  # np.intp(...) keeps Numba from compiling once more for int32 or a constant

FOUR = 4 * LANES  # floats of one block's gates
CHUNK = 8 * ROWS  # rows gathered at a time
AHEAD = 16  # rows to ask the memory for in advance
PEEPHOLE, LTMS = CELLS["peephole"].code, CELLS["ltms"].code

DEPTH = 80  # rows of weights in one pass over the chunk: what a block has of them stays in the first cache

_tile = tile(ROWS)
_tile_add = tile(ROWS, add=True)
_one = tile(1, PIECES)
_two = tile(1, 2)  # two whole blocks, where a block is one vector: twice as many sums under way


@inline
def whole_blocks(hidden: int) -> int:
    """W, see `params.Shape`."""
    return (hidden + LANES - 1) // LANES * LANES


@inline
def extra_rows(cell: int, inputs: int) -> int:
    """E, see `params.Shape`."""
    return 1 if cell == PEEPHOLE else 1 + inputs if cell == LTMS else 0


@inline
def head_at(cell: int, inputs: int, hidden: int, width: int) -> int:
    """Where the head begins in a parameter vector."""
    return (1 + inputs + hidden + extra_rows(cell, inputs)) * 4 * width


@inline
def gather(x: Array, m: int, state: Array, row: Index, v: Array, at: int) -> None:
    """Write v = [1 | x | h] of one row."""
    v[at] = 1.0
    for k in range(x.shape[1]):
        v[at + 1 + k] = x[m, k]
    gather_hidden(state, row, v, at + 1 + x.shape[1])


@inline
def gather_hidden(state: Array, row: Index, v: Array, at: int) -> None:
    """Write h of one row, and then up to 15 zeros: rows are to be gathered in order."""
    width = state.shape[1] // 2
    for k in range(0, width, WIDTH):
        store(load(state, row * 2 * width + k), v, at + k)


@inline
def sums_of_row(
    n: int, w: Array, at: Index, blocks: int, v: Array, v_at: int, out: Array, out_at: int, stride: int
) -> None:
    """Write out (blocks, 4, 16), its blocks `stride` apart, = v (n,) times w (blocks, n, 4, 16)."""
    done = 0
    if PIECES == 1:
        while done + 1 < blocks:
            start, to = at + done * n * FOUR, out_at + done * stride
            _two(n, (w, start, FOUR, n * FOUR), (v, v_at, 0, 1, 0), (out, to, 0, stride))
            done += 2
    for block in range(done, blocks):
        start, to = at + block * n * FOUR, out_at + block * stride
        _one(n, (w, start, FOUR, WIDTH), (v, v_at, 0, 1, 0), (out, to, 0, WIDTH))


@inline
def sums_of_block(
    n: int, w: Array, at: int, rows: int, v: Array, v_at: int, stride: int, out: Array, out_at: int
) -> None:
    """Write out (rows, 4, 16) = v (rows, n), its rows `stride` apart, times w (n, 4, 16).

    Rows are done in whole tiles; what is in v and out beyond the last one is of no use.
    """
    for piece in range(0, LANES, WIDTH):
        for r in range(0, rows, ROWS):
            place = (out, out_at + r * FOUR + piece, FOUR, 0)
            _tile(min(n, DEPTH), (w, at + piece, FOUR, 0), (v, v_at + r * stride, stride, 1, 0), place)
        for k in range(DEPTH, n, DEPTH):
            for r in range(0, rows, ROWS):
                place, x = (out, out_at + r * FOUR + piece, FOUR, 0), (v, v_at + r * stride + k, stride, 1, 0)
                _tile_add(min(n - k, DEPTH), (w, at + k * FOUR + piece, FOUR, 0), x, place)


@inline
def four(a: Array, at: int) -> gates.Four:
    """One vector of each gate."""
    return load(a, at), load(a, at + LANES), load(a, at + 2 * LANES), load(a, at + 3 * LANES)


@inline
def store_four(u: gates.Four, a: Array, at: int) -> None:
    """The inverse of `four`."""
    store(u[0], a, at)
    store(u[1], a, at + LANES)
    store(u[2], a, at + 2 * LANES)
    store(u[3], a, at + 3 * LANES)


@inline
def update_cell(
    cell: int, s: Array, at: int, a: Array, a_at: int, tau: Any, state: Array, c_at: int, to: int, keep: bool
) -> None:
    """One block of units of one row, from its sums and extras s and a (4, 16) and c at state.flat[c_at].

    The new c goes to state.flat[to]; the last of s becomes `zo`, and if they are to be kept the others the gates i f g.
    """
    for piece in range(0, LANES, WIDTH):
        c = load(state, c_at + piece)
        u, c = gates.forward(cell, four(s, at + piece), c, four(a, a_at + piece), splat(tau))
        store(c, state, to + piece)
        if keep:
            store_four(u, s, at + piece)
        else:
            store(u[3], s, at + 3 * LANES + piece)


@inline
def update_hidden(s: Array, at: int, state: Array, c_at: int, to: int) -> None:
    """The rest of it: the output gate, which the last of s becomes, and the new h to state.flat[to] from the new c."""
    for piece in range(0, LANES, WIDTH):
        o, h = gates.show(load(s, at + 3 * LANES + piece), load(state, c_at + piece))
        store(o, s, at + 3 * LANES + piece)
        store(h, state, to + piece)


@inline
def clear_padding(state: Array, row: Index, hidden: int) -> None:
    """Units that do not exist stay zero, even when a row holds inf."""
    width = state.shape[1] // 2
    for j in range(hidden, width):
        state[row, j] = 0.0
        state[row, width + j] = 0.0


@inline
def forecast_row(
    w: Array, at: Index, v: Array, v_at: int, inputs: int, state: Array, row: Index, y: Array, to: Index
) -> None:
    """The forecast y[to] (D,) from v and the new hidden state in state[row]; the head begins at w.flat[at]."""
    width, outputs = state.shape[1] // 2, y.shape[1]
    skip_at = at + outputs * width
    for d in range(outputs):
        acc = splat(0.0)
        for j in range(0, width, WIDTH):
            acc = fma(load(w, at + d * width + j), load(state, row * 2 * width + j), acc)
        value = total(acc)
        for k in range(inputs):
            value = fma(peek(w, skip_at + d * inputs + k), peek(v, v_at + 1 + k), value)
        y[to, d] = value + peek(w, skip_at + outputs * inputs + d)


@part
def step_row(
    cell: int,
    hidden: int,
    w: Array,
    at: Index,
    x: Array,
    m: int,
    state: Array,
    row: Index,
    y: Array,
    to: Index,
    work: Array,
) -> None:
    """One step of one row, its parameters at w.flat[at]; work as `workspace_of_row` has it."""
    width, inputs = state.shape[1] // 2, x.shape[1]
    blocks, n, extra = width // LANES, 1 + inputs + hidden, extra_rows(cell, inputs)
    a_at, v_at = blocks * FOUR, 2 * blocks * FOUR
    gather(x, m, state, row, work, v_at)
    sums_of_row(n, w, at, blocks, work, v_at, work, 0, FOUR)
    if extra > 0:
        sums_of_row(extra, w, at + n * blocks * FOUR, blocks, work, v_at, work, a_at, FOUR)
    h_at, c_at, tau = row * 2 * width, (row * 2 + 1) * width, peek(work, v_at + inputs)
    for block in range(blocks):
        at_c = c_at + block * LANES
        update_cell(cell, work, block * FOUR, work, a_at + block * FOUR, tau, state, at_c, at_c, False)
    for block in range(blocks):
        update_hidden(work, block * FOUR, state, c_at + block * LANES, h_at + block * LANES)
    clear_padding(state, row, hidden)
    forecast_row(w, at + head_at(cell, inputs, hidden, width), work, v_at, inputs, state, row, y, to)


@inline
def workspace_of_row(width: int, inputs: int) -> Array:
    """For `step_row`: sums and extras (blocks, 4, 16) each, then v."""
    return np.empty(8 * width + 1 + inputs + width, np.float32)


@part
def step_chunk(
    cell: int,
    hidden: int,
    w: Array,
    x: Array,
    slot: NDArray[np.int32],
    start: int,
    rows: int,
    state: Array,
    y: Array,
    s: Array,
    a: Array,
    v: Array,
) -> None:
    """One step of the distinct rows start .. start + rows of a batch, CHUNK at most, with shared weights w (1, P)."""
    width, inputs = state.shape[1] // 2, x.shape[1]
    blocks, n, extra = width // LANES, 1 + inputs + hidden, extra_rows(cell, inputs)
    for r in range(rows):
        if start + r + AHEAD < len(slot):
            for line in range(0, 2 * width, LANES):
                prefetch(state, np.intp(slot[start + r + AHEAD]) * 2 * width + line)
        gather(x, start + r, state, np.intp(slot[start + r]), v, r * n)
    for block in range(blocks):
        sums_of_block(n, w, block * n * FOUR, rows, v, 0, n, s, 0)
        if extra > 0:
            sums_of_block(extra, w, (n * blocks + extra * block) * FOUR, rows, v, 0, n, a, 0)
        for r in range(rows):
            c_at = (2 * np.intp(slot[start + r]) + 1) * width + block * LANES
            update_cell(cell, s, r * FOUR, a, r * FOUR, peek(v, r * n + inputs), state, c_at, c_at, False)
        for r in range(rows):
            h_at = 2 * np.intp(slot[start + r]) * width + block * LANES
            update_hidden(s, r * FOUR, state, h_at + width, h_at)
    head = head_at(cell, inputs, hidden, width)
    for r in range(rows):
        row = np.intp(slot[start + r])
        clear_padding(state, row, hidden)
        forecast_row(w, head, v, r * n, inputs, state, row, y, row)


@kernel
def step_rows(
    cell: int, hidden: int, slot: NDArray[np.int32], weights: Array, x: Array, state: Array, forecast: Array
) -> None:
    """One step for M distinct sensors of one cell (`params.CELLS[...].code`) with H hidden units.

    slot (M,): the rows to step. weights (S, P) one vector a sensor, or (1, P) shared by all. x (M, I).
    state (S, 2W) rows [h | c], W = `Shape.width`, and forecast (S, D), the prediction that awaits its observation, are
    replaced.
    """
    width = state.shape[1] // 2
    shared = weights.shape[0] == 1
    if shared and len(slot) >= ROWS:
        s, a = np.zeros(CHUNK * FOUR, np.float32), np.zeros(CHUNK * FOUR, np.float32)
        v = np.zeros(CHUNK * (1 + x.shape[1] + width) + LANES, np.float32)
        for m in range(0, len(slot), CHUNK):
            rows = min(CHUNK, len(slot) - m)
            step_chunk(cell, hidden, weights, x, slot, m, rows, state, forecast, s, a, v)
        return
    scratch = workspace_of_row(width, x.shape[1])
    for m in range(len(slot)):
        row = np.intp(slot[m])
        at = np.intp(0) if shared else row * weights.shape[1]
        step_row(cell, hidden, weights, at, x, m, state, row, forecast, row, scratch)


@kernel
def run_sequence(cell: int, hidden: int, flat: Array, x: Array, state: Array, forecast: Array) -> None:
    """T steps of one sensor: flat (P,), x (T, I), state (2W,) [h | c] in and out, forecast (T, D) out."""
    w, row = flat.reshape(1, len(flat)), state.reshape(1, len(state))  # as `step_rows` has them: compiled once
    work, zero = workspace_of_row(len(state) // 2, x.shape[1]), np.intp(0)
    for t in range(len(x)):
        step_row(cell, hidden, w, zero, x, t, row, zero, forecast, t, work)

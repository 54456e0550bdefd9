"""Names and shapes of the parameters, and the flat float32 vector in which they are kept.

One flat vector makes clipping, Adam, copying and storing one loop each. Its layout is the kernels': units come in
blocks of 16, and the weights that one step of the product needs lie side by side,

    gates   (blocks, 1 + I + H, 4, 16)   rows: bias, inputs, hidden units; then gates i f g o; then units
    extra   (blocks, E, 4, 16)           what the cell has beyond that, see `CELLS`
    head    (D, blocks * 16), (D, I), (D,)

H is rounded up to whole blocks by units that do not exist: all their weights are zero and stay zero in training, and so
do their h and c. The end is filled up to a multiple of 16 likewise. `pack` and `unpack` convert to plain matrices.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

LANES = 16  # units in a block, on every machine, so that saved states can move between machines


class Cell(NamedTuple):
    """A variant of the LSTM: the kernels know it by its code."""

    code: int
    extra: str = ""  # rows of `Parameters.extra`: "" none, "1" one, "1x" one and one for each input


CELLS = {
    "standard": Cell(0),
    "peephole": Cell(1, extra="1"),
    "coupled": Cell(2),
    "elysium": Cell(3),
    "ltms": Cell(4, extra="1x"),
}
"""The registry of cells; their equations are in cell.py, their kernels in gates.py."""


class Shape(NamedTuple):
    """I inputs -> H hidden units of one cell -> D outputs."""

    inputs: int
    hidden: int
    outputs: int
    cell: str = "standard"

    @property
    def width(self) -> int:
        """H rounded up to whole blocks: the length of h and of c in the kernels."""
        return _rounded(self.hidden)

    @property
    def extra(self) -> int:
        """E, the number of rows of extra parameters."""
        return {"": 0, "1": 1, "1x": 1 + self.inputs}[CELLS[self.cell].extra]

    @property
    def size(self) -> int:
        """P, the length of the flat vector."""
        rows = 1 + self.inputs + self.hidden + self.extra
        return _rounded(rows * 4 * self.width + self.outputs * (self.width + self.inputs + 1))


class Parameters(NamedTuple):
    """Plain matrices, gates i f g o side by side in the order of PyTorch."""

    wx: Floats  # (I, 4H) input to gates
    wh: Floats  # (H, 4H) hidden to gates
    b: Floats  # (4H,)
    extra: Floats  # (E, 4H)
    vh: Floats  # (H, D) hidden to forecast
    vx: Floats  # (I, D) input to forecast: a linear skip, so that the cell only learns what is not linear
    vb: Floats  # (D,)


def zeros(shape: Shape, dtype: type[np.floating] = np.float64) -> Parameters:
    """Parameters that are all zero."""
    i, h, d = shape[:3]
    sizes = ((i, 4 * h), (h, 4 * h), (4 * h,), (shape.extra, 4 * h), (h, d), (i, d), (d,))
    return Parameters(*(np.zeros(size, dtype) for size in sizes))


def pack(p: Parameters, shape: Shape) -> Floats:
    """The flat vector (P,) of plain matrices, in their precision."""
    padded = shape.width - shape.hidden
    head = np.pad(p.vh.T, ((0, 0), (0, padded)))
    gates = _blocks(np.concatenate((p.b[None], p.wx, p.wh)), shape)
    parts = (gates, _blocks(p.extra, shape), head, p.vx.T, p.vb)
    flat = np.zeros(shape.size, p.b.dtype)
    content = np.concatenate([part.ravel() for part in parts])
    flat[: len(content)] = content
    return flat


def unpack(flat: Floats, shape: Shape) -> Parameters:
    """The plain matrices of a flat vector (P,), as copies. Raises ValueError if its length does not fit `shape`."""
    i, h, d = shape[:3]
    if flat.shape != (shape.size,):
        raise ValueError(f"a parameter vector for {shape} has {shape.size} values, not {flat.shape}")
    rows, parts, start = 1 + i + h, [], 0
    sizes = (rows * 4 * shape.width, shape.extra * 4 * shape.width, d * shape.width, d * i, d)
    for size in sizes:
        parts.append(flat[start : start + size])
        start += size
    gates, extra = _matrix(parts[0], rows, shape), _matrix(parts[1], shape.extra, shape)
    vh, vx, vb = parts[2].reshape(d, shape.width)[:, :h], parts[3].reshape(d, i), parts[4]
    return Parameters(gates[1 : 1 + i], gates[1 + i :], gates[0], extra, vh.T.copy(), vx.T.copy(), vb.copy())


def initial(shape: Shape, seed: int) -> NDArray[np.float32]:
    """A fresh vector (P,) that forecasts "as before": the skip is the identity on the first D inputs.

    Recurrent weights are orthogonal x 0.6 and the forget bias is 1 (Gers, Schmidhuber & Cummins 2000;
    Jozefowicz et al. 2015), so that the cell remembers from the start. Extra weights begin at zero: a peephole that
    sees nothing yet, a modulation that does nothing yet. Slots that a cell does not use (`coupled` has no input gate,
    `elysium` no input to its candidate) are zero, and training keeps them so. Without its input the candidate of
    `elysium` needs a bias: else h, which is zero at first, would stay so, and with it every gradient.
    """
    i, h, d = shape[:3]
    rng = np.random.default_rng(seed)
    p = zeros(shape)
    p.wx[:] = rng.uniform(-1, 1, (i, 4 * h)) / np.sqrt(max(i, 1))
    for gate in range(4):
        q, r = np.linalg.qr(rng.standard_normal((h, h)))
        p.wh[:, gate * h : (gate + 1) * h] = 0.6 * q * np.sign(np.diag(r))
    p.b[h : 2 * h] = 1.0
    p.vx[:d] = np.eye(d)[:i]
    if shape.cell == "coupled":
        p.wx[:, :h] = p.wh[:, :h] = 0.0
    if shape.cell == "elysium":
        p.wx[:, 2 * h : 3 * h] = 0.0
        p.b[2 * h : 3 * h] = 0.1 * (-1.0) ** np.arange(h)
    return pack(p, shape).astype(np.float32)


def _rounded(size: int) -> int:
    return -(-size // LANES) * LANES


def _blocks(matrix: Floats, shape: Shape) -> Floats:
    """(K, 4H) -> (blocks, K, 4, 16)."""
    gates = np.pad(matrix.reshape(len(matrix), 4, shape.hidden), ((0, 0), (0, 0), (0, shape.width - shape.hidden)))
    return gates.reshape(len(matrix), 4, shape.width // LANES, LANES).transpose(2, 0, 1, 3)


def _matrix(part: Floats, rows: int, shape: Shape) -> Floats:
    """The inverse of `_blocks`."""
    gates = part.reshape(shape.width // LANES, rows, 4, LANES).transpose(1, 2, 0, 3).reshape(rows, 4, shape.width)
    return gates[:, :, : shape.hidden].reshape(rows, 4 * shape.hidden).copy()  # which one block's need not be

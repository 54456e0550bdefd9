"""Names and shapes of the parameters, as views on one flat float32 vector.

One flat vector makes clipping, Adam, copying and storing one loop each. The gate order is i f g o, as in PyTorch;
matrices are stored transposed to PyTorch's (inputs down, gates across), so that the kernels stream along rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


class Shape(NamedTuple):
    """I inputs -> H hidden units -> D outputs."""

    inputs: int
    hidden: int
    outputs: int

    @property
    def size(self) -> int:
        """The number of parameters."""
        i, h, d = self
        return (i + h + 1) * 4 * h + (h + i + 1) * d


class Parameters(NamedTuple):
    """Views on a flat vector; writing to one writes to the vector."""

    wx: Floats  # (I, 4H) input to gates i f g o
    wh: Floats  # (H, 4H) hidden to gates
    b: Floats  # (4H,)
    vh: Floats  # (H, D) hidden to forecast
    vx: Floats  # (I, D) input to forecast: a linear skip, so that the cell only learns what is not linear
    vb: Floats  # (D,)


def views(flat: Floats, shape: Shape) -> Parameters:
    """The named parameters of `flat` (P,). Raises ValueError if its length does not fit `shape`."""
    i, h, d = shape
    if flat.shape != (shape.size,):
        raise ValueError(f"a parameter vector for {shape} has {shape.size} values, not {flat.shape}")
    parts, start = [], 0
    for rows, columns in ((i, 4 * h), (h, 4 * h), (1, 4 * h), (h, d), (i, d), (1, d)):
        parts.append(flat[start : start + rows * columns].reshape(rows, columns))
        start += rows * columns
    wx, wh, b, vh, vx, vb = parts
    return Parameters(wx, wh, b[0], vh, vx, vb[0])


def initial(shape: Shape, seed: int) -> NDArray[np.float32]:
    """A fresh vector (P,) that forecasts "as before": the skip is the identity on the first D inputs.

    Recurrent weights are orthogonal x 0.6 and the forget bias is 1 (Gers, Schmidhuber & Cummins 2000;
    Jozefowicz et al. 2015), so that the cell remembers from the start.
    """
    i, h, d = shape
    rng = np.random.default_rng(seed)
    flat = np.zeros(shape.size, np.float32)
    p = views(flat, shape)
    p.wx[:] = rng.uniform(-1, 1, (i, 4 * h)) / np.sqrt(i)
    for gate in range(4):
        q, r = np.linalg.qr(rng.standard_normal((h, h)))
        p.wh[:, gate * h : (gate + 1) * h] = 0.6 * q * np.sign(np.diag(r))
    p.b[h : 2 * h] = 1.0
    p.vx[:d] = np.eye(d)
    return flat

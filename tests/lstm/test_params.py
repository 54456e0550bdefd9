"""The layout of the parameter vector and what fresh weights do, for every cell."""

from __future__ import annotations

import re

import numpy as np
import pytest

from lstm_stream.lstm import cell, params
from lstm_stream.lstm.params import CELLS, LANES, Parameters, Shape

SIZES = [(1, 1, 1), (9, 16, 1), (13, 33, 3), (2, 48, 0)]


@pytest.fixture(params=SIZES, ids=str)
def shape(request, cell_name) -> Shape:
    return Shape(*request.param, cell_name)


def numbered(shape: Shape) -> Parameters:
    """A number of its own in every place, from 1 on."""
    parts, start = [], 1
    for part in params.zeros(shape):
        parts.append(np.arange(start, start + part.size, dtype=np.float64).reshape(part.shape))
        start += part.size
    return Parameters(*parts)


def test_packing_loses_nothing(shape) -> None:
    p = numbered(shape)
    flat = params.pack(p, shape)
    assert flat.shape == (shape.size,)
    assert shape.size % LANES == 0, "kernels go through it by whole vectors"
    assert sorted(flat[flat != 0]) == list(range(1, 1 + sum(part.size for part in p))), "each once, the rest zero"
    for before, after in zip(p, params.unpack(flat, shape), strict=True):
        assert np.array_equal(before, after)


def test_the_layout_is_that_of_the_description(shape) -> None:
    """In blocks: gates (blocks, 1 + I + H, 4, 16), extra (blocks, E, 4, 16), head (D, blocks * 16), (D, I), (D,)."""
    (i, h, d, _), p, flat = shape, numbered(shape), params.pack(numbered(shape), shape)
    rows, extra = 1 + i + h, len(p.extra) * 4 * shape.width
    head = rows * 4 * shape.width + extra
    for j in range(h):
        block, unit = divmod(j, LANES)
        for gate in range(4):
            for row in range(rows):
                source = p.b if row == 0 else p.wx[row - 1] if row <= i else p.wh[row - 1 - i]
                assert flat[((block * rows + row) * 4 + gate) * LANES + unit] == source[gate * h + j]
            for row in range(len(p.extra)):
                at = head - extra + ((block * len(p.extra) + row) * 4 + gate) * LANES + unit
                assert flat[at] == p.extra[row, gate * h + j]
        for out in range(d):
            assert flat[head + out * shape.width + j] == p.vh[j, out]
    for out in range(d):
        skip = head + d * shape.width + out * i
        assert np.array_equal(flat[skip : skip + i], p.vx[:, out])
        assert flat[head + d * shape.width + d * i + out] == p.vb[out]


def test_unpacked_parts_are_copies(shape) -> None:
    flat = params.pack(numbered(shape), shape)
    before = flat.copy()
    for part in params.unpack(flat, shape):
        part[:] = -1
    assert np.array_equal(flat, before)


@pytest.mark.parametrize("wrong", [(0,), (287,), (304,), (1, 288)], ids=str)
def test_a_vector_of_another_length_is_refused(wrong) -> None:
    assert params.unpack(np.zeros(320), Shape(2, 1, 3)).vb.shape == (3,)
    with pytest.raises(ValueError, match=re.escape(f"has 320 values, not {wrong}")):
        params.unpack(np.zeros(wrong), Shape(2, 1, 3))


def test_codes_are_told_apart() -> None:
    """Kernels and states know a cell by it."""
    assert len({each.code for each in CELLS.values()}) == len(CELLS)
    assert CELLS.keys() == cell.EQUATIONS.keys()


def test_fresh_weights_forecast_as_before(shape) -> None:
    """The first D inputs are the scaled values; whatever the cell does, its head is still silent."""
    p = params.unpack(params.initial(shape, seed=3), shape)
    rng = np.random.default_rng(0)
    x, h = rng.standard_normal((4, shape.inputs)), rng.standard_normal((4, shape.hidden))
    assert np.array_equal(cell.forecast(p, x, h), x[:, : shape.outputs])


def test_fresh_weights_remember(shape) -> None:
    """Recurrent weights that neither blow up nor die out, and open forget gates."""
    p = params.unpack(params.initial(shape, seed=3), shape)
    for number, gate in enumerate(np.split(p.wh, 4, axis=1)):
        if number == 0 and shape.cell == "coupled":
            continue  # it has no input gate
        np.testing.assert_allclose(gate @ gate.T, 0.36 * np.eye(shape.hidden), atol=1e-5)
    h = shape.hidden
    assert (p.b[h : 2 * h] == 1).all()
    assert not p.b[:h].any()
    assert p.b[2 * h : 3 * h].any() == (shape.cell == "elysium"), "what else would its candidate be made of?"
    assert not p.b[3 * h :].any()
    assert not p.extra.any()


def test_fresh_weights_that_a_cell_does_not_have_are_zero() -> None:
    coupled, elysium = Shape(4, 19, 2, "coupled"), Shape(4, 19, 2, "elysium")
    p = params.unpack(params.initial(coupled, 1), coupled)
    assert not p.wx[:, :19].any()
    assert not p.wh[:, :19].any()
    assert p.wx[:, 19:].all()
    p = params.unpack(params.initial(elysium, 1), elysium)
    assert not p.wx[:, 38:57].any()
    assert p.wx[:, :38].all()
    assert p.wx[:, 57:].all()


def test_fresh_weights_follow_from_the_seed(cell_name) -> None:
    shape = Shape(9, 16, 1, cell_name)
    assert np.array_equal(params.initial(shape, 1), params.initial(shape, 1))
    assert not np.array_equal(params.initial(shape, 1), params.initial(shape, 2))
    assert params.initial(shape, 1).dtype == np.float32

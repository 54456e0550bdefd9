"""The layout of the parameter vector and what fresh weights do."""

from __future__ import annotations

import re

import numpy as np
import pytest

from lstm_stream.lstm import cell, params
from lstm_stream.lstm.params import Shape

SHAPES = [Shape(1, 1, 1), Shape(9, 16, 1), Shape(13, 33, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_views_cover_the_vector_once(shape) -> None:
    flat = np.arange(shape.size, dtype=np.float64)
    p = params.views(flat, shape)
    i, h, d = shape
    assert [part.shape for part in p] == [(i, 4 * h), (h, 4 * h), (4 * h,), (h, d), (i, d), (d,)]
    assert np.array_equal(np.concatenate([part.ravel() for part in p]), flat)
    for part in p:
        part[:] = -1
    assert (flat == -1).all(), "a view that does not write through"


@pytest.mark.parametrize("wrong", [(0,), (27,), (29,), (1, 28)], ids=str)
def test_a_vector_of_another_length_is_refused(wrong) -> None:
    assert params.views(np.zeros(28), Shape(2, 1, 3)).vb.shape == (3,)
    with pytest.raises(ValueError, match=re.escape(f"has 28 values, not {wrong}")):
        params.views(np.zeros(wrong), Shape(2, 1, 3))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_fresh_weights_forecast_as_before(shape) -> None:
    """The first D inputs are the scaled values; whatever the cell does, its head is still silent."""
    p = params.views(params.initial(shape, seed=3), shape)
    rng = np.random.default_rng(0)
    x, h = rng.standard_normal((4, shape.inputs)), rng.standard_normal((4, shape.hidden))
    assert np.array_equal(cell.forecast(p, x, h), x[:, : shape.outputs])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_fresh_weights_remember(shape) -> None:
    """Recurrent weights that neither blow up nor die out, and open forget gates."""
    p = params.views(params.initial(shape, seed=3), shape)
    for gate in np.split(p.wh, 4, axis=1):
        np.testing.assert_allclose(gate @ gate.T, 0.36 * np.eye(shape.hidden), atol=1e-5)
    h = shape.hidden
    assert (p.b[h : 2 * h] == 1).all()
    assert not p.b[:h].any()
    assert not p.b[2 * h :].any()


def test_fresh_weights_follow_from_the_seed() -> None:
    shape = Shape(9, 16, 1)
    assert np.array_equal(params.initial(shape, 1), params.initial(shape, 1))
    assert not np.array_equal(params.initial(shape, 1), params.initial(shape, 2))
    assert params.initial(shape, 1).dtype == np.float32

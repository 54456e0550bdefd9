"""exp, sigmoid and tanh of the kernels against double precision, over all of float32."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from lstm_stream.lstm import gates
from lstm_stream.lstm.params import LANES
from lstm_stream.lstm.simd import WIDTH, load, store

compiled = numba.njit(error_model="numpy")  # not cached: pytest's modules have no lasting name


@compiled
def _exp_minus(a, out) -> None:
    for k in range(0, a.size, WIDTH):
        store(gates.exp_minus(load(a, k)), out, k)


@compiled
def _tanh(a, out) -> None:
    for k in range(0, a.size, WIDTH):
        store(gates.tanh(load(a, k)), out, k)


@compiled
def _pair(a, g, sigmoid, tanh) -> None:
    for k in range(0, a.size, WIDTH):
        one, other = gates.sigmoid_tanh(load(a, k), load(g, k))
        store(one, sigmoid, k)
        store(other, tanh, k)


@compiled
def _three(a, b, g, first, second, tanh) -> None:
    for k in range(0, a.size, WIDTH):
        one, other, third = gates.sigmoid_sigmoid_tanh(load(a, k), load(b, k), load(g, k))
        store(one, first, k)
        store(other, second, k)
        store(third, tanh, k)


def pair(a, rng):
    """Each of a by itself in either place, beside any other: (sigmoid, tanh)."""
    done = np.empty((2, a.size), np.float32)
    other, waste = rng.permutation(a), np.empty_like(a)
    _pair(a, other, done[0], waste)
    _pair(other, a, waste, done[1])
    return done


def three(a, rng):
    """Likewise: (sigmoid, tanh), where the first of the two sigmoids must be as good as the second."""
    first, second, tanh, waste = np.empty((4, a.size), np.float32)
    b, c = rng.permutation(a), rng.permutation(a)
    _three(a, b, c, first, waste, waste)
    _three(b, a, c, waste, second, waste)
    _three(b, c, a, waste, waste, tanh)
    worse = np.abs(first - exact_sigmoid(a)) > np.abs(second - exact_sigmoid(a))
    return np.where(worse, first, second), tanh


def exact_sigmoid(z):
    z = z.astype(np.float64)
    return np.where(
        z < 0, np.exp(np.minimum(z, 0)) / (1 + np.exp(np.minimum(z, 0))), 1 / (1 + np.exp(-np.maximum(z, 0)))
    )


def whole_vectors(a):
    """As many as kernels go by."""
    return np.ascontiguousarray(a[: a.size // LANES * LANES])


@pytest.fixture(scope="module")
def numbers():
    """A million of all float32 but NaN, of every sign and exponent, and a million where the functions are curved."""
    everywhere = np.arange(0, 2**32, 4093, dtype=np.uint32).view(np.float32)
    special = np.array([0.0, -0.0, 1e-45, -1e-45, np.inf, -np.inf, 3.4e38, -3.4e38, 24, -24], np.float32)
    curved = np.random.default_rng(0).uniform(-30, 30, 1_000_000).astype(np.float32)
    return whole_vectors(np.concatenate((special, everywhere[~np.isnan(everywhere)], curved)))


def test_exp_is_exact_but_for_rounding(numbers) -> None:
    """Relatively, up to |z| = 24; the rounding of z itself grows with z. Beyond, it stays what it is there."""
    out = np.empty_like(numbers)
    _exp_minus(numbers, out)
    z = numbers.astype(np.float64)
    inside = np.abs(z) <= 24
    error = np.abs(out[inside] / np.exp(-z[inside]) - 1)
    assert (error <= 3e-7 + 8e-8 * np.abs(z[inside])).all()
    assert len(np.unique(out[z > 24.3])) == len(np.unique(out[z < -24.3])) == 1
    assert 0 < out.min() < 3e-11
    assert 3e10 < out.max() < np.inf


@pytest.mark.parametrize("together", [pair, three], ids=["one-division-for-two", "one-division-for-three"])
def test_sigmoid_and_tanh_are_exact_but_for_rounding(numbers, together) -> None:
    sigmoid, tanh = together(numbers, np.random.default_rng(1))
    expected = exact_sigmoid(numbers)
    assert np.abs(sigmoid - expected).max() <= 3e-7
    assert np.abs(tanh - np.tanh(numbers.astype(np.float64))).max() <= 3e-7
    assert sigmoid.min() >= 0
    assert sigmoid.max() == tanh.max() == -tanh.min() == 1
    closed = (numbers < 0) & (numbers > -24)  # a gate that is all but closed is so by the right factor
    error = np.abs(sigmoid[closed] / expected[closed] - 1)
    assert (error <= 5e-7 + 8e-8 * np.abs(numbers[closed])).all()


def test_tanh_alone_is_exact_but_for_rounding(numbers) -> None:
    out = np.empty_like(numbers)
    _tanh(numbers, out)
    assert np.abs(out - np.tanh(numbers.astype(np.float64))).max() <= 2e-7
    assert out.max() == -out.min() == 1


def test_nan_stays_nan() -> None:
    """Every kind of it, and nothing becomes it beside one in another lane."""
    nans = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0x7FFFFFFF], np.uint32).view(np.float32)
    values = np.zeros(LANES, np.float32)
    values[::4] = nans
    e, tanh = np.empty((2, LANES), np.float32)
    _exp_minus(values, e)
    _tanh(values, tanh)
    rest = np.zeros(LANES, np.float32)
    outcomes = [e, tanh, *np.empty((5, LANES), np.float32)]
    _pair(values, values, *outcomes[2:4])
    _three(rest, rest, values, *outcomes[4:])
    for outcome in (*outcomes[:4], outcomes[6]):
        assert np.array_equal(np.isnan(outcome), np.isnan(values))

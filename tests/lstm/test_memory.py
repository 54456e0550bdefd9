"""The memory of the cells: a small version of the adding problem, which tests/benchmarks/adding.py has in full."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_stream.lstm.params import CELLS
from tests.benchmarks.adding import BATCH, INPUTS, RATE, RNN_HIDDEN, SOLVED, contestants, sequences, train
from tests.benchmarks.networks import TanhRnn

LENGTH = 40  # the shortest lag is 20
UPDATES = 1000
MEAN = 1 / 6  # the error of who always tells the mean


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_remembers_over_the_lag(cell) -> None:
    ((network, rate),) = contestants(LENGTH, [cell], rnn=False, seed=0)
    result = train(network, rate, UPDATES, LENGTH, every=UPDATES)
    assert result.test_error < SOLVED
    assert result.norms_after[LENGTH // 2] > 0.01 * result.norms_after[0]  # the error still reaches the marked values


def test_a_plain_rnn_trained_alike_does_not() -> None:
    result = train(TanhRnn.fresh(INPUTS, RNN_HIDDEN, seed=0), RATE, UPDATES, LENGTH, every=UPDATES)
    assert result.test_error > 0.8 * MEAN
    assert not result.solved


def test_the_gradient_of_the_plain_rnn_is_right() -> None:
    """Or else its failure would prove nothing."""
    rng = np.random.default_rng(0)
    network = TanhRnn.fresh(INPUTS, 8, seed=0)
    network.flat[:] = 0.3 * rng.standard_normal(len(network.flat))
    x, target = sequences(rng, BATCH, 20)
    grad, unused = np.zeros_like(network.flat), np.zeros_like(network.flat)
    network.gradient(x, target, grad)
    there, step = network.flat.copy(), 0.01 * grad / np.linalg.norm(grad)
    losses = []
    for sign in (1, -1):
        network.flat[:] = there + sign * step
        losses.append(network.gradient(x, target, unused))
    assert (losses[0] - losses[1]) / 0.02 == pytest.approx(np.linalg.norm(grad), rel=1e-3)


def test_a_sequence_asks_for_the_sum_of_its_marked_values() -> None:
    x, target = sequences(np.random.default_rng(0), 500, 100)
    ends = (~np.isnan(target[..., 0])).argmax(axis=1)
    assert np.sum(~np.isnan(target)) == 500  # one target each
    assert ends.min() >= 99
    assert ends.max() <= 109
    for values, markers, end, wanted in zip(x[..., 0], x[..., 1], ends, target[..., 0], strict=True):
        marked = np.flatnonzero(markers == 1)
        assert markers[end] == -1
        assert markers[0] == -1
        assert len(marked) == 2 or len(marked) == 1  # where one of the two was the very first, whose value is not asked
        assert end - marked.max() >= 50  # the lag
        assert marked.min() < 10 or len(marked) == 1
        assert wanted[end] == pytest.approx(0.5 + values[marked].sum() / 4)
        assert not values[end + 1 :].any()
        assert not markers[end + 1 :].any()

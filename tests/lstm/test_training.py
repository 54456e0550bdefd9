"""Clipping, Adam and the training run: against NumPy for 50 steps, on tasks that need memory, and on bad numbers."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from lstm_stream.lstm import cell, params, training
from lstm_stream.lstm.params import Shape, views


class Adam:
    """Kingma & Ba 2015, algorithm 1 in the order of its section 2, after clipping by the global norm; float64.

    That order adds epsilon to the uncorrected root, which only matters for gradients of about 1e-7.
    """

    def __init__(self, size: int) -> None:
        self.m, self.v, self.step = np.zeros(size), np.zeros(size), 0

    def update(self, flat, grad, rate: float, clip: float):
        norm = np.sqrt((grad**2).sum())
        if norm > clip:
            grad = grad * clip / norm
        self.step += 1
        self.m = 0.9 * self.m + 0.1 * grad
        self.v = 0.99 * self.v + 0.01 * grad**2
        size = rate * np.sqrt(1 - 0.99**self.step) / (1 - 0.9**self.step)
        return flat - size * self.m / (np.sqrt(self.v) + 1e-8)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3], ids=["unclipped", "about-one", "clipped"])
def test_adam_is_that_of_the_paper(scale) -> None:
    rng = np.random.default_rng(0)
    flat = rng.standard_normal(300).astype(np.float32)
    expected, reference = flat.astype(np.float64), Adam(300)
    moments = np.zeros((2, 300), np.float32)
    for step in range(1, 51):
        grad = (scale * rng.standard_normal(300)).astype(np.float32)
        training.adam(flat, grad.copy(), moments, step, 4e-3, 1.0)
        expected = reference.update(expected, grad.astype(np.float64), 4e-3, 1.0)
    np.testing.assert_allclose(flat, expected, atol=3e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_no_number_changes_nothing(bad) -> None:
    flat, moments = np.ones(5, np.float32), np.ones((2, 5), np.float32)
    grad = np.array([0, 1, bad, 1, 0], np.float32)
    training.adam(flat, grad, moments, 3, 0.1, 1.0)
    assert (flat == 1).all()
    assert (moments == 1).all()


def train_in_numpy(flat, x, target, shape, epochs: int, rate: float, clip: float) -> float:
    """What `training.train` says it does, from the parts of `cell.py`; returns the last epoch's mean loss."""
    flat[:] = flat.astype(np.float64)
    adam, length = Adam(shape.size), x.shape[1]
    starts = range(0, length, training.SEGMENT)
    updates, done = epochs * len(starts), 0
    for _ in range(epochs):
        h, c = np.zeros((len(x), shape.hidden)), np.zeros((len(x), shape.hidden))
        losses = []
        for start in starts:
            piece = slice(start, start + training.SEGMENT)
            grad = np.zeros(shape.size)
            loss, h, c = cell.sequence_gradient(
                views(flat, shape),
                x[:, piece].swapaxes(0, 1),
                target[:, piece].swapaxes(0, 1),
                h,
                c,
                views(grad, shape),
            )
            losses.append(loss)
            flat[:] = adam.update(flat, grad, rate * (1 - done / updates), clip)
            done += 1
    return float(np.mean(losses))


@pytest.mark.parametrize("length", [50, 64, 150], ids=["less-than-a-segment", "a-segment", "segments-and-a-rest"])
def test_a_training_run_is_that_of_the_reference(problem_of, length) -> None:
    shape = Shape(5, 7, 2)
    problem = problem_of(shape, 3, length, seed=2).as_float32()
    flat, expected = problem.flat.copy(), problem.flat.astype(np.float64)
    epochs = 12  # 36 updates at most: trajectories part for good after many more
    loss = training.train(flat, problem.x, problem.target, shape.hidden, epochs, 4e-3, 0.5)
    expected_loss = train_in_numpy(
        expected, problem.x.astype(np.float64), problem.target.astype(np.float64), shape, epochs, 4e-3, 0.5
    )
    assert loss == pytest.approx(expected_loss, rel=1e-3)
    assert np.linalg.norm(flat - expected) < 1e-3 * np.linalg.norm(expected - problem.flat)


def test_training_is_deterministic(problem_of) -> None:
    problem = problem_of(Shape(5, 16, 1), 4, 200).as_float32()
    trained = [problem.flat.copy(), problem.flat.copy()]
    for flat in trained:
        training.train(flat, problem.x, problem.target, 16, 3, 4e-3, 1.0)
    assert np.array_equal(*trained)
    assert not np.array_equal(trained[0], problem.flat)


def test_training_leaves_its_inputs_alone(problem_of) -> None:
    problem = problem_of(Shape(3, 4, 1), 2, 80).as_float32()
    x, target = problem.x.copy(), problem.target.copy()
    training.train(problem.flat.copy(), problem.x, problem.target, 4, 2, 1e-2, 1.0)
    assert np.array_equal(problem.x, x)
    assert np.array_equal(problem.target, target, equal_nan=True)


def test_without_targets_nothing_is_learned(problem_of) -> None:
    problem = problem_of(Shape(3, 4, 1), 2, 80).as_float32()
    flat = problem.flat.copy()
    assert training.train(flat, problem.x, np.full_like(problem.target, np.nan), 4, 2, 1e-2, 1.0) == 0
    assert np.array_equal(flat, problem.flat)


def test_inputs_that_are_no_numbers_leave_the_weights_usable(problem_of) -> None:
    problem = problem_of(Shape(3, 4, 1), 2, 80).as_float32()
    problem.x[0, 10, 1] = np.nan
    flat = problem.flat.copy()
    training.train(flat, problem.x, problem.target, 4, 2, 1e-2, 1.0)
    assert np.isfinite(flat).all()


def remembering(sequences: int, lag: int, seed: int):
    """A bit is shown first and asked for `lag` noisy steps later: x (B, T, 3), target (B, T, 1)."""
    rng = np.random.default_rng(seed)
    x = 0.1 * rng.standard_normal((sequences, lag + 1, 3)).astype(np.float32)
    target = np.full((sequences, lag + 1, 1), np.nan, np.float32)
    bit = rng.choice([-1.0, 1.0], sequences)
    x[:, 0, 0], x[:, -1, 1], target[:, -1, 0] = bit, 1.0, bit
    return x, target


def test_a_bit_is_remembered_over_forty_five_steps() -> None:
    """What no forecast from the last samples can know: guessing costs a loss of 0.5."""
    shape = Shape(3, 8, 1)
    flat = params.initial(shape, seed=1)
    unseen = remembering(200, 45, seed=1)
    assert training.evaluate(flat, *unseen, shape.hidden, 0) > 0.3
    training.train(flat, *remembering(50, 45, seed=0), shape.hidden, 150, 2e-2, 1.0)
    assert training.evaluate(flat, *unseen, shape.hidden, 0) < 0.05


def test_evaluate_is_the_mean_loss_of_the_newest_part(problem_of, oracle) -> None:
    problem = problem_of(Shape(4, 5, 2), 3, 30).as_float32()
    problem.state[:] = 0
    forecasts, _ = oracle(problem)
    for start in (0, 11):
        error = np.abs(forecasts - problem.target)[:, start:]
        each = np.where(error > 1, error - 0.5, 0.5 * error**2)
        loss = training.evaluate(problem.flat, problem.x, problem.target, 5, start)
        assert loss == pytest.approx(float(np.nanmean(each)), rel=1e-5)


def test_evaluate_of_nothing_is_nan(problem_of) -> None:
    problem = problem_of(Shape(4, 5, 2), 1, 10).as_float32()
    assert np.isnan(training.evaluate(problem.flat, problem.x, problem.target, 5, 10))


def test_training_lets_other_threads_run(problem_of) -> None:
    """The line goes on while the trainer computes: a second of training must not hold the interpreter."""
    shape = Shape(9, 32, 1)
    problem = problem_of(shape, 4, 512).as_float32()
    arguments = (problem.x, problem.target, shape.hidden)
    training.train(problem.flat.copy(), *arguments, 1, 1e-3, 1.0)  # compiled
    began = time.perf_counter()
    training.train(problem.flat.copy(), *arguments, 4, 1e-3, 1.0)
    epochs = int(4 * 1.0 / (time.perf_counter() - began)) + 1  # about a second's worth
    thread = threading.Thread(target=training.train, args=(problem.flat.copy(), *arguments, epochs, 1e-3, 1.0))
    thread.start()
    ticks = 0
    while thread.is_alive():
        time.sleep(0.01)
        ticks += 1
    thread.join()
    assert ticks >= 10  # one or two, were the call to hold it

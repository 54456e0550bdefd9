"""Clipping, Adam and the training run: against NumPy for 50 steps, on tasks that need memory, and on bad numbers."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from lstm_stream.lstm import cell, params, training
from lstm_stream.lstm.params import CELLS, Shape


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
    rng, size = np.random.default_rng(0), 304  # as all parameter vectors, a multiple of 16
    flat = rng.standard_normal(size).astype(np.float32)
    expected, reference = flat.astype(np.float64), Adam(size)
    moments = np.zeros((2, size), np.float32)
    for step in range(1, 51):
        grad = (scale * rng.standard_normal(size)).astype(np.float32)
        training.adam(flat, grad.copy(), moments, step, 4e-3, 1.0)
        expected = reference.update(expected, grad.astype(np.float64), 4e-3, 1.0)
    np.testing.assert_allclose(flat, expected, atol=3e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_no_number_changes_nothing(bad) -> None:
    flat, moments = np.ones(16, np.float32), np.ones((2, 16), np.float32)
    grad = np.ones(16, np.float32)
    grad[2] = bad
    training.adam(flat, grad, moments, 3, 0.1, 1.0)
    assert (flat == 1).all()
    assert (moments == 1).all()


def train(problem, epochs: int, rate: float, clip: float):
    """The flat vector after training on a problem, and the last epoch's mean loss."""
    q = problem.astype(np.float32)
    flat = q.flat
    loss = training.train(*kernel_cell(q.shape), flat, q.x, q.target, epochs, rate, clip)
    return flat, loss


def kernel_cell(shape: Shape) -> tuple[int, int]:
    """The cell as kernels take it."""
    return CELLS[shape.cell].code, shape.hidden


def train_in_numpy(problem, epochs: int, rate: float, clip: float):
    """What `training.train` says it does, from the parts of `cell.py`."""
    shape, length = problem.shape, problem.x.shape[1]
    flat, adam = problem.flat, Adam(shape.size)
    starts = range(0, length, training.SEGMENT)
    updates, done, losses = epochs * len(starts), 0, []
    for _ in range(epochs):
        h, c, losses = np.zeros_like(problem.h), np.zeros_like(problem.c), []
        for start in starts:
            piece = slice(start, start + training.SEGMENT)
            x, target = (np.swapaxes(array[:, piece], 0, 1) for array in (problem.x, problem.target))
            grad = params.zeros(shape)
            loss, h, c = cell.sequence_gradient(shape.cell, params.unpack(flat, shape), x, target, h, c, grad)
            losses.append(loss)
            flat = adam.update(flat, params.pack(grad, shape), rate * (1 - done / updates), clip)
            done += 1
    return flat, float(np.mean(losses))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("length", [50, 64, 150], ids=["less-than-a-segment", "a-segment", "segments-and-a-rest"])
def test_a_training_run_is_that_of_the_reference(problem_of, cell_name, length, batch) -> None:
    problem = problem_of(Shape(5, 7, 2, cell_name), batch, length, seed=2)
    arguments = (12, 4e-3, 0.5)  # 36 updates at most: trajectories part for good after many more
    flat, loss = train(problem, *arguments)
    expected, expected_loss = train_in_numpy(problem, *arguments)
    assert loss == pytest.approx(expected_loss, rel=1e-3)
    assert np.linalg.norm(flat - expected) < 1e-3 * np.linalg.norm(expected - problem.flat)


def test_training_is_deterministic(problem_of, cell_name) -> None:
    problem = problem_of(Shape(5, 16, 1, cell_name), 4, 200)
    first, second = (train(problem, 3, 4e-3, 1.0) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert first[1] == second[1]
    assert not np.array_equal(first[0], problem.flat)


def test_what_a_cell_does_not_read_is_not_trained(problem_of, cell_name) -> None:
    """Padding stays zero, exactly, and so does the input to elysium's candidate; all else learns."""
    problem = problem_of(Shape(5, 21, 2, cell_name), 7, 100)
    flat, _ = train(problem, 5, 1e-2, 1.0)
    assert np.array_equal(flat == problem.flat, problem.unread)


def test_training_leaves_its_inputs_alone(problem_of) -> None:
    q = problem_of(Shape(3, 4, 1), 2, 80).astype(np.float32)
    x, target = q.x.copy(), q.target.copy()
    training.train(0, 4, q.flat, q.x, q.target, 2, 1e-2, 1.0)
    assert np.array_equal(q.x, x)
    assert np.array_equal(q.target, target, equal_nan=True)


def test_without_targets_nothing_is_learned(problem_of, cell_name) -> None:
    problem = problem_of(Shape(3, 4, 1, cell_name), 2, 80)
    problem.target[:] = np.nan
    flat, loss = train(problem, 2, 1e-2, 1.0)
    assert loss == 0
    assert np.array_equal(flat, problem.flat)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_inputs_that_are_no_numbers_leave_the_weights_usable(problem_of, cell_name, bad) -> None:
    problem = problem_of(Shape(3, 4, 1, cell_name), 2, 150)
    problem.x[0, 80, 1] = bad
    flat, _ = train(problem, 2, 1e-2, 1.0)
    assert np.isfinite(flat).all()
    assert not np.array_equal(flat, problem.flat), "the segment before was sound"


def remembering(sequences: int, lag: int, seed: int):
    """A bit is shown first and asked for `lag` noisy steps later: x (B, T, 3), target (B, T, 1)."""
    rng = np.random.default_rng(seed)
    x = 0.1 * rng.standard_normal((sequences, lag + 1, 3)).astype(np.float32)
    target = np.full((sequences, lag + 1, 1), np.nan, np.float32)
    bit = rng.choice([-1.0, 1.0], sequences)
    x[:, 0, 0], x[:, -1, 1], target[:, -1, 0] = bit, 1.0, bit
    return x, target


def test_a_bit_is_remembered_over_forty_five_steps(cell_name) -> None:
    """What no forecast from the last samples can know: guessing costs a loss of 0.5."""
    shape = Shape(3, 8, 1, cell_name)
    flat = params.initial(shape, seed=0)
    unseen = remembering(200, 45, seed=1)
    assert training.evaluate(*kernel_cell(shape), flat, *unseen, 0) > 0.3
    training.train(*kernel_cell(shape), flat, *remembering(50, 45, seed=0), 250, 2e-2, 1.0)
    assert training.evaluate(*kernel_cell(shape), flat, *unseen, 0) < 0.05


def test_evaluate_is_the_mean_loss_of_the_newest_part(problem_of, cell_name, oracle) -> None:
    problem = problem_of(Shape(4, 5, 2, cell_name), 3, 30)
    problem.h[:], problem.c[:] = 0, 0
    forecasts, _, _ = oracle(problem)
    q = problem.astype(np.float32)
    for start in (0, 11):
        error = np.abs(forecasts - problem.target)[:, start:]
        each = np.where(error > 1, error - 0.5, 0.5 * error**2)
        loss = training.evaluate(*kernel_cell(q.shape), q.flat, q.x, q.target, start)
        assert loss == pytest.approx(float(np.nanmean(each)), rel=1e-5)


def test_evaluate_of_nothing_is_nan(problem_of, cell_name) -> None:
    q = problem_of(Shape(4, 5, 2, cell_name), 1, 10).astype(np.float32)
    assert np.isnan(training.evaluate(*kernel_cell(q.shape), q.flat, q.x, q.target, 10))


def test_training_lets_other_threads_run(problem_of) -> None:
    """The line goes on while the trainer computes: a second of training must not hold the interpreter."""
    q = problem_of(Shape(9, 32, 1), 4, 512).astype(np.float32)

    def work(epochs: int) -> None:
        training.train(0, 32, q.flat, q.x, q.target, epochs, 1e-3, 1.0)

    def seconds() -> float:
        began = time.perf_counter()
        work(4)
        return time.perf_counter() - began

    work(1)  # compiled
    epochs = int(4 * 1.0 / min(seconds() for _ in range(5))) + 1  # a second's worth; a busy machine takes longer
    thread = threading.Thread(target=work, args=(epochs,))
    thread.start()
    ticks = 0
    while thread.is_alive():
        time.sleep(0.01)
        ticks += 1
    thread.join()
    assert ticks >= 10  # one or two, were the call to hold it

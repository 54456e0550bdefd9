"""Every implementation of backpropagation through time against finite differences and against the NumPy cell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstm_stream.lstm import cell
from lstm_stream.lstm.params import Shape, views


def relative(one, other) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


def finite_differences(problem, loss_of, places, step=1e-6):
    """Central differences of the loss at some places of the parameter vector."""
    result = []
    for place in places:
        losses = []
        for sign in (1, -1):
            flat = problem.flat.copy()
            flat[place] += sign * step
            losses.append(loss_of(replace(problem, flat=flat)))
        result.append((losses[0] - losses[1]) / (2 * step))
    return np.array(result)


@pytest.mark.parametrize("shape", [Shape(1, 1, 1), Shape(2, 3, 2), Shape(3, 5, 1)], ids=str)
def test_the_loss_is_what_the_gradient_is_of(gradient, problem_of, loss_oracle, shape) -> None:
    """Every parameter, nudged up and down in the scalar loops."""
    problem = problem_of(shape, 3, steps=6, seed=4)
    loss, grad, _ = gradient.run(problem)
    assert loss == pytest.approx(loss_oracle(problem), rel=1e-5)
    nudged = finite_differences(problem, loss_oracle, range(shape.size))
    assert relative(grad, nudged) < max(gradient.tolerance, 1e-7)


def test_it_equals_the_reference(gradient, problem, reference_gradient, oracle) -> None:
    loss, grad, state = gradient.run(problem)
    expected_loss, expected, _ = reference_gradient(problem)
    _, expected_state = oracle(problem)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert relative(grad, expected) <= gradient.tolerance
    np.testing.assert_allclose(state, expected_state, atol=3e-6)


def test_a_long_segment_stays_accurate(gradient, problem_of, reference_gradient) -> None:
    problem = problem_of(Shape(9, 16, 1), 2, steps=128).as_float32()
    assert relative(gradient.run(problem)[1], reference_gradient(problem)[1]) <= gradient.tolerance


def test_absent_targets_cost_nothing(gradient, problem_of) -> None:
    problem = problem_of(Shape(3, 4, 2), 2, steps=6)
    absent = replace(problem, target=np.full_like(problem.target, np.nan))
    loss, grad, _ = gradient.run(absent)
    assert loss == 0
    assert not grad.any()


def test_absent_targets_have_no_gradient_and_no_weight(gradient, problem_of) -> None:
    """Steps without targets at the end are as good as not there; the mean is over what is present."""
    problem = problem_of(Shape(3, 4, 2), 2, steps=9)
    problem.target[:, 6:] = np.nan
    loss, grad, _ = gradient.run(problem)
    shorter = replace(problem, x=problem.x[:, :6], target=problem.target[:, :6])
    short_loss, short_grad, _ = gradient.run(shorter)
    assert loss == pytest.approx(short_loss, rel=1e-6)
    assert relative(grad, short_grad) < 1e-6


def test_outliers_pull_no_harder_than_huber_allows(gradient, problem_of) -> None:
    problem = problem_of(Shape(2, 4, 1), 1, steps=4)
    far = replace(problem, target=np.full_like(problem.target, 1e3))
    farther = replace(problem, target=np.full_like(problem.target, 1e6))
    assert relative(gradient.run(far)[1], gradient.run(farther)[1]) < 1e-6


def test_one_step_back_is_the_adjoint_of_one_step_forward(problem_of) -> None:
    """dL/dx, dL/dh and dL/dc of `cell.backward`, which no gradient of parameters shows."""
    problem = problem_of(Shape(4, 5, 2), 3, steps=1)
    p = views(problem.flat, problem.shape)
    x, (h, c) = problem.x[:, 0], np.split(problem.state, 2, axis=1)
    rng = np.random.default_rng(1)
    dh, dc = rng.standard_normal(h.shape), rng.standard_normal(c.shape)
    grad = views(np.zeros_like(problem.flat), problem.shape)
    adjoint = cell.backward(p, cell.forward(p, x, h, c), dh, dc, grad)
    for which, derivative in enumerate(adjoint):
        direction = rng.standard_normal(derivative.shape)
        ends = []
        for sign in (1e-6, -1e-6):
            inputs = [x, h, c]
            inputs[which] = inputs[which] + sign * direction
            step = cell.forward(p, *inputs)
            ends.append(float((dh * step.h).sum() + (dc * step.c).sum()))
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(float((derivative * direction).sum()), rel=1e-7)

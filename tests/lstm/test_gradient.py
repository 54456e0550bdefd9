"""Every implementation of backpropagation through time against finite differences and against the NumPy cell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstm_stream.lstm import cell
from lstm_stream.lstm.params import Shape, pack, unpack, zeros


def relative(one, other) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


@pytest.fixture(scope="session")
def nudged(problem_of, loss_oracle):
    """`nudged(shape)`: a problem and its gradient by central differences of the scalar loops, one parameter a time."""
    known = {}

    def differentiate(shape: Shape, step: float = 1e-6):
        problem = problem_of(shape, 3, steps=6, seed=4)
        grad = zeros(shape)
        for values, slopes in zip(problem.p, grad, strict=True):
            for place in np.ndindex(values.shape):
                value, losses = values[place], []
                for sign in (1, -1):
                    values[place] = value + sign * step
                    losses.append(loss_oracle(problem))
                values[place] = value
                slopes[place] = (losses[0] - losses[1]) / (2 * step)
        return problem, pack(grad, shape)

    def once(shape: Shape):
        if shape not in known:
            known[shape] = differentiate(shape)
        return known[shape]

    return once


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 3, 2), (3, 5, 1)], ids=str)
def test_the_loss_is_what_the_gradient_is_of(gradient, nudged, loss_oracle, cell_name, sizes) -> None:
    """Every parameter, nudged up and down in the scalar loops; what is not read has none."""
    problem, expected = nudged(Shape(*sizes, cell_name))
    loss, grad, _, _ = gradient.run(problem)
    assert loss == pytest.approx(loss_oracle(problem), rel=1e-5)
    assert relative(grad, expected) < max(gradient.tolerance, 1e-7)
    assert np.array_equal(expected == 0, problem.unread)
    assert not grad[problem.unread].any()


def assert_like(one, other, tolerance: float) -> None:
    """Loss, gradient, h and c."""
    assert one[0] == pytest.approx(other[0], rel=1e-5)
    assert relative(one[1], other[1]) <= tolerance
    for state, expected in zip(one[2:], other[2:], strict=True):
        np.testing.assert_allclose(state, expected, rtol=0, atol=1e-5)


def test_the_state_it_hands_on_is_that_of_the_scalar_loops(gradient, problem, oracle) -> None:
    for state, expected in zip(gradient.run(problem)[2:], oracle(problem)[1:], strict=True):
        np.testing.assert_allclose(state, expected, rtol=0, atol=3e-6)


def test_it_equals_the_reference(gradient_kernel, problem, reference_gradient) -> None:
    done = gradient_kernel.run(problem)
    assert_like(done, reference_gradient(problem), gradient_kernel.tolerance)
    assert not done[1][problem.unread].any()


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.integers(1, 12), st.integers(1, 128), st.integers(1, 3), st.integers(1, 300), st.integers(0, 99))
def test_any_shape_is_that_of_the_reference(
    gradient_kernel, problem_of, cell_name, reference_gradient, inputs, hidden, outputs, batch, seed
) -> None:
    problem = problem_of(Shape(inputs, hidden, outputs, cell_name), batch, steps=2, seed=seed)
    problem.target[0, 0, 0] = 0.5  # at least one is present
    done = gradient_kernel.run(problem)
    assert_like(done, reference_gradient(problem), gradient_kernel.tolerance)
    assert not done[1][problem.unread].any()


def test_a_long_segment_stays_accurate(gradient_kernel, problem_of, cell_name, reference_gradient) -> None:
    problem = problem_of(Shape(9, 16, 1, cell_name), 2, steps=128)
    grad = gradient_kernel.run(problem)[1]
    assert relative(grad, reference_gradient(problem)[1]) <= gradient_kernel.tolerance


def test_the_gradient_of_a_batch_is_the_mean_of_its_sequences(gradient, problem_of, cell_name) -> None:
    """Alone, in full groups and in one that is not full, whatever the one before left behind."""
    problem = problem_of(Shape(4, 21, 2, cell_name), 13, steps=5)
    problem.target[:] = np.nan_to_num(problem.target)
    loss, grad, h, c = gradient.run(problem)
    alone = [gradient.run(problem.rows([row])) for row in range(13)]
    assert loss == pytest.approx(np.mean([each[0] for each in alone]), rel=1e-5)
    assert relative(grad, np.mean([each[1] for each in alone], axis=0)) <= gradient.tolerance
    for whole, part in ((h, 2), (c, 3)):
        np.testing.assert_allclose(whole, np.concatenate([each[part] for each in alone]), rtol=0, atol=1e-6)


def test_it_is_deterministic(gradient, problem_of, cell_name) -> None:
    problem = problem_of(Shape(4, 21, 2, cell_name), 7, steps=9)
    for one, other in zip(gradient.run(problem), gradient.run(problem), strict=True):
        assert np.array_equal(one, other)


def test_absent_targets_cost_nothing(gradient, problem_of, cell_name) -> None:
    problem = problem_of(Shape(3, 4, 2, cell_name), 2, steps=6)
    absent = replace(problem, target=np.full_like(problem.target, np.nan))
    loss, grad, _, _ = gradient.run(absent)
    assert loss == 0
    assert not grad.any()


def test_absent_targets_have_no_gradient_and_no_weight(gradient, problem_of, cell_name) -> None:
    """Steps without targets at the end are as good as not there; the mean is over what is present."""
    problem = problem_of(Shape(3, 4, 2, cell_name), 2, steps=9)
    problem.target[:, 6:] = np.nan
    loss, grad, _, _ = gradient.run(problem)
    short_loss, short_grad, _, _ = gradient.run(problem.steps(slice(6)))
    assert loss == pytest.approx(short_loss, rel=1e-6)
    assert relative(grad, short_grad) < 1e-6


def test_outliers_pull_no_harder_than_huber_allows(gradient, problem_of, cell_name) -> None:
    problem = problem_of(Shape(2, 4, 1, cell_name), 1, steps=4)
    far = replace(problem, target=np.full_like(problem.target, 1e3))
    farther = replace(problem, target=np.full_like(problem.target, 1e6))
    assert relative(gradient.run(far)[1], gradient.run(farther)[1]) < 1e-6


def test_ltms_with_regular_samples_learns_as_the_standard_cell(gradient, problem_of) -> None:
    """And its extra weights nothing, as tau = 0 says nothing about them."""
    problem = problem_of(Shape(4, 19, 2, "ltms"), 7, steps=12)
    problem.x[:, :, -1] = 0
    standard = problem.shape._replace(cell="standard")
    plain = replace(problem, shape=standard, p=problem.p._replace(extra=problem.p.extra[:0]))
    modulated = unpack(gradient.run(problem)[1], problem.shape)
    for name, expected in unpack(gradient.run(plain)[1], standard)._asdict().items():
        if name != "extra":
            assert np.array_equal(getattr(modulated, name), expected), name
    assert not modulated.extra.any()


def test_one_step_back_is_the_adjoint_of_one_step_forward(problem_of, cell_name) -> None:
    """dL/dx, dL/dh and dL/dc of `cell.backward`, which no gradient of parameters shows."""
    problem = problem_of(Shape(4, 5, 2, cell_name), 3, steps=1)
    x, p, rng = problem.x[:, 0], problem.p, np.random.default_rng(1)
    dh, dc = rng.standard_normal((2, *problem.h.shape))
    grad = zeros(problem.shape)
    step = cell.forward(cell_name, p, x, problem.h, problem.c)
    adjoint = cell.backward(cell_name, p, step, dh, dc, grad)
    for which, derivative in enumerate(adjoint):
        direction = rng.standard_normal(derivative.shape)
        if which == 0 and cell_name == "ltms":
            continue  # dL/dx there is, as said, only what passes through the sums
        ends = []
        for sign in (1e-6, -1e-6):
            inputs = [x, problem.h, problem.c]
            inputs[which] = inputs[which] + sign * direction
            gates = cell.forward(cell_name, p, *inputs).gates
            ends.append(float((dh * gates.h).sum() + (dc * gates.c).sum()))
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(float((derivative * direction).sum()), rel=1e-7)

"""Every implementation of the forward pass equals the scalar loops, in any batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstm_stream.lstm.params import Shape


def test_it_equals_the_scalar_loops(forward, problem, oracle) -> None:
    forecasts, state = forward.run(problem)
    expected_forecasts, expected_state = oracle(problem)
    np.testing.assert_allclose(forecasts, expected_forecasts, rtol=0, atol=forward.tolerance)
    np.testing.assert_allclose(state, expected_state, rtol=0, atol=forward.tolerance)


def test_the_state_is_carried(forward, problem) -> None:
    """Two halves in a row are the whole, bitwise."""
    whole, last = forward.run(problem)
    first, between = forward.run(replace(problem, x=problem.x[:, :2]))
    second, end = forward.run(replace(problem, x=problem.x[:, 2:], state=between))
    assert np.array_equal(np.concatenate((first, second), axis=1), whole)
    assert np.array_equal(end, last)


def test_a_row_does_not_depend_on_the_other_rows(forward, problem_of) -> None:
    """Any batch, any order: bitwise the same, but for NumPy's matrix product, which adds in an order of its own."""
    rounding = 1e-12 if forward.name == "cell" else 0
    problem = problem_of(Shape(5, 17, 2), 7, steps=20)
    whole, last = forward.run(problem)
    for rows in ([3], [6, 5, 4, 3, 2, 1, 0], [2, 0], [0, 1, 2, 3, 4], [1, 6, 3]):
        some, state = forward.run(replace(problem, x=problem.x[rows], state=problem.state[rows]))
        np.testing.assert_allclose(some, whole[rows], rtol=0, atol=rounding)
        np.testing.assert_allclose(state, last[rows], rtol=0, atol=rounding)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["x", "state"])
def test_nan_stays_in_its_row(forward, problem_of, poison, place) -> None:
    problem = problem_of(Shape(3, 9, 2), 5, steps=3)
    clean, clean_state = forward.run(problem)
    dirty = replace(problem, **{place: getattr(problem, place).copy()})
    array = dirty.x if place == "x" else dirty.state
    array[2, 0] = poison  # the first step's inputs, or one hidden unit
    with np.errstate(invalid="ignore", over="ignore"):
        forecasts, state = forward.run(dirty)
    others = [0, 1, 3, 4]
    assert np.array_equal(forecasts[others], clean[others])
    assert np.array_equal(state[others], clean_state[others])
    if np.isnan(poison):
        assert np.isnan(forecasts[2]).all()
        assert np.isnan(state[2, :9]).any()


def test_large_numbers_saturate_the_gates(forward, problem_of) -> None:
    """No overflow, no NaN: a gate is 0 or 1 there."""
    problem = problem_of(Shape(3, 9, 2), 2, steps=4)
    forecasts, state = forward.run(replace(problem, x=1e6 * np.sign(problem.x)))
    assert np.isfinite(forecasts).all()
    assert np.isfinite(state).all()
    assert (np.abs(state[:, :9]) <= 1).all()


def test_a_thousand_steps_do_not_drift(forward, problem_of, oracle) -> None:
    problem = problem_of(Shape(2, 8, 1), 1, steps=1000).as_float32()
    forecasts, _ = forward.run(problem)
    expected, _ = oracle(problem)
    assert np.abs(forecasts - expected).max() < 1e-5

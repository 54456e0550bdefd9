"""Every implementation of the forward pass equals the scalar loops, in any batch, for every cell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstm_stream.lstm import kernels, simd
from lstm_stream.lstm.params import CELLS, Shape


def assert_equal(one, other, atol=0.0) -> None:
    """Forecasts, h and c."""
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


def test_it_equals_the_scalar_loops(forward, problem, oracle) -> None:
    assert_equal(forward.run(problem), oracle(problem), forward.tolerance)


def test_the_state_is_carried(forward, problem) -> None:
    """Two halves in a row are the whole, bitwise."""
    whole, *last = forward.run(problem)
    first, h, c = forward.run(problem.steps(slice(2)))
    second, *end = forward.run(replace(problem.steps(slice(2, None)), h=h, c=c))
    assert np.array_equal(np.concatenate((first, second), axis=1), whole)
    assert_equal(end, last)


def test_a_row_does_not_depend_on_the_other_rows(forward, problem_of, cell_name) -> None:
    """Any batch, any order: bitwise the same, but for NumPy's matrix product, which adds in an order of its own."""
    rounding = 1e-12 if forward.name == "cell" else 0.0
    problem = problem_of(Shape(5, 17, 2, cell_name), 7, steps=20)
    whole = forward.run(problem)
    for rows in ([3], [6, 5, 4, 3, 2, 1, 0], [2, 0], [0, 1, 2, 3, 4], [1, 6, 3]):
        assert_equal(forward.run(problem.rows(rows)), [part[rows] for part in whole], rounding)


@pytest.mark.parametrize("sizes", [(1, 16, 1), (4, 48, 2), (11, 70, 3)], ids=str)
def test_every_size_of_batch_is_the_same_bitwise(problem_of, cell_name, sizes) -> None:
    """Own weights, shared weights, a sequence of one; single rows, tiles, tails of tiles and of chunks."""
    most = kernels.CHUNK + simd.ROWS + 1
    shape, code = Shape(*sizes, cell_name), CELLS[cell_name].code
    problem = problem_of(shape, most, steps=1).astype(np.float32)
    flat, x, before = problem.flat, np.ascontiguousarray(problem.x[:, 0]), problem.state
    expected, expected_y = before.copy(), np.empty((most, shape.outputs), np.float32)
    for row in range(most):
        kernels.run_sequence(code, shape.hidden, flat, x[row : row + 1], expected[row], expected_y[row : row + 1])
    rng = np.random.default_rng(0)
    for size in range(1, most + 1):
        slot = rng.permutation(most)[:size].astype(np.int32)
        for weights in (flat[None], np.tile(flat, (most, 1))):
            state, y = before.copy(), np.zeros_like(expected_y)
            kernels.step_rows(code, shape.hidden, slot, weights, x[slot], state, y)
            assert np.array_equal(state[slot], expected[slot]), f"batch of {size}, {len(weights)} weights"
            assert np.array_equal(y[slot], expected_y[slot]), f"batch of {size}, {len(weights)} weights"


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 3e38, -3e38])
@pytest.mark.parametrize("place", ["x", "h", "c"])
@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow")
def test_what_is_no_number_stays_in_its_row(forward, problem_of, cell_name, poison, place) -> None:
    """NaN in, NaN out. Units that do not exist stay zero, which `forward.run` asserts."""
    problem = problem_of(Shape(3, 9, 2, cell_name), 5, steps=3)
    clean = forward.run(problem)
    array = getattr(problem, place).copy()
    array[2, 0] = poison  # the first step's inputs, or one hidden unit
    dirty = forward.run(replace(problem, **{place: array}))
    others = [0, 1, 3, 4]
    assert_equal([part[others] for part in dirty], [part[others] for part in clean])
    if np.isnan(poison):
        forecasts, h, c = dirty
        assert np.isnan(forecasts[2]).all()
        assert np.isnan(h[2]).any()
        assert np.isnan(c[2]).any()


def test_large_numbers_saturate_the_gates(forward, problem_of, cell_name) -> None:
    """No overflow, no NaN: a gate is 0 or 1 there."""
    problem = problem_of(Shape(3, 9, 2, cell_name), 2, steps=4)
    forecasts, h, c = forward.run(replace(problem, x=1e6 * np.sign(problem.x)))
    assert np.isfinite(forecasts).all()
    assert np.isfinite(c).all()
    assert (np.abs(h) <= 1).all()


@pytest.mark.parametrize("sizes", [(2, 8, 1), (9, 33, 2)], ids=str)
def test_a_thousand_steps_do_not_drift(kernel, problem_of, cell_name, reference, sizes) -> None:
    problem = problem_of(Shape(*sizes, cell_name), 2, steps=1000)
    assert_equal(kernel.run(problem), reference(problem), 1e-5)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.integers(1, 12), st.integers(1, 128), st.integers(0, 3), st.integers(1, 300), st.integers(0, 99))
def test_any_shape_is_that_of_the_reference(
    kernel, problem_of, cell_name, reference, inputs, hidden, outputs, batch, seed
) -> None:
    problem = problem_of(Shape(inputs, hidden, outputs, cell_name), batch, steps=2, seed=seed)
    assert_equal(kernel.run(problem), reference(problem), 1e-5)


def without_extra(problem):
    """The same weights in a standard cell."""
    p = problem.p._replace(extra=problem.p.extra[:0])
    return replace(problem, shape=problem.shape._replace(cell="standard"), p=p)


def test_ltms_with_regular_samples_is_the_standard_cell(forward, problem_of) -> None:
    """Where no sample came early or late, tau = 0, its extra weights do nothing, bitwise."""
    problem = problem_of(Shape(4, 19, 2, "ltms"), 6, steps=30)
    problem.x[:, :, -1] = 0
    assert_equal(forward.run(problem), forward.run(without_extra(problem)))


def test_ltms_with_irregular_samples_is_not(forward, problem_of) -> None:
    problem = problem_of(Shape(4, 19, 2, "ltms"), 6, steps=3)
    difference = forward.run(problem)[0] - forward.run(without_extra(problem))[0]
    assert np.abs(difference).max() > 0.01


def test_coupled_writes_what_it_forgets(forward, problem_of) -> None:
    """C' = f c + (1 - f) g lies between c and g: where both are 1, or nearly, so is c', whatever the gate says."""
    problem = problem_of(Shape(4, 19, 2, "coupled"), 6, steps=5)
    hidden = problem.shape.hidden
    problem.p.b[2 * hidden : 3 * hidden] = 100  # g = 1
    problem = replace(problem, c=np.ones_like(problem.c))
    assert_equal([forward.run(problem)[2]], [problem.c], 1e-6)


def test_the_input_gate_of_coupled_is_not_read(forward, problem_of) -> None:
    problem = problem_of(Shape(4, 19, 2, "coupled"), 6, steps=5)
    before = forward.run(problem)
    problem.p.wx[:, :19] += 1
    problem.p.wh[:, :19] += 1
    problem.p.b[:19] += 1
    assert_equal(forward.run(problem), before)


def test_elysium_lets_the_input_act_through_the_gates_alone(forward, problem_of) -> None:
    """What is written to the cell state does not know of it; h and c after that do."""
    problem = problem_of(Shape(4, 19, 2, "elysium"), 6, steps=1)
    other = replace(problem, x=problem.x + 1)
    for one, another in zip(forward.run(problem), forward.run(other), strict=True):
        assert (one != another).all()
    problem.p.b[:19] = 100  # an input gate that is open, and nothing to forget: c' = g
    candidates = [forward.run(replace(each, c=np.zeros_like(each.c)))[2] for each in (problem, other)]
    assert candidates[0].any()
    assert_equal(*([each] for each in candidates), forward.tolerance)

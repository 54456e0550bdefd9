"""Running normalisation against NumPy's own statistics, and what must not move it."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_stream.detect import scaling


def scale_all(rows, values):
    """Samples (T, S, D) one after the other: u, center and scale (T, S, D)."""
    values = np.asarray(values, float)
    center, scale, u = np.empty_like(values), np.empty_like(values), np.empty_like(values)
    for t, sample in enumerate(values):
        u[t] = rows.call(scaling.standardise, values=sample, center=center[t], scale=scale[t])
    return u, center, scale


def one_channel(rows_of, values):
    rows = rows_of()
    return rows, [array[:, 0, 0] for array in scale_all(rows, np.reshape(values, (-1, 1, 1)))]


def test_it_is_the_mean_and_the_deviation_of_the_past(rows_of) -> None:
    """At sample n those of the n samples before it, until outliers are clipped; float64 formulas."""
    x = 20 + 3 * np.random.default_rng(0).standard_normal(50)
    _, (u, center, scale) = one_channel(rows_of, x)
    for n in range(1, 50):
        past = x[:n]
        floor = 0.05 if n < 20 else 1e-3
        expected = max(past.std(), floor * abs(past.mean()) + 1e-9)
        assert center[n] == pytest.approx(past.mean(), rel=1e-12)
        assert scale[n] == pytest.approx(expected, rel=1e-9)
        assert u[n] == pytest.approx(np.arcsinh((x[n] - past.mean()) / expected), rel=1e-9, abs=1e-12)


def test_a_first_sample_and_a_constant_sensor_are_usual(rows_of) -> None:
    for value in (7.5, 0.0, -1e-12, 1e30):
        _, (u, _, scale) = one_channel(rows_of, np.full(300, value))
        assert not u.any()
        assert (scale > 0).all()


def test_the_unit_does_not_matter(rows_of) -> None:
    x = 20 + np.random.default_rng(1).standard_normal(3000)
    _, (u, _, _) = one_channel(rows_of, x)
    _, (milli, _, _) = one_channel(rows_of, 1000 * x)
    np.testing.assert_allclose(milli, u, atol=1e-6)


def test_an_outlier_hardly_moves_the_scale_it_is_measured_on(rows_of) -> None:
    x = 20 + np.random.default_rng(2).standard_normal(500)
    x[400] = 1e6
    _, (u, center, scale) = one_channel(rows_of, x)
    assert u[400] > 10
    assert abs(center[401] - center[400]) < 0.1
    assert scale[401] < 1.1 * scale[400]


def test_a_lasting_change_becomes_the_scale(rows_of) -> None:
    x = 20 + np.random.default_rng(3).standard_normal(20_000)
    x[4000:] = 50 + 5 * (x[4000:] - 20)
    _, (_, center, scale) = one_channel(rows_of, x)
    assert center[-1] == pytest.approx(50, abs=1)
    assert scale[-1] == pytest.approx(5, rel=0.2)


def test_while_an_alarm_is_open_nothing_is_learned(rows_of) -> None:
    rows, _ = one_channel(rows_of, 20 + np.random.default_rng(4).standard_normal(100))
    before = [getattr(rows.arrays, name).copy() for name in ("seen", "mean", "variance")]
    rows.arrays.open[0] = True
    u, center, _ = scale_all(rows, np.full((50, 1, 1), 90.0))
    assert (u > 3).all()
    assert (center == before[1][0, 0]).all()
    assert all(
        np.array_equal(getattr(rows.arrays, n), b) for n, b in zip(("seen", "mean", "variance"), before, strict=True)
    )


def test_an_absent_value_is_no_value(rows_of) -> None:
    """The statistics are those of what is there."""
    x = 20 + np.random.default_rng(5).standard_normal(200)
    _, (u, _, _) = one_channel(rows_of, x)
    gaps = np.insert(x, [0, 30, 30, 150], np.nan)
    _, (with_gaps, center, scale) = one_channel(rows_of, gaps)
    assert np.isnan(with_gaps[np.isnan(gaps)]).all()
    assert np.array_equal(with_gaps[~np.isnan(gaps)], u)
    assert np.isfinite(center[1:]).all()
    assert np.isfinite(scale[1:]).all()


def test_channels_and_sensors_are_apart(rows_of) -> None:
    x = np.random.default_rng(6).standard_normal((80, 3, 2)) * [1, 100] + [0, 1000]
    together, _, _ = scale_all(rows_of(2, 3), x)
    for s in range(3):
        for d in range(2):
            _, (u, _, _) = one_channel(rows_of, x[:, s, d])
            assert np.array_equal(u, together[:, s, d])


@pytest.mark.parametrize("at", [0, 1, 5, 30, 49, 60])
def test_a_wild_value_at_the_start_does_not_hide_what_comes(rows_of, at) -> None:
    """A controller's 65535 among the first samples: soon the scale is that of the others."""
    x = 20 + np.random.default_rng(7).standard_normal(1000)
    x[at] = 65_535
    _, (_, center, scale) = one_channel(rows_of, x)
    assert (scale[200:] < 5).all()
    assert scale[-1] == pytest.approx(1, abs=0.4)
    assert center[-1] == pytest.approx(20, abs=0.6)


def test_a_scale_of_a_still_start_is_left_behind(rows_of) -> None:
    """Hundreds of samples of nothing, then the sensor comes to life a million times as large."""
    x = 1e6 * np.abs(np.random.default_rng(8).standard_normal(700))
    x[:400] = 0
    _, (u, _, scale) = one_channel(rows_of, x)
    assert (scale[430:] > 1e4).all()
    assert np.abs(u[430:]).max() < 7

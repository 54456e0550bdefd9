"""The views on the forecast error: one value unlike its forecast, and a stretch of poor forecasts."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_stream.detect import errors
from lstm_stream.records import View

SINGLE, BURST = View.FORECAST - 1, View.BURST - 1


def watch(rows, errors_of, forecast=0.0):
    """Errors (T, D) of one sensor: statistics (T, V) and shares (T, V, D)."""
    statistics, shares = [], []
    for e in np.asarray(errors_of, float):
        rows.arrays.forecast[:] = forecast
        rows.arrays.seen += ~np.isnan(e)
        room = rows.room()
        rows.call(errors.error_views, u=(e + forecast)[None], **room)
        statistics.append(room["statistic"][0])
        shares.append(room["share"][0])
    return np.array(statistics), np.array(shares)


def test_the_error_is_in_units_of_its_own_past(rows_of) -> None:
    """Against float64 NumPy: |e| over the root of the running mean square before it."""
    e = 0.3 * np.random.default_rng(0).uniform(-1, 1, (400, 1))  # bounded: nothing is clipped
    statistics, _ = watch(rows_of(), e)
    square = 1.0
    for n, error in enumerate(e[:, 0], start=1):
        assert statistics[n - 1, SINGLE] == pytest.approx(abs(error) / np.sqrt(square + 1e-6), rel=1e-9)
        square += (error**2 - square) / min(n, errors.MEMORY)


@pytest.mark.parametrize("size", [1e-3, 1.0, 10.0])
def test_whatever_is_usual_is_about_one(rows_of, size) -> None:
    statistics, _ = watch(rows_of(), size * np.random.default_rng(1).standard_normal((3000, 1)))
    assert np.sqrt(np.mean(statistics[1000:, SINGLE] ** 2)) == pytest.approx(1, abs=0.3)
    assert np.median(statistics[1000:, BURST]) == pytest.approx(1, abs=0.4)


def test_one_wild_value_shows_at_once_in_its_channel(rows_of) -> None:
    e = np.random.default_rng(2).standard_normal((500, 3))
    e[400, 1] = 15
    statistics, shares = watch(rows_of(3), e)
    assert statistics[400, SINGLE] > 2 * statistics[300:400, SINGLE].max()
    assert shares[400, SINGLE].argmax() == 1
    assert statistics[401:, SINGLE].max() < 6, "a wild value must not make the next ones usual, nor unusual"


def test_a_stretch_of_poor_forecasts_shows_where_no_single_one_does(rows_of) -> None:
    """Twice the usual noise: within what single errors reach anyway."""
    e = np.random.default_rng(3).standard_normal((2000, 1))
    e[1800:1840] *= 2
    statistics, shares = watch(rows_of(), e)
    usual = statistics[500:1800]
    assert statistics[1800:1840, SINGLE].max() < 1.6 * usual[:, SINGLE].max()
    assert statistics[1815:1840, BURST].max() > 1.2 * usual[:, BURST].max()
    np.testing.assert_allclose(shares[:, BURST, 0], statistics[:, BURST] ** 2)


def test_absent_values_and_missing_forecasts_are_no_errors(rows_of) -> None:
    e = np.random.default_rng(4).standard_normal((300, 2))
    e[100:120, 0] = np.nan
    statistics, shares = watch(rows_of(2), e)
    assert np.isfinite(statistics[:, [SINGLE, BURST]]).all()
    assert not shares[100:120, SINGLE, 0].any()
    rows = rows_of()
    first, _ = watch(rows, [[2.0]], forecast=np.nan)  # a new sensor has none
    assert first[0, SINGLE] == 0
    assert rows.arrays.error[0, 0] == 1


def test_while_an_alarm_is_open_the_usual_error_stays(rows_of) -> None:
    rows = rows_of()
    watch(rows, np.random.default_rng(5).standard_normal((200, 1)))
    before = rows.arrays.error.copy()
    rows.arrays.open[:] = True
    statistics, _ = watch(rows, np.full((100, 1), 8.0))
    assert np.array_equal(rows.arrays.error, before)
    assert statistics[-1, SINGLE] == statistics[0, SINGLE]
    assert statistics[-1, BURST] > 3

"""The level view against float64 formulas, and the faults it is there for."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_stream.detect import levels
from lstm_stream.records import View

LEVEL = View.LEVEL - 1
DAY, WEEK = 86400.0, 604800.0
START = 4 * DAY  # 1970 began on a Thursday: a Monday


def watch(rows, u, interval=300.0, start=START, warmup=0):
    """Scaled values (T, D) of one sensor, a sample in `interval` s: the statistic (T,) and the shares (T, D)."""
    statistics, shares = [], []
    for k, sample in enumerate(np.asarray(u, float)):
        room = rows.room()
        time = np.array([start + k * interval])
        rows.call(levels.level_view, u=sample[None], time=time, warmup=warmup, **room)
        rows.arrays.count += 1
        statistics.append(room["statistic"][0, LEVEL])
        shares.append(room["share"][0, LEVEL])
    return np.array(statistics), np.array(shares)


def season_terms(time):
    """The baseline's terms (T, 7), as the documentation says: constant, day, half-day, week."""
    day, week = 2 * np.pi * time / DAY, 2 * np.pi * time / WEEK
    columns = [
        np.ones_like(time),
        np.sin(day),
        np.cos(day),
        np.sin(2 * day),
        np.cos(2 * day),
        np.sin(week),
        np.cos(week),
    ]
    return np.stack(columns, axis=1)


def test_the_normal_equations_are_those_of_ridge_regression(rows_of) -> None:
    """Exponentially forgotten, in float64; bounded noise is never clipped after a first sample at its bound."""
    rows, samples = rows_of(2), 400
    u = np.random.default_rng(0).uniform(-1, 1, (samples, 2))
    u[0] = 1
    watch(rows, u)
    terms = season_terms(START + 300.0 * np.arange(samples))
    weight = (1 - 1 / levels.MEMORY) ** np.arange(samples - 1, -1, -1)
    gram, moment = terms.T @ (terms * weight[:, None]), terms.T @ (u * weight[:, None])
    np.testing.assert_allclose(rows.arrays.gram[0], gram, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(rows.arrays.moment[0], moment, rtol=1e-9, atol=1e-9)
    solved = (samples - 1) // levels.SOLVE_EVERY * levels.SOLVE_EVERY + 1  # sample number `count` is a multiple
    terms, weight = terms[:solved], weight[samples - solved :]
    ridge = np.diag([1e-3] + [levels.RIDGE] * 6)
    expected = np.linalg.solve(terms.T @ (terms * weight[:, None]) + ridge, terms.T @ (u[:solved] * weight[:, None]))
    np.testing.assert_allclose(rows.arrays.baseline[0], expected, rtol=1e-6, atol=1e-9)


def test_the_statistic_is_hotellings(rows_of) -> None:
    """sqrt(l' (C + ridge)^-1 l / D), with the covariance before the sample and the level after it."""
    rows = rows_of(3)
    mix = np.array([[1, 0.8, 0], [0, 0.6, 0.3], [0, 0, 0.2]])
    u = np.random.default_rng(1).standard_normal((600, 3)) @ mix
    for k, sample in enumerate(u):
        before = rows.arrays.covariance[0].copy()
        room = rows.room()
        rows.call(levels.level_view, u=sample[None], time=np.array([START + 300.0 * k]), warmup=0, **room)
        rows.arrays.count += 1
        level = rows.arrays.level[0]
        ridge = (1e-6 + 1e-3 * np.trace(before) / 3) * np.eye(3)
        expected = np.sqrt(max(level @ np.linalg.solve(before + ridge, level), 0) / 3)
        assert room["statistic"][0, LEVEL] == pytest.approx(expected, rel=1e-6)


def peaks(statistic, first, stop):
    """The highest before the fault, once it has settled, and the highest during it."""
    return statistic[first // 2 : first].max(), statistic[first:stop].max()


def seasonal(samples, seed, channels=1, interval=300.0):
    """A day's and a week's rhythm with noise."""
    time = START + interval * np.arange(samples)
    rhythm = np.sin(2 * np.pi * time / DAY) + 0.4 * np.cos(2 * np.pi * time / WEEK)
    return rhythm[:, None] + 0.3 * np.random.default_rng(seed).standard_normal((samples, channels))


@pytest.mark.parametrize("seed", range(3))
def test_a_level_shift_within_the_usual_range_is_found(rows_of, seed) -> None:
    """No single value is unusual: the shift is as large as the noise."""
    u = seasonal(6000, seed)
    u[5500:5600] += 0.6
    statistic, _ = watch(rows_of(), u)
    usual, highest = peaks(statistic, 5500, 5600)
    assert highest > 1.3 * usual


@pytest.mark.parametrize("seed", range(3))
def test_a_slow_drift_is_found(rows_of, seed) -> None:
    u = seasonal(6000, seed)
    u[5000:5600, 0] += np.linspace(0, 2.5, 600)
    statistic, _ = watch(rows_of(), u)
    usual, highest = peaks(statistic, 5000, 5600)
    assert highest > 1.5 * usual


@pytest.mark.parametrize("seed", range(3))
def test_channels_that_no_longer_move_together_are_found(rows_of, seed) -> None:
    """Each channel alone stays within what it always does, to the last value."""
    rng = np.random.default_rng(seed)
    common = np.zeros(4400)
    for k in range(1, 4400):
        common[k] = 0.97 * common[k - 1] + 0.24 * rng.standard_normal()
    u = common[:, None] + 0.1 * rng.standard_normal((4400, 2))
    u[4000:, 1] = u[2000:2400, 1]  # what it did some time ago
    statistic, _ = watch(rows_of(2), u)
    usual, highest = peaks(statistic, 4000, 4400)
    assert highest > 2 * usual
    for channel in range(2):
        alone, _ = watch(rows_of(), u[:, [channel]])
        usual, highest = peaks(alone, 4000, 4400)
        assert highest < 1.3 * usual


def test_the_season_is_learned(rows_of) -> None:
    """After some weeks the baseline is the rhythm, and noon's value at midnight is unusual."""
    rows, samples = rows_of(), 8064  # four weeks
    u = seasonal(samples, 0)
    statistic, _ = watch(rows, u)
    time = START + 300.0 * np.arange(samples, samples + 2016)
    usual = np.array([levels.fitted(t, rows.arrays.baseline[0])[0] for t in time])
    expected = np.sin(2 * np.pi * time / DAY) + 0.4 * np.cos(2 * np.pi * time / WEEK)
    assert np.sqrt(np.mean((usual - expected) ** 2)) < 0.15
    half_a_day = seasonal(samples + 200, 1)[-200:] - 2 * np.sin(2 * np.pi * time[:200] / DAY)[:, None]
    off, _ = watch(rows, half_a_day, start=float(time[0]))
    assert off.max() > 2 * statistic[4000:].max()


def test_the_share_names_the_channel(rows_of) -> None:
    u = np.random.default_rng(3).standard_normal((3000, 3))
    u[2800:2900, 2] += 3
    _, shares = watch(rows_of(3), u)
    assert (shares >= 0).all()
    assert shares[2850].argmax() == 2
    assert shares[2850, 2] > 0.8 * shares[2850].sum()


def test_a_spike_is_no_level(rows_of) -> None:
    u = seasonal(3000, 4)
    u[2500] = 60
    statistic, _ = watch(rows_of(), u)
    usual, highest = peaks(statistic, 2500, 2600)
    assert highest < 2 * usual


def test_while_an_alarm_is_open_nothing_is_learned(rows_of) -> None:
    rows = rows_of()
    watch(rows, seasonal(600, 5))
    learned = ("gram", "moment", "baseline", "deviation", "covariance")
    before = {name: getattr(rows.arrays, name).copy() for name in learned}
    rows.arrays.open[:] = True
    statistic, _ = watch(rows, np.full((100, 1), 9.0))
    for name, value in before.items():
        assert np.array_equal(getattr(rows.arrays, name), value), name
    assert statistic[-1] > 2


def test_the_warm_up_is_all_usual(rows_of) -> None:
    """What is odd by the few samples before it is learned then, and only then."""
    u = np.random.default_rng(8).standard_normal((400, 2))
    u[300:] += 4
    spread = {}
    for warmup in (0, 400):
        rows = rows_of(2)
        rows.arrays.fit[0, LEVEL, :2] = 60.0, 1.5  # blocks known, and their threshold
        watch(rows, u, warmup=warmup)
        spread[warmup] = np.trace(rows.arrays.covariance[0])
    assert spread[400] > 3 * spread[0]


def test_an_absent_channel_leaves_its_level_where_it_is(rows_of) -> None:
    rows = rows_of(2)
    u = np.random.default_rng(6).standard_normal((1500, 2))
    watch(rows, u)
    before = rows.arrays.level[0, 1]
    statistic, _ = watch(rows, np.stack((u[:50, 0], np.full(50, np.nan)), axis=1))
    assert rows.arrays.level[0, 1] == before
    assert np.isfinite(statistic).all()
    for spec in rows.arrays.specs:
        if spec.name in ("gram", "moment", "baseline", "deviation", "level", "covariance"):
            assert np.isfinite(getattr(rows.arrays, spec.name)).all()


def test_channels_that_are_the_same_do_no_harm(rows_of) -> None:
    """A singular covariance: two channels in two units; and one that never moves."""
    one = seasonal(3000, 7)
    u = np.concatenate((one, one, np.zeros_like(one)), axis=1)
    statistic, _ = watch(rows_of(3), u)
    assert np.isfinite(statistic).all()
    assert statistic[500:].max() < 10

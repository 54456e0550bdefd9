"""What has never been: the distance to everything seen, bounded, forgetting nothing and excusing nothing."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_stream.detect import history, novelty
from lstm_stream.records import View

DAY = 86400.0
SURPRISE, SHAPE, CLOCK, RANGE = (int(view) - 1 for view in (View.SURPRISE, View.SHAPE, View.CLOCK, View.RANGE))


def watch(rows, u, forecast=None, interval=300.0):
    """Scaled values (T, D) of a sensor, raw ones tenfold: statistics (T, 7), the last the range's; shares."""
    u = np.asarray(u, float)
    forecast = np.zeros_like(u) if forecast is None else forecast
    a, statistics, shares = rows.arrays, [], []
    for sample, awaited in zip(u, forecast, strict=True):
        room, outside = rows.room(), np.zeros(1)
        share = np.full((1, int(View.STUCK), rows.channels), np.nan)
        time = a.count[:1] * interval
        a.forecast[0] = awaited
        rows.call(
            novelty.novelty_views,
            values=10 * sample[None],
            u=sample[None],
            scale=np.full((1, rows.channels), 10.0),
            time=time,
            first_view=SURPRISE,
            statistic=room["statistic"],
            outside=outside,
            share=share,
        )
        gap, learnable = np.zeros(1, np.float32), np.ones(1, bool)
        rows.call(history.append, time=time, u=sample[None], gap=gap, learnable=learnable)
        a.count += 1
        statistics.append(np.append(room["statistic"][0], outside))
        shares.append(share[0])
    return np.array(statistics), np.array(shares)


def noise(samples, seed=0, channels=1):
    return np.random.default_rng(seed).uniform(-1, 1, (samples, channels))


def test_a_value_at_the_wrong_time_of_day(rows_of) -> None:
    """Noon's value at midnight: nothing else is odd about it."""
    rhythm = 2 * np.sin(2 * np.pi * np.arange(288 * 6) / 288)[:, None] + 0.1 * noise(288 * 6)
    rhythm[288 * 5 + 72] = -2
    statistic, _ = watch(rows_of(), rhythm)
    odd, usual = statistic[288 * 5 + 72, CLOCK], statistic[288 * 4 : 288 * 5, CLOCK]
    assert odd > 3 * usual.max()
    assert statistic[288 * 5 + 72, -1] == 0


def test_an_error_where_there_never_was_one(rows_of) -> None:
    """At high forecasts errors are large, at low ones small: the same error is usual here and odd there."""
    rng = np.random.default_rng(1)
    forecast = np.where(np.arange(2000) % 40 < 20, 0.0, 3.0)[:, None]
    error = np.where(forecast > 0, 1.0, 0.05) * rng.uniform(-1, 1, (2000, 1))
    low, high = 1930, 1950
    assert (forecast[low], forecast[high]) == (0, 3)
    error[[low, high]] = 0.8
    statistic, _ = watch(rows_of(), forecast + error, forecast)
    assert statistic[low, SURPRISE] > 5 * statistic[high, SURPRISE]


@pytest.mark.parametrize("fault", ["unrest", "stillness", "level"])
def test_an_unrest_a_stillness_and_a_level_that_never_were(rows_of, fault) -> None:
    u = noise(1500)
    stretch = slice(1400, 1418)
    u[stretch] = {"unrest": 5 * u[stretch], "stillness": 0.01 * u[stretch], "level": 3 + u[stretch]}[fault]
    statistic, _ = watch(rows_of(), u)
    assert statistic[stretch, SHAPE].max() > 5 * np.quantile(statistic[700:1400, SHAPE], 0.95)


def test_what_was_before_is_not_new_again(rows_of) -> None:
    """But it does not excuse itself while it lasts."""
    u = noise(2000)
    u[1000:1015] = u[1500:1515] = 6 + u[:15]
    statistic, _ = watch(rows_of(), u)
    assert (statistic[1000:1015, CLOCK] > 2).all()
    assert (statistic[1500:1515, CLOCK] < 1.6).all()


def test_the_memory_is_bounded_and_spread(rows_of) -> None:
    rows = rows_of()
    watch(rows, np.random.default_rng(2).standard_normal((3000, 1)).cumsum(axis=0) / 10)
    a = rows.arrays
    assert (a.used > novelty.POINTS // 4).all()
    assert (a.used <= novelty.POINTS).all()
    for look in range(novelty.LOOKS):
        first, stop = novelty.FIRST_COLUMN[look], novelty.FIRST_COLUMN[look + 1]
        points = a.points[0, 0, : a.used[0, 0, look], first:stop].astype(float)
        apart = np.linalg.norm(points[:, None] - points[None], axis=-1) + 9 * np.eye(len(points))
        assert apart.min() > 0.5 * a.radius[0, 0, look]


def test_the_range_is_told_in_its_own_lengths(rows_of) -> None:
    u = noise(500)
    u[400], u[410] = 3, -1.5
    statistic, _ = watch(rows_of(), u)
    assert statistic[400, -1] == pytest.approx(1, abs=0.05)
    assert statistic[410, -1] == pytest.approx(0.25, abs=0.15)
    assert statistic[200:400, -1].max() < 0.02


@pytest.mark.parametrize("at", [1, 5, 100])
def test_a_wild_value_does_not_widen_the_range_for_good(rows_of, at) -> None:
    """A later one, far smaller but far off, is out of range too."""
    u = noise(500)
    u[at], u[400] = 6000, 30
    statistic, _ = watch(rows_of(), u)
    assert statistic[400, -1] > 2


def test_an_absent_channel_is_left_alone(rows_of) -> None:
    rows = rows_of(2)
    u = noise(600, 3, 2)
    watch(rows, u)
    before = {name: getattr(rows.arrays, name)[0, 1].copy() for name in ("points", "used", "lowest", "highest")}
    statistic, share = watch(rows, np.stack((u[:50, 0], np.full(50, np.nan)), axis=1))
    assert np.isfinite(statistic[:, [SURPRISE, SHAPE, CLOCK]]).all()
    assert not share[:, [SURPRISE, SHAPE, CLOCK, RANGE], 1].any()
    for name, value in before.items():
        assert np.array_equal(getattr(rows.arrays, name)[0, 1], value), name


def test_the_share_names_the_channel(rows_of) -> None:
    u = noise(800, 4, 3)
    u[700, 2] = 9
    _, share = watch(rows_of(3), u)
    assert (share[700, [SURPRISE, CLOCK, RANGE]].argmax(axis=1) == 2).all()

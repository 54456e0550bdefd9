"""A sensor that repeats one value: when that is a fault, and when it is its nature."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_stream.detect import freeze


def watch(rows, values):
    """Samples (T, D) of one sensor: the ratio to the limit (T,), and each channel's share (T, D)."""
    ratios, shares = [], []
    for value in np.asarray(values, float):
        share = np.full((1, rows.channels), np.nan)
        ratios.append(rows.call(freeze.stuck_view, values=value[None], share=share)[0])
        shares.append(share[0])
    return np.array(ratios), np.array(shares)


def noise(samples, seed=0):
    return np.random.default_rng(seed).standard_normal((samples, 1))


@pytest.mark.parametrize("value", [0.0, 21.5, -3.0])
def test_a_constant_sensor_is_never_stuck(rows_of, value) -> None:
    assert watch(rows_of(), np.full((5000, 1), value))[0].max() < 1


def test_one_that_hardly_ever_moves_is_never_stuck(rows_of) -> None:
    """A door: a change in hundreds of samples."""
    values = np.repeat(np.arange(20) % 2, 400)[:, None]
    assert watch(rows_of(), values)[0].max() < 1


def test_one_that_freezes_is_stuck_until_it_moves(rows_of) -> None:
    values = np.concatenate((noise(500), np.full((100, 1), 0.7), noise(50, 1)))
    ratios, shares = watch(rows_of(), values)
    stuck = np.flatnonzero(ratios >= 1)
    assert 510 < stuck[0] < 560
    assert np.array_equal(stuck, np.arange(stuck[0], 600))
    assert (shares[stuck] == 1).all()


@pytest.mark.parametrize("step", [0.2, 0.5, 1.0])
def test_the_natural_runs_of_coarse_values_are_not_stuck(rows_of, step) -> None:
    """Rounded values that wander slowly: runs of tens of samples, now and then a hundred."""
    rng = np.random.default_rng(2)
    for _ in range(3):
        slow = np.zeros(6000)
        for k in range(1, 6000):
            slow[k] = 0.98 * slow[k - 1] + 0.2 * rng.standard_normal()
        ratios, _ = watch(rows_of(), (np.round(slow / step) * step)[:, None])
        assert (ratios[1000:] < 1).all()


def test_how_long_is_long_is_learned(rows_of) -> None:
    """A run of sixty is stuck for one that always moves, and usual for one that holds each value for thirty."""
    held = np.repeat(noise(60), 30, axis=0)
    tail = np.full((60, 1), 9.0)
    assert watch(rows_of(), np.concatenate((noise(1800), tail)))[0][-1] >= 1
    assert watch(rows_of(), np.concatenate((held, tail)))[0][-1] < 1


def test_one_of_several_channels_is_named(rows_of) -> None:
    values = np.random.default_rng(3).standard_normal((600, 3))
    values[500:, 1] = values[500, 1]
    ratios, shares = watch(rows_of(3), values)
    assert ratios[-1] >= 1
    assert shares[-1].tolist() == [0, 1, 0]


def test_absent_values_do_not_end_a_run(rows_of) -> None:
    values = np.concatenate((noise(300), np.full((80, 1), 0.7)))
    values[310:370:2] = np.nan
    ratios, _ = watch(rows_of(), values)
    assert ratios[-1] >= 1
    assert ratios[np.isnan(values[:, 0])].max() == 0, "an absent value is not called stuck"


def test_once_stuck_is_no_licence(rows_of) -> None:
    """After a long freeze, that is over, the next one is found again before it is as long."""
    values = np.concatenate((noise(500), np.full((400, 1), 0.7), noise(500, 1), np.full((200, 1), 0.9)))
    ratios, _ = watch(rows_of(), values)
    assert (ratios[500:900] >= 1).any()
    assert (ratios[900:1400] < 1).all()
    assert (ratios[1400:] >= 1).any()

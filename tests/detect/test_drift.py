"""The drift view against NumPy's float64, and the faults it is there for."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_stream.config import Group
from lstm_stream.detect import drift
from lstm_stream.detect.calibration import LEAN
from lstm_stream.detect.state import fields
from lstm_stream.records import View

DRIFT = View.DRIFT - 1


def watch(rows, u, center=0.0, scale=1.0, warmup=0):
    """Scaled values (T, D) of one sensor: the statistic (T,) and the shares (T, D)."""
    statistics, shares = [], []
    for sample in np.asarray(u, float):
        room = rows.room()
        wide = {"center": np.full((1, len(sample)), center), "scale": np.full((1, len(sample)), scale)}
        rows.call(drift.drift_view, u=sample[None], warmup=warmup, view=DRIFT, **wide, **room)
        rows.arrays.count += 1
        statistics.append(room["statistic"][0, DRIFT])
        shares.append(room["share"][0, DRIFT])
    return np.array(statistics), np.array(shares)


def noise(samples, seed, channels=3):
    """Scaled values of channels that have a slow component in common."""
    rng = np.random.default_rng(seed)
    common = np.convolve(rng.standard_normal(samples + 20), np.ones(20) / 5, "valid")[:samples, None]
    return np.arcsinh(common + 0.3 * rng.standard_normal((samples, channels)))


def smoothed(values):
    """The exponentially weighted mean from the first value on."""
    level, result = np.zeros(values.shape[1]), []
    for value in values - values[0]:
        level = level + (value - level) / drift.SMOOTH
        result.append(level)
    return np.array(result)


@pytest.mark.parametrize(("center", "scale"), [(0.0, 1.0), (1e6, 1e-3)])
def test_it_is_hotellings_t_squared_of_the_smoothed_values(rows_of, center, scale) -> None:
    """Against the mean and covariance of all samples of the reference, shrunk as its documentation says."""
    u = noise(400, 1)
    rows = rows_of(3)
    statistic, _ = watch(rows, u, center, scale)
    levels = smoothed(center + scale * np.clip(np.sinh(u), -drift.CLIP, drift.CLIP))
    counted = rows.arrays.drift_counts[0, 1]
    assert counted == 256, "the reference doubles from the sixteenth sample on"
    reference = levels[drift.EARLY : drift.EARLY + 256]
    own = counted / (2 * drift.SMOOTH)
    covariance = np.cov(reference.T, bias=True)
    shrunk = covariance * own / (own + 3)
    np.fill_diagonal(shrunk, np.diag(covariance) * (1 + drift.UNSURE / own) + (drift.LEAST * scale) ** 2)
    offset = levels[-1] - reference.mean(axis=0)
    assert statistic[-1] == pytest.approx(np.sqrt(offset @ np.linalg.solve(shrunk, offset) / 3), rel=1e-5)


def test_channels_that_part_company_are_told(rows_of) -> None:
    """Each stays within its own range; only together they are where they never were."""
    u = noise(1500, 2)
    u[1200:, 1] = np.arcsinh(-np.sinh(u[1200:, 1]))
    statistic, share = watch(rows_of(3), u)
    assert np.quantile(statistic[1220:], 0.75) > 2 * np.quantile(statistic[600:1200], 0.95)
    assert np.bincount(share[1220:].argmax(axis=1)).argmax() == 1


def test_a_slow_fault_does_not_become_usual(rows_of) -> None:
    """The reference stands still while it is compared with."""
    u = np.sinh(noise(1000, 3))
    u[600:, 0] += np.linspace(0, 3, 400)
    statistic, _ = watch(rows_of(3), np.arcsinh(u))
    assert statistic[-100:].min() > 2.5
    assert statistic[560:600].max() < 2.5


def test_a_change_that_stays_is_learned_in_time(rows_of) -> None:
    """Unless it is far out, which the alarm's acceptance must allow; the old is halved again and again."""
    u = np.sinh(noise(30_000, 4, 2))
    u[8000:] += 1.5
    statistic, _ = watch(rows_of(2), np.arcsinh(u))
    assert np.median(statistic[8050:8200]) > 2 * np.median(statistic[-2000:])


def on_its_way(channels=3):
    """The first of the channels leaves its level during the warm-up of 400 samples and does not come back."""
    u = np.sinh(noise(900, 8, channels))
    u[200:, 0] += np.minimum(np.arange(700), 60) / 15
    return np.arcsinh(u)


def test_a_channel_on_its_way_during_the_warm_up_does_not_hide_the_others(rows_of) -> None:
    """Its way is no measure of what comes later: a shift of another channel stands out from the warm-up."""
    u = on_its_way()
    u[700:, 1] = np.arcsinh(np.sinh(u[700:, 1]) + 2.5)
    statistic, share = watch(rows_of(3), u, warmup=400)
    assert statistic[720:].min() > np.quantile(statistic[128:400], 0.95)
    assert (share[720:].argmax(axis=1) == 1).mean() > 0.9
    as_ever, _ = watch(rows_of(3), u)
    assert as_ever[720:].min() < np.quantile(as_ever[128:400], 0.95)


def test_after_the_warm_up_the_reference_is_all_of_it_and_stands_still(rows_of) -> None:
    rows = rows_of(3)
    watch(rows, on_its_way()[:400], warmup=400)
    assert rows.arrays.drift_counts[0].tolist() == [400 - drift.EARLY] * 2
    before = rows.arrays.drift_mean[0].copy()
    watch(rows, on_its_way()[400:600], warmup=400)
    assert np.array_equal(rows.arrays.drift_mean[0], before)


def test_a_single_channel_hides_nothing(rows_of) -> None:
    """Its reference stands still from the first on, whatever the warm-up."""
    u = noise(600, 9, 1)
    short, _ = watch(rows_of(1), u)
    long, _ = watch(rows_of(1), u, warmup=400)
    assert np.array_equal(short, long)


def test_nothing_is_learned_while_frozen(rows_of) -> None:
    rows = rows_of(2)
    watch(rows, noise(500, 5, 2))
    rows.arrays.open[:] = True  # what the tests' rows call frozen
    before = {name: getattr(rows.arrays, name).copy() for name in ("drift_counts", "drift_total", "drift_mean")}
    watch(rows, noise(500, 6, 2) + 1)
    for name, value in before.items():
        assert np.array_equal(getattr(rows.arrays, name), value), name


def test_absent_values_and_constant_channels_do_no_harm(rows_of) -> None:
    u = noise(600, 7)
    u[:, 2] = 0.0
    u[::3, 1] = np.nan
    u[100:130] = np.nan
    statistic, share = watch(rows_of(3), u)
    assert np.isfinite(statistic).all()
    assert np.isfinite(share[100:]).all()


def test_a_lean_sensor_has_none() -> None:
    group = Group.model_validate({"profile": "lean", "model": {"weights": "shared"}})
    names = {spec.name: spec.shape for spec in fields(2, group)}
    assert names["origin"] == (0,)
    assert names["fit"][0] == LEAN

"""What a verdict says: units, bands, thresholds, shares, and that it was made from the past alone."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_stream.records import Reading, View


def readings_of(values, interval=60.0):
    """One sensor's samples (T, D) of channels a, b, ..."""
    names = "abcdef"
    return [
        Reading("s", "default", 1e6 + interval * k, dict(zip(names, map(float, row), strict=False)))
        for k, row in enumerate(np.asarray(values))
    ]


@pytest.fixture
def verdicts_of(fleet_of):
    """`verdicts_of(values (T, D), **settings)`."""

    def judge(values, **settings):
        (batch,) = fleet_of(**settings).process(readings_of(values)).batches
        return batch.verdicts

    return judge


def noise(samples, channels=1, seed=0):
    return np.random.default_rng(seed).standard_normal((samples, channels))


def test_expectations_are_in_the_channels_own_units(verdicts_of) -> None:
    """A pressure in pascal beside a temperature in degrees."""
    values = noise(900, 2) * [300, 0.5] + [101_325, 21]
    v = verdicts_of(values)
    assert v.expected[500:].mean(axis=0) == pytest.approx([101_325, 21], rel=1e-2)
    known = np.isfinite(v.lower[:, 0])
    assert known[700:].all()
    assert (v.lower[known] < v.expected[known]).all()
    assert (v.expected[known] < v.upper[known]).all()
    inside = (values > v.lower) & (values < v.upper)
    assert inside[700:].mean() > 0.95
    assert np.median(v.upper[700:] - v.lower[700:], axis=0)[0] < 20 * 300


def test_a_slow_signal_is_followed_in_its_own_unit(verdicts_of) -> None:
    """By about the size of its steps, whatever the unit."""
    steps = np.random.default_rng(1).standard_normal(900)
    walk = np.convolve(steps, 0.98 ** np.arange(300))[:900]
    for unit in (1e-3, 1.0, 1e4):
        v = verdicts_of(unit * (50 + walk[:, None]))
        error = np.abs(v.expected[500:, 0] - unit * (50 + walk[500:]))
        assert error.mean() < 1.5 * unit
        assert error.mean() > 0.5 * unit


def test_nothing_is_known_of_the_first_sample(verdicts_of) -> None:
    v = verdicts_of(noise(2) + 20)
    assert v.score[0] == 0
    assert np.isinf(v.threshold[0])
    assert np.isnan(v.lower[0]).all()
    assert not v.anomaly[0]


def test_no_alarm_and_no_threshold_before_the_warm_up_is_over(verdicts_of) -> None:
    values = noise(300) + 20
    values[150:] += 100
    v = verdicts_of(values, warmup=250)
    assert np.isinf(v.threshold[:250]).all()
    assert np.isfinite(v.threshold[250:]).all()
    assert not v.anomaly[:250].any()


def test_a_verdict_is_made_from_the_past_alone(verdicts_of) -> None:
    """What comes later changes nothing, and a sample does not change its own expectation."""
    values = noise(600, 2) + 20
    v = verdicts_of(values)
    cut = 500
    changed = values.copy()
    changed[cut:] *= -7
    w = verdicts_of(changed)
    for name in ("expected", "lower", "upper", "score", "threshold", "contribution", "view", "anomaly"):
        assert np.array_equal(getattr(w, name)[:cut], getattr(v, name)[:cut], equal_nan=True), name
    for name in ("expected", "lower", "upper", "threshold"):
        assert np.array_equal(getattr(w, name)[cut], getattr(v, name)[cut]), name


def test_shares_are_of_one_whole(verdicts_of) -> None:
    v = verdicts_of(noise(600, 3) + 20)
    total = v.contribution.sum(axis=1)
    assert (v.contribution >= 0).all()
    assert np.allclose(total[total != 0], 1)
    assert (total[v.view != View.NONE] != 0).all()


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_the_channel_at_fault_has_the_largest_share(verdicts_of, channel) -> None:
    values = noise(800, 3) + 20
    values[700, channel] += 60
    v = verdicts_of(values)
    assert v.anomaly[700]
    assert v.contribution[700].argmax() == channel


def test_beyond_the_band_the_forecast_raises_an_alarm(fleet_of) -> None:
    """Where the band is known, a value well beyond it scores above the threshold, one well within does not."""
    readings = readings_of(noise(700) + 20)
    for factor, above in ((2.5, True), (0.2, False)):
        fleet = fleet_of()
        fleet.process(readings)
        probe = fleet_of()
        for packed in fleet.pack():
            probe.unpack(packed)
        time = readings[-1].time + 60
        (seen,) = probe.process([Reading("s", "default", time, {"a": 20.0})]).batches
        v = seen.verdicts
        value = v.expected[0, 0] + factor * (v.upper[0, 0] - v.expected[0, 0])
        (batch,) = fleet.process([Reading("s", "default", time, {"a": float(value)})]).batches
        assert (batch.verdicts.score[0] >= batch.verdicts.threshold[0]) == above


def test_events_carry_the_evidence(fleet_of) -> None:
    values = noise(800, 2) * [1, 10] + [20, 500]
    values[700, 1] += 900
    fleet = fleet_of()
    (batch, *_), events = (outcome := fleet.process(readings_of(values))).batches, outcome.events
    opened = next(event for event in events if event.opened == 1e6 + 60 * 700)
    v = batch.verdicts
    assert (opened.sensor, opened.group, opened.state, opened.closed) == ("s", "default", "opened", None)
    assert opened.score == v.score[700] >= opened.threshold == v.threshold[700]
    assert opened.view == View(int(v.view[700])).name.lower()
    assert opened.channels["b"].actual == pytest.approx(values[700, 1])
    assert opened.channels["b"].expected == v.expected[700, 1]
    assert opened.channels["b"].contribution > opened.channels["a"].contribution
    assert opened.reason.startswith("b ")
    assert opened.generation >= 1


def test_an_alarm_ends_with_its_highest_score(fleet_of) -> None:
    values = noise(900) + 20
    values[700:706, 0] += [20, 40, 60, 40, 20, 10]
    outcome = fleet_of(accept_after=1e6).process(readings_of(values))
    v = outcome.batches[0].verdicts
    opened, closed = [event for event in outcome.events if event.opened == 1e6 + 60 * 700]
    assert (opened.state, closed.state) == ("opened", "closed")
    assert opened.id.rpartition("-")[0] == closed.id.rpartition("-")[0]
    during = v.score[v.anomaly]
    assert closed.score == during.max() >= opened.score
    assert closed.closed == 1e6 + 60 * (np.flatnonzero(v.anomaly)[-1] + 1)
    assert closed.reason.startswith("back to normal after ")


def test_counts_follow_the_alarm(fleet_of) -> None:
    values = noise(705) + 20
    values[700:] += 80
    fleet = fleet_of(warmup=200)
    seen = []
    for reading in readings_of(values):
        fleet.process([reading])
        seen.append(next(state for state, count in fleet.counts().items() if count))
    assert seen[:199] == ["warming"] * 199
    assert seen[698] == "watching"
    assert seen[-1] == "alarmed"


@pytest.mark.parametrize("at", [0, 5, 30])
def test_a_wild_value_at_the_start_does_not_hide_a_fault(verdicts_of, at) -> None:
    """A 65535 of a controller that starts; a fault of eight standard deviations 700 samples later is told."""
    values = 20 + noise(760)
    values[at] = 65_535
    values[730:740] += 8
    v = verdicts_of(values)
    assert v.score[730:740].max() > 1.5 * v.threshold[730]
    assert v.score[600:730].max() < v.score[730:740].max()

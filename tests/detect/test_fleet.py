"""Who is accepted where: duplicates and old samples (promise 4), garbage, later channels, limits (promise 7)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstm_stream.config import Group, Limits
from lstm_stream.detect.fleet import Fleet
from lstm_stream.records import Reading, Reason


def reading(time: float, sensor: str = "s", **values: float) -> Reading:
    return Reading(sensor, "default", time, values or {"a": math.sin(time) if math.isfinite(time) else 0.0})


def reasons(outcome) -> list[tuple[int, Reason]]:
    return [(index, rejection.reason) for index, rejection in outcome.rejections]


def assert_sane(fleet: Fleet) -> None:
    """No NaN and no infinity where the declaration does not begin with one; an absent value in the ring is NaN."""
    for detector in fleet.detectors.values():
        for spec in detector.arrays.specs:
            array = getattr(detector.arrays, spec.name)
            if array.dtype.kind == "f":
                fill = np.nan if spec.name == "past_value" else spec.fill
                unset = np.isnan(array) if np.isnan(fill) else array == fill
                assert (np.isfinite(array) | unset).all(), spec.name


# --- promise 4


def test_duplicates_and_old_samples_step_nothing(fleet_of, lively_sensor, told) -> None:
    """Every sample again at once, every tenth again much later: the same verdicts, and each refusal has its reason."""
    readings = lively_sensor("s", 1)
    expected = told(fleet_of(), readings)
    again = []
    for k, one in enumerate(readings):
        again += [one, one]
        if k % 10 == 9:
            again.append(readings[k - 5]._replace(values={"a": 1e6}))
    for cuts in ((), range(1, len(again))):
        story = told(fleet_of(), again, cuts)
        assert story.verdicts == expected.verdicts
        assert story.events == expected.events
        assert [r for r, _ in story.rejections].count(Reason.DUPLICATE) == len(readings)
        assert [r for r, _ in story.rejections].count(Reason.OUT_OF_ORDER) == len(readings) // 10


def test_a_refusal_says_why_and_how_old(fleet_of) -> None:
    outcome = fleet_of().process([reading(100.0), reading(100.0), reading(97.5), reading(101.0)])
    assert reasons(outcome) == [(1, Reason.DUPLICATE), (2, Reason.OUT_OF_ORDER)]
    assert [rejection.detail for _, rejection in outcome.rejections] == [
        "'s' already has a sample of this time",
        "'s': 2.500 s older than its last sample",
    ]
    (batch,) = outcome.batches
    assert batch.which.tolist() == [0, 3]


def test_the_same_name_in_two_groups_is_two_sensors(trainer, small_group) -> None:
    fleet = Fleet({"default": small_group(), "other": small_group()}, Limits(), trainer)
    one = reading(1.0)
    outcome = fleet.process([one, one._replace(group="other")])
    assert not outcome.rejections
    assert len(fleet) == 2


# --- garbage


NO_VALUE = [np.nan, np.inf, -np.inf, 1e308, -1.7e308, float(np.finfo(np.float32).max)]
GARBAGE = [*NO_VALUE, 5e-324, 1e-300, -0.0, 3e38, 1e15]


@pytest.mark.parametrize("value", GARBAGE)
@pytest.mark.parametrize("at", [0, 1, 30, 300])
def test_no_value_spoils_the_state(fleet_of, lively_sensor, told, value, at) -> None:
    """One impossible value in one channel, early or late."""
    readings = lively_sensor("s", 1)
    readings[at] = readings[at]._replace(values={"a": value, "b": 7.0})
    fleet = fleet_of()
    story = told(fleet, readings, [at, at + 1])
    assert_sane(fleet)
    assert len(story.verdicts) == len(readings)
    for verdict in story.verdicts.values():
        *contribution, score, threshold, view, anomaly = np.frombuffer(verdict)[6:]
        assert np.isfinite([*contribution, score, view, anomaly]).all()
        assert threshold > 0


@pytest.mark.parametrize("value", NO_VALUE)
def test_no_value_is_as_good_as_absent(fleet_of, lively_sensor, told, value) -> None:
    """NaN, infinities, and the largest number, which stands for "no value" in many a controller."""
    stories = []
    for values in ({"b": 7.0}, {"a": value, "b": 7.0}):
        readings = lively_sensor("s", 1)
        for at in (1, 20, 300):
            readings[at] = readings[at]._replace(values=values)
        stories.append(told(fleet_of(), readings))
    assert stories[0].verdicts == stories[1].verdicts


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(values=st.lists(st.tuples(st.floats(), st.floats(width=32) | st.sampled_from(GARBAGE)), min_size=1, max_size=80))
def test_any_floats_in_any_order(fleet_of, values) -> None:
    fleet = fleet_of(warmup=64)
    rows = [reading(60.0 * k, a=a, b=b) for k, (a, b) in enumerate(values)]
    outcome = fleet.process(rows)
    accounted = sum(len(batch.samples) for batch in outcome.batches) + len(outcome.rejections)
    assert accounted == len(rows)
    assert_sane(fleet)


@pytest.mark.parametrize("time", [np.nan, np.inf, -np.inf])
def test_a_time_that_is_none_is_refused(fleet_of, time) -> None:
    fleet = fleet_of()
    outcome = fleet.process([reading(1.0), reading(time), reading(2.0), reading(time, "new")])
    assert reasons(outcome) == [(1, Reason.BAD_TIMESTAMP), (3, Reason.BAD_TIMESTAMP)]
    assert len(fleet) == 1
    assert_sane(fleet)


def test_a_reading_without_a_number_is_refused(fleet_of) -> None:
    fleet = fleet_of()
    empty = Reading("s", "default", 1.0, {})
    outcome = fleet.process([empty, reading(2.0), empty._replace(time=3.0), reading(4.0)])
    assert reasons(outcome) == [(0, Reason.NO_CHANNELS), (2, Reason.NO_CHANNELS)]
    assert [batch.which.tolist() for batch in outcome.batches] == [[1, 3]]


def test_an_absent_channel_is_masked(fleet_of) -> None:
    """It has an expectation, and the other channel is scored as if it were there."""
    fleet = fleet_of()
    noise = np.random.default_rng(0).standard_normal((700, 2))
    fleet.process([reading(60.0 * k, a=20 + float(a), b=6 + float(b)) for k, (a, b) in enumerate(noise)])
    (batch,) = fleet.process([reading(60.0 * 700, b=600.0)]).batches
    v = batch.verdicts
    assert v.expected[0] == pytest.approx([20, 6], abs=3)
    assert v.contribution[0, 1] > 0.7
    assert v.score[0] > 2 * v.threshold[0]


def test_empty_batches_are_nothing(fleet_of) -> None:
    outcome = fleet_of().process([])
    assert (outcome.batches, outcome.events, outcome.rejections) == ([], [], [])


# --- channels that come later


def test_a_channel_that_appears_while_warming_up_is_taken_in(fleet_of) -> None:
    fleet = fleet_of()
    early = [reading(60.0 * k, a=1.0 + k % 3) for k in range(50)]
    late = [reading(60.0 * k, a=1.0 + k % 3, b=2.0) for k in range(50, 100)]
    outcome = fleet.process(early + late)
    assert not outcome.rejections
    assert [(batch.detector.channels, len(batch.samples)) for batch in outcome.batches] == [
        (("a",), 50),
        (("a", "b"), 50),
    ]
    assert len(fleet) == 1
    assert sum(fleet.counts().values()) == 1
    outcome = fleet.process([reading(6000.0, b=3.0)])
    assert outcome.batches[0].detector.channels == ("a", "b")


def test_a_channel_that_appears_later_is_refused_but_the_rest_is_scored(fleet_of) -> None:
    fleet = fleet_of(warmup=64)
    fleet.process([reading(60.0 * k, a=1.0 + k % 3) for k in range(64)])
    outcome = fleet.process([reading(4000.0, a=1.0, z=1.0, y=1.0), reading(5000.0, z=1.0)])
    assert reasons(outcome) == [(0, Reason.UNKNOWN_CHANNEL), (1, Reason.UNKNOWN_CHANNEL)]
    assert outcome.rejections[0][1].detail.startswith("'s': y, z appeared after warm-up")
    (batch,) = outcome.batches
    assert batch.which.tolist() == [0]
    assert fleet.process([reading(4500.0, a=1.0)]).batches, "what was refused whole must not count as its last sample"


def test_too_many_channels_are_refused(fleet_of) -> None:
    fleet = fleet_of(Limits(channels=3))
    wide = {f"c{k}": 1.0 for k in range(4)}
    outcome = fleet.process([reading(1.0, **wide), reading(2.0, "t", a=1.0, b=1.0), reading(3.0, "t", c=1.0, d=1.0)])
    assert reasons(outcome)[0] == (0, Reason.TOO_MANY_CHANNELS)
    assert reasons(outcome)[1] == (2, Reason.TOO_MANY_CHANNELS)
    assert all("limits.channels" in rejection.detail for _, rejection in outcome.rejections)
    assert {channels for _, channels in fleet.detectors} == {("a", "b")}


# --- promise 7


def test_sensors_are_limited_over_all_groups(trainer, small_group) -> None:
    groups = {"default": small_group(), "other": small_group()}
    fleet = Fleet(groups, Limits(sensors=3), trainer)
    many = [reading(1.0, f"s{k}")._replace(group=group) for k in range(3) for group in groups]
    outcome = fleet.process(many)
    assert reasons(outcome) == [(k, Reason.TOO_MANY_SENSORS) for k in (3, 4, 5)]
    assert outcome.rejections[0][1].detail.endswith("raise limits.sensors (now 3)")
    known = fleet.process([one._replace(time=2.0) for one in many])
    assert [index for index, _ in reasons(known)] == [3, 4, 5], "those that are known go on"


def test_rows_grow_by_doubling_and_rings_not_at_all(fleet_of) -> None:
    fleet = fleet_of()
    capacities = []
    for k in range(40):
        fleet.process([reading(1.0, f"s{k}")])
        (detector,) = fleet.detectors.values()
        capacities.append(detector.arrays.capacity)
    assert sorted(set(capacities)) == [1, 2, 4, 8, 16, 32, 64]
    shape = detector.arrays.past_value.shape
    fleet.process([reading(2.0 + k, "s1") for k in range(500)])
    assert detector.arrays.past_value.shape == shape == (64, 128 + 8, 1)


def test_a_sensor_that_moves_leaves_no_row_behind(fleet_of) -> None:
    """Channels that come one by one, sensor by sensor, must not pile up rows."""
    fleet = fleet_of()
    for k in range(20):
        fleet.process([reading(1.0, f"s{k}", a=1.0), reading(2.0, f"s{k}", b=1.0)])
    assert fleet.detectors[("default", ("a",))].arrays.capacity == 1
    assert len(fleet) == 20


def test_the_default_group_takes_what_the_configuration_gives(trainer) -> None:
    fleet = Fleet({"default": Group()}, Limits(), trainer)
    outcome = fleet.process([reading(float(k)) for k in range(10)])
    assert np.isinf(outcome.batches[0].verdicts.threshold).all(), "no alarm while it warms up"
    assert fleet.counts() == {"warming": 1, "watching": 0, "alarmed": 0, "silent": 0}

"""Promise 3: packed, carried elsewhere as bytes, unpacked and continued equals never having stopped, bitwise."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from lstm_stream.config import Limits
from lstm_stream.detect.fleet import Fleet

SENSORS = ("a", "b", "c", "d")
CUTS = [3, 250, 262, 330, 345, 605, 1930, 1960, 2200, 2340]  # rounds are under way at some, alarms open at others


@pytest.fixture
def readings(lively_sensor, ordered):
    return ordered(*[lively_sensor(name, seed) for seed, name in enumerate(SENSORS)])


@pytest.fixture
def moved(fleet_of):
    """`moved(fleet, weights)`: what a new process makes of the saved state; rows in any order, as from anywhere."""

    def move(fleet: Fleet, order: int, **settings: object) -> Fleet:
        packed = list(fleet.pack())
        fleet.saved()
        Random(order).shuffle(packed)
        other = fleet_of(**settings)
        for one in packed:
            other.unpack(one._replace(state=bytes(bytearray(one.state))))
        return other

    return move


@pytest.mark.parametrize("weights", ["own", "shared"])
def test_stopping_anywhere_changes_nothing(readings, fleet_of, told, moved, weights) -> None:
    expected = told(fleet_of(weights=weights), readings)
    busy, alarmed = 0, 0
    for cut in CUTS:
        first = fleet_of(weights=weights)
        story = told(first, readings[:cut])
        (detector,) = first.detectors.values()
        arrays = detector.arrays if weights == "own" else detector.learner.common
        busy += bool((arrays.adopt_at >= 0).any())
        alarmed += first.counts()["alarmed"] > 0
        second = moved(first, cut, weights=weights)
        assert second.counts() == first.counts()
        assert len(second) == len(first)
        told(second, readings[cut:], story=story)
        assert story.verdicts == expected.verdicts, f"stopped at {cut}"
        assert story.events == expected.events
    assert busy >= 2, "no stop while a round was under way"
    assert alarmed >= 2, "no stop while an alarm was open"


@pytest.mark.parametrize("weights", ["own", "shared"])
def test_saving_in_passing_changes_nothing(readings, fleet_of, told, weights) -> None:
    expected = told(fleet_of(weights=weights), readings)
    fleet, story = fleet_of(weights=weights), None
    for start in range(0, len(readings), 37):
        story = told(fleet, readings[start : start + 37], story=story)
        list(fleet.pack())
        fleet.saved()
    assert story.verdicts == expected.verdicts
    assert story.events == expected.events


def test_only_what_changed_is_packed(readings, fleet_of, told) -> None:
    fleet = fleet_of()
    told(fleet, readings)
    assert {packed.sensor for packed in fleet.pack()} == set(SENSORS)
    assert {packed.sensor for packed in fleet.pack()} == set(SENSORS), "not saved yet"
    fleet.saved()
    assert list(fleet.pack()) == []
    told(fleet, [readings[-1]._replace(time=readings[-1].time + 60)])
    assert [packed.sensor for packed in fleet.pack()] == [readings[-1].sensor]
    fleet.saved()
    silent = {event.sensor for event in fleet.silences(readings[-1].time + 1e6)}
    assert {packed.sensor for packed in fleet.pack()} == silent == set(SENSORS)


def test_a_silence_survives(readings, fleet_of, told, moved) -> None:
    fleet = fleet_of()
    told(fleet, readings)
    now = readings[-1].time + 1e6
    opened = fleet.silences(now)
    other = moved(fleet, 0)
    assert other.silences(now) == []
    assert other.counts()["silent"] == len(SENSORS)
    told_then = told(other, [readings[-1]._replace(time=now)]).events.values()
    (closed,) = (event for event in told_then if event.view == "silence")
    begun = next(event for event in opened if event.sensor == closed.sensor)
    assert closed.id == begun.id.replace("opened", "closed")


def test_a_sensor_can_be_taken_out_and_put_in_elsewhere(readings, fleet_of, told) -> None:
    """One of many, into a fleet of others, where it goes on as ever."""
    cut = 1300
    expected = told(fleet_of(), readings).of("b")
    fleet = fleet_of()
    story = told(fleet, readings[:cut])
    packed = next(one for one in fleet.pack() if one.sensor == "b")
    elsewhere = fleet_of()
    told(elsewhere, [reading._replace(sensor=reading.sensor * 2) for reading in readings[:300]])
    elsewhere.unpack(packed)
    told(elsewhere, [reading for reading in readings[cut:] if reading.sensor == "b"], story=story)
    assert story.of("b") == expected


def test_old_samples_stay_old(readings, fleet_of, told, moved) -> None:
    """What was scored before the restart and is delivered again afterwards steps nothing (promise 4)."""
    fleet = fleet_of()
    told(fleet, readings[:500])
    other = moved(fleet, 1)
    story = told(other, readings[:500])
    assert not story.verdicts
    assert len(story.rejections) == 500


@pytest.mark.parametrize("change", [{"hidden": 4}, {"history": 200}, {"lag": 9}, {"weights": "shared"}])
def test_the_state_of_another_model_is_refused(readings, fleet_of, told, moved, change) -> None:
    fleet = fleet_of()
    told(fleet, readings[:10])
    with pytest.raises(ValueError, match="had another model, history or version"):
        moved(fleet, 0, **change)


def test_shared_weights_do_not_fit_a_group_of_own(readings, fleet_of, told) -> None:
    fleet = fleet_of(weights="shared")
    told(fleet, readings[:10])
    shared = next(one for one in fleet.pack() if one.sensor == "")
    with pytest.raises(ValueError, match="shared by the group"):
        fleet_of().unpack(shared)
    with pytest.raises(ValueError, match="another model or version"):
        fleet_of(weights="shared", hidden=5).unpack(shared)


def test_what_is_not_in_the_configuration_or_cut_short_is_refused(readings, fleet_of, told) -> None:
    fleet = fleet_of()
    told(fleet, readings[:10])
    packed = next(iter(fleet.pack()))
    with pytest.raises(ValueError, match="group 'gone' is not in the configuration"):
        fleet_of().unpack(packed._replace(group="gone"))
    empty = fleet_of()
    with pytest.raises(ValueError, match=f"bytes, not {len(packed.state) - 1}"):
        empty.unpack(packed._replace(state=packed.state[:-1]))
    assert len(empty) == 0


def test_settings_that_do_not_change_the_layout_may_change(readings, fleet_of, told, moved) -> None:
    """A budget is no reason to learn everything anew, nor is another pace of learning, with a round under way."""
    fleet = fleet_of()
    told(fleet, readings[:262])
    other = moved(fleet, 0, false_alarms="1 per sensor per week", every=512, warmup=64, epochs=2)
    story = told(other, readings[262:])
    assert len(story.verdicts) == len(readings) - 262


def test_packing_does_not_depend_on_the_order_of_a_set(fleet_of, told, lively_sensor, ordered) -> None:
    """Rows come out in the order in which the sensors came: the store keeps it, and the next start restores it."""
    many = ordered(*[lively_sensor(f"sensor {k}", k, samples=2) for k in range(40)])
    fleet = fleet_of(Limits())
    told(fleet, many)
    first_seen = list(dict.fromkeys(reading.sensor for reading in many))
    assert [packed.sensor for packed in fleet.pack()] == first_seen


def test_every_field_is_packed(readings, fleet_of, told, moved) -> None:
    """Field by field, whatever is declared."""
    fleet = fleet_of()
    told(fleet, readings[:1000])
    other = moved(fleet, 5)
    (one,), (two,) = fleet.detectors.values(), other.detectors.values()
    for spec in one.arrays.specs:
        for name in SENSORS:
            a, b = (getattr(d.arrays, spec.name)[d.sensors.index(name)] for d in (one, two))
            assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), spec.name

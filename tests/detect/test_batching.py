"""Promise 1: how samples are split, interleaved and batched changes no verdict and no event, bitwise."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SOME = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
SENSORS = ("a", "b", "c")


class Bench:
    """Three sensors, and what is to be expected of them."""

    def __init__(self, fleet_of, lively_sensor, told, ordered) -> None:
        self.fleet_of, self.told, self.ordered = fleet_of, told, ordered
        self.readings = {name: lively_sensor(name, seed) for seed, name in enumerate(SENSORS)}

    @cached_property
    def alone(self):
        """What a fleet says that has no other sensor, all samples in one batch."""
        return {name: self._one(self.readings[name], "own") for name in SENSORS}

    @cached_property
    def together(self):
        """What a fleet with shared weights says that gets one sample at a time."""
        readings = self.ordered(*self.readings.values())
        return self._one(readings, "shared", range(1, len(readings)))

    def _one(self, readings, weights, cuts=()):
        fleet = self.fleet_of(weights=weights)
        story = self.told(fleet, readings, cuts)
        assert [r.result for r in fleet.take_adoptions()].count("adopted") >= 2, "no test of what an adoption changes"
        assert len({event.view for event in story.events.values()}) >= 3, "no test of what an alarm changes"
        return story

    def assert_as_alone(self, story) -> None:
        for name in SENSORS:
            assert story.of(name) == self.alone[name].verdicts
        assert story.events == {id: event for name in SENSORS for id, event in self.alone[name].events.items()}


@pytest.fixture(scope="module")
def _kept() -> dict[str, Bench]:
    return {}


@pytest.fixture
def bench(_kept, fleet_of, lively_sensor, told, ordered) -> Bench:
    return _kept.setdefault("bench", Bench(fleet_of, lively_sensor, told, ordered))


def interleaved(bench, seed):
    """Any order that keeps each sensor's own."""
    random, waiting = Random(seed), {name: list(rows) for name, rows in bench.readings.items()}
    result = []
    while waiting:
        name = random.choice(sorted(waiting))
        count = random.choice((1, 1, 2, 30))
        result += waiting[name][:count]
        del waiting[name][:count]
        if not waiting[name]:
            del waiting[name]
    return result


@SOME
@given(order=st.integers(0, 1000), cuts=st.lists(st.integers(1, 1850), max_size=100))
def test_own_weights_any_split_and_any_interleaving(bench, order, cuts) -> None:
    bench.assert_as_alone(bench.told(bench.fleet_of(), interleaved(bench, order), cuts))


@pytest.mark.parametrize("size", [1, 3, 64])
def test_own_weights_batches_of_one_size(bench, size) -> None:
    readings = bench.ordered(*bench.readings.values())
    bench.assert_as_alone(bench.told(bench.fleet_of(), readings, range(size, len(readings), size)))


def test_neither_name_nor_row_nor_neighbours_matter(bench, lively_sensor) -> None:
    """The same samples under another name, as the fortieth of fifty sensors."""
    expected = bench.alone["a"]
    others = [lively_sensor(f"other {k}", 100 + k, samples=60) for k in range(50)]
    fleet = bench.fleet_of()
    bench.told(fleet, [rows[0] for rows in others[:39]])
    renamed = [reading._replace(sensor="zoë/7") for reading in bench.readings["a"]]
    later = [rows[k < 39 :] for k, rows in enumerate(others)]
    story = bench.told(fleet, bench.ordered(renamed, *later), range(40, 10_000, 40))
    assert list(story.of("zoë/7").values()) == list(expected.verdicts.values())
    mine = [event for event in story.events.values() if event.sensor == "zoë/7"]
    assert not {event.id for event in mine} & expected.events.keys()
    unnamed = [replace(event, id="", sensor="") for event in mine]
    assert unnamed == [replace(event, id="", sensor="") for event in expected.events.values()]


def test_a_row_that_was_used_before_is_as_good_as_new(bench) -> None:
    """A sensor takes over the row of one that was moved to other channels."""
    fleet = bench.fleet_of()
    mover = [reading._replace(sensor="mover") for reading in bench.readings["c"]]
    bench.told(fleet, mover[:90])
    bench.told(fleet, [mover[90]._replace(values={"x": 1.0})])
    assert bench.told(fleet, bench.readings["b"]).verdicts == bench.alone["b"].verdicts
    assert fleet.detectors[("default", ("a", "b"))].sensors == ["b"]


@SOME
@given(cuts=st.lists(st.integers(1, 1850), max_size=100))
def test_shared_weights_any_split_in_the_same_order(bench, cuts) -> None:
    story = bench.told(bench.fleet_of(weights="shared"), bench.ordered(*bench.readings.values()), cuts)
    assert story.verdicts == bench.together.verdicts
    assert story.events == bench.together.events


def test_a_look_for_silences_changes_no_verdict(bench) -> None:
    """Looked for before every sample: the same events, each once, but told earlier."""
    fleet, early = bench.fleet_of(), {}
    story = bench.told(fleet, [])
    for reading in bench.readings["a"]:
        early.update({event.id: event for event in fleet.silences(np.nextafter(reading.time, 0))})
        bench.told(fleet, [reading], story=story)
    assert [event.view for event in early.values()] == ["silence"]
    assert story.verdicts == bench.alone["a"].verdicts
    assert story.events | early == bench.alone["a"].events


@SOME
@given(cuts=st.lists(st.integers(1, 1850), max_size=100), weights=st.sampled_from(["own", "shared"]))
def test_a_sensor_that_moves_to_other_channels_any_split(bench, cuts, weights) -> None:
    """It begins anew there; whoever stays where it was is scored as if the batch had ended at its move."""
    moves = [
        r if k < 75 else r._replace(values={**r.values, "z": 1.0 + k % 7}) for k, r in enumerate(bench.readings["c"])
    ]
    readings = bench.ordered(bench.readings["a"], bench.readings["b"], moves)
    kept = bench.__dict__.setdefault(f"moving, {weights}", {})
    if not kept:
        kept["story"] = bench.told(bench.fleet_of(weights=weights), readings, range(1, len(readings)))
    story = bench.told(bench.fleet_of(weights=weights), readings, cuts)
    assert story.verdicts == kept["story"].verdicts
    assert story.events == kept["story"].events

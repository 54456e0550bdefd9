"""The lean profile: 2 KB a sensor, the same code, and it still finds what it looks for."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_stream.config import Group, Limits
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.state import sensor_arrays
from lstm_stream.records import Reading

LEAN = {"profile": "lean", "weights": "shared", "hidden": 4}
CALM = {"warmup": 300, "false_alarms": "1 per sensor per week"}


def noisy(sensor: str, samples: int = 700, seed: int = 0) -> list[Reading]:
    """A sample a minute, a wave and noise."""
    rng = np.random.default_rng(seed)
    values = 20 + 3 * np.sin(np.arange(samples) / 30) + 0.3 * rng.standard_normal(samples)
    return [Reading(sensor, "default", 1e6 + 60.0 * k, {"a": float(v)}) for k, v in enumerate(values)]


def with_fault(rows: list[Reading], kind: str, first: int = 500, stop: int = 600) -> list[Reading]:
    result = list(rows)
    for k in range(first, stop):
        value = {"level": rows[k].values["a"] + 12, "spike": rows[k].values["a"] + 30 * (k == first)}.get(kind, 21.5)
        result[k] = rows[k]._replace(values={"a": value})
    return result


def test_a_sensor_of_one_channel_takes_two_kilobytes() -> None:
    """The target: 2048 bytes with shared weights of 32 units; nothing of a sensor is kept elsewhere in arrays."""
    lean = Group.model_validate({"profile": "lean", "model": {"weights": "shared", "hidden": 32}})
    assert sensor_arrays(1, lean).row_bytes <= 2048
    full = Group.model_validate({"model": {"weights": "shared", "hidden": 32}})
    assert sensor_arrays(1, full).row_bytes > 8 * sensor_arrays(1, lean).row_bytes


def test_lean_needs_shared_weights() -> None:
    with pytest.raises(ValueError, match="write weights: shared"):
        Group.model_validate({"profile": "lean"})


@pytest.mark.parametrize("kind", ["level", "spike", "stuck"])
def test_it_finds_a_fault(fleet_of, kind) -> None:
    fleet = fleet_of(**LEAN, **CALM)
    quiet = [noisy(f"quiet {k}", seed=k + 1) for k in range(3)]
    rows = sorted([r for one in (*quiet, with_fault(noisy("faulty"), kind)) for r in one], key=lambda r: r.time)
    events = [event for event in fleet.process(rows).events if event.state == "opened"]
    found = {event.sensor for event in events if event.opened >= 1e6 + 60.0 * 500}
    assert found == {"faulty"}
    views = {"level": {"forecast", "level", "range", "burst"}, "spike": {"forecast", "range"}, "stuck": {"stuck"}}
    assert views[kind] & {event.view for event in events if event.sensor == "faulty"}


def test_its_range_is_told_as_such(fleet_of) -> None:
    """The views that it lacks leave no gap in the numbers of those it has."""
    fleet = fleet_of(**LEAN, views=["range"])
    rows = noisy("s")
    rows[600] = rows[600]._replace(values={"a": 1e6})
    events = fleet.process(rows).events
    assert {event.view for event in events} == {"range"}
    assert "outside everything it has shown" in events[0].reason


def test_any_batching_says_the_same(fleet_of, lively_sensor, told, ordered) -> None:
    """Promise 1, and adoptions happen on the way."""
    readings = ordered(*[lively_sensor(name, seed) for seed, name in enumerate("abc")])
    stories, adopted = [], 0
    for cuts in (range(1, len(readings)), range(50, len(readings), 50), ()):
        fleet = fleet_of(**LEAN)
        stories.append(told(fleet, readings, cuts))
        adopted += [r.result for r in fleet.take_adoptions()].count("adopted")
    assert adopted >= 3
    assert stories[0].verdicts == stories[1].verdicts == stories[2].verdicts
    assert stories[0].events == stories[1].events == stories[2].events


def test_stopping_in_between_changes_nothing(fleet_of, lively_sensor, told, ordered) -> None:
    """Promise 3."""
    readings = ordered(*[lively_sensor(name, seed) for seed, name in enumerate("ab")])
    expected = told(fleet_of(**LEAN), readings)
    for cut in (200, 605):
        first, second = fleet_of(**LEAN), fleet_of(**LEAN)
        story = told(first, readings[:cut])
        second.unpack_all(list(first.pack()))
        told(second, readings[cut:], story=story)
        assert story.verdicts == expected.verdicts


def test_large_groups_train_on_others_each_round_whatever_their_rows(trainer, small_group) -> None:
    """More sensors than one round trains on: every one gets its turn, and a restart with other rows changes none."""
    group = small_group(weights="shared", history=128)
    names = [f"sensor {k}" for k in range(150)]
    chosen = []
    for order in (names, names[::-1]):
        fleet = Fleet({"default": group}, Limits(), trainer)
        for k in range(66):
            fleet.process([Reading(name, "default", 60.0 * k, {"a": float(np.sin(k))}) for name in order])
        (detector,) = fleet.detectors.values()
        rounds = []
        for number in range(3):
            detector.learner.common.rounds[0] = number
            rounds.append([detector.sensors[slot] for slot in detector.learner._ready()])
        chosen.append(rounds)
    assert chosen[0] == chosen[1]
    assert [len(one) for one in chosen[0]] == [64, 64, 64]
    assert {name for one in chosen[0] for name in one} == set(names)

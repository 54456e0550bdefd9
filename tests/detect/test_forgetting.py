"""Sensors silent for very long are removed: what is told of it, and what is left of them (promise 7)."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_stream.config import Limits
from lstm_stream.detect import fleet as fleets
from lstm_stream.records import Reading, Reason
from lstm_stream.store import Store

DAY = 86400.0
LIMITS = Limits(forget_after=DAY, sensors=3)


def steady(sensor: str, samples: int = 60, since: float = 1e6) -> list[Reading]:
    return [Reading(sensor, "default", since + 60.0 * k, {"a": float(np.sin(k))}) for k in range(samples)]


@pytest.mark.parametrize("weights", ["own", "shared"])
def test_a_sensor_silent_for_long_is_removed_and_its_alarm_closed(fleet_of, weights) -> None:
    fleet = fleet_of(LIMITS, weights=weights)
    fleet.process(steady("gone") + steady("here"))
    last = 1e6 + 60.0 * 59
    opened = fleet.silences(last + DAY / 2)
    assert {event.sensor for event in opened} == {"gone", "here"}
    fleet.process(steady("here", 2, last + DAY / 2))
    (closed,) = (event for event in fleet.silences(last + DAY + 60) if event.sensor == "gone")
    assert (closed.state, closed.view, closed.reason) == ("closed", "silence", "forgotten: no samples for 1 d")
    assert closed.id.rpartition("-")[0] in {event.id.rpartition("-")[0] for event in opened}
    assert (len(fleet), fleet.forgotten) == (1, 1)
    assert sum(fleet.counts().values()) == 1


def test_a_removed_sensor_makes_room_and_comes_back_as_a_new_one(fleet_of, told) -> None:
    fleet = fleet_of(LIMITS)
    fleet.process([reading for name in "xyz" for reading in steady(name)])
    late = 1e6 + 3 * DAY
    (refused,) = fleet.process([Reading("w", "default", late, {"a": 1.0})]).rejections
    assert refused[1].reason is Reason.TOO_MANY_SENSORS
    fleet.silences(late)
    again = steady("x", since=late)
    assert told(fleet, again).verdicts == told(fleet_of(), again).verdicts
    assert len(fleet) == 1


def test_null_means_never(fleet_of) -> None:
    fleet = fleet_of(Limits(forget_after=None))
    fleet.process(steady("s"))
    fleet.silences(1e9)
    assert len(fleet) == 1


def test_time_in_which_we_did_not_listen_does_not_count(fleet_of) -> None:
    """After a long stop of the daemon every sensor gets its chance to speak."""
    fleet = fleet_of(LIMITS)
    fleet.process(steady("s"))
    back = 1e6 + 100 * DAY
    fleet.listen_from(np.inf)
    fleet.listen_from(back)
    fleet.silences(back + DAY / 2)
    assert len(fleet) == 1
    fleet.silences(back + 1.5 * DAY)
    assert len(fleet) == 0


def test_many_are_removed_little_by_little(fleet_of, monkeypatch) -> None:
    """A look must not take long, whoever fell silent."""
    monkeypatch.setattr(fleets, "FORGOTTEN_AT_ONCE", 4)
    fleet = fleet_of(Limits(forget_after=DAY))
    fleet.process([Reading(f"s{k}", "default", 1e6 + k, {"ab"[k % 2]: 1.0}) for k in range(10)])
    left = []
    for _ in range(4):
        fleet.silences(1e6 + 2 * DAY)
        left.append(len(fleet))
    assert left == [6, 2, 0, 0]


def test_its_saved_state_is_deleted(fleet_of, tmp_path) -> None:
    store = Store(tmp_path / "state.db")
    store.open()
    fleet = fleet_of(LIMITS)
    fleet.process(steady("gone") + steady("back") + steady("here", since=1e6 + 2 * DAY))
    store.save(fleet.pack())
    fleet.saved()
    fleet.silences(1e6 + 2 * DAY)
    fleet.process([Reading("back", "default", 1e6 + 2 * DAY, {"b": 1.0})])
    store.save(fleet.pack())
    fleet.saved()
    assert sorted((packed.sensor, packed.channels) for packed in store.load()) == [("back", ("b",)), ("here", ("a",))]
    assert list(fleet.pack()) == []
    store.close()

"""A sensor that falls silent: from when, told once, and not when it was we who did not listen."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_stream.config import Limits
from lstm_stream.detect import silence
from lstm_stream.records import Reading


def every(interval, samples=100, since=1e6, sensor="s", jitter=0.1, seed=0):
    steps = interval * (1 + jitter * np.random.default_rng(seed).uniform(-1, 1, samples))
    return [Reading(sensor, "default", float(t), {"a": float(np.sin(t))}) for t in since + np.cumsum(steps)]


@pytest.fixture
def fleet(fleet_of):
    return fleet_of(Limits(forget_after=None), enabled=False)


@pytest.mark.parametrize("interval", [0.1, 60.0, 86400.0])
def test_it_opens_after_many_usual_intervals_at_a_fixed_data_time(fleet, fleet_of, interval) -> None:
    """Whenever somebody looks, and whoever looks: the same event."""
    readings = every(interval)
    last = readings[-1].time
    fleet.process(readings)
    assert fleet.silences(last + 3 * interval) == []
    (event,) = fleet.silences(last + 50 * interval)
    assert (event.view, event.state, event.closed) == ("silence", "opened", None)
    assert last + 5 * interval < event.opened < last + 20 * interval
    assert fleet.counts()["silent"] == 1
    other = fleet_of(Limits(forget_after=None), enabled=False)
    other.process(readings)
    assert other.silences(np.nextafter(event.opened, 0)) == []
    assert other.silences(np.nextafter(event.opened, np.inf)) == [event]


def test_it_is_told_once_and_closed_by_the_next_sample(fleet) -> None:
    readings = every(60.0)
    fleet.process(readings)
    now = readings[-1].time + 1e5
    (opened,) = fleet.silences(now)
    assert fleet.silences(now + 1e5) == []
    (closed,) = fleet.process([readings[-1]._replace(time=now + 2e5)]).events
    assert closed.state == "closed"
    assert closed.id.rpartition("-")[0] == opened.id.rpartition("-")[0]
    assert (closed.opened, closed.closed) == (opened.opened, now + 2e5)
    assert closed.reason == "samples again after 3 d 11 h"
    assert fleet.counts()["silent"] == 0
    assert fleet.silences(now + 2e5 + 60) == []


def test_the_next_sample_tells_what_nobody_looked_for(fleet, fleet_of) -> None:
    readings = every(60.0)
    back = readings[-1]._replace(time=readings[-1].time + 1e5)
    looked = fleet_of(enabled=False)
    looked.process(readings)
    told = looked.silences(back.time) + looked.process([back]).events
    fleet.process(readings)
    assert fleet.process([back]).events == told
    assert [event.state for event in told] == ["opened", "closed"]


def test_an_irregular_sensor_is_given_time(fleet) -> None:
    """Its pauses of an hour are its nature."""
    rng = np.random.default_rng(1)
    time = 1e6 + np.cumsum(np.where(rng.random(300) < 0.1, 3600.0, 60.0))
    fleet.process([Reading("s", "default", float(t), {"a": 1.0}) for t in time])
    assert fleet.silences(time[-1] + 2 * 3600) == []
    assert len(fleet.silences(time[-1] + 24 * 3600)) == 1


def test_a_sensor_of_unknown_habits_is_not_silent(fleet) -> None:
    fleet.process(every(60.0, samples=10))
    assert fleet.silences(1e9) == []


def test_time_in_which_we_did_not_listen_is_not_held_against_it(fleet) -> None:
    readings = every(60.0)
    fleet.process(readings)
    listening = readings[-1].time + 1e5
    fleet.listen_from(np.inf)
    assert fleet.silences(listening) == []
    fleet.listen_from(listening)
    assert fleet.silences(listening + 120) == []
    assert fleet.process([readings[-1]._replace(time=listening + 180)]).events == []


def test_a_silence_goes_on_while_we_do_not_listen(fleet) -> None:
    readings = every(60.0)
    fleet.process(readings)
    now = readings[-1].time + 1e5
    (opened,) = fleet.silences(now)
    fleet.listen_from(np.inf)
    (closed,) = fleet.process([readings[-1]._replace(time=now)]).events
    assert closed.opened == opened.opened


def test_rows_without_a_sensor_are_not_silent(fleet) -> None:
    """A sensor that moved to other channels has left its row."""
    rows = every(60.0, samples=60)
    fleet.process(rows)
    fleet.process([rows[-1]._replace(time=rows[-1].time + 60, values={"a": 1.0, "b": 1.0})])
    assert fleet.silences(1e9) == []


def test_the_deadline_is_never_before_the_last_sample() -> None:
    rng = np.random.default_rng(0)
    time, interval, gap = rng.uniform(0, 1e9, 1000), rng.exponential(100, 1000), rng.exponential(1000, 1000)
    columns = list(zip(time, interval, gap, strict=True))
    due = np.array([silence.deadline(*column, 0.0, 10**6) for column in columns])
    assert (due >= time + gap).all()
    assert all(np.isinf(silence.deadline(*column, 0.0, 0)) for column in columns)
    allowed = np.array([silence.deadline(*column, 1e5, 10**6) for column in columns])
    assert (allowed == np.maximum(due, time + 1e5)).all(), "what a person called normal"

"""Samples resampled to an interval, by the rules at the top of resample.py."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_stream.config import Limits, Source
from lstm_stream.ingest.assembly import Assembly
from lstm_stream.records import Message, Reading, Reason, Rejection

BEGIN = 1_790_000_040.0  # a full minute
Told = tuple[float, dict[str, float]]


class _Plant:
    """Messages and what becomes of them, with times relative to BEGIN."""

    def __init__(self, sensors: int = 10) -> None:
        self.clock = BEGIN
        source = Source(topic="plant/{sensor}", resample=60.0, join=5.0)
        self.assembly = Assembly([source], Limits(sensors=sensors), lambda: self.clock)
        self.rejected: list[Reason] = []

    def send(self, at: float, values: dict[str, float], ts: float | None = None, sensor: str = "p") -> list[Told]:
        document = values if ts is None else {"ts": BEGIN + ts, **values}
        readings, rejections = self.assembly.decode(
            Message(f"plant/{sensor}", json.dumps(document).encode(), BEGIN + at)
        )
        self.rejected += [rejection.reason for rejection in rejections]
        return [_told(reading) for reading in readings]

    def rest(self) -> list[Told]:
        return [_told(reading) for reading in self.assembly.held(math.inf)]


def _told(reading: Reading) -> Told:
    return reading.time - BEGIN, reading.values


def test_an_interval_becomes_the_means_of_its_channels_at_its_end() -> None:
    plant = _Plant()
    assert plant.send(0, {"a": 1, "b": 10}) == []
    assert plant.send(20, {"a": 2}) == []
    assert plant.send(59.9, {"a": 6}) == []
    assert plant.send(60, {"a": 7}) == [(60, {"a": 3, "b": 10})]
    assert plant.rest() == [(120, {"a": 7})]
    assert plant.rejected == []


def test_an_interval_without_samples_gives_none() -> None:
    plant = _Plant()
    plant.send(0, {"a": 1})
    assert plant.send(600, {"a": 2}) == [(60, {"a": 1})]
    assert plant.rest() == [(660, {"a": 2})]


def test_arrivals_of_others_and_the_clock_close_it() -> None:
    plant = _Plant()
    plant.send(0, {"a": 1})
    assert plant.send(60.5, {"a": 5}, sensor="q") == [(60, {"a": 1})]
    plant.clock = BEGIN + 120
    assert plant.assembly.held(plant.assembly.due_by()) == []  # a message of a moment ago may be on its way
    plant.clock = BEGIN + 120.5
    assert [_told(reading) for reading in plant.assembly.held(plant.assembly.due_by())] == [(120, {"a": 5})]


def test_times_of_the_payload_decide_and_late_samples_are_counted() -> None:
    plant = _Plant()
    plant.send(1000, {"a": 1}, ts=0)
    plant.send(1000.1, {"a": 3}, ts=0)
    assert plant.send(1000.2, {"a": 5}, ts=61) == [(60, {"a": 2})]
    assert plant.send(1000.3, {"a": 5}, ts=59) == []
    assert plant.rejected == [Reason.OUT_OF_ORDER]
    assert plant.rest() == [(120, {"a": 5})]
    assert plant.send(1000.4, {"a": 5}, ts=119) == []
    assert plant.rejected == [Reason.OUT_OF_ORDER] * 2


def test_sums_beyond_all_numbers_invent_nothing() -> None:
    plant = _Plant()
    plant.send(0, {"a": 1.7e308, "b": 1})
    plant.send(1, {"a": 1.7e308, "b": 3})
    assert plant.rest() == [(60, {"b": 2})]


def test_sensors_beyond_the_limit_are_counted() -> None:
    plant = _Plant(sensors=1)
    plant.send(0, {"a": 1})
    plant.send(0, {"a": 1}, sensor="q")
    assert plant.rejected == [Reason.TOO_MANY_SENSORS]


_STREAM = st.lists(st.tuples(st.floats(0, 50), st.none() | st.floats(-100, 100), st.booleans()), max_size=30)


@given(_STREAM)
def test_the_same_messages_give_the_same_samples_whenever_one_looks(
    stream: list[tuple[float, float | None, bool]],
) -> None:
    results = []
    for asked in (False, True):
        plant, at, out = _Plant(), 0.0, list[Reading | Rejection]()
        for gap, lead, look in stream:
            if asked and look:
                plant.clock = BEGIN + at + gap / 2
                out += plant.assembly.held(plant.assembly.due_by())
            at += gap
            payload = json.dumps({"a": 1.5} if lead is None else {"a": 2.5, "ts": BEGIN + at + lead}).encode()
            for sensor in "pq":
                readings, rejections = plant.assembly.decode(Message(f"plant/{sensor}", payload, BEGIN + at))
                out += [*readings, *rejections]
        results.append(out + plant.assembly.held(math.inf))
    assert results[0] == results[1]
    for sensor in "pq":
        times = [one.time for one in results[0] if isinstance(one, Reading) and one.sensor == sensor]
        assert times == sorted(set(times))
        assert all(math.fmod(time, 60.0) == 0 for time in times)


@pytest.mark.parametrize("interval", [0.1, 0.3, 7.0])
def test_intervals_of_any_length_increase(interval: float) -> None:
    assembly = Assembly([Source(topic="plant/{sensor}", resample=interval)], Limits())
    readings: list[Reading] = []
    for step in range(200):
        readings += assembly.decode(Message("plant/p", b"1", BEGIN + step * 0.05))[0]
    times = [reading.time for reading in readings + assembly.held(math.inf)]
    assert times == sorted(set(times))
    assert len(times) == pytest.approx(10 / interval, abs=2)

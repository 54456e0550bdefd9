"""Samples joined from pieces, counters as rates: by stated rules, the same however messages are batched."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_stream.config import Limits, Source
from lstm_stream.ingest.assembly import Assembly
from lstm_stream.records import Message, Reading, Reason, Rejection

BEGIN = 1_790_000_000.0
Told = tuple[str, float, dict[str, float]]


def _assembly(clock: float = BEGIN, sensors: int = 100, **source: Any) -> Assembly:
    settings = {"topic": "home/{sensor}/{channel}", "join": 2.0, **source}
    return Assembly([Source(**settings)], Limits(sensors=sensors), lambda: clock)


class _Home:
    """Messages and what becomes of them, with times relative to BEGIN."""

    def __init__(self, **source: Any) -> None:
        self.assembly = _assembly(**source)
        self.rejected: list[Reason] = []

    def send(self, at: float, topic: str, value: Any, ts: float | None = None, retain: bool = False) -> list[Told]:
        payload = value if ts is None else {"ts": BEGIN + ts, "value": value}
        message = Message(f"home/{topic}", json.dumps(payload).encode(), BEGIN + at, retain)
        readings, rejections = self.assembly.decode(message)
        self.rejected += [rejection.reason for rejection in rejections]
        return [_told(reading) for reading in readings]

    def rest(self) -> list[Told]:
        return [_told(reading) for reading in self.assembly.held(math.inf)]


def _told(reading: Reading) -> Told:
    return reading.sensor, round(reading.time - BEGIN, 6), reading.values


def test_pieces_within_the_time_are_one_sample_of_the_time_of_the_first() -> None:
    home = _Home()
    assert home.send(0.1, "hall/t", 20) == []
    assert home.send(0.3, "hall/h", 40) == []
    assert home.send(2.05, "hall/p", 1000) == []
    assert home.send(2.2, "attic/t", 5) == [("hall", 0.1, {"t": 20, "h": 40, "p": 1000})]
    assert home.rest() == [("attic", 2.2, {"t": 5})]
    assert home.rejected == []


def test_a_channel_that_did_not_come_is_absent_and_never_invented() -> None:
    home = _Home()
    home.send(0, "hall/t", 20)
    home.send(0.1, "hall/h", 40)
    assert home.send(10, "hall/t", 21) == [("hall", 0, {"t": 20, "h": 40})]
    assert home.rest() == [("hall", 10, {"t": 21})]


def test_a_channel_that_comes_again_begins_the_next_sample() -> None:
    home = _Home()
    home.send(0, "hall/t", 20)
    home.send(0.1, "hall/h", 40)
    assert home.send(0.5, "hall/t", 20) == [("hall", 0, {"t": 20, "h": 40})]
    assert home.rest() == [("hall", 0.5, {"t": 20})]


def test_times_of_the_payload_decide_where_there_are_some() -> None:
    home = _Home()
    assert home.send(100.0, "hall/t", 20, ts=0) == []
    assert home.send(100.01, "hall/h", 40, ts=1) == []
    assert home.send(100.02, "hall/t", 21, ts=10) == [("hall", 0, {"t": 20, "h": 40})]
    assert home.send(100.03, "hall/h", 41, ts=11) == []
    assert home.rest() == [("hall", 10, {"t": 21, "h": 41})]
    assert home.rejected == []


def test_duplicates_late_and_old_pieces_are_counted() -> None:
    home = _Home()
    home.send(0, "hall/t", 20, ts=0)
    home.send(0.1, "hall/t", 20, ts=0)
    assert home.rejected == [Reason.DUPLICATE]
    home.send(0.2, "hall/t", 19, ts=-1)  # older than the one that is there
    home.send(0.3, "hall/h", 39, ts=-5)  # of an earlier sample
    assert home.rejected[1:] == [Reason.OUT_OF_ORDER] * 2
    assert home.send(5, "attic/t", 1, ts=5) == [("hall", 0, {"t": 20})]
    home.send(5.1, "hall/h", 40, ts=0)  # its sample has gone
    assert home.rejected[3:] == [Reason.OUT_OF_ORDER]
    assert home.rest() == [("attic", 5, {"t": 1})]


def test_a_piece_a_little_older_than_the_first_joins_it() -> None:
    home = _Home()
    home.send(0, "hall/t", 20, ts=1)
    home.send(0.1, "hall/h", 40, ts=0.5)
    assert home.rest() == [("hall", 1, {"t": 20, "h": 40})]


def test_retained_pieces_without_a_time_are_no_samples() -> None:
    home = _Home()
    home.send(0, "hall/t", 20, retain=True)
    assert (home.rejected, home.rest()) == ([Reason.RETAINED], [])


def test_while_nothing_comes_the_clock_tells() -> None:
    for clock, expected in ((BEGIN + 2.1, 0), (BEGIN + 2.5, 1)):
        assembly = _assembly(clock=clock)
        assembly.decode(Message("home/hall/t", b"20", BEGIN))
        assert len(assembly.held(assembly.due_by())) == expected


def test_without_join_a_message_is_a_sample() -> None:
    home = _Home(join=0.0)
    assert home.send(0, "hall/t", 20) == [("hall", 0, {"t": 20})]
    assert home.send(0.1, "hall/h", 40) == [("hall", 0.1, {"h": 40})]


def test_sensors_beyond_the_limit_are_counted() -> None:
    assembly = _assembly(sensors=1)
    assembly.decode(Message("home/hall/t", b"20", BEGIN))
    [], [rejection] = assembly.decode(Message("home/attic/t", b"20", BEGIN))
    assert (rejection.reason, rejection.topic) == (Reason.TOO_MANY_SENSORS, "home/attic/t")


_PIECES = st.lists(
    st.tuples(
        st.floats(0, 3).map(lambda gap: round(gap, 1)),  # since the message before
        st.sampled_from(["hall/t", "hall/h", "attic/t", "attic/h"]),
        st.none() | st.floats(-4, 4).map(lambda lead: round(lead, 1)),  # of the time in the payload, if any
    ),
    max_size=40,
)


@given(_PIECES)
def test_no_piece_is_lost_invented_or_twice_and_times_increase(pieces: list[tuple[float, str, float | None]]) -> None:
    home, at, out = _Home(), 0.0, list[Told]()
    for number, (gap, topic, lead) in enumerate(pieces):
        at += gap
        out += home.send(at, topic, number, ts=None if lead is None else at + lead)
    out += home.rest()
    there = [value for _, _, values in out for value in values.values()]
    assert len(there) == len(set(there))
    assert len(there) + len(home.rejected) == len(pieces)
    for sensor in ("hall", "attic"):
        times = [time for name, time, _ in out if name == sensor]
        assert times == sorted(set(times))
    for name, _, values in out:
        assert all(pieces[int(value)][1] == f"{name}/{channel}" for channel, value in values.items())


@given(_PIECES, st.lists(st.booleans(), min_size=40, max_size=40))
def test_pauses_between_batches_change_nothing(
    pieces: list[tuple[float, str, float | None]], looks: list[bool]
) -> None:
    """Asking for what is due, at any moment between two messages, neither adds nor changes a sample."""
    results = []
    for asked in (False, True):
        now, out = BEGIN, list[Reading | Rejection]()
        clock = [BEGIN]
        assembly = Assembly([Source(topic="home/{sensor}/{channel}", join=2.0)], Limits(), lambda: clock[0])  # noqa: B023
        for (gap, topic, _), look in zip(pieces, looks, strict=False):
            if asked and look:
                clock[0] = now + gap / 2
                out += assembly.held(assembly.due_by())
            now += gap
            readings, rejections = assembly.decode(Message(f"home/{topic}", b"1", now))
            out += [*readings, *rejections]
        results.append(out + assembly.held(math.inf))
    assert results[0] == results[1]


# -- counters


def _rates(*values: tuple[float, Any], **source: Any) -> tuple[list[Any], list[Reason]]:
    settings = {"topic": "meter/{sensor}", "counters": ("*.total",), **source}
    assembly = Assembly([Source(**settings)], Limits())
    told, reasons = [], []
    for at, payload in values:
        readings, rejections = assembly.decode(Message("meter/m", json.dumps(payload).encode(), BEGIN + at))
        told += [reading.values for reading in readings]
        reasons += [rejection.reason for rejection in rejections]
    return told, reasons


def test_a_counter_becomes_its_rate_per_second() -> None:
    told, reasons = _rates(
        (0, {"e": {"total": 100}, "p": 5}), (10, {"e": {"total": 130}, "p": 6}), (30, {"e": {"total": 130}})
    )
    assert told == [{"p": 5}, {"e.total": 3.0, "p": 6}, {"e.total": 0.0}]
    assert reasons == []


def test_a_counter_that_begins_anew_is_absent_once() -> None:
    told, reasons = _rates((0, {"e": {"total": 100}}), (10, {"e": {"total": 2}}), (20, {"e": {"total": 12}}))
    assert (told, reasons) == ([{"e.total": 1.0}], [Reason.NO_CHANNELS] * 2)


def test_an_old_sample_makes_no_rate() -> None:
    rows = [(0, 0, 10), (1, 10, 20), (2, 10, 20), (3, 5, 15), (4, 20, 40)]
    told, reasons = _rates(*((at, {"ts": BEGIN + ts, "e": {"total": value}}) for at, ts, value in rows))
    assert (told, reasons) == ([{"e.total": 1.0}, {"e.total": 2.0}], [Reason.NO_CHANNELS] * 3)


def test_counters_of_pieces_are_joined_as_rates() -> None:
    assembly = _assembly(counters=("energy",))
    for at, topic, value in ((0, "energy", 5), (0.1, "power", 7), (10, "energy", 25), (10.1, "power", 8)):
        assembly.decode(Message(f"home/plug/{topic}", str(value).encode(), BEGIN + at))
    assert [reading.values for reading in assembly.held(math.inf)] == [{"energy": 2.0, "power": 8.0}]


@pytest.mark.parametrize("sensors", [1, 2])
def test_counters_are_remembered_of_so_many_sensors(sensors: int) -> None:
    source = Source(topic="meter/{sensor}", counters=("value",))
    assembly = Assembly([source], Limits(sensors=sensors))
    reasons = [assembly.decode(Message(f"meter/{name}", b"1", BEGIN))[1][0].reason for name in "ab"]
    assert reasons == [Reason.NO_CHANNELS, [Reason.TOO_MANY_SENSORS, Reason.NO_CHANNELS][sensors - 1]]

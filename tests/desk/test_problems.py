"""Why it may not be working, as people are told."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_stream.desk import problems
from lstm_stream.desk.problems import Ledger, clean
from lstm_stream.outputs.web import documents as d
from lstm_stream.records import Decoded, Reading, Reason, Rejection, Rows

NOW = 1_795_200_000.0


def told(ledger: Ledger, now: float = NOW) -> d.Problems:
    return ledger.problems(now, ["plant/{sensor}"])


def test_rejections_are_counted_by_reason_with_the_latest_of_each() -> None:
    ledger = Ledger()
    ledger.note([Rejection(Reason.MALFORMED, "not JSON", "a/b")] * 2, NOW)
    ledger.note([Rejection(Reason.DUPLICATE, "seen"), Rejection(Reason.MALFORMED, "not UTF-8", "c")], NOW + 1)
    first, second = told(ledger).rejections
    assert (first.reason, first.count, first.latest) == ("malformed", 3, d.Sample("c", "not UTF-8", NOW + 1))
    assert (second.reason, second.count) == ("duplicate", 1)


def test_topics_that_no_source_takes_are_counted_and_lead_to_a_hint() -> None:
    ledger = Ledger()
    ledger.note([Rejection(Reason.UNKNOWN_TOPIC, "", f"hall/{k % 2}/state") for k in range(5)], NOW)
    found = told(ledger)
    assert found.unmatched == [d.UnmatchedTopic("hall/0/state", 3), d.UnmatchedTopic("hall/1/state", 2)]
    (hint,) = found.hints
    assert "hall/0/state (3)" in hint
    assert "hall/0/{sensor}" in hint
    assert "plant/{sensor}" in hint


def test_a_storm_of_strange_topics_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problems, "TOPICS", 5)
    ledger = Ledger()
    ledger.note([Rejection(Reason.UNKNOWN_TOPIC, "", f"t/{k}") for k in range(100)], NOW)
    ledger.note([Rejection(Reason.UNKNOWN_TOPIC, "", "t/3")], NOW)
    found = told(ledger)
    assert len(found.unmatched) == 5
    assert found.unmatched[0] == d.UnmatchedTopic("t/3", 2)
    assert found.rejections[0].count == 101


def test_the_text_of_strangers_is_one_printable_line() -> None:
    ledger = Ledger()
    ledger.note([Rejection(Reason.UNKNOWN_TOPIC, "x" * 10_000, "a\n\x1b[31m\u202eb/" + "y" * 10_000)], NOW)
    found = told(ledger)
    for text in (found.unmatched[0].topic, found.rejections[0].latest.topic, found.rejections[0].latest.detail):
        assert text.isprintable()
        assert len(text) < 600
    assert clean("\ud800") == "\N{REPLACEMENT CHARACTER}"


def off(seconds: float, sensor: str = "pump-9", many: int = 5) -> Decoded:
    """A message each, whose time is so far ahead of its arrival."""
    readings = [Reading(sensor, "pumps", NOW + k + seconds, {"v": 1.0}) for k in range(many)]
    return Decoded(readings, list(range(many)), [NOW + k for k in range(many)])


def in_rows(decoded: Decoded) -> Decoded:
    """The same, decoded fast."""
    names = sorted({reading.sensor for reading in decoded.readings})
    number = np.array([names.index(reading.sensor) for reading in decoded.readings], np.int32)
    many = len(number)
    time, arrival = np.array([reading.time for reading in decoded.readings]), np.array(decoded.arrivals)
    timed = np.ones(many, np.bool_)
    return Decoded(
        rows=[Rows("pumps", ("v",), names, number, np.arange(many), time, np.ones((many, 1)), arrival, timed)]
    )


@pytest.mark.parametrize("way", [lambda decoded: decoded, in_rows], ids=["readings", "rows"])
def test_a_sensor_whose_clock_is_off_is_named_with_how_much(way) -> None:
    ledger = Ledger()
    ledger.clocks(way(off(-7200.0)), NOW)
    ledger.clocks(way(off(5.0, "pump-8")), NOW)
    found = told(ledger)
    assert found.clocks == [d.ClockOffset("pumps", "pump-9", -7200.0)]
    assert "pump-9 are 2 h behind" in found.hints[0]
    assert told(ledger, NOW + 3 * 3600).clocks == [], "not seen again since"


def test_a_sample_that_came_late_once_is_no_wrong_clock() -> None:
    ledger = Ledger()
    ledger.clocks(off(-7200.0, many=2), NOW)
    assert told(ledger).clocks == []


def test_the_worst_clocks_come_first_and_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problems, "CLOCKS", 40)
    ledger = Ledger()
    for k in range(60):
        ledger.clocks(off(100.0 + k, f"s{k}"), NOW)
    found = told(ledger).clocks
    assert [clock.sensor for clock in found] == [f"s{k}" for k in range(59, 49, -1)]


def test_where_nothing_is_wrong_nothing_is_said() -> None:
    assert told(Ledger()) == d.Problems([], [], [], [])

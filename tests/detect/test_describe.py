"""Events in words, and ids that follow from their cause."""

from __future__ import annotations

import re

import pytest

from lstm_stream.detect import describe
from lstm_stream.records import ChannelEvidence, View


def channels(**contributions):
    return {name: ChannelEvidence(10.0, 5.0, 4.0, 6.0, part) for name, part in contributions.items()}


def test_the_same_cause_gives_the_same_id_and_another_another() -> None:
    cause = ("group", "sensor", View.FORECAST, 1700000000.25)
    one = describe.alarm_id(*cause)
    assert one == describe.alarm_id(*cause)
    assert re.fullmatch(r"[0-9a-f]{16}", one)
    changed = [("other", *cause[1:]), (cause[0], "other", *cause[2:]), (*cause[:2], View.LEVEL, cause[3])]
    changed += [(*cause[:3], 1700000000.26), ("groups", "ensor", *cause[2:])]
    assert len({one, *(describe.alarm_id(*c) for c in changed)}) == 6


def test_it_is_the_same_in_every_process() -> None:
    """Not Python's hash, which is salted: a repeat after a restart is recognisable."""
    assert describe.alarm_id("g", "s", View.LEVEL, 1.5) == "f6c8bc46eacee9e6"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.25 s"),
        (59.0, "59 s"),
        (60.0, "1 min"),
        (61.0, "1 min 1 s"),
        (3600.0, "1 h"),
        (12_000.0, "3 h 20 min"),
        (86_400.0, "1 d"),
        (93_600.0, "1 d 2 h"),
        (31_536_000.0, "365 d"),
    ],
)
def test_durations_are_written_as_a_person_would(seconds, text) -> None:
    assert describe.duration(seconds) == text


@pytest.mark.parametrize("seconds", [59.7, 119.6, 3599.0, 3599.9, 86_399.0, 86_399.99])
def test_durations_are_never_sixty_minutes(seconds) -> None:
    parts = re.findall(r"(\d+) (d|h|min|s)", describe.duration(seconds))
    limits = {"h": 24, "min": 60, "s": 60}
    assert parts
    assert all(int(count) < limits.get(unit, 10**9) for count, unit in parts)


def test_numbers_are_short_and_absent_ones_are_nothing() -> None:
    assert [describe.number(v) for v in (21.456789, 0.00012345, None, float("nan"))] == [
        "21.46",
        "0.0001234",
        "nothing",
        "nothing",
    ]


def test_the_channels_that_carry_the_alarm_are_named() -> None:
    assert describe.leading(channels(a=0.1, b=0.7, c=0.2)) == ["b"]
    assert describe.leading(channels(a=0.3, b=0.4, c=0.3)) == ["b", "a", "c"]
    assert len(describe.leading(channels(a=0.2, b=0.2, c=0.2, d=0.2, e=0.2))) == 3
    assert describe.leading(channels(a=0.0)) == ["a"]


def test_every_view_has_a_sentence_with_its_channel() -> None:
    evidence, usual = channels(pump=0.9, tank=0.1), {"pump": "averages 9 where 5 is usual at this time"}
    said = {
        view: describe.opened(view, evidence, {"pump": 70}, usual)
        for view in View
        if view not in (View.NONE, View.SILENCE)
    }
    assert said[View.FORECAST] == "pump is 10 where 5 was expected (4 to 6)"
    assert said[View.STUCK] == "pump has repeated 10 for 70 samples, far longer than ever before"
    assert said[View.LEVEL] == "pump averages 9 where 5 is usual at this time"
    assert said[View.BURST].startswith("pump: unsteady")
    assert said[View.CLOCK] == "pump is 10, which it never was at this time of day"
    assert said[View.RANGE] == "pump is 10, outside everything it has shown"
    assert said[View.SURPRISE] == said[View.FORECAST]
    assert all("tank" not in sentence for sentence in said.values())


def test_how_it_ended() -> None:
    assert describe.closed(False, 7200.0, 6.25, 4.0) == "back to normal after 2 h; highest score 6.2, threshold 4.0"
    assert describe.closed(True, 3 * 86400.0, 6.2, 4.0) == "accepted as the new normal after 3 d"
    assert describe.silent(300.0) == "no samples, where one came every 5 min"

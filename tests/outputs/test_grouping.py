"""Incidents: one cause is one message, and nobody is left out of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_stream.config import Grouping, Severity
from lstm_stream.outputs import grouping
from lstm_stream.outputs.grouping import Incidents
from lstm_stream.outputs.outbox import Letter
from lstm_stream.records import Event
from tests.outputs.letters import T0, alarm, letter


class Desk:
    """Incidents with a clock that is set by hand."""

    def __init__(self, **settings: Any) -> None:
        config = Grouping.model_validate({"wait": "30s", "within": "5m", **settings})
        self.incidents = Incidents(config, Severity(), lambda event: f"topic of {event.sensor}", "0.1.0")
        self.letters: list[Letter] = []
        self.covered: list[Letter] = []

    def turn(self, now: float, *events: Event) -> list[dict[str, Any]]:
        """Take events in; the documents that are told at that time."""
        new = [letter(event) for event in events]
        self.letters += new
        told = self.incidents.sort(new, T0 + now, now)
        for one in told:
            self.covered += one.covers
        return [json.loads(one.letter.payload) for one in told]


def test_alarms_of_a_group_that_open_together_are_one_incident() -> None:
    desk = Desk()
    assert desk.turn(0, alarm("pump-7"), alarm("pump-8", opened=T0 + 12), alarm("fan", group="fans")) == []
    assert desk.turn(20, alarm("pump-9", opened=T0 + 5, score=9.0)) == []
    pumps, fans = desk.turn(30)[::-1]
    assert fans["reason"] == "fan: bearing averages 61 where 57 is usual"
    assert pumps["kind"] == "incident"
    assert pumps["label"] == "group pumps"
    assert pumps["state"] == "opened"
    assert pumps["severity"] == "critical"
    assert (pumps["alarms"], pumps["alarms_open"]) == (3, 3)
    assert pumps["reason"] == (
        "3 sensors of group pumps changed within 12 s, pump-7 first: bearing averages 61 where 57 is usual"
    )
    assert [member["sensor"] for member in pumps["members"]] == ["pump-7", "pump-8", "pump-9"]
    assert sorted(one.seq for one in desk.covered) == [one.seq for one in desk.letters]


def test_an_incident_is_told_anew_when_it_grows_and_when_it_ends() -> None:
    desk = Desk()
    desk.turn(0, alarm("a"), alarm("b"))
    (first,) = desk.turn(30)
    desk.turn(60, alarm("c", opened=T0 + 60))
    (grown,) = desk.turn(90)
    desk.turn(100, alarm("a", closed=T0 + 100), alarm("b", closed=T0 + 101))
    (fewer,) = desk.turn(130)
    desk.turn(140, alarm("c", opened=T0 + 60, closed=T0 + 140))
    (ended,) = desk.turn(170)
    assert [one["state"] for one in (first, grown, fewer, ended)] == ["opened", "updated", "updated", "closed"]
    assert len({one["id"] for one in (first, grown, fewer, ended)}) == 1
    assert grown["reason"].startswith("3 sensors of group pumps changed within 60 s")
    assert fewer["reason"] == "1 of 3 sensors of group pumps still deviate"
    assert ended["reason"] == "all 3 sensors of group pumps are back to normal after 2 min"
    assert (ended["alarms_open"], ended["closed_unix"]) == (0, T0 + 140)
    assert ended["members"][0]["reason"] == "bearing averages 61 where 57 is usual"
    assert len(desk.covered) == len(desk.letters)


def test_what_opens_much_later_is_another_incident_and_its_end_belongs_to_it() -> None:
    desk = Desk()
    desk.turn(0, alarm("a"))
    (first,) = desk.turn(30)
    desk.turn(400, alarm("b", opened=T0 + 400))
    (second,) = desk.turn(430)
    assert second["id"] != first["id"]
    desk.turn(500, alarm("a", closed=T0 + 500))
    (ended,) = desk.turn(530)
    assert (ended["id"], ended["state"]) == (first["id"], "closed")


@pytest.mark.parametrize(
    ("by", "labels"),
    [
        ("^plant/[^/]+", {"plant/oslo": 2, "plant/rome": 1, "spare": 1}),
        ("^plant/([^/]+)/", {"oslo": 2, "rome": 1, "spare": 1}),
    ],
)
def test_sites_are_found_in_the_names_of_sensors(by: str, labels: dict[str, int]) -> None:
    desk = Desk(by=by)
    names = ["plant/oslo/pump", "plant/rome/pump", "plant/oslo/fan", "spare"]
    desk.turn(0, *(alarm(name, group=f"g{number}") for number, name in enumerate(names)))
    assert {one["label"]: one["alarms"] for one in desk.turn(30)} == labels


def test_a_short_alarm_that_is_over_before_it_is_told_is_told_once() -> None:
    desk = Desk()
    desk.turn(0, alarm("a"), alarm("b"))
    desk.turn(10, alarm("a", closed=T0 + 9), alarm("b", closed=T0 + 10))
    (only,) = desk.turn(30)
    assert (only["state"], only["alarms_open"]) == ("closed", 0)
    assert desk.turn(1000) == []


def test_an_incident_of_before_a_restart_goes_on_under_its_id() -> None:
    before = Desk()
    before.turn(0, alarm("a"), alarm("b"), alarm("x", group="fans"))
    told = before.turn(30)
    after = Desk()
    after.incidents.recall([letter.event for letter in before.letters])
    assert after.turn(31) == [], "what was told is not told again"
    after.turn(40, alarm("a", closed=T0 + 40), alarm("b", closed=T0 + 41))
    (ended,) = after.turn(70)
    assert ended["state"] == "closed"
    assert ended["id"] in {one["id"] for one in told}
    assert ended["alarms"] == 2


def test_an_end_whose_beginning_nobody_knows_is_told_all_the_same() -> None:
    desk = Desk()
    desk.turn(0, alarm("a", closed=T0 + 5))
    (only,) = desk.turn(30)
    assert (only["state"], only["reason"]) == ("closed", "a: back to normal after 60 s")


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "INCIDENTS", 5)
    monkeypatch.setattr(grouping, "MEMBERS", 3)
    desk = Desk(by="^[^/]+")
    desk.turn(0, *(alarm(f"s{k}/a") for k in range(5)))
    assert len(desk.turn(30)) == 5
    desk.turn(40, *(alarm(f"new/{k}", opened=T0 + k) for k in range(7)))
    told = desk.turn(70)
    assert [one["alarms"] for one in told] == [3, 3, 1]
    assert len(desk.covered) == len(desk.letters)
    desk.turn(80, alarm("s0/a", closed=T0 + 80))
    (forgotten,) = desk.turn(110)
    assert forgotten["alarms"] == 1


def test_of_very_many_members_the_first_are_shown_and_all_are_counted() -> None:
    desk = Desk()
    desk.turn(0, *(alarm(f"s{k}") for k in range(250)))
    (one,) = desk.turn(30)
    assert (one["alarms"], len(one["members"])) == (250, grouping.SHOWN)


steps = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20), st.booleans(), st.integers(0, 400)), max_size=40)


@given(steps)
def test_whatever_happens_each_letter_is_covered_once(steps: list[tuple[int, int, bool, int]]) -> None:
    desk = Desk()
    now = 0.0
    open_since: dict[int, float] = {}
    for group, sensor, closes, pause in steps:
        now += pause
        key = group * 100 + sensor
        if closes and key in open_since:
            event = alarm(f"s{key}", opened=open_since.pop(key), closed=T0 + now, group=f"g{group}")
        elif key not in open_since:
            open_since[key] = T0 + now
            event = alarm(f"s{key}", opened=T0 + now, group=f"g{group}")
        else:
            continue
        desk.turn(now, event)
    desk.turn(now + 30)
    assert sorted(letter.seq for letter in desk.covered) == [letter.seq for letter in desk.letters]

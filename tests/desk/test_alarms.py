"""Alarms and commands as people see them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pytest

from lstm_stream.desk import alarms as room
from lstm_stream.desk.alarms import Alarms, restored
from lstm_stream.desk.orders import Orders, command_of, former
from lstm_stream.outputs.events import to_json
from lstm_stream.outputs.web.queries import AlarmsQuery, Order
from lstm_stream.records import ChannelEvidence, Command, Event, Reply

NOW = 1_795_200_000.0


def event(sensor: str, opened: float, closed: float | None = None, view: str = "level") -> Event:
    state = "opened" if closed is None else "closed"
    identity = f"{sensor}{opened:.0f}-{state}"
    return Event(identity, sensor, "pumps", state, view, f"{sensor} is odd", opened, closed, 7.0, 3.5, 2)


def command(verb: Any, sensor: str = "", argument: str = "", identity: str = "c1") -> Command:
    return Command(identity, verb, "pumps", sensor, "ann", NOW, argument)


@pytest.fixture
def alarms() -> Alarms:
    """Two open ones, and one that was closed."""
    alarms = Alarms(lambda event: to_json(event, 0.0, "1"))
    for one in (event("a", 100.0), event("b", 50.0), event("b", 50.0, 70.0), event("b", 200.0)):
        alarms.remember(one, NOW)
    return alarms


def ids(alarms: Alarms, **query: Any) -> list[str]:
    return [document["id"] for document in alarms.listed(AlarmsQuery(**query))]


def test_an_alarm_is_listed_once_by_its_latest_event_the_latest_first(alarms: Alarms) -> None:
    assert ids(alarms) == ["b200-opened", "a100-opened", "b50-closed"]
    assert ids(alarms, state="open") == ["b200-opened", "a100-opened"]
    assert ids(alarms, state="closed") == ["b50-closed"]
    assert ids(alarms, search="A IS") == ["a100-opened"]
    assert ids(alarms, limit=1, before=200.0) == ["a100-opened"]


def test_a_document_is_as_published(alarms: Alarms) -> None:
    payload = to_json(event("a", 100.0), 5.0, "1", maintenance="summer")
    alarms.remember(event("a", 100.0), restored(payload), payload)
    (document,) = alarms.listed(AlarmsQuery(search="a is"))
    assert document == {**orjson.loads(payload), "why": "a is odd", "acknowledged": None}
    assert document["maintenance"] == "summer"


def test_one_that_ended_still_tells_why_it_began(alarms: Alarms) -> None:
    showed = {"v": ChannelEvidence(4.1, 1.0, 0.5, 1.5, 1.0)}
    alarms.remember(replace(event("p", 400.0), reason="p is 4.1 too high", channels=showed), NOW)
    alarms.remember(replace(event("p", 400.0, 500.0), reason="back to normal"), NOW)
    (document,) = alarms.listed(AlarmsQuery(search="too high"))
    assert (document["state"], document["reason"], document["why"]) == ("closed", "back to normal", "p is 4.1 too high")
    assert document["channels"]["v"]["actual"] == 4.1
    (alarm,) = alarms.of("pumps", "p", 0.0, 1e9)
    assert (alarm.opening.reason, alarm.told.reason) == ("p is 4.1 too high", "back to normal")


@pytest.mark.parametrize(("now", "lately"), [(86_460.0, 2), (5 * 86_400.0, 0), (None, 3), (-5 * 86_400.0, 0)])
def test_counts_are_of_the_last_day_in_data_time(alarms: Alarms, now: float | None, lately: int) -> None:
    counts = alarms.counts(now)
    assert (counts.open, counts.unacknowledged, counts.opened_day) == (2, 2, lately)


def test_without_alarms_there_is_nothing_to_count() -> None:
    assert Alarms(lambda _: b"{}").counts(None).opened_day == 0


@pytest.mark.parametrize("name", ["b50", "B50-closed", "b50-opened"])
def test_an_alarm_is_found_by_its_id_alone(alarms: Alarms, name: str) -> None:
    assert ids(alarms, search=name) == ["b50-closed"]
    assert ids(alarms, search=name[:2]) == [], "a part of an id may be of many"


@pytest.mark.parametrize(
    ("what", "left"),
    [
        (command("acknowledge", "a", "a100-opened"), 1),
        (command("acknowledge", "a", "a100"), 1),
        (command("acknowledge", "b"), 1),
        (command("acknowledge"), 0),
        (command("acknowledge", "c"), 2),
        (command("acknowledge", "a", "nothing-opened"), 2),
        (command("pause"), 2),
    ],
)
def test_who_acknowledges_what(alarms: Alarms, what: Command, left: int) -> None:
    alarms.obeyed(what)
    assert alarms.counts(NOW).unacknowledged == left


def test_an_acknowledgement_lasts_over_the_end_and_can_be_undone(alarms: Alarms) -> None:
    alarms.obeyed(command("acknowledge", "a", identity="c7"))
    alarms.remember(event("a", 100.0, 120.0), NOW)
    (document,) = alarms.listed(AlarmsQuery(search="a is"))
    assert document["acknowledged"] == {"by": "ann", "at": NOW}
    alarms.obeyed(command("undo", "a", "c7"))
    assert alarms.listed(AlarmsQuery(search="a is"))[0]["acknowledged"] is None


def test_alarms_of_a_chart_are_those_that_overlap_it(alarms: Alarms) -> None:
    def opened(since: float, until: float) -> list[float]:
        return [one.told.opened for one in alarms.of("pumps", "b", since, until)]

    assert opened(0.0, 60.0) == [50.0]
    assert opened(71.0, 199.0) == []
    assert opened(60.0, 1e9) == [50.0, 200.0]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, alarms: Alarms) -> None:
    monkeypatch.setattr(room, "MOST", 3)
    alarms.remember(event("c", 300.0), NOW)
    assert ids(alarms) == ["c300-opened", "b200-opened", "b50-closed"], "the one that came first went"


# --- commands


def order(**fields: Any) -> Order:
    return Order(group="pumps", **fields)


def no_weights(*_: Any) -> Any:
    raise AssertionError("only a rollback needs weights")


def test_a_command_is_what_was_ordered() -> None:
    made = command_of(order(verb="pause", sensor="a", comment="repair"), "ann", NOW, no_weights)
    assert isinstance(made, Command)
    assert made[1:8] == ("pause", "pumps", "a", "ann", NOW, "", "repair")
    other = command_of(order(verb="pause"), "ann", NOW, no_weights)
    assert isinstance(other, Command)
    assert other.id != made.id


def test_a_rollback_carries_the_weights() -> None:
    asked: list[Any] = []

    def weights(*what: Any) -> Any:
        asked.append(what)
        return np.arange(3, dtype=np.float32), ""

    made = command_of(order(verb="rollback", sensor="a", argument="4"), "ann", NOW, weights)
    assert isinstance(made, Command)
    assert np.frombuffer(made.weights, np.float32).tolist() == [0.0, 1.0, 2.0]
    command_of(order(verb="rollback", sensor="a"), "ann", NOW, weights)
    assert asked == [("pumps", "a", 4), ("pumps", "a", None)]


def test_a_rollback_that_cannot_be_says_why() -> None:
    refused = command_of(order(verb="rollback", argument="4"), "ann", NOW, lambda *_: (None, "not kept"))
    assert refused == "not kept"
    text = command_of(order(verb="rollback", argument="the old one"), "ann", NOW, no_weights)
    assert isinstance(text, str)
    assert "no generation" in text


@pytest.mark.parametrize(("wanted", "generation"), [(None, 2), (1, 1), (3, 3), (0, None), (9, None)], ids=str)
def test_which_generation_is_gone_back_to(wanted: int | None, generation: int | None) -> None:
    rounds = [
        SimpleNamespace(generation=number, kept=kept)
        for number, kept in [(0, False), (1, True), (2, True), (2, False), (3, True), (3, False)]
    ]
    found, why = former(rounds, wanted)
    assert found == generation
    assert generation is not None or "kept are 1, 2, 3" in why


def test_without_a_former_generation_there_is_none_to_go_back_to() -> None:
    assert former([], None)[0] is None
    assert former([SimpleNamespace(generation=1, kept=True)], None)[0] is None


def test_the_log_has_each_command_once_the_latest_first() -> None:
    orders, told = Orders(), []
    orders.told = told.append
    for one in (command("pause"), replace_id("c2", NOW + 5), command("pause")):
        orders.note(one, Reply(True, "done"))
    assert [record.id for record in orders.listed()] == ["c2", "c1"]
    assert len(told) == 2


def replace_id(identity: str, at: float) -> Command:
    return command("resume")._replace(id=identity, at=at)


def test_times_of_payloads_are_read() -> None:
    assert restored(to_json(replace(event("a", 1.0)), 7.0, "1")) == 7.0
    assert restored(b"no JSON") == 0.0

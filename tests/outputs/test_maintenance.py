"""Maintenance windows: when they are on, whom they are for, what they keep back, what rests."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lstm_stream.config import Config, Window
from lstm_stream.outputs.maintenance import LOOK, Muting, Resting, Windows, is_for, is_open
from lstm_stream.records import Command
from tests.outputs.letters import T0, alarm, letter


def window(**fields: Any) -> Window:
    return Window.model_validate(fields)


def at(text: str, zone: str = "Europe/Berlin") -> float:
    """Unix s of a local time."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("moment", "on"),
    [
        ("2026-12-01 21:59:59", False),
        ("2026-12-01 22:00", True),
        ("2026-12-02 03:59:59", True),
        ("2026-12-02 04:00", False),
        ("2026-12-08 23:00", False),
    ],
)
def test_a_window_with_dates_is_on_once(moment: str, on: bool) -> None:
    once = window(start="2026-12-01 22:00", end="2026-12-02T4:00", zone="Europe/Berlin")
    assert is_open(once, at(moment)) is on


@pytest.mark.parametrize(
    ("moment", "on"),
    [
        ("2026-11-20 21:59:59", False),  # a Friday
        ("2026-11-20 22:00", True),
        ("2026-11-21 03:59", True),
        ("2026-11-21 04:00", False),
        ("2026-11-21 22:00", False),
        ("2026-11-23 03:00", False),  # that of Sunday evening
        ("2026-11-23 23:00", True),
    ],
)
def test_a_weekly_window_that_passes_midnight_belongs_to_the_day_on_which_it_begins(moment: str, on: bool) -> None:
    weekly = window(start="22:00", end="4:00", days=["fri", "mon"], zone="Europe/Berlin")
    assert is_open(weekly, at(moment)) is on


def test_a_window_without_days_is_on_every_day_and_one_that_ends_as_it_begins_all_day() -> None:
    daily, always = window(start="08:00", end="09:00"), window(start="08:00", end="08:00")
    for day in range(1, 8):
        assert is_open(daily, at(f"2026-11-0{day} 08:30", "UTC"))
        assert not is_open(daily, at(f"2026-11-0{day} 09:30", "UTC"))
        assert is_open(always, at(f"2026-11-0{day} 05:00", "UTC"))


def test_windows_keep_to_the_clock_on_the_wall_when_it_is_put_back() -> None:
    weekly = window(start="01:00", end="05:00", days=["sun"], zone="Europe/Berlin")
    begins = at("2026-10-25 01:00")  # at 3 the clocks are put back to 2
    assert is_open(weekly, begins)
    assert is_open(weekly, begins + 5 * 3600 - 1), "an hour longer than usual"
    assert not is_open(weekly, begins + 5 * 3600)


@given(st.floats())
def test_any_time_at_all_is_in_a_window_or_not(moment: float) -> None:
    for one in (window(start="22:00", end="04:00"), window(start="2026-12-01 22:00", end="2026-12-02 04:00")):
        assert is_open(one, moment) in (True, False)


def test_a_window_is_for_groups_and_sensors_by_pattern() -> None:
    one = window(groups=["pump*"], sensors=["oslo/*", "bergen/7"], start="00:00", end="00:00")
    assert is_for(one, "pumps", "oslo/hall/3")
    assert is_for(one, "pumps", "bergen/7")
    assert not is_for(one, "pumps", "bergen/70")
    assert not is_for(one, "fans", "oslo/3")


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"start": "22:00"}, "needs end"),
        ({"end": "22:00"}, "needs start"),
        ({"start": "22:00", "end": "2026-12-01 22:00"}, "another kind"),
        ({"start": "2026-12-02 22:00", "end": "2026-12-01 22:00"}, "not after start"),
        ({"start": "2026-12-01 22:00", "end": "2026-12-02 22:00", "days": ["mon"]}, "no effect beside a date"),
        ({"start": "24:00", "end": "01:00"}, "is no time"),
        ({"start": "2026-02-30 10:00", "end": "2026-03-01 10:00"}, "is no time"),
        ({"start": "at night", "end": "01:00"}, "is no time"),
        ({"days": ["monday"]}, "mon"),
        ({"zone": "Berlin"}, "time zone"),
        ({"sensors": []}, "at least one"),
    ],
)
def test_windows_that_make_no_sense_are_refused(fields: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        window(**fields)


def test_unless_configured_there_is_none() -> None:
    assert Windows(Config().maintenance).all == ()


NIGHT = window(name="night", start="06:00", end="07:00")  # T0 is 06:47:46


def test_what_was_kept_back_before_a_restart_is_kept_back_after_it() -> None:
    """The letters are in the outbox still, and come again."""
    letters = [letter(alarm("a")), letter(alarm("b")), letter(alarm("b", closed=T0 + 9))]
    for _ in range(2):
        muting = Muting(Windows([NIGHT]))
        sent, dropped = muting.sort(letters, T0 + 60)
        assert sent == []
        assert dropped == letters[1:]
        assert len(muting) == 1
    assert muting.sort([], T0 + 3600) == ([letters[0]], [])


def test_a_backlog_of_a_window_that_is_over_is_muted_as_far_as_it_has_closed() -> None:
    letters = [letter(alarm("a")), letter(alarm("b")), letter(alarm("b", closed=T0 + 9))]
    sent, dropped = Muting(Windows([NIGHT])).sort(letters, T0 + 86400 / 2)
    assert (sent, dropped) == (letters[:1], letters[1:])


def test_an_alarm_that_opened_before_is_told_to_its_end() -> None:
    letters = [letter(alarm("a", opened=T0 - 3600)), letter(alarm("a", opened=T0 - 3600, closed=T0))]
    assert Muting(Windows([NIGHT])).sort(letters, T0) == (letters, [])


GROUPS, SENSORS = ["pumps", "pumps", "fans"], ["a", "b", "c"]


def shown(commands: list[Command]) -> list[tuple[str, str, str]]:
    return [(command.verb, command.group, command.sensor) for command in commands]


def test_learning_rests_in_a_window_and_goes_on_afterwards() -> None:
    rests = window(name="night", start="06:00", end="07:00", sensors=["a", "c"], learn=False)
    resting = Resting([rests, window(start="06:00", end="08:00")])
    before, during, after = T0 - 3600, T0, T0 + 3600
    assert not resting.wants_look(before)
    assert resting.wants_look(during)
    commands = resting.commands(GROUPS, SENSORS, during)
    assert shown(commands) == [("pause", "pumps", "a"), ("pause", "fans", "c")]
    assert {(command.by, command.comment) for command in commands} == {("maintenance", "night")}
    assert not resting.wants_look(during + 1)
    assert resting.wants_look(during + LOOK)  # for new sensors
    assert shown(resting.commands([*GROUPS, "fans"], [*SENSORS, "a"], during + LOOK)) == [("pause", "fans", "a")]
    assert resting.wants_look(after)
    assert sorted(shown(resting.commands(GROUPS, SENSORS, after))) == [
        ("resume", "fans", "a"),
        ("resume", "fans", "c"),
        ("resume", "pumps", "a"),
    ]
    assert not resting.wants_look(after + 1)


def test_a_window_for_all_sensors_pauses_groups_as_a_whole() -> None:
    resting = Resting([window(groups=["pump*"], start="06:00", end="07:00", learn=False)])
    assert shown(resting.commands(GROUPS, SENSORS, T0)) == [("pause", "pumps", "")]


def test_what_rested_when_the_daemon_stopped_goes_on_when_the_window_is_over_by_then() -> None:
    rests = window(start="06:00", end="07:00", learn=False)
    commands = Resting([rests]).commands(GROUPS, SENSORS, T0)
    by_hand = [Command("1", "pause", "fans", "c", "Ana", T0), commands[1]]
    resumed = Command("2", "resume", "fans", "", "Ana", T0)
    later = Resting([rests])
    later.recall([*commands, *by_hand, resumed])
    assert later.wants_look(T0 + 3600)
    assert shown(later.commands(GROUPS, SENSORS, T0 + 3600)) == [("resume", "pumps", "")]

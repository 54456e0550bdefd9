"""The options: what values mean, what they may be, and which do not go together."""

from __future__ import annotations

import math
import re
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from lstm_stream.config import WEEK, Config, Group, State, topic_levels
from lstm_stream.config.values import format_budget, format_duration, parse_budget, parse_duration

# --- durations and budgets


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (90, 90),
        (0.5, 0.5),
        ("90s", 90),
        ("90 s", 90),
        ("5m", 300),
        ("5min", 300),
        ("2 h", 7200),
        ("7d", WEEK),
        ("1w", WEEK),
        ("250ms", 0.25),
        (" 1.5h ", 5400),
        (".5s", 0.5),
    ],
)
def test_durations_are_seconds(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "5 minutes", "m", "1.2.3s", "-5s", "5 M", "1e3s", "nan", True, None, [5], "5s\n6s"]
)
def test_what_is_no_duration_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match="such as 5m"):
        parse_duration(text)


@pytest.mark.parametrize("value", [math.inf, math.nan, "9" * 400 + "w", 1e12])
def test_durations_beyond_a_timer_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="100 years"):
        parse_duration(value)


@given(st.floats(0, 100 * 365 * 86400.0))
def test_a_printed_duration_reads_back_exactly(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(60, "1m"), (90, "90s"), (86400, "1d"), (WEEK, "1w"), (0.25, "250ms"), (0, "0s")]
)
def test_durations_are_printed_in_the_largest_whole_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1 per sensor per week", 1 / WEEK),
        ("2 per sensor per day", 2 / 86400),
        (" 0.5  per sensor per hour", 0.5 / 3600),
        ("1 per sensor per year", 1 / (365.25 * 86400)),
        ("1 per sensor per month", 12 / (365.25 * 86400)),
    ],
)
def test_budgets_are_false_alarms_per_sensor_and_second(text: str, rate: float) -> None:
    assert parse_budget(text) == pytest.approx(rate, rel=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        "0 per sensor per week",
        "-1 per sensor per week",
        "1 per week",
        "1 per sensor per fortnight",
        "often",
        1,
        None,
        1.5,
        "1e9 per sensor per week",
        "9" * 400 + " per sensor per week",
        "1..5 per sensor per day",
    ],
)
def test_what_is_no_budget_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match="1 per sensor per week"):
        parse_budget(text)


@pytest.mark.parametrize("period", ["hour", "day", "month", "year"])
def test_a_budget_is_printed_as_it_was_given(period: str) -> None:
    text = f"3 per sensor per {period}"
    assert format_budget(typing.cast(float, parse_budget(text))) == text


@given(st.floats(1e-12, 1))
def test_a_printed_budget_reads_back(rate: float) -> None:
    assert parse_budget(format_budget(rate)) == pytest.approx(rate, rel=1e-8)


# --- topics


@pytest.mark.parametrize(
    ("pattern", "levels"),
    [
        ("plant/{site}/{sensor}/telemetry", ("plant", "{site}", "{sensor}", "telemetry")),
        ("a/+/#", ("a", "+", "#")),
        ("#", ("#",)),
        ("/leading/{x_1}", ("", "leading", "{x_1}")),
        ("Kühlhaus/größe 1/{sensor}", ("Kühlhaus", "größe 1", "{sensor}")),
    ],
)
def test_topic_patterns(pattern: str, levels: tuple[str, ...]) -> None:
    assert topic_levels(pattern) == levels


@pytest.mark.parametrize(
    ("pattern", "wrong"),
    [
        ("", "empty"),
        ("a/#/b", "last level"),
        ("a/b+", "stand alone"),
        ("a/#b", "stand alone"),
        ("a/x{sensor}", "whole level"),
        ("a/{}", "whole level"),
        ("a/{sensor", "whole level"),
        ("a/{1}", "whole level"),
        ("{a}/{a}", "alike"),
        ("a\0b", "control"),
        ("a\ud800", "control"),
        ("a" * 2000, "too long"),
        ("a/" * 300, "too long"),
        ("$share/group/a", "shared"),
    ],
)
def test_a_topic_pattern_is_refused_with_what_would_be_right(pattern: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong) as error:
        topic_levels(pattern)
    assert "; " in str(error.value)


# --- what goes together


def wrong(**sections: Any) -> str:
    with pytest.raises(ValidationError) as error:
        Config.model_validate(sections)
    return str(error.value)


def test_a_source_may_only_name_a_group_that_exists() -> None:
    text = wrong(sources=[{"group": "pumps"}], groups={"fans": {}})
    assert "'pumps', which is not in groups" in text
    assert "default, fans" in text


def test_the_default_group_exists_without_being_written() -> None:
    config = Config.model_validate({"groups": {"fans": {"warmup": 100}}})
    assert config.groups["default"] == Group()
    assert config.groups["fans"].warmup == 100


def test_the_default_group_can_be_written() -> None:
    assert Config.model_validate({"groups": {"default": {"warmup": 100}}}).groups["default"].warmup == 100


@pytest.mark.parametrize(
    ("broker", "text"),
    [
        ({"tls": {"enabled": True, "cert_file": "a.pem"}}, "needs key_file"),
        ({"tls": {"enabled": True, "key_file": "a.key"}}, "needs cert_file"),
        ({"tls": {"ca_file": "a.pem"}}, "while TLS is off"),
        ({"username": "u", "password_file": "p", "password_env": "P"}, "keep one of the two"),
        ({"password_env": "P"}, "needs a user"),
        ({"reconnect_min": "2m"}, "longer than reconnect_max"),
        ({"host": "mqtt://host"}, "more than a host name"),
        ({"host": "host:1883"}, "more than a host name"),
        ({"host": "a b"}, "not a host name"),
        ({"password_env": "not a name", "username": "u"}, "not the name of an environment variable"),
    ],
)
def test_broker_options_that_do_not_go_together(broker: dict[str, Any], text: str) -> None:
    assert text in wrong(broker=broker)


@pytest.mark.parametrize(
    "broker",
    [
        {"tls": {"enabled": True, "ca_file": "ca.pem", "cert_file": "a.pem", "key_file": "a.key"}},
        {"password_env": "TOKEN", "protocol": "5"},
        {"host": "::1"},
        {"host": "192.168.1.5"},
        {"protocol": 5},
    ],
)
def test_broker_options_that_do(broker: dict[str, Any]) -> None:
    Config.model_validate({"broker": broker})


def test_a_sensor_is_named_after_levels_that_the_topic_has() -> None:
    assert "uses {site}, which the topic does not name" in wrong(sources=[{"sensor": "{site}-{sensor}"}])
    assert "uses {sensor}" in wrong(sources=[{"topic": "hall/temperature"}])
    Config.model_validate({"sources": [{"topic": "hall/temperature", "sensor": "hall"}]})


def test_a_source_that_can_never_get_a_message_is_refused() -> None:
    sources = [{"topic": "a/{sensor}"}, {"topic": "b/{sensor}"}, {"topic": "a/{x}", "sensor": "{x}"}]
    assert "takes the same topics as sources[0]" in wrong(sources=sources)


@pytest.mark.parametrize("topic", ["a/{sensr}", "a/+", "a/#", "", "$SYS/a", "a/{sensor", "a\0", "a/{sensor!r}", "{}"])
def test_event_topics_that_cannot_be_published_to(topic: str) -> None:
    wrong(events={"topic": topic})


def test_there_is_one_status_topic() -> None:
    assert "one status" in wrong(events={"status_topic": "status/{sensor}"})


def test_history_holds_two_segments_of_training() -> None:
    assert "128" in wrong(groups={"default": {"retraining": {"history": 127}}})


@pytest.mark.parametrize(
    "sections",
    [
        {"web": {"port": "9108"}},
        {"web": {"port": True}},
        {"web": {"port": 1.0}},
        {"sources": [{"qos": True}]},
        {"sources": [{"qos": 2}]},
        {"sources": []},
        {"sources": [{"include": []}]},
        {"web": {"enabled": 1}},
        {"broker": {"client_id": 5}},
        {"broker": {"client_id": ""}},
        {"groups": {"default": {"retraining": {"learning_rate": math.nan}}}},
        {"groups": {"default": {"retraining": {"clip": math.inf}}}},
        {"state": {"path": 5}},
        {"state": {"every": 0}},
    ],
)
def test_values_are_taken_literally(sections: dict[str, Any]) -> None:
    wrong(**sections)


def test_an_empty_section_has_its_defaults() -> None:
    assert Config.model_validate({"broker": None, "groups": {"default": None}, "sources": [None]}) == Config()
    assert Config.model_validate({"state": {"path": None}}) == Config(state=State(path=None))


def test_a_configuration_cannot_be_changed_once_loaded() -> None:
    with pytest.raises(ValidationError):
        Config().web.port = 1  # type: ignore[misc]


# --- its documentation


def options(section: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    for name, option in section.model_fields.items():
        yield f"{section.__name__}.{name}", option
        for kind in (option.annotation, *typing.get_args(option.annotation)):
            if isinstance(kind, type) and not isinstance(kind, types.GenericAlias) and issubclass(kind, BaseModel):
                yield from options(kind)


@pytest.mark.parametrize(("name", "option"), [pytest.param(*both, id=both[0]) for both in options(Config)])
def test_every_option_is_described_in_a_sentence(name: str, option: Any) -> None:
    assert option.description, f"{name} has no description"
    assert re.fullmatch(r"\S.{10,160}[.]", option.description), f"{name}: {option.description!r} is no short sentence"


@pytest.mark.parametrize(("channels", "samples"), [(1, 200), (3, 200), (4, 240), (8, 432), (10, 512), (64, 512)])
def test_sensors_of_many_channels_warm_up_longer_unless_told(channels: int, samples: int) -> None:
    assert Group().warmup_of(channels) == samples
    assert Group(warmup=100).warmup_of(channels) == 100

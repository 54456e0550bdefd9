"""Anomaly events: the JSON that consumers parse, and topics that every broker takes."""

from __future__ import annotations

import json
import math
import tracemalloc
import unicodedata
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import paho.mqtt.client as paho
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from lstm_stream.config import Severity
from lstm_stream.outputs.events import to_json, topic_for
from lstm_stream.outputs.severity import severity_of
from lstm_stream.records import ChannelEvidence, Event

OPENED = Event(
    id="3f2a",
    sensor="hall/pump-7",
    group="pumps",
    state="opened",
    view="level",
    reason="bearing is 4.1 above what the last weeks explain",
    opened=1795243666.12,
    closed=None,
    score=7.25,
    threshold=3.5,
    generation=4,
    channels={"bearing": ChannelEvidence(61.5, 57.25, 56.0, 58.5, 1.0)},
)


class Channel(BaseModel):
    """One channel of the documented payload."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    actual: float | None
    expected: float | None
    lower: float | None
    upper: float | None
    contribution: float | None


class Payload(BaseModel):
    """The documented payload, as strictly as JSON can be read."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    schema_: Literal[1]
    version: str
    id: str
    sensor: str
    group: str
    state: Literal["opened", "closed"]
    view: str
    severity: Literal["info", "warning", "critical"]
    reason: str
    opened: str | None
    opened_unix: float | None
    closed: str | None
    closed_unix: float | None
    processed: str
    processed_unix: float
    score: float | None
    threshold: float | None
    generation: int
    maintenance: str | None
    channels: dict[str, Channel]


def parse(payload: bytes) -> Payload:
    """Read strictly: standard JSON only, no key missing, none unknown."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    document = json.loads(payload.decode("utf-8"), parse_constant=refuse)
    return Payload.model_validate({"schema_" if key == "schema" else key: value for key, value in document.items()})


def test_an_opened_alarm_says_when_in_data_time_and_in_wall_clock_time() -> None:
    payload = parse(to_json(OPENED, processed=1795243700.5, version="0.1.0"))
    assert payload.opened == "2026-11-21T06:47:46.120Z"
    assert payload.opened_unix == 1795243666.12
    assert payload.closed is None
    assert payload.closed_unix is None
    assert payload.processed == "2026-11-21T06:48:20.500Z"
    assert (payload.version, payload.id, payload.sensor) == ("0.1.0", "3f2a", "hall/pump-7")
    assert payload.channels["bearing"] == Channel(actual=61.5, expected=57.25, lower=56.0, upper=58.5, contribution=1.0)


def test_it_says_how_severe_it_is_and_in_which_maintenance_it_opened() -> None:
    payload = parse(to_json(OPENED, 0.0, "0.1.0"))  # 3.75 decades
    assert (payload.severity, payload.maintenance) == ("critical", None)
    payload = parse(to_json(OPENED, 0.0, "0.1.0", Severity(critical=4), "bearing change"))
    assert (payload.severity, payload.maintenance) == ("warning", "bearing change")


CHANNEL = ChannelEvidence(9.0, 5.0, 4.0, 6.0, 0.2)
INSIDE = ChannelEvidence(5.0, 5.0, 4.0, 6.0, 0.2)


@pytest.mark.parametrize(
    ("score", "threshold", "channels", "view", "severity"),
    [
        (3.5, 3.5, 1, "level", "info"),
        (4.4, 3.5, 1, "level", "info"),
        (4.5, 3.5, 1, "level", "warning"),
        (6.5, 3.5, 1, "level", "critical"),
        (3.5, 3.5, 2, "level", "info"),  # of four channels: half
        (3.5, 3.5, 4, "level", "warning"),
        (4.5, 3.5, 4, "level", "critical"),
        (99.0, 3.5, 4, "level", "critical"),
        (0.0, 0.0, 0, "silence", "warning"),
        (3.5, 3.5, 1, "stuck", "critical"),  # by the rule below
        (7.0, 0.0, 1, "level", "info"),  # forgotten: no threshold any more
        (math.nan, 3.5, 1, "level", "info"),
        (math.inf, 3.5, 1, "level", "info"),
    ],
)
def test_severity_is_a_matter_of_decades_of_breadth_and_of_the_view(
    score: float, threshold: float, channels: int, view: str, severity: str
) -> None:
    some = {f"c{k}": CHANNEL if k < channels else INSIDE for k in range(4)}
    rule = Severity.model_validate({"at_least": {"stuck": "critical"}, "broad": 0.75})
    event = replace(OPENED, score=score, threshold=threshold, view=view, channels=some)
    assert severity_of(event, rule) == severity


def test_of_two_channels_both_outside_are_not_many() -> None:
    event = replace(OPENED, score=3.5, channels={"a": CHANNEL, "b": CHANNEL})
    assert severity_of(event, Severity()) == "info"


def test_a_closed_alarm_has_both_times() -> None:
    payload = parse(to_json(replace(OPENED, state="closed", closed=1795243726.12), 1795243730.0, "0.1.0"))
    assert (payload.state, payload.opened, payload.closed) == (
        "closed",
        "2026-11-21T06:47:46.120Z",
        "2026-11-21T06:48:46.120Z",
    )


def test_payloads_that_wait_take_little_more_than_their_length() -> None:
    tracemalloc.start()
    try:
        payloads = [to_json(OPENED, 0.0, "1") for _ in range(1000)]
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 1.5 * sum(map(len, payloads))


def test_numpy_numbers_are_numbers() -> None:
    event = replace(OPENED, score=np.float64(7.25), opened=np.float64(1795243666.12), generation=np.int64(3))
    payload = parse(to_json(event, 0.0, "0.1.0"))
    assert (payload.score, payload.generation, payload.opened) == (7.25, 3, "2026-11-21T06:47:46.120Z")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_finite_number_is_null(value: float) -> None:
    event = replace(OPENED, score=value, threshold=value, channels={"a": ChannelEvidence(*[value] * 5)})
    payload = parse(to_json(event, 0.0, "0.1.0"))
    assert payload.score is None
    assert payload.threshold is None
    assert set(payload.channels["a"].model_dump().values()) == {None}


numbers = st.floats() | st.none()
evidence = st.builds(ChannelEvidence, numbers, numbers, numbers, numbers, st.floats())
names = st.text(st.characters(exclude_categories=()))  # lone surrogates too: a JSON escape can carry them
events = st.builds(
    Event,
    id=names,
    sensor=names,
    group=names,
    state=st.sampled_from(["opened", "closed"]),
    view=names,
    reason=names,
    opened=st.floats(),
    closed=numbers,
    score=st.floats(),
    threshold=st.floats(),
    generation=st.integers(0, 2**31),
    channels=st.dictionaries(names, evidence, max_size=3),
).map(lambda event: replace(event, view="level"))


@given(events)
@example(
    replace(OPENED, sensor="\ud800", group="\udfff", reason="\ud800", channels={"\ud800": ChannelEvidence(*[0.0] * 5)})
)
def test_every_event_keeps_the_schema(event: Event) -> None:
    payload = parse(to_json(event, 1795243700.5, "0.1.0"))
    assert payload.opened_unix == (event.opened if math.isfinite(event.opened) else None)


TEMPLATES = ["lstm_stream/{sensor}/anomaly", "{sensor}", "{group}/{sensor}/x", "/" + "/".join(["{sensor}"] * 100)]
NASTY = [
    "",
    "a/b",
    "+",
    "#",
    "$SYS",
    "\0",
    "a\nb",
    "\x7f\x9f",
    "\ud800",
    "\ufdd0\uffff",
    "\U0001fffe",
    "{group}",
    "x" * 70_000,
]


def check_publishable(topic: str) -> None:
    """MQTT 3.1.1, 1.5.3 and 4.7, with the characters that a broker may refuse counted as forbidden."""
    assert 1 <= len(topic.encode("utf-8")) <= 65_535
    assert not topic.startswith("$")
    for character in topic:
        assert character not in "+#"
        assert unicodedata.category(character) not in ("Cc", "Cs")
        assert ord(character) & 0xFFFE != 0xFFFE
        assert not 0xFDD0 <= ord(character) <= 0xFDEF


@given(names, names, st.sampled_from(TEMPLATES))
@example("$SYS", "", "{sensor}")
@example("\U0010ffff+#/", "\U00010000" * 500, TEMPLATES[3])
def test_whatever_the_sensor_is_called_its_topic_can_be_published(sensor: str, group: str, template: str) -> None:
    topic = topic_for(template, replace(OPENED, sensor=sensor, group=group))
    check_publishable(topic)
    assert topic.count("/") == template.count("/"), "a name must not add levels"


def test_an_ordinary_name_stands_in_the_topic_as_it_is() -> None:
    event = replace(OPENED, sensor="Kühlhaus pump.7-β", group="pumps")
    assert topic_for("{group}/{sensor}/anomaly", event) == "pumps/Kühlhaus pump.7-β/anomaly"


def test_no_two_sensors_share_a_topic() -> None:
    """Also not one that is called as another one's topic."""
    plain = ["hall/pump", "hall+pump", "hall_pump", "x" * 100, "x" * 101, "x" * 102, "", "_", "$a", "_a"]
    topics = [topic_for("{sensor}", replace(OPENED, sensor=name)) for name in plain]
    assert topics[0].startswith("hall_pump~")
    assert topics[2] == "hall_pump"
    again = [topic_for("{sensor}", replace(OPENED, sensor=topic)) for topic in topics]
    assert len({*topics, *again}) == len({*plain, *topics})


@given(st.lists(names, unique=True, min_size=2, max_size=20))
def test_different_names_give_different_topics(sensors: list[str]) -> None:
    assert len({topic_for("a/{sensor}", replace(OPENED, sensor=name)) for name in sensors}) == len(sensors)


def test_a_sensor_that_is_called_like_a_placeholder_stays_that() -> None:
    assert topic_for("a/{sensor}", replace(OPENED, sensor="{group}")) == "a/{group}"


def test_a_real_broker_takes_every_topic(mosquitto: Any, wait_until: Any) -> None:
    sent = [topic_for("t/{sensor}/anomaly", replace(OPENED, sensor=name)) for name in NASTY]
    got: list[str] = []
    lost: list[object] = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_connect = lambda *_: client.subscribe("t/#", 1)
    client.on_subscribe = lambda *_: [client.publish(topic, b"x", 1) for topic in sent]
    client.on_message = lambda _client, _data, message: got.append(message.topic)
    client.on_disconnect = lambda *arguments: lost.append(arguments)
    client.connect(mosquitto.host, mosquitto.port)
    client.loop_start()
    try:
        wait_until(lambda: len(got) == len(sent) or lost, "every event to come back")
    finally:
        client.on_disconnect = None
        client.disconnect()
        client.loop_stop()
    assert not lost
    assert sorted(got) == sorted(sent)

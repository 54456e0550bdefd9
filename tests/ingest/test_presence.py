"""What devices say of themselves on availability topics, and by Sparkplug's births and deaths."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lstm_stream.config import Limits, Source
from lstm_stream.explain import to_json, to_text
from lstm_stream.ingest.assembly import Assembly
from lstm_stream.ingest.decoder import Decoder
from lstm_stream.ingest.mqtt import subscriptions
from lstm_stream.records import Message, Presence

AT = 1_790_000_000.0


def _presences(source: dict[str, Any], *messages: tuple[str, str | bytes], retain: bool = False) -> list[Presence]:
    assembly = Assembly([Source(**source)], Limits())
    sent = [
        Message(topic, payload.encode() if isinstance(payload, str) else payload, AT, retain)
        for topic, payload in messages
    ]
    return assembly.decode_all(sent).presences


@pytest.mark.parametrize(
    ("preset", "topic", "payload", "sensor", "online"),
    [
        ("tasmota", "tele/attic/plug/LWT", "Offline", "attic/plug", False),
        ("tasmota", "plug/tele/LWT", "Online", "plug", True),
        ("zigbee2mqtt", "zigbee2mqtt/hall/door/availability", '{"state":"offline"}', "hall/door", False),
        ("zigbee2mqtt", "zigbee2mqtt/door/availability", "online", "door", True),
        ("shelly", "shellies/shellyem-77/online", "false", "shellyem-77", False),
        ("shelly-gen2", "shellyplus1-77/online", "true", "shellyplus1-77", True),
        ("esphome", "den/status", "offline", "den", False),
        ("esphome", "esphome/den/status", '"online"', "den", True),
    ],
)
def test_what_the_devices_of_the_presets_say(preset: str, topic: str, payload: str, sensor: str, online: bool) -> None:
    [said] = _presences({"preset": preset}, (topic, payload))
    assert said == Presence(sensor, "default", online, AT, muted=False)


@pytest.mark.parametrize("payload", ["", "perhaps", "{", "{}", '{"state": null}', "[]", "2", b"\xff", "{" * 50])
def test_what_says_neither_is_nothing(payload: str | bytes) -> None:
    assert _presences({"topic": "{sensor}", "availability": ["{sensor}/lwt"]}, ("pump/lwt", payload)) == []


def test_whose_it_is_must_be_known() -> None:
    assert _presences({"preset": "zigbee2mqtt"}, ("zigbee2mqtt/bridge/state", "offline")) == []
    assert _presences({"topic": "a/{sensor}", "availability": ["status/+"]}, ("status/x", "offline")) == []


def test_a_retained_message_does_not_say_when_and_the_source_says_what_comes_of_it() -> None:
    [said] = _presences({"preset": "tasmota", "offline": "mute"}, ("tele/p/LWT", "Offline"), retain=True)
    assert (said.at, said.muted) == (None, True)


def test_availability_topics_are_subscribed_to() -> None:
    assert "+/status" in subscriptions([Source(preset="esphome")])


def test_births_and_deaths_of_sparkplug_speak_for_nodes_and_devices() -> None:
    def payload(seq: int, session: int | None = None) -> str:
        metrics = [] if session is None else [{"name": "bdSeq", "dataType": "Int64", "value": session}]
        return json.dumps(
            {"timestamp": 1_790_000_000_000, "metrics": [*metrics, {"name": "t", "value": 1}], "seq": seq}
        )

    said = _presences(
        {"preset": "sparkplug"},
        ("spBv1.0/G/NBIRTH/N", payload(0, 7)),
        ("spBv1.0/G/DBIRTH/N/D", payload(1)),
        ("spBv1.0/G/DDATA/N/D", payload(2)),
        ("spBv1.0/G/DDEATH/N/D", payload(3)),
        ("spBv1.0/G/NDEATH/N", payload(0, 6)),  # of an earlier session
        ("spBv1.0/G/NDEATH/N", payload(0, 7)),
    )
    told = [(one.sensor, one.online, one.below) for one in said]
    assert told == [("G/N", True, True), ("G/N/D", True, False), ("G/N/D", False, False), ("G/N", False, True)]


def test_explain_says_it() -> None:
    seen = Decoder([Source(preset="tasmota")], Limits()).explain(Message("tele/p/LWT", b"Offline", AT))
    assert to_text(seen).endswith("it tells whether a device is there, and this one is offline")
    assert json.loads(to_json(seen))["online"] is False

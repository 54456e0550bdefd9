"""What devices say of themselves on availability topics, and by Sparkplug's births and deaths."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from lstm_stream.config import Group, Limits, Source
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.trainer import Trainer
from lstm_stream.explain import to_json, to_text
from lstm_stream.ingest.assembly import Assembly
from lstm_stream.ingest.decoder import Decoder
from lstm_stream.ingest.topics import subscriptions
from lstm_stream.journal.journal import Journal
from lstm_stream.line import Turn
from lstm_stream.outputs.outbox import Outbox
from lstm_stream.records import Event, Message, Presence
from lstm_stream.service import Service

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


@dataclass
class Plant:
    """A service whose messages come from a script, at the seconds that it says."""

    source: dict[str, Any]
    now: float = 0.0
    script: list[tuple[float, Message | None]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    connected: bool = True

    def run(self, *script: tuple[float, Message | None]) -> list[Event]:
        """What was told of these: when, and what comes then, if anything does."""
        self.script = list(script)
        fleet = Fleet({"default": Group(warmup=64)}, Limits(), Trainer())
        assembly = Assembly([Source(**self.source)], Limits())
        journal = Journal(None, Outbox([], lambda event: (event.id, b"")))
        self.service = Service(
            self, assembly, fleet, self, journal, None, 1e9, 100, (self,), lambda: self.now, assembly.held
        )
        self.service.run()
        return self.events

    def take(self, limit: int, timeout: float) -> list[Message]:
        """The inbox."""
        if not self.script or not timeout:
            self.service.stop()
            return []
        self.now, message = self.script.pop(0)
        return [message][:limit] if message else []

    def on_turn(self, turn: Turn) -> None:
        """The observer."""
        self.events += turn.outcome.events

    def on_upkeep(self, *_: Any) -> None:
        """The observer."""

    def acknowledge(self, messages: Any) -> None:
        """The session."""

    def stop_intake(self) -> None:
        """The session."""


def _sample(second: int) -> tuple[float, Message]:
    return second, Message("tele/p/SENSOR", b'{"A": {"T": %d}}' % (second % 7), AT + second)


def _lwt(second: int, word: bytes) -> tuple[float, Message]:
    return second, Message("tele/p/LWT", word, AT + second)


@pytest.mark.parametrize("offline", ["alarm", "mute"])
def test_the_silence_of_a_device_that_went_offline(offline: str) -> None:
    plant = Plant({"preset": "tasmota", "offline": offline, "join": 0})
    went, back = [_lwt(82, b"Offline"), (200.0, None)], [_lwt(300, b"Online"), _sample(301)]
    told = [event for event in plant.run(*map(_sample, range(80)), *went, *back) if event.view == "silence"]
    if offline == "mute":
        assert told == []
    else:
        assert [event.state for event in told] == ["opened", "closed"]
        assert told[0].reason.endswith("the device reported itself offline at 2026-09-21 14:14:42 UTC")


def test_a_device_that_is_back_and_sends_nothing_is_told() -> None:
    plant = Plant({"preset": "tasmota", "offline": "mute", "join": 0})
    script = [_lwt(82, b"Offline"), (200.0, None), _lwt(300, b"Online"), (302.0, None), (390.0, None)]
    told = [event for event in plant.run(*map(_sample, range(80)), *script) if event.view == "silence"]
    assert [event.reason.partition("; ")[2] for event in told] == ["the device is online again, yet sends none"]

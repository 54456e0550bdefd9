"""What explain says, beyond the decoder's own words, of messages that are not simply scored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lstm_stream.config import Config
from lstm_stream.explain import explain, to_json, to_text

NOW = 1_790_000_000.0
GATEWAY = '{"A": [{"ts": 1700000000000, "values": {"t": 1}}], "B": [{"ts": 1700000000000, "values": {"t": 2}}]}'


def _config(**source: Any) -> Config:
    return Config.model_validate({"sources": [source]})


@pytest.mark.parametrize(
    ("source", "topic", "payload", "said"),
    [
        ({"preset": "tasmota"}, "tele/p/LWT", "Online", "nothing to score: it tells whether a device is there"),
        ({"preset": "zigbee2mqtt"}, "zigbee2mqtt/bridge/info", "{}", "nothing to score: the source ignores the topic"),
        ({"preset": "tasmota"}, "tele/p/SENSOR", '{"Time": "x", "A": 1}', "that of the payload is not trusted"),
        ({"preset": "esphome"}, "n/sensor/t/state", "1", "joined with others of the sensor within 2 s (join)"),
        ({"topic": "{sensor}", "resample": 60, "counters": ["n"]}, "m", '{"n": 1}', "every 60 s (resample); counters"),
        ({"topic": "{sensor}"}, "gw", GATEWAY, "of B"),
        ({"topic": "{sensor}"}, "gw", "m,host=h v=1", "influx"),
        (
            {"topic": "{sensor}"},
            "gw",
            "m,at=a v=1 1700000000\nm,at=b v=2 1700000000",
            "the first counts (name in sensor",
        ),
    ],
)
def test_what_is_told(source: dict[str, Any], topic: str, payload: str, said: str) -> None:
    assert said in to_text(explain(_config(**source), topic, payload.encode(), NOW))


def test_what_was_left_out_is_told_with_its_reason() -> None:
    payload = {"id": 7, "t": 1.5, "h": "40 %", "n": None, "s": [{"x": 1}], "out": 2, "time": NOW}
    seen = explain(_config(topic="{sensor}", exclude=("out",)), "m", json.dumps(payload).encode(), NOW)
    assert [reading.values for reading in seen.readings] == [{"t": 1.5}]
    told = json.loads(to_json(seen))["left_out"]
    reasons = {"id": "by its name", "h": "units: true", "n": "null", "s": "root: s", "out": "exclude"}
    assert told.keys() == reasons.keys()
    assert all(reason in told[name] for name, reason in reasons.items())
    assert "left out  h: '40 %' is no number; units: true reads numbers with a unit" in to_text(seen)


@pytest.mark.parametrize(
    "payload", [b'{"t": 1}', b"5", b"m,host=h v=1", b"\x1f\x8b", b'[{"name": "t", "value": 1}]', b"{"]
)
def test_nothing_was_left_out(payload: bytes) -> None:
    assert explain(_config(topic="{sensor}"), "m", payload, NOW).left_out == {}


def test_json_names_the_sensors_of_a_message_with_several() -> None:
    told = json.loads(to_json(explain(_config(topic="{sensor}"), "gw", GATEWAY.encode(), NOW)))
    assert [reading["sensor"] for reading in told["readings"]] == ["A", "B"]
    assert told["quiet"] is None

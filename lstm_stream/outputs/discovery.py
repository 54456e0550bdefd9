"""What Home Assistant is told of a sensor: one document of MQTT discovery a device, and one of its state.

    <prefix>/device/<node>/<object>/config     the device and its entities (Home Assistant 2024.12 or later)
    <state_topic>/<node>/<object>              their state

The node is this daemon, by its client id at the broker; a hash in each name keeps different sensors apart whatever they
are called, and the same sensor the same for ever. Pure: facts in, documents out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from lstm_stream.config.homeassistant import HomeAssistant
from lstm_stream.outputs.events import text

DAEMON = "daemon"  # the object of the daemon itself; those of sensors end in a hash

Facts = Mapping[str, Any]  # of one sensor, as Fleet.inspect gives them


class Discovery:
    """Makes topics and documents. `client_id` is that of the session with the broker."""

    def __init__(self, settings: HomeAssistant, client_id: str, status_topic: str, version: str) -> None:
        self.node = f"{_slug(client_id)}_{_hash(client_id)[:8]}"
        self._settings = settings
        self._status_topic = status_topic
        self._version = version

    def object_of(self, group: str, sensor: str) -> str:
        """The object of a sensor."""
        return f"{_slug(sensor)}_{_hash(group + chr(0) + sensor)[:12]}"

    def config_topic(self, name: str) -> str:
        """Where an object is announced; + for all of them."""
        return f"{self._settings.prefix}/device/{self.node}/{name}/config"

    def state_topic(self, name: str) -> str:
        """Where an object's state is; + for all of them."""
        return f"{self._settings.state_topic}/{self.node}/{name}"

    def wants(self, group: str, sensor: str) -> bool:
        """Whether a sensor is announced."""
        s = self._settings
        return any(fnmatchcase(group, one) for one in s.groups) and any(fnmatchcase(sensor, one) for one in s.sensors)

    # --- the daemon

    def daemon(self) -> dict[str, Any]:
        """The document that announces the daemon, which all sensors' devices hang on."""
        connected = {
            "platform": "binary_sensor",
            "name": "Connected",
            "unique_id": f"{self.node}_connected",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": self._status_topic,
            "value_template": "{{ value_json.state }}",
            "payload_on": "online",
            "payload_off": "offline",
        }
        return {
            "device": {"identifiers": [self.node], "name": "lstm_stream", **self._maker()},
            "origin": self._origin(),
            "components": {
                "connected": connected,
                "sensors": self._count("sensors", "Sensors", "mdi:access-point"),
                "alarms": self._count("alarms", "Open alarms", "mdi:bell-alert"),
            },
            "state_topic": self.state_topic(DAEMON),
            "qos": 1,
        }

    def daemon_state(self, sensors: int, alarms: int) -> dict[str, Any]:
        """Of sensors that are announced."""
        return {"sensors": sensors, "alarms": alarms}

    # --- a sensor

    def sensor(self, facts: Facts) -> dict[str, Any]:
        """The document that announces a sensor."""
        name = self.object_of(facts["group"], facts["sensor"])
        identity = f"{self.node}_{name}"
        return {
            "device": {
                "identifiers": [identity],
                "name": text(facts["sensor"]) or "(no name)",
                "via_device": self.node,
                **self._maker(),
                "model": f"Sensor of group {text(facts['group'])}",
            },
            "origin": self._origin(),
            "components": {
                "problem": _problem(identity, self.state_topic(name)),
                "score": _score(identity),
                **{_key(channel): self._expected(identity, channel) for channel in facts["channels"]},
            },
            "state_topic": self.state_topic(name),
            "availability": self._availability(),
            "qos": 1,
        }

    def state(self, facts: Facts) -> dict[str, Any]:
        """Of a sensor, now. What is not known is null."""
        alarm = facts["alarm"]
        latest = facts["latest"]
        return {
            "problem": "OFF" if alarm is None else "ON",
            "score": facts["score"],
            "details": {
                "state": facts["state"],
                "threshold": facts["threshold"],
                "alarm": None if alarm is None else alarm["id"],
                "view": None if alarm is None else alarm["view"],
                "acknowledged": alarm is not None and alarm["acknowledged"],
                "generation": facts["generation"],
                "learning": facts["learning"],
            },
            "expected": {_key(channel): _rounded(latest[channel]["expected"]) for channel in latest},
        }

    def _expected(self, identity: str, channel: str) -> dict[str, Any]:
        unit = next((unit for pattern, unit in self._settings.units.items() if fnmatchcase(channel, pattern)), None)
        return {
            "platform": "sensor",
            "name": f"Expected {text(channel)}",
            "unique_id": f"{identity}_{_key(channel)}",
            "state_class": "measurement",
            "value_template": f"{{{{ value_json.expected.{_key(channel)} }}}}",
            **({} if unit is None else {"unit_of_measurement": unit}),
        }

    # --- what all have

    def _count(self, key: str, name: str, icon: str) -> dict[str, Any]:
        return {
            "platform": "sensor",
            "name": name,
            "unique_id": f"{self.node}_{key}",
            "state_class": "measurement",
            "icon": icon,
            "value_template": f"{{{{ value_json.{key} }}}}",
            "availability": self._availability(),  # not of all: `Connected` is off then, not unavailable
        }

    def _maker(self) -> dict[str, str]:
        return {"manufacturer": "lstm_stream", "model": "Anomaly detection", "sw_version": self._version}

    def _origin(self) -> dict[str, str]:
        return {"name": "lstm_stream", "sw_version": self._version}

    def _availability(self) -> list[dict[str, str]]:
        return [
            {
                "topic": self._status_topic,
                "value_template": "{{ value_json.state }}",
                "payload_available": "online",
                "payload_not_available": "offline",
            }
        ]


def _problem(identity: str, topic: str) -> dict[str, Any]:
    return {
        "platform": "binary_sensor",
        "name": "Problem",
        "unique_id": f"{identity}_problem",
        "device_class": "problem",
        "value_template": "{{ value_json.problem }}",
        "payload_on": "ON",
        "payload_off": "OFF",
        "json_attributes_topic": topic,
        "json_attributes_template": "{{ value_json.details | tojson }}",
    }


def _score(identity: str) -> dict[str, Any]:
    return {
        "platform": "sensor",
        "name": "Anomaly score",
        "unique_id": f"{identity}_score",
        "state_class": "measurement",
        "suggested_display_precision": 1,
        "icon": "mdi:chart-bell-curve",
        "value_template": "{{ value_json.score }}",
    }


def _key(channel: str) -> str:
    """A channel as a name in templates."""
    return f"expected_{_hash(channel)[:8]}"


def _slug(name: str) -> str:
    """What of a name may stand in a topic of discovery."""
    return re.sub("[^a-zA-Z0-9_-]", "_", name)[:32] or "_"


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _rounded(value: float | None) -> float | None:
    """Six digits: what else changes is no news."""
    return None if value is None else float(f"{value:.6g}")

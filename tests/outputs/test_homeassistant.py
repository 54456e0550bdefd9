"""Home Assistant: what its documentation of MQTT discovery asks for, and a real broker that keeps it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jsonschema
import paho.mqtt.client as paho
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_stream.config import HomeAssistant
from lstm_stream.outputs.discovery import DAEMON, Discovery
from lstm_stream.outputs.homeassistant import Announcer
from lstm_stream.records import Message
from tests.outputs.letters import alarm

# After https://www.home-assistant.io/integrations/mqtt/ (device discovery) and the pages of the two platforms; of their
# keys those that are allowed here, nothing abbreviated.
TOPIC = {"type": "string", "minLength": 1, "pattern": "^[^+#\\u0000]+$"}
TEMPLATE = {"type": "string", "pattern": r"^\{\{ value_json(\.[a-z][a-z0-9_]*)+( \| tojson)? \}\}$"}
NAME = {"type": "string", "minLength": 1}
AVAILABILITY = {
    "type": "object",
    "properties": {
        "topic": TOPIC,
        "value_template": TEMPLATE,
        "payload_available": {"type": "string"},
        "payload_not_available": {"type": "string"},
    },
    "required": ["topic"],
    "additionalProperties": False,
}
ENTITY = {
    "name": NAME,
    "unique_id": NAME,
    "state_topic": TOPIC,
    "value_template": TEMPLATE,
    "json_attributes_topic": TOPIC,
    "json_attributes_template": TEMPLATE,
    "icon": {"type": "string", "pattern": "^mdi:[a-z-]+$"},
    "entity_category": {"enum": ["diagnostic", "config"]},
    "availability": {"type": "array", "items": AVAILABILITY},
}


def platform(name: str, **further: Any) -> dict[str, Any]:
    properties = {**ENTITY, "platform": {"const": name}, **further}
    required = ["platform", "unique_id", "name", "value_template"]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


BINARY_SENSOR = platform(
    "binary_sensor",
    device_class={"enum": ["problem", "connectivity"]},
    payload_on={"type": "string"},
    payload_off={"type": "string"},
)
SENSOR = platform(
    "sensor",
    state_class={"enum": ["measurement", "total", "total_increasing"]},
    unit_of_measurement={"type": "string", "minLength": 1},
    suggested_display_precision={"type": "integer", "minimum": 0},
)
DEVICE = {
    "type": "object",
    "properties": {
        "identifiers": {"type": "array", "items": NAME, "minItems": 1},
        "name": NAME,
        "manufacturer": NAME,
        "model": NAME,
        "sw_version": NAME,
        "via_device": NAME,
    },
    "required": ["identifiers", "name"],
    "additionalProperties": False,
}
ORIGIN = {
    "type": "object",
    "properties": {"name": NAME, "sw_version": NAME, "support_url": NAME},
    "required": ["name"],
    "additionalProperties": False,
}
DISCOVERY = {
    "type": "object",
    "properties": {
        "device": DEVICE,
        "origin": ORIGIN,
        "components": {
            "type": "object",
            "additionalProperties": {"oneOf": [BINARY_SENSOR, SENSOR]},
            "minProperties": 1,
        },
        "availability": {"type": "array", "items": AVAILABILITY},
        "state_topic": TOPIC,
        "qos": {"enum": [0, 1, 2]},
    },
    "required": ["device", "origin", "components"],
    "additionalProperties": False,
}
# What Home Assistant takes for a topic of discovery, from its source (mqtt/discovery.py).
MATCHER = re.compile(r"(?P<component>\w+)/(?:(?P<node_id>[a-zA-Z0-9_-]+)/)?(?P<object_id>[a-zA-Z0-9_-]+)/config")


def facts(sensor: str = "pump-7", group: str = "pumps", **given: Any) -> dict[str, Any]:
    """As Fleet.inspect gives them."""
    channels = given.pop("channels", ("temp", "rpm/x"))
    latest = {name: {"value": 1.0, "expected": 1.23456789, "lower": None, "upper": None} for name in channels}
    known: dict[str, Any] = {
        "group": group,
        "sensor": sensor,
        "channels": list(channels),
        "state": "watching",
        "score": 0.5,
        "threshold": 3.5,
        "generation": 2,
        "learning": True,
        "alarm": None,
        "latest": latest,
    }
    return {**known, **given}


ALARM = {"id": "ab", "view": "level", "since": 5.0, "acknowledged": False}


def discovery(**settings: Any) -> Discovery:
    config = HomeAssistant.model_validate({"enabled": True, "every": 1, **settings})
    return Discovery(config, "line 1/oslo", "lstm_stream/status", "0.1.0")


VALIDATOR = jsonschema.Draft202012Validator(DISCOVERY)


def check(document: dict[str, Any]) -> None:
    """Against the schema above."""
    VALIDATOR.validate(json.loads(json.dumps(document)))


def rendered(template: str, state: dict[str, Any]) -> Any:
    """What Home Assistant makes of a template."""
    value: Any = state
    for step in template.removeprefix("{{ value_json.").split(" ")[0].split("."):
        value = value[step]
    return value


def test_the_documents_are_as_home_assistant_documents_them() -> None:
    d = discovery(units={"temp*": "°C"})
    check(d.daemon())
    check(d.sensor(facts()))
    components = d.sensor(facts())["components"]
    units = {component["name"]: component.get("unit_of_measurement") for component in components.values()}
    assert units == {"Problem": None, "Anomaly score": None, "Expected temp": "°C", "Expected rpm/x": None}


def test_every_template_finds_its_value_in_the_state() -> None:
    d = discovery()
    state = d.state(facts(alarm=ALARM))
    found = {c["name"]: rendered(c["value_template"], state) for c in d.sensor(facts())["components"].values()}
    assert found == {"Problem": "ON", "Anomaly score": 0.5, "Expected temp": 1.23457, "Expected rpm/x": 1.23457}
    details = d.sensor(facts())["components"]["problem"]["json_attributes_template"]
    assert rendered(details, state)["view"] == "level"
    daemon = d.daemon()["components"]
    state = {"state": "online", **d.daemon_state(3, 1)}
    assert {c["name"]: rendered(c["value_template"], state) for c in daemon.values()} == {
        "Connected": "online",
        "Sensors": 3,
        "Open alarms": 1,
    }


def test_devices_hang_on_the_daemon_and_tell_where_they_come_from() -> None:
    d = discovery()
    daemon, sensor = d.daemon(), d.sensor(facts())
    assert sensor["device"]["via_device"] in daemon["device"]["identifiers"]
    assert sensor["origin"] == {"name": "lstm_stream", "sw_version": "0.1.0"}
    assert sensor["availability"][0]["topic"] == "lstm_stream/status"
    assert "availability" not in daemon
    assert "availability" not in daemon["components"]["connected"], "it would be unavailable instead of off"


names = st.text(st.characters(exclude_categories=()), max_size=40)


@settings(max_examples=30)
@given(st.lists(st.tuples(names, names), unique=True, min_size=1, max_size=5), names)
def test_whatever_sensors_are_called_their_topics_and_ids_are_taken_and_their_own(
    keys: list[tuple[str, str]], client_id: str
) -> None:
    d = Discovery(HomeAssistant(), client_id, "s", "0")
    documents = [d.sensor(facts(sensor, group, channels=("a", "A", "\ud800"))) for group, sensor in keys]
    check(documents[0])
    for group, sensor in keys:
        topic = d.config_topic(d.object_of(group, sensor))
        found = MATCHER.fullmatch(topic.removeprefix("homeassistant/"))
        assert found is not None
        assert found["component"] == "device"
    ids = [component["unique_id"] for document in documents for component in document["components"].values()]
    assert len(set(ids)) == len(ids) == 5 * len(keys)
    assert len({document["state_topic"] for document in documents}) == len(keys)


def test_an_id_is_the_same_for_ever() -> None:
    d = discovery()
    assert d.config_topic(d.object_of("pumps", "hall 3/pump-7")) == (
        "homeassistant/device/line_1_oslo_b08f006b/hall_3_pump-7_af721426365e/config"
    )


# --- with a broker


def end(client: paho.Client) -> None:
    """Without cycles: collected as one of them its sockets may be first, and complain."""
    client.disconnect()
    client.loop_stop()
    client.on_connect = client.on_disconnect = client.on_subscribe = client.on_message = None


@dataclass
class House:
    """A fleet, an announcer for it, and what the broker keeps."""

    broker: Any
    wait: Any
    retained: dict[str, Any]  # by topic
    sensors: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    announcers: list[tuple[Announcer, paho.Client]] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    d: Discovery = field(default_factory=discovery)

    def names(self) -> list[tuple[str, str]]:
        return list(self.sensors)

    def facts(self, keys: Sequence[tuple[str, str]]) -> list[dict[str, Any] | None]:
        self.asked.append(len(keys))
        return [self.sensors.get(key) for key in keys]

    def add(self, *sensors: str, group: str = "pumps") -> None:
        for sensor in sensors:
            self.sensors[group, sensor] = facts(sensor, group)

    def start(self, grace: float = 0.0, **settings: Any) -> Announcer:
        """An announcer, as after a start of the daemon."""
        config = HomeAssistant.model_validate({"enabled": True, "every": 3600, **settings})
        self.d = Discovery(config, "us", "lstm_stream/status", "0.1.0")
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        publish = lambda topic, payload: client.publish(topic, payload, 1, retain=True)  # noqa: E731
        lost: list[int] = []
        client.on_disconnect = lambda *_: lost.append(1)
        client.reconnect_delay_set(1, 1)
        connection = lambda: len(lost) if client.is_connected() else None  # noqa: E731
        made = Announcer(config, self.d, self, publish, connection, grace)
        heard = {self.d.config_topic("+"): made.hear_config, f"{config.prefix}/status": made.hear_status}
        ready: list[int] = []
        for topic, hear in heard.items():
            client.message_callback_add(
                topic, lambda _c, _d, m, hear=hear: hear(Message(m.topic, m.payload, 0.0, m.retain))
            )
        client.on_connect = lambda *_: client.subscribe([(topic, 1) for topic in heard])
        client.on_subscribe = lambda *_: ready.append(1)
        client.connect(self.broker.host, self.broker.port)
        client.loop_start()
        self.wait(lambda: ready, "the subscription")
        made.open()
        self.announcers.append((made, client))
        return made

    def stop(self) -> None:
        while self.announcers:
            made, client = self.announcers.pop()
            made.close(5)
            for topic in (self.d.config_topic("+"), "homeassistant/status"):
                client.message_callback_remove(topic)
            end(client)

    def kept(self) -> dict[str, Any]:
        """Retained messages by topic."""
        return dict(self.retained)

    def announced(self) -> set[str]:
        """The names of the devices that a Home Assistant that starts now finds."""
        found = [json.loads(payload) for topic, payload in self.kept().items() if topic.endswith("/config")]
        return {document["device"]["name"] for document in found} - {"lstm_stream"}

    def until(self, *sensors: str) -> None:
        self.wait(lambda: self.announced() == set(sensors), f"{sensors} to be announced, not {self.announced()}")


@pytest.fixture
def house(mosquitto: Any, wait_until: Any) -> Iterator[House]:
    """Nothing is announced yet. What is retained is followed by a client of its own."""
    retained: dict[str, Any] = {}

    def follow(_client: object, _data: object, message: paho.MQTTMessage) -> None:
        if message.payload:
            retained[message.topic] = message.payload.decode()
        else:
            retained.pop(message.topic, None)

    follower = paho.Client(paho.CallbackAPIVersion.VERSION2)
    ready: list[int] = []
    follower.on_connect = lambda *_: follower.subscribe([("homeassistant/device/#", 1), ("lstm_stream/#", 1)])
    follower.on_subscribe = lambda *_: ready.append(1)
    follower.on_message = follow
    follower.reconnect_delay_set(1, 1)
    follower.connect(mosquitto.host, mosquitto.port)
    follower.loop_start()
    wait_until(lambda: ready, "the subscription")
    made = House(mosquitto, wait_until, retained)
    yield made
    made.stop()
    end(follower)


def test_home_assistant_finds_sensors_and_their_states_whenever_it_starts(
    house: House, program: Callable[[str], str]
) -> None:
    house.add("pump-1", "hall/pump 2")
    house.add("fan-1", group="fans")
    house.start(groups=["pumps"])
    house.until("pump-1", "hall/pump 2")
    house.wait(lambda: len(house.kept()) == 6, "their states")
    kept = house.kept()
    for topic, payload in kept.items():
        if topic.endswith("/config"):
            check(json.loads(payload))
    state = json.loads(kept[house.d.state_topic(house.d.object_of("pumps", "pump-1"))])
    assert (state["problem"], state["score"]) == ("OFF", 0.5)
    house.wait(lambda: house.d.state_topic(DAEMON) in house.kept(), "the daemon's state")
    assert json.loads(house.kept()[house.d.state_topic(DAEMON)]) == {"sensors": 2, "alarms": 0}
    place = ["-h", house.broker.host, "-p", str(house.broker.port), "-t", "homeassistant/#", "-C", "3", "-W", "60"]
    found = subprocess.run([program("mosquitto_sub"), *place], capture_output=True, text=True, timeout=60, check=True)
    assert len(found.stdout.splitlines()) == 3, "who subscribes now gets the two and the daemon"


def test_an_alarm_is_told_at_once(house: House) -> None:
    house.add("pump-1", "pump-2")
    announcer = house.start()
    house.until("pump-1", "pump-2")
    house.asked.clear()
    house.sensors["pumps", "pump-1"] = facts("pump-1", alarm=ALARM, score=7.0)
    announcer.hear_events([alarm("pump-1"), alarm("nobody")])
    topic = house.d.state_topic(house.d.object_of("pumps", "pump-1"))
    house.wait(lambda: json.loads(house.kept().get(topic, "{}")).get("problem") == "ON", "the alarm")
    assert house.asked == [1], "of the other nothing is asked"


def test_what_is_forgotten_or_left_out_is_taken_back_also_after_a_restart(house: House) -> None:
    house.add("a", "b", "c")
    house.start(every=1)
    house.until("a", "b", "c")
    del house.sensors["pumps", "b"]
    house.until("a", "c")
    house.stop()
    del house.sensors["pumps", "c"]
    house.start(grace=3600)
    house.until("a", "c")  # it may still come
    house.stop()
    house.start(limit=1, every=1)
    house.until("a")
    house.wait(lambda: len(house.kept()) == 4, "no state to be left but those of a and the daemon")


def test_turned_off_it_takes_back_all_of_its_own(house: House, program: Callable[[str], str]) -> None:
    house.add("a")
    house.start()
    house.until("a")
    house.stop()
    place = ["-h", house.broker.host, "-p", str(house.broker.port), "-r", "-m", "{}"]
    subprocess.run([program("mosquitto_pub"), *place, "-t", "homeassistant/device/other/x/config"], check=True)
    house.start(enabled=False)
    house.wait(lambda: list(house.kept()) == ["homeassistant/device/other/x/config"], "all but what is another's")


def test_when_home_assistant_comes_back_it_is_told_again(house: House, program: Callable[[str], str]) -> None:
    house.add("a")
    house.start()
    house.until("a")
    topic = house.d.config_topic(house.d.object_of("pumps", "a"))
    place = ["-h", house.broker.host, "-p", str(house.broker.port)]
    subprocess.run([program("mosquitto_pub"), *place, "-r", "-n", "-t", topic], check=True)
    house.until()
    subprocess.run([program("mosquitto_pub"), *place, "-t", "homeassistant/status", "-m", "online"], check=True)
    house.until("a")


def test_a_broker_that_has_forgotten_is_told_again(house: House) -> None:
    house.add("a")
    house.start(every=1)
    house.until("a")
    house.broker.kill()
    house.retained.clear()
    house.broker.start()
    house.until("a")


def test_the_line_is_asked_for_a_few_at_a_time(house: House) -> None:
    house.add(*(f"s{k:02}" for k in range(20)))
    house.start()
    house.wait(lambda: len(house.asked) == 3, "all to be asked for")
    assert house.asked == [8, 8, 4]

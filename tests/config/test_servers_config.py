"""The configurations for other programs in config/ do what their comments promise."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from lstm_stream.config import Web

CONFIG = Path(__file__).parents[2] / "config"
OF_THE_PLACE = r"(listener|persistence|persistence_location|allow_anonymous)\b"
MESSAGES = 3_000  # far beyond what mosquitto keeps by default


def test_the_brokers_configuration_loses_nothing_for_a_client_that_is_away_over_a_restart(
    mosquitto_factory: Any, wait_until: Any
) -> None:
    shipped = (CONFIG / "mosquitto.conf").read_text().splitlines()
    lines = [line for line in shipped if not re.match(OF_THE_PLACE, line)]
    broker = mosquitto_factory(queue="", extra=lines, persistence=True)
    got: list[bytes] = []

    def connect(name: str) -> paho.Client:
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
        client.on_message = lambda _client, _data, message: got.append(message.payload)
        client.connect(broker.host, broker.port)
        client.loop_start()
        wait_until(client.is_connected, f"the connection of {name}")
        return client

    def leave(client: paho.Client) -> None:
        client.disconnect()
        client.loop_stop()

    subscriber = connect("subscriber")
    subscribed: list[int] = []
    subscriber.on_subscribe = lambda *_: subscribed.append(1)
    subscriber.subscribe("t", 1)
    wait_until(lambda: subscribed, "the subscription")
    leave(subscriber)

    publisher = connect("publisher")
    for number in range(MESSAGES):
        receipt = publisher.publish("t", str(number), 1)
    receipt.wait_for_publish(60)
    leave(publisher)
    broker.restart()

    subscriber = connect("subscriber")
    try:
        wait_until(lambda: len(got) >= MESSAGES, f"{MESSAGES} messages")
    finally:
        leave(subscriber)
    assert [int(payload) for payload in got] == list(range(MESSAGES))


def test_strangers_reach_the_shipped_broker_from_this_machine_only() -> None:
    listeners = re.findall(r"^listener (.*)$", (CONFIG / "mosquitto.conf").read_text(), re.MULTILINE)
    assert listeners == ["1883 127.0.0.1"]


@pytest.mark.prometheus
def test_prometheus_accepts_its_configuration(program: Any) -> None:
    command = [program("promtool"), "check", "config", CONFIG / "prometheus.yml"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def test_prometheus_looks_where_the_daemon_serves_by_default() -> None:
    assert f"localhost:{Web().port}" in (CONFIG / "prometheus.yml").read_text()

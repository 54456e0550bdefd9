"""Every panel of the dashboards shows something: a real Prometheus scrapes a real daemon that hears real sensors."""

from __future__ import annotations

import json
import math
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import pytest

CONFIG = Path(__file__).parents[2] / "config"
GROUP = {
    "warmup": 64,
    "false_alarms": "1 per sensor per hour",
    "model": {"hidden": 2},
    "retraining": {"every": 32, "history": 128, "lag": 1, "epochs": 1},
}
SENSORS = [f"s{n}" for n in range(4)]
RATE = 40.0  # samples of each a second
VALUES = {
    "$__rate_interval": "5s",
    "$__range": "1h",
    "$instance": ".+",
    "$group": "default",
    "$sensor": "s0",
    "$channel": "v",
}


@contextmanager
def publishing(broker: Any) -> Iterator[threading.Event]:
    """Sensors that speak until the end, s1 out of its mind once the event is set."""
    over, wild = threading.Event(), threading.Event()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.connect(broker.host, broker.port)
    client.loop_start()

    def speak() -> None:
        random = np.random.default_rng(1)
        while not over.wait(1 / RATE):
            for sensor in SENSORS:
                jump = 1000.0 if sensor == "s1" and wild.is_set() else 0.0
                payload = {"timestamp": int(time.time() * 1000), "v": 20 + jump + random.normal()}
                client.publish(f"plant/{sensor}", json.dumps(payload))

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        yield wild
    finally:
        over.set()
        speaker.join()
        client.disconnect()
        client.loop_stop()


def asked() -> dict[str, str]:
    """What every panel and every variable asks, by where it stands."""
    queries = {}
    for path in (CONFIG / "grafana" / "dashboards").glob("*.json"):
        document = json.loads(path.read_text())
        for panel in document["panels"]:
            for target in panel["targets"]:
                queries[f"{path.stem}: {panel['title']} {target['refId']}"] = target["expr"]
        for variable in document["templating"]["list"]:
            found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable.get("definition", ""))
            if found:
                queries[f"{path.stem}: ${variable['name']}"] = f"group by ({found[2]}) ({found[1]})"
    return {where: _substituted(expr) for where, expr in queries.items()}


def _substituted(expr: str) -> str:
    for name, value in VALUES.items():
        expr = expr.replace(name, value)
    assert "$" not in expr
    return expr


def tell(port: int, order: dict[str, str]) -> dict[str, Any]:
    """What the daemon answers to a command."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/commands", json.dumps(order).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        reply: dict[str, Any] = json.load(response)
    return reply


@pytest.mark.prometheus
def test_every_panel_has_something_to_show(
    mosquitto: Any, prometheus: Any, daemon_factory: Any, wait_until: Any
) -> None:
    sections = {"groups": {"default": GROUP}, "metrics": {"sensors": {"allow": ["s0"], "top": 2}}}
    daemon = daemon_factory(mosquitto, **sections)
    daemon.config["state"]["every"] = "1s"
    daemon.start()
    wait_until(lambda: daemon.get("/-/healthy")[0] == 200, "the daemon", 180)
    server = prometheus(daemon.port, "250ms", [CONFIG / "recording.yml", CONFIG / "alerts.yml"])
    with publishing(mosquitto) as wild:
        silent = asked()
        assert len(silent) > 70

        def all_answer() -> bool:
            for where, expr in list(silent.items()):
                if any(math.isfinite(value) for _, value in server.query(expr)):
                    del silent[where]
            return not silent

        try:
            wait_until(all_answer, "every panel", 180)
        except pytest.fail.Exception:
            pytest.fail(f"these show nothing: {silent}\n{daemon.log[-2000:]}")
        wild.set()
        server.wait_for('ALERTS{alertname="LstmStreamSensorAnomaly",alertstate="firing",sensor="s1"}', 180)
        order = {"verb": "pause", "group": "default", "sensor": "s1", "argument": "", "comment": ""}
        assert tell(daemon.port, order)["ok"]
        server.wait_for('lstm_stream_commands_total{verb="pause",result="ok"} == 1')
        assert {labels["sensor"] for labels, _ in server.query("lstm_stream_sensor_anomaly")} >= {"s0"}
    assert daemon.stop() == 0

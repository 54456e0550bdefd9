"""An intruder's afternoon: secrets, forged log lines and series, names that are paths, names without end."""

from __future__ import annotations

import io
import logging
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import paho.mqtt.publish
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from lstm_stream import logs
from lstm_stream.app import build
from lstm_stream.config import Config
from lstm_stream.ingest import channels, decoder
from lstm_stream.records import Chunk, Message

PASSWORD = "sesame-7f3a"
EVIL = [
    "../../etc/passwd",
    "a\x1b[31mred",
    "line\n2026-11-21T06:28:49.123Z info lstm_stream.app: all is well",
    'x"} 1\nlstm_stream_ready 1',
    "<script>alert(1)</script>",
    "'; DROP TABLE sensors; --",
    "right\u202eleft",
    "\\x00",
    "%s%n{0}{sensor}",
    "..",
    "CON",
]


def _wait(wait_until: Callable[..., Any], daemon: Any) -> None:
    wait_until(lambda: daemon.metric("lstm_stream_mqtt_subscribed") == 1, "the subscription", 120)


def _files(daemon: Any) -> set[str]:
    """What lies about its folder, without what SQLite and the journal make and remove."""
    everything = {str(path) for path in daemon.folder.parent.rglob("*")}
    passing = re.compile(r"-(wal|shm|journal)$|\.inputs\.\d+$")
    return {path for path in everything if not passing.search(path)}


def test_the_password_is_nowhere_to_be_seen(
    mosquitto_factory: Any, daemon_factory: Any, wait_until: Callable[..., Any], monkeypatch: Any
) -> None:
    broker = mosquitto_factory(users={"us": PASSWORD})
    monkeypatch.setenv("MQTT_PASSWORD", PASSWORD)
    daemon = daemon_factory(broker, log={"level": "debug"})
    daemon.config["broker"] |= {"username": "us", "password_env": "MQTT_PASSWORD"}
    daemon.start()
    _wait(wait_until, daemon)
    pages = [daemon.get(path)[1] for path in ("/", "/metrics", "/-/ready", "/-/healthy", "/api/v1/overview")]
    assert daemon.stop() == 0
    monkeypatch.setenv("MQTT_PASSWORD", PASSWORD + "!")  # now a wrong one
    daemon.start()
    wait_until(lambda: "refused the connection" in daemon.log, "the refusal", 120)
    pages.append(daemon.get("/-/ready")[1])
    assert daemon.stop() == 0
    config = str(daemon.folder / "config.yaml")
    checked = subprocess.run(
        [sys.executable, "-m", "lstm_stream", "check", config, "--print"], capture_output=True, text=True, check=True
    )
    kept = [path.read_bytes().decode("latin-1") for path in daemon.folder.iterdir() if path.is_file()]
    for text in (*pages, daemon.log, checked.stdout, checked.stderr, *kept):
        assert PASSWORD not in text


def test_names_from_outside_forge_nothing(mosquitto: Any, daemon_factory: Any, wait_until: Callable[..., Any]) -> None:
    daemon = daemon_factory(
        mosquitto,
        sources=[{"topic": "plant/{kind#}", "sensor": "{payload.id}"}],
        metrics={"sensors": {"allow": ["*"], "top": 5}},
        log={"level": "debug"},
    )
    daemon.start()
    _wait(wait_until, daemon)
    before = _files(daemon)
    payloads = [orjson.dumps({"id": name, name: 1.5, "t": 2.0}) for name in EVIL]
    topics = ["plant/a", *(f"plant/{name}" for name in EVIL if name.isprintable())]
    parts = [{"topic": topic, "payload": payload, "qos": 1} for topic in topics for payload in payloads]
    paho.mqtt.publish.multiple(parts, mosquitto.host, mosquitto.port)
    wait_until(lambda: daemon.metric("lstm_stream_messages_received_total") >= len(parts), "all of them")
    status, exposition = daemon.get("/metrics")
    assert status == 200
    families = {family.name: family for family in text_string_to_metric_families(exposition)}  # parses as a whole
    assert [sample.value for sample in families["lstm_stream_ready"].samples] in ([0.0], [1.0])
    for path in ("/api/v1/sensors", "/api/v1/problems", "/"):
        daemon.get(path)
    daemon.get("/api/v1/sensor?group=default&sensor=../../etc/passwd")
    daemon.get("/..%2f..%2fetc/passwd")
    daemon.get("/static/..%2f..%2fserver.py")
    assert daemon.stop() == 0
    for line in daemon.log.splitlines():
        assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z (debug|info|warning|error|critical) lstm_stream|  ", line), line
    assert "\x1b" not in daemon.log
    assert _files(daemon) == before


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("name", EVIL)
def test_a_log_line_is_one_line_whatever_it_tells(form: str, name: str) -> None:
    stream, root = io.StringIO(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.setup("info", form, stream)
        try:
            raise ValueError(name)
        except ValueError:
            logging.getLogger("lstm_stream.test").exception("sensor %s", name)
    finally:
        root.handlers[:], root.level = handlers, level
    first, *rest = stream.getvalue().splitlines()
    assert "sensor" in first
    assert all(line.startswith("  ") for line in rest)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", stream.getvalue())


def test_sensors_without_end_take_no_more_than_the_limits_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (decoder, channels):  # what is remembered of topics and names is bounded anyhow
        monkeypatch.setattr(module, "_REMEMBERED", 100)
    limits = {"sensors": 50, "channels": 4}
    config = Config.model_validate(
        {
            "sources": [{"topic": "{a#}", "sensor": "{payload.id|a}", "group": "{payload.group}"}],
            "limits": limits,
            "state": {"path": None},
            "web": {"enabled": False},
        }
    )
    app = build(config)
    tracemalloc.start()
    try:
        sizes = [_flood(app, start) for start in range(0, 4000, 400)]
    finally:
        tracemalloc.stop()
    counts = app._fleet.counts()
    assert sum(counts[state] for state in ("warming", "watching", "alarmed", "silent")) <= 50
    assert sizes[-1] - sizes[4] < 200_000  # bytes, of 2,000 sensors, topics, channels and groups that are new


def _flood(app: Any, start: int) -> int:
    """Messages of sensors that nobody knows; the memory in use afterwards."""
    for number in range(start, start + 400):
        text = f'{{"id": "{number}{"x" * 200}", "group": "g{number}", "c{number}": 1}}'.encode()
        decoded = app._assembly.decode_all([Message(f"t/{number}/{'y' * 100}", text, 1e9 + number)])
        app._fleet.process(decoded.readings, decoded.at, decoded.rows)
    topics = [b"u/%d" % number for number in range(start, start + 400)]
    data = b"".join(topic + b"1.5" for topic in topics)
    ends = np.cumsum([len(topic) + 3 for topic in topics])
    table = np.array(
        [(end - len(topic) - 3, len(topic), end - 3, 3, 0x30, 0) for topic, end in zip(topics, ends, strict=True)],
        np.int32,
    )
    decoded = app._assembly.decode_all([Chunk(data, table, 1e9 + np.arange(start, start + 400, dtype=float))])
    app._fleet.process(decoded.readings, decoded.at, decoded.rows)
    return tracemalloc.get_traced_memory()[0]


def test_what_is_wrong_with_a_password_option_does_not_show_it(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"broker": {"password": PASSWORD, "host": f"mqtt://us:{PASSWORD}@host"}}))
    done = subprocess.run(
        [sys.executable, "-m", "lstm_stream", "check", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert PASSWORD not in done.stdout + done.stderr

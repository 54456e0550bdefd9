"""Garbage on every input, a broker that goes away, a state that does not fit: nothing stops, everything is said."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.publish


def _send(broker: Any, messages: list[tuple[str, bytes]]) -> None:
    parts = [{"topic": topic, "payload": payload, "qos": 1} for topic, payload in messages]
    paho.mqtt.publish.multiple(parts, broker.host, broker.port)


def _started(daemon: Any, wait_until: Callable[..., Any]) -> None:
    wait_until(lambda: daemon.metric("lstm_stream_mqtt_subscribed") == 1, "the subscription", 180)


def test_garbage_is_counted_and_the_line_goes_on(
    mosquitto: Any, daemon_factory: Any, wait_until: Callable[..., Any]
) -> None:
    daemon = daemon_factory(mosquitto, sources=[{"topic": "plant/{sensor}"}, {"topic": "odd/+/{sensor}"}])
    daemon.start()
    _started(daemon, wait_until)
    garbage = {
        "malformed": [b"\x00\xff\xfe", b"{", b'{"a": 1'],
        "too_large": [b"7" * 10_000_000],
        "too_deep": [b"[" * 100_000 + b"]" * 100_000],
        "no_channels": [b"nonsense", b"", b'{"state": "fine"}', b'{"value": NaN}', b"{}"],
        "bad_timestamp": [b'{"timestamp": "yesterday", "value": 1}', b'{"timestamp": -5, "value": 1}'],
    }
    _send(mosquitto, [("plant/pump", payload) for payloads in garbage.values() for payload in payloads])
    _send(mosquitto, [("plant/pump", b'{"timestamp": 1767571200, "value": 1.5}')] * 2)
    _send(mosquitto, [("plant/pump", b'{"timestamp": 1767571100, "value": 1.5}'), ("nobody/asked", b"1")])
    rejected = 'lstm_stream_samples_rejected_total{reason="%s"}'
    wait_until(lambda: daemon.metric(rejected % "out_of_order") == 1, "the last message")
    counts = {reason: daemon.metric(rejected % reason) for reason in (*garbage, "duplicate", "internal")}
    assert counts == {**{reason: len(payloads) for reason, payloads in garbage.items()}, "duplicate": 1, "internal": 0}
    assert daemon.metric("lstm_stream_samples_processed_total") == 1
    assert daemon.stop() == 0


def test_its_own_events_and_status_are_never_samples(
    mosquitto: Any, daemon_factory: Any, wait_until: Callable[..., Any]
) -> None:
    daemon = daemon_factory(mosquitto, sources=[{"topic": "{sensor}/#"}])
    daemon.start()
    _started(daemon, wait_until)
    _send(mosquitto, [("lstm_stream/pump/anomaly", b'{"value": 1}'), ("lstm_stream/status", b'{"value": 1}')])
    _send(mosquitto, [("pump/here", b'{"value": 1}')])
    wait_until(lambda: daemon.metric("lstm_stream_samples_processed_total") == 1, "the sample")
    time.sleep(0.5)
    assert daemon.metric('lstm_stream_sensors{state="warming"}') <= 1
    assert daemon.metric("lstm_stream_samples_processed_total") == 1


def test_it_waits_for_a_broker_and_comes_back_to_it(
    mosquitto: Any, daemon_factory: Any, wait_until: Callable[..., Any]
) -> None:
    mosquitto.stop()
    daemon = daemon_factory(mosquitto)
    daemon.start()
    wait_until(lambda: daemon.get("/-/healthy")[0] == 200, "health", 180)
    assert daemon.get("/-/ready")[0] == 503
    wait_until(lambda: f"cannot reach {mosquitto.host}:{mosquitto.port}" in daemon.checks()["broker"], "the reason")
    for number in range(2):
        mosquitto.start()
        _started(daemon, wait_until)
        _send(mosquitto, [("plant/pump", b'{"timestamp": %d, "value": 1}' % (1767571200 + number))])
        wait_until(lambda n=number: daemon.metric("lstm_stream_samples_processed_total") == n + 1, "the sample")
        mosquitto.kill()
        wait_until(lambda: daemon.metric("lstm_stream_mqtt_connected") == 0, "the loss to be noticed")
    assert daemon.stop() == 0


def _computed(pid: int) -> float:
    """Seconds of a core that a process has used."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def test_it_is_ready_within_seconds_and_a_second_signal_ends_it_at_once(
    mosquitto: Any, daemon_factory: Any, wait_until: Callable[..., Any]
) -> None:
    daemon = daemon_factory(mosquitto)
    daemon.start()
    _started(daemon, wait_until)
    assert daemon.stop() == 0
    daemon.start()
    _started(daemon, wait_until)
    assert _computed(daemon.process.pid) < 15  # the benchmark says how fast; here: it does not compile again
    daemon.process.send_signal(signal.SIGSTOP)  # so that both signals wait for it together
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.send_signal(signal.SIGINT)
    daemon.process.send_signal(signal.SIGCONT)
    assert daemon.process.wait(60) in (128 + signal.SIGINT, 128 + signal.SIGTERM)


def test_a_state_of_another_shape_or_version_is_refused_with_advice_and_kept(
    mosquitto: Any, daemon_factory: Any, wait_until: Callable[..., Any]
) -> None:
    daemon = daemon_factory(mosquitto)
    daemon.start()
    _started(daemon, wait_until)
    _send(mosquitto, [("plant/pump", b'{"timestamp": 1767571200, "value": 1.5}')])
    wait_until(lambda: daemon.metric("lstm_stream_samples_processed_total") == 1, "the sample")
    assert daemon.stop() == 0
    state = daemon.folder / "state.db"

    daemon.config["groups"] = {"default": {"model": {"hidden": 8}}}
    daemon.start()
    assert daemon.process.wait(60) == 3
    assert "another model" in daemon.log
    assert "--fresh" in daemon.log
    assert "Traceback" not in daemon.log

    del daemon.config["groups"]
    with contextlib.closing(sqlite3.connect(state, isolation_level=None)) as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    daemon.start()
    assert daemon.process.wait(60) == 3
    assert "another version" in daemon.log

    daemon.start("--fresh")
    _started(daemon, wait_until)
    assert daemon.stop() == 0
    assert (daemon.folder / "state.db.old").exists()


def test_two_daemons_do_not_share_a_state(mosquitto: Any, daemon_factory: Any, wait_until: Callable[..., Any]) -> None:
    first = daemon_factory(mosquitto)
    first.start()
    _started(first, wait_until)
    second = daemon_factory(mosquitto, state={"path": str(first.folder / "state.db")})
    second.start()
    assert second.process.wait(60) == 3
    assert "another lstm-stream uses it" in second.log


def test_a_taken_port_is_said_in_one_sentence(
    mosquitto: Any, daemon_factory: Any, wait_until: Callable[..., Any]
) -> None:
    first = daemon_factory(mosquitto)
    first.start()
    _started(first, wait_until)
    second = daemon_factory(mosquitto, web={"port": first.port})
    second.start()
    assert second.process.wait(60) == 3
    (line,) = [line for line in second.log.splitlines() if "could not start" in line]
    assert str(first.port) in line


def test_the_answer_of_explain_is_what_the_daemon_does(daemon_factory: Any, mosquitto: Any) -> None:
    daemon = daemon_factory(mosquitto)
    daemon.start("--help")  # writes the configuration
    daemon.process.wait(60)
    path = str(daemon.folder / "config.yaml")
    command = [
        sys.executable,
        "-m",
        "lstm_stream",
        "explain",
        "--config",
        path,
        "--topic",
        "plant/pump",
        "--json",
        "--payload",
    ]
    good = subprocess.run([*command, '{"t": 21.5, "ts": 1767571200}'], capture_output=True, check=False, timeout=60)
    assert good.returncode == 0
    assert json.loads(good.stdout)["readings"][0]["values"] == {"t": 21.5}
    bad = subprocess.run([*command, '{"t": "warm"}'], capture_output=True, check=False, timeout=60)
    assert bad.returncode == 1
    assert json.loads(bad.stdout)["rejections"][0]["reason"] == "no_channels"

"""The fixtures that start real servers do what the tests that use them rely on."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

pytestmark = pytest.mark.filterwarnings("error")


def _publish(program: Callable[[str], str], broker: Any, *options: str) -> int:
    command = [program("mosquitto_pub"), "-h", broker.host, "-p", str(broker.port), "-t", "t", "-m", "m", *options]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode


def _receive(program: Callable[[str], str], broker: Any, *options: str) -> str:
    command = [program("mosquitto_sub"), "-h", broker.host, "-p", str(broker.port), "-t", "t", "-W", "5", *options]
    return subprocess.run(command, capture_output=True, timeout=60, check=False, text=True).stdout.strip()


def test_the_broker_delivers_and_can_go_away_and_come_back_on_its_port(mosquitto: Any, program: Any) -> None:
    port = mosquitto.port
    assert _publish(program, mosquitto, "-r") == 0
    assert _receive(program, mosquitto, "-C", "1") == "m"
    mosquitto.kill()
    with socket.socket() as probe:
        assert probe.connect_ex((mosquitto.host, port)) != 0
    mosquitto.start()
    assert mosquitto.port == port
    assert _publish(program, mosquitto) == 0


def test_a_broker_with_users_refuses_strangers(mosquitto_factory: Any, program: Any) -> None:
    broker = mosquitto_factory(users={"line": "secret"})
    assert _publish(program, broker, "-u", "line", "-P", "secret") == 0
    assert _publish(program, broker, "-u", "line", "-P", "wrong") != 0
    assert _publish(program, broker) != 0


def test_a_persistent_broker_keeps_a_retained_message_over_a_restart(mosquitto_factory: Any, program: Any) -> None:
    broker = mosquitto_factory(persistence=True)
    assert _publish(program, broker, "-r", "-q", "1") == 0
    broker.restart()
    assert _receive(program, broker, "-C", "1") == "m"


def test_two_brokers_do_not_meet(mosquitto_factory: Any) -> None:
    assert mosquitto_factory().port != mosquitto_factory().port


class _OneMetric(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"a_metric 42\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:
        """Say nothing."""


def test_prometheus_scrapes_the_port_it_is_given(prometheus: Any) -> None:
    with HTTPServer(("127.0.0.1", 0), _OneMetric) as exporter:
        thread = threading.Thread(target=exporter.serve_forever)
        thread.start()
        try:
            [(labels, value)] = prometheus(exporter.server_port).wait_for("a_metric")
        finally:
            exporter.shutdown()
            thread.join()
    assert value == 42
    assert labels["job"] == "lstm_stream"


@pytest.mark.parametrize("program_name", ["mosquitto", "prometheus", "promtool", "mosquitto_pub", "mosquitto_sub"])
def test_ci_has_every_program_that_tests_use(program: Callable[[str], str], program_name: str) -> None:
    assert program(program_name)

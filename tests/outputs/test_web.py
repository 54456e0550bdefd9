"""The web server as a client sees it, over real connections."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from lstm_stream.config import Web
from lstm_stream.outputs.metrics import Metrics
from lstm_stream.outputs.web import server as web
from lstm_stream.outputs.web.server import Health, WebServer
from tests.outputs.desk import FakeDesk, lose_patience

WELL = Health(healthy=True, ready=True, checks={"broker": "ok", "worker": "ok"})


class Daemon:
    """What the server is told, changed at will by a test."""

    def __init__(self) -> None:
        self.health = WELL
        self.metrics = Metrics("1.2.3")


@pytest.fixture
def daemon() -> Daemon:
    """A daemon that is well."""
    return Daemon()


@pytest.fixture
def server(daemon: Daemon) -> Iterator[WebServer]:
    """Its web server, listening."""
    server = WebServer(Web(port=0), daemon.metrics.render, lambda: daemon.health, FakeDesk())
    server.open()
    yield server
    server.close()


def request(
    server: WebServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, http.client.HTTPMessage, str]:
    """Status, headers and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode(errors="replace")
    finally:
        connection.close()


def test_metrics_are_served_with_their_content_type(server: WebServer) -> None:
    status, headers, body = request(server, "/metrics")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "lstm_stream_mqtt_connected 0.0" in body
    _, headers, body = request(server, "/metrics", Accept="application/openmetrics-text")
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith("# EOF\n")


def test_a_well_daemon_is_healthy_and_ready(server: WebServer) -> None:
    assert request(server, "/-/healthy")[0] == 200
    status, headers, body = request(server, "/-/ready")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body) == {"ready": True, "checks": {"broker": "ok", "worker": "ok"}}


def test_a_daemon_without_its_broker_is_healthy_but_not_ready_and_says_why(server: WebServer, daemon: Daemon) -> None:
    daemon.health = Health(healthy=True, ready=False, checks={"broker": "no connection to localhost:1883"})
    assert request(server, "/-/healthy")[0] == 200
    status, _, body = request(server, "/-/ready")
    assert status == 503
    assert json.loads(body) == {"ready": False, "checks": {"broker": "no connection to localhost:1883"}}


def test_a_daemon_whose_worker_died_is_unhealthy(server: WebServer, daemon: Daemon) -> None:
    daemon.health = Health(healthy=False, ready=False, checks={"worker": "ended"})
    status, _, body = request(server, "/-/healthy")
    assert (status, json.loads(body)["healthy"]) == (503, False)


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready", "/nothing"])
def test_every_answer_carries_the_security_headers_and_no_banner(server: WebServer, path: str) -> None:
    _, headers, _ = request(server, path)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Server"] is None


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready", "/api/v1/overview"])
def test_head_answers_like_get_without_a_body(server: WebServer, path: str) -> None:
    status, headers, body = request(server, path, "HEAD")
    assert (status, body) == (200, "")
    assert int(headers["Content-Length"]) > 0


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "//example.com/", "/-/", "/%00", "/../etc/passwd"])
def test_an_unknown_path_is_404_in_plain_text(server: WebServer, path: str) -> None:
    status, headers, body = request(server, path)
    assert (status, headers["Content-Type"]) == (404, "text/plain; charset=utf-8")
    assert "/metrics" in body


@pytest.mark.parametrize("path", ["/", "/metrics", "/static/app.js", "/api/v1/overview", "/api/v1/events"])
def test_what_is_read_cannot_be_changed(server: WebServer, path: str) -> None:
    status, headers, _ = request(server, path, "POST")
    assert status == 405
    assert "GET" in headers["Allow"]


# --- the page


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        self.inline += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self.inline += [tag] * (tag == "style" or (tag == "script" and "src" not in dict(attrs)))


def test_the_page_loads_its_own_files_and_nothing_else(server: WebServer) -> None:
    _, headers, body = request(server, "/")
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    parser = _Links()
    parser.feed(body)
    assert parser.inline == [], "the policy forbids what stands in the page itself"
    for link in parser.links:
        if not link.startswith("#"):
            assert request(server, "/" + link.lstrip("/"))[0] == 200, link


def test_a_file_is_sent_once_and_again_only_when_it_changes(server: WebServer) -> None:
    status, headers, body = request(server, "/static/favicon.svg")
    assert (status, headers["Content-Type"]) == (200, "image/svg+xml")
    assert body.startswith("<svg")
    again = request(server, "/static/favicon.svg", **{"If-None-Match": headers["ETag"]})
    assert (again[0], again[2]) == (304, "")
    assert request(server, "/favicon.ico")[2] == body


@pytest.mark.parametrize(
    "path",
    ["/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py", "/static//etc/passwd", "/static/"],
)
def test_no_path_leads_out_of_the_page(server: WebServer, path: str) -> None:
    assert request(server, path)[0] == 404


def test_garbage_is_answered_and_the_server_goes_on(server: WebServer, caplog: pytest.LogCaptureFixture) -> None:
    for garbage in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nHost: " + b"x" * 200_000):
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(garbage + b"\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert request(server, "/-/healthy")[0] == 200
    assert not caplog.records, "a stranger must not be able to fill the log"


def test_a_failing_exposition_is_500_and_logged_and_the_server_goes_on(
    server: WebServer, daemon: Daemon, caplog: pytest.LogCaptureFixture, wait_until: Any
) -> None:
    def broken() -> Any:
        raise RuntimeError("no intake")

    daemon.metrics.watch(broken)
    assert request(server, "/metrics")[0] == 500
    wait_until(lambda: "no intake" in caplog.text, "the log")
    assert request(server, "/-/healthy")[0] == 200


def test_500_clients_that_never_finish_a_request_do_not_block_a_scrape(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web._Connection, "patience", 120.0)
    clients = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(500)]
    try:
        for number, client in enumerate(clients):
            if number % 2:
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
        start = time.monotonic()
        assert request(server, "/metrics")[0] == 200
        assert time.monotonic() - start < 60
    finally:
        for client in clients:
            client.close()


def test_a_client_that_never_asks_is_let_go(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web._Connection, "patience", 0.2)
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        assert client.recv(1) == b"", "the end of the connection"


def test_a_client_that_keeps_asking_keeps_its_connection(server: WebServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.connect()
    first = connection.sock
    for _ in range(15):
        connection.request("GET", "/-/healthy")
        assert connection.getresponse().read()
        lose_patience(server)
    assert connection.sock is first
    lose_patience(server)
    assert first.recv(1) == b"", "the end of the connection"
    connection.close()


def test_the_oldest_of_too_many_connections_makes_room(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_CONNECTIONS", 3)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 60)) for _ in range(4)]
        assert clients[0].recv(1) == b"", "the end of the connection"
        clients[3].sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        assert clients[3].recv(100).startswith(b"HTTP/1.1 200")


def test_it_listens_on_this_machine_only_by_default(server: WebServer) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", server.port))  # free, so the server has not taken all addresses


def test_a_port_in_use_is_named_with_a_way_out(server: WebServer, daemon: Daemon) -> None:
    second = WebServer(Web(port=server.port), daemon.metrics.render, lambda: daemon.health)
    with pytest.raises(
        OSError, match=rf"cannot listen on 127.0.0.1:{server.port}: Address already in use; set web.port"
    ):
        second.open()
    second.close()


def test_a_host_that_is_not_ours_is_named(daemon: Daemon) -> None:
    with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1:0: .* web\.host"):
        WebServer(Web(host="192.0.2.1", port=0), daemon.metrics.render, lambda: daemon.health).open()


def test_closing_is_quick_with_clients_that_hang_and_frees_port_and_thread(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "_CLOSE_TIMEOUT", 60.0)
    server = WebServer(Web(port=0), daemon.metrics.render, lambda: daemon.health)
    server.open()
    client = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    client.sendall(b"GET /metrics HTTP/1.1\r\n")
    start = time.monotonic()
    server.close()
    assert time.monotonic() - start < 30
    client.close()
    assert "web" not in {thread.name for thread in threading.enumerate()}
    again = WebServer(Web(port=server.port), daemon.metrics.render, lambda: daemon.health)
    again.open()
    assert request(again, "/-/ready")[0] == 200
    again.close()


def test_closing_twice_or_unopened_is_nothing(daemon: Daemon) -> None:
    server = WebServer(Web(port=0), daemon.metrics.render, lambda: daemon.health)
    server.close()
    server.open()
    server.close()
    server.close()


def test_a_real_prometheus_scrapes_it(server: WebServer, prometheus: Any) -> None:
    real = prometheus(server.port)
    assert real.wait_for("up == 1")
    [(labels, _)] = real.query("lstm_stream_build_info")
    assert labels["version"] == "1.2.3"

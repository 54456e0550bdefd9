"""Sinks: real files, a real HTTP server, a real broker, and what goes wrong with each."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from pydantic import ValidationError

from lstm_stream.config import Events, Severity, Webhook
from lstm_stream.outputs.sinks import RefusalError
from lstm_stream.outputs.sinks.alertmanager import Alerts
from lstm_stream.outputs.sinks.file import FileSink
from lstm_stream.outputs.sinks.log import LogSink
from lstm_stream.outputs.sinks.mqtt import MqttSink
from lstm_stream.outputs.sinks.webhook import WebhookSink
from tests.outputs.letters import T0, alarm, letter

# --- files


def lines(path: Path) -> list[str]:
    """The sensors of the events in a file."""
    return [json.loads(line)["sensor"] for line in path.read_bytes().splitlines()]


@pytest.fixture
def file_sink(tmp_path: Path) -> Iterator[Callable[..., FileSink]]:
    """`file_sink(rotate=..., keep=...)`: appends to events.jsonl."""
    sinks: list[FileSink] = []

    def make(rotate: int = 10**6, keep: int = 3) -> FileSink:
        sinks.append(FileSink("file", tmp_path / "deep" / "events.jsonl", rotate, keep))
        return sinks[-1]

    yield make
    for sink in sinks:
        sink.close()


def test_a_file_has_a_line_an_event_and_goes_on_after_a_restart(tmp_path: Path, file_sink: Any) -> None:
    path = tmp_path / "deep" / "events.jsonl"
    assert file_sink().send([letter(alarm("a")), letter(alarm("b"))]) == 2
    assert lines(path) == ["a", "b"]
    assert file_sink().send([letter(alarm("c"))]) == 1
    assert lines(path) == ["a", "b", "c"]
    assert path.stat().st_mode & 0o007 == 0, "not for everybody"


def test_a_file_is_set_aside_before_it_grows_beyond_its_limit(tmp_path: Path, file_sink: Any) -> None:
    folder = tmp_path / "deep"
    letters = [letter(alarm(f"s{k}")) for k in range(10)]
    size = len(letters[0].payload) + 1
    sink = file_sink(rotate=3 * size, keep=2)
    while letters:
        letters = letters[sink.send(letters) :]
    assert sorted(path.name for path in folder.iterdir()) == ["events.jsonl", "events.jsonl.1", "events.jsonl.2"]
    assert lines(folder / "events.jsonl") == ["s9"]
    assert lines(folder / "events.jsonl.1") == ["s6", "s7", "s8"]
    assert lines(folder / "events.jsonl.2") == ["s3", "s4", "s5"]


def test_an_event_longer_than_the_limit_is_written_all_the_same(tmp_path: Path, file_sink: Any) -> None:
    sink = file_sink(rotate=10, keep=0)
    assert sink.send([letter(alarm("a"))]) == 1
    assert sink.send([letter(alarm("b"))]) == 1
    assert lines(tmp_path / "deep" / "events.jsonl") == ["b"]


@pytest.mark.parametrize("how", ["moved", "deleted"])
def test_a_file_that_logrotate_took_away_is_begun_anew(tmp_path: Path, file_sink: Any, how: str) -> None:
    path, sink = tmp_path / "deep" / "events.jsonl", file_sink()
    sink.send([letter(alarm("a"))])
    if how == "moved":
        path.rename(path.with_name("old"))
    else:
        path.unlink()
    sink.send([letter(alarm("b"))])
    assert lines(path) == ["b"]


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, file_sink: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path, sink = tmp_path / "deep" / "events.jsonl", file_sink()
    sink.send([letter(alarm("a"))])
    real, room = os.write, [7, 0]

    def write(file: int, content: Any) -> int:
        if not (size := room.pop(0)):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, content[:size])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space"):
        sink.send([letter(alarm("b"))])
    monkeypatch.undo()
    assert lines(path) == ["a"]
    sink.send([letter(alarm("b"))])
    assert lines(path) == ["a", "b"]


# --- webhooks


@dataclass
class Receiver:
    """An HTTP server that answers as it is told, 200 otherwise, and keeps what it got."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """It listens on a loopback port."""
    made = Receiver()
    server = serve(made)
    made.url = f"http://127.0.0.1:{server.server_port}/hook?token=hunter2"
    yield made
    server.shutdown()
    server.server_close()


def serve(receiver: Receiver, context: ssl.SSLContext | None = None) -> ThreadingHTTPServer:
    """Serve on a port of its own, in a thread."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.got.append((self.path, dict(self.headers), body))
            self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(b"because\nI say so")

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def webhook(url: str = "", **settings: Any) -> WebhookSink:
    given = {"url": url, **settings} if url else settings
    return WebhookSink(Webhook.model_validate(given), lambda letter: letter.payload)


def test_a_webhook_gets_the_event_as_json_with_its_headers(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("Bearer hunter3\n")
    monkeypatch.setenv("PAGER_KEY", "hunter4")
    headers = {"headers": {"X-Site": "oslo"}, "header_files": {"Authorization": tmp_path / "token"}}
    sink = webhook(receiver.url, **headers, header_envs={"X-Key": "PAGER_KEY"})
    sent = letter(alarm("Kühlhaus/pump"))
    assert sink.send([sent, letter()]) == 1
    ((path, got, body),) = receiver.got
    assert path == "/hook?token=hunter2"
    assert body == sent.payload
    assert json.loads(body)["sensor"] == "Kühlhaus/pump"
    assert got["Content-Type"] == "application/json"
    assert (got["X-Site"], got["Authorization"], got["X-Key"]) == ("oslo", "Bearer hunter3", "hunter4")


@pytest.mark.parametrize("code", [408, 429, 500, 503])
def test_an_overloaded_receiver_is_asked_again(receiver: Receiver, code: int) -> None:
    receiver.answers = [code]
    sink = webhook(receiver.url)
    with pytest.raises(OSError, match=rf"127\.0\.0\.1:[0-9]+ answered {code}: because I say so"):
        sink.send([letter()])
    assert sink.send([letter()]) == 1


@pytest.mark.parametrize("code", [301, 307, 400, 401, 404])
def test_a_refusal_is_final_and_a_redirection_is_one(receiver: Receiver, code: int) -> None:
    receiver.answers = [code]
    with pytest.raises(RefusalError, match=str(code)) as error:
        webhook(receiver.url).send([letter()])
    assert "hunter2" not in str(error.value)
    assert len(receiver.got) == 1


def test_a_receiver_that_is_not_there_or_hangs_is_a_failure_without_secrets(free_port: Callable[[], int]) -> None:
    address = f"http://127.0.0.1:{free_port()}/hook/hunter2?token=hunter2"
    with pytest.raises(OSError, match=r"cannot reach http://127\.0\.0\.1:") as error:
        webhook(address).send([letter()])
    assert "hunter2" not in str(error.value)


def test_a_receiver_that_does_not_answer_in_time_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = webhook(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout=0.2)
        with pytest.raises(OSError, match="timed out"):
            sink.send([letter()])


def test_certificates_are_verified(tmp_path: Path) -> None:
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem"]
    san = ["-subj", "/CN=us", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-out", "cert.pem"]
    subprocess.run(["openssl", "req", "-x509", *key, *san], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    made = Receiver()
    server = serve(made, context)
    url = f"https://127.0.0.1:{server.server_port}/"
    try:
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            webhook(url).send([letter()])
        assert webhook(url, ca_file=tmp_path / "cert.pem").send([letter()]) == 1
        assert webhook(url, verify=False).send([letter()]) == 1
    finally:
        server.shutdown()
        server.server_close()
    assert len(made.got) == 2


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"url_env": "NOT_SET_ANYWHERE"}, "url_env: the environment variable NOT_SET_ANYWHERE is not set"),
        ({"url_file": "/nowhere/url"}, "url_file: cannot read /nowhere/url"),
        ({"url": "http://a", "header_files": {"A": "/nowhere/a"}}, "header_files.A: cannot read /nowhere/a"),
        ({"url": "https://a", "ca_file": "/nowhere/ca"}, "ca_file: cannot use /nowhere/ca"),
    ],
)
def test_a_webhook_that_cannot_work_says_which_option_is_wrong(settings: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValueError) as error:
        webhook(**settings)
    assert wrong in str(error.value)


@pytest.mark.parametrize("content", ["hunter2", "https://me:hunter2@host/", "https://host:hunter2/", "ftp://hunter2/"])
def test_an_address_that_is_none_is_not_repeated(tmp_path: Path, content: str) -> None:
    (tmp_path / "url").write_text(content)
    with pytest.raises(ValueError, match="write") as error:
        webhook(url_file=tmp_path / "url")
    assert "hunter2" not in str(error.value)
    with pytest.raises(ValidationError) as invalid:
        Webhook.model_validate({"url": content})
    assert "hunter2" not in invalid.value.errors()[0]["msg"]


def test_a_header_of_two_lines_is_refused_without_being_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("Bearer a\r\nX-Evil: hunter2")
    with pytest.raises(ValueError, match="plain text on one line") as error:
        webhook("http://a", header_files={"Authorization": tmp_path / "token"})
    assert "hunter2" not in str(error.value)


# --- Alertmanager


def test_alertmanager_gets_an_alert_that_lasts_until_it_is_ended() -> None:
    alerts = Alerts(Severity)
    (opened,) = json.loads(alerts(letter(alarm("pump", score=5.0))))
    assert opened["labels"] == {
        "alertname": "LstmStreamAnomaly",
        "group": "pumps",
        "sensor": "pump",
        "view": "level",
        "severity": "warning",
    }
    assert (opened["startsAt"], opened["endsAt"]) == ("2026-11-21T06:47:46.000Z", "2026-12-21T06:47:46.000Z")
    (closed,) = json.loads(alerts(letter(alarm("pump", score=9.0, closed=T0 + 60))))
    assert closed["labels"] == opened["labels"], "of another severity it would be another alert"
    assert closed["endsAt"] == "2026-11-21T06:48:46.000Z"


def test_after_a_restart_an_alert_is_ended_whatever_its_severity_was() -> None:
    ended = json.loads(Alerts(Severity)(letter(alarm("pump", closed=T0 + 60))))
    assert [alert["labels"]["severity"] for alert in ended] == ["info", "warning", "critical"]


# --- the log


def test_the_log_has_a_line_an_event(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert LogSink(lambda _: "warning").send([letter(alarm("pump-7"))]) == 1
    (record,) = caplog.records
    assert record.message == ("alarm opened: pump-7 (pumps, level, warning): bearing averages 61 where 57 is usual")


# --- MQTT


@pytest.fixture
def client() -> Iterator[paho.Client]:
    """A client of a broker; connect it."""
    made = paho.Client(paho.CallbackAPIVersion.VERSION2)
    yield made
    made.disconnect()
    made.loop_stop()
    made.on_connect = made.on_subscribe = made.on_message = None  # no cycle: its sockets might complain


def test_over_mqtt_delivered_is_what_the_broker_confirmed(mosquitto: Any, client: paho.Client, wait_until: Any) -> None:
    got: list[str] = []
    client.on_connect = lambda *_: client.subscribe("a/#", 1)
    client.on_subscribe = lambda *_: got.append("subscribed")
    client.on_message = lambda _client, _data, message: got.append(message.topic)
    client.connect(mosquitto.host, mosquitto.port)
    client.loop_start()
    wait_until(lambda: got, "the subscription")
    sink = MqttSink(lambda topic, payload: client.publish(topic, payload, 1))
    letters = [letter(alarm(f"s{k}")) for k in range(300)]
    assert sink.send(letters) == 300
    wait_until(lambda: len(got) == 301, "all events to come back")
    assert got[1:] == [one.topic for one in letters]


class Slow:
    """What becomes of a publish that is confirmed later, or never."""

    def __init__(self) -> None:
        self.confirmed = False
        self.lost = False

    def wait_for_publish(self, timeout: float | None = None) -> None:  # noqa: ARG002
        if self.lost:
            raise RuntimeError("Message publish failed")

    def is_published(self) -> bool:
        return self.confirmed


def test_what_waits_for_its_confirmation_is_not_sent_again() -> None:
    sent: list[Slow] = []

    def publish(_topic: str, _payload: bytes) -> Slow:
        sent.append(Slow())
        return sent[-1]

    sink = MqttSink(publish, patience=0.01)
    letters = [letter(alarm(name)) for name in "abc"]
    with pytest.raises(OSError, match="did not confirm"):
        sink.send(letters)
    sent[0].confirmed = True
    assert sink.send(letters) == 1
    assert len(sent) == 3
    sent[1].lost = True
    with pytest.raises(OSError, match="did not confirm"):
        sink.send(letters[1:])
    with pytest.raises(OSError, match="did not confirm"):
        sink.send(letters[1:])
    assert len(sent) == 4, "what was lost on the way is sent anew"


def test_what_cannot_be_sent_now_is_told_so() -> None:
    def publish(_topic: str, _payload: bytes) -> Slow:
        raise OSError("the broker is away")

    with pytest.raises(OSError, match="away"):
        MqttSink(publish).send([letter()])


# --- the configuration of sinks


@pytest.mark.parametrize(
    ("events", "wrong"),
    [
        ({"webhooks": [{"url": "http://a"}, {"url": "http://b"}]}, "is the name of another sink"),
        ({"webhooks": [{"name": "x"}], "files": [{"name": "x"}]}, "is the name of another sink"),
        ({"webhooks": [{"name": "mqtt"}]}, "not mqtt or log"),
        ({"webhooks": [{"url": "http://a", "url_env": "B"}]}, "keep one of the two"),
        ({"webhooks": [{"format": "alertmanager", "grouped": True}]}, "Alertmanager groups by itself"),
        ({"webhooks": [{"headers": {"a b": "x"}}]}, "not the name of a header"),
        ({"severity": {"warning": 5}}, "more than critical"),
        ({"grouping": {"by": "("}}, "no regular expression"),
    ],
)
def test_sinks_that_make_no_sense(events: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        Events.model_validate(events)

"""The session with a real broker: nothing with QoS 1 is lost, whoever goes away and for how long."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from typing import Any

import pytest

from lstm_stream import __version__
from lstm_stream.config import Broker, Events, Source
from lstm_stream.ingest.client import Client
from lstm_stream.ingest.inbox import Inbox
from lstm_stream.ingest.login import SetupError
from lstm_stream.ingest.mqtt import Session
from lstm_stream.ingest.own import own_topics
from lstm_stream.ingest.topics import subscriptions

STATUS = "lstm_stream/status"


def _payloads(messages: list[Any]) -> list[str]:
    return [message.payload.decode() for message in messages]


@pytest.fixture(params=["3.1.1", "5"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Each version of MQTT."""
    return str(request.param)


@pytest.mark.parametrize("bulk", [True, False])
@pytest.mark.parametrize("qos", [0, 1])
def test_messages_arrive_as_they_were_sent(
    mosquitto: Any, open_line: Any, publish: Any, protocol: str, qos: int, bulk: bool
) -> None:
    line = open_line(mosquitto, qos=qos, protocol=protocol, bulk=bulk).subscribed()
    publish(mosquitto, "sensors/pümp 7", '{"a":1}', "2", qos=qos)
    first, second = line.take(2)
    assert (first.topic, first.payload, first.qos, first.retain) == ("sensors/pümp 7", b'{"a":1}', qos, False)
    assert second.payload == b"2"
    assert first.time <= second.time
    assert line.session.messages_received == 2
    assert line.session.connected
    assert line.session.problem == ""


def test_it_comes_back_and_subscribes_again_when_the_broker_was_killed(
    mosquitto: Any, open_line: Any, publish: Any, wait_until: Any, protocol: str
) -> None:
    line = open_line(mosquitto, protocol=protocol).subscribed()
    mosquitto.kill()  # forgets session and subscription
    wait_until(lambda: not line.session.connected, "the loss to be noticed")
    assert not line.session.subscribed
    wait_until(lambda: "cannot reach" in line.session.problem, "the reason")
    mosquitto.start()
    line.subscribed()
    publish(mosquitto, "sensors/a", "back")
    assert _payloads(line.take(1)) == ["back"]
    assert line.session.disconnects == 1
    assert line.lost == ["hung_up"]


def test_it_starts_before_its_broker(mosquitto: Any, open_line: Any, wait_until: Any) -> None:
    mosquitto.stop()
    line = open_line(mosquitto)
    wait_until(lambda: "cannot reach" in line.session.problem, "the reason")
    assert f":{mosquitto.port}" in line.session.problem
    mosquitto.start()
    line.subscribed()
    assert line.session.disconnects == 0


def test_what_arrives_while_it_is_away_is_delivered_later(
    mosquitto: Any, open_line: Any, publish: Any, protocol: str
) -> None:
    open_line(mosquitto, protocol=protocol).subscribed().session.close(20)
    publish(mosquitto, "sensors/a", "1", "2", "3")
    assert _payloads(open_line(mosquitto, protocol=protocol).take(3)) == ["1", "2", "3"]


def test_a_clean_session_forgets(mosquitto: Any, open_line: Any, publish: Any, protocol: str) -> None:
    open_line(mosquitto, protocol=protocol, clean_session=True).subscribed().session.close(20)
    publish(mosquitto, "sensors/a", "missed")
    line = open_line(mosquitto, protocol=protocol, clean_session=True).subscribed()
    publish(mosquitto, "sensors/a", "seen")
    assert _payloads(line.take(1)) == ["seen"]


def test_only_what_was_not_acknowledged_comes_again(
    mosquitto: Any, open_line: Any, publish: Any, protocol: str
) -> None:
    line = open_line(mosquitto, protocol=protocol).subscribed()
    publish(mosquitto, "sensors/a", "1", "2", "3", "4")
    line.session.acknowledge(line.take(4)[:2])
    line.session.stop_intake()
    publish(mosquitto, "sensors/a", "5")
    line.session.close(20)
    assert len(line.inbox) == 0
    again = open_line(mosquitto, protocol=protocol)
    messages = again.take(3)
    assert _payloads(messages) == ["3", "4", "5"]
    again.session.acknowledge(messages)
    again.session.close(20)
    last = open_line(mosquitto, protocol=protocol).subscribed()
    publish(mosquitto, "sensors/a", "6")
    assert _payloads(last.take(1)) == ["6"]


@pytest.mark.parametrize("bulk", [True, False])
@pytest.mark.parametrize("when", ["before", "while away", "after"])
def test_a_lost_connection_neither_repeats_nor_loses_what_is_at_work(
    mosquitto_factory: Any, open_line: Any, publish: Any, wait_until: Any, protocol: str, when: str, bulk: bool
) -> None:
    broker = mosquitto_factory(persistence=True)
    line = open_line(broker, protocol=protocol, bulk=bulk).subscribed()
    publish(broker, "sensors/a", "1", "2", "3")
    messages = line.take(3)
    if when == "before":
        line.session.acknowledge(messages[:2])
    broker.restart()
    wait_until(lambda: line.session.disconnects == 1, "the loss")
    if when == "while away":
        line.session.acknowledge(messages[:2])
    line.subscribed()
    publish(broker, "sensors/a", "4")
    assert _payloads(line.take(1)) == ["4"]  # what the broker repeats comes before it, and is known
    assert line.session.messages_received == 4
    if when == "after":
        line.session.acknowledge(messages[:2])
    line.session.close(20)
    assert _payloads(open_line(broker, protocol=protocol).take(2)) == ["3", "4"]


def test_the_window_holds_the_broker_back_until_the_work_is_done(mosquitto: Any, open_line: Any, publish: Any) -> None:
    line = open_line(mosquitto, protocol="5", receive_maximum=3).subscribed()
    publish(mosquitto, "sensors/a", *map(str, range(10)))
    publish(mosquitto, "sensors/qos0", "now", qos=0)  # passes the window, and what is to come has come before it
    messages = line.take(4)
    assert _payloads(messages) == ["0", "1", "2", "now"]
    assert line.inbox.take(1, 0.2) == []
    line.session.acknowledge(messages)
    assert _payloads(line.take(3)) == ["3", "4", "5"]


def test_what_finds_the_inbox_full_is_counted_and_does_not_clog_the_window(
    mosquitto: Any, open_line: Any, publish: Any, wait_until: Any
) -> None:
    line = open_line(mosquitto, protocol="5", receive_maximum=5, capacity=2).subscribed()
    publish(mosquitto, "sensors/a", *map(str, range(50)))
    wait_until(lambda: line.inbox.dropped == 48, "48 drops")
    assert _payloads(line.take(2)) == ["0", "1"]
    assert line.session.messages_received == 50


def test_retained_messages_are_marked(mosquitto: Any, open_line: Any, publish: Any, protocol: str) -> None:
    publish(mosquitto, "sensors/a", "old", retain=True)
    line = open_line(mosquitto, protocol=protocol)
    publish(mosquitto, "sensors/b", "older", retain=True)
    messages = {message.payload.decode(): message.retain for message in line.take(2)}
    assert messages["old"] is True
    line.subscribed()
    publish(mosquitto, "sensors/a", "new", retain=True)
    assert [message.retain for message in line.take(1)] == [False]


def test_status_is_retained_from_online_to_offline(
    mosquitto: Any, open_line: Any, retained: Any, protocol: str
) -> None:
    line = open_line(mosquitto, protocol=protocol).subscribed()
    assert json.loads(retained(mosquitto, STATUS)) == {"state": "online", "version": __version__}
    line.session.close(20)
    assert json.loads(retained(mosquitto, STATUS)) == {"state": "offline", "version": __version__}


_A_PROCESS = """
import sys, time
from lstm_stream.config import Broker, Events, Source
from lstm_stream.ingest.client import Client
from lstm_stream.ingest.inbox import Inbox
from lstm_stream.ingest.mqtt import Session
session = Session(Broker(host=sys.argv[1], port=int(sys.argv[2]), protocol=sys.argv[3]), [Source()], Events(), Inbox(9))
session.open()
while not session.subscribed:
    time.sleep(0.01)
print("up", flush=True)
time.sleep(60)
"""


def test_the_last_will_says_offline_when_the_process_is_killed(
    mosquitto: Any, retained: Any, wait_until: Any, protocol: str
) -> None:
    command = [sys.executable, "-c", _A_PROCESS, mosquitto.host, str(mosquitto.port), protocol]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        assert json.loads(retained(mosquitto, STATUS))["state"] == "online"
        process.send_signal(signal.SIGKILL)
    wait_until(lambda: json.loads(retained(mosquitto, STATUS))["state"] == "offline", "the last will")


def test_its_own_messages_are_not_taken_for_sensors(
    mosquitto: Any, open_line: Any, publish: Any, protocol: str
) -> None:
    line = open_line(mosquitto, topic="#", protocol=protocol, receive_maximum=20).subscribed()
    for _ in range(30):  # more than the broker sends ahead of acknowledgement
        line.session.publish("lstm_stream/pump/anomaly", b"1", qos=1, retain=False)
    publish(mosquitto, STATUS, "2")
    publish(mosquitto, "lstm_stream/pump/else", "3")
    assert _payloads(line.take(1)) == ["3"]
    assert line.session.messages_received == 1


def test_events_wait_for_the_broker_and_are_flushed_at_the_end(
    mosquitto_factory: Any, open_line: Any, wait_until: Any, protocol: str
) -> None:
    broker = mosquitto_factory(persistence=True)
    listener = open_line(broker, client_id="listener", topic="events/{sensor}", events={"status_topic": "listener"})
    listener.subscribed()
    line = open_line(broker, protocol=protocol).subscribed()
    broker.stop()
    wait_until(lambda: not line.session.connected, "the loss")
    for number in range(100):
        line.session.publish("events/a", b"%d" % number, qos=1, retain=False)
    broker.start()
    assert _payloads(listener.take(100, acknowledge=True)) == list(map(str, range(100)))
    line.subscribed()
    for number in range(500):
        line.session.publish("events/b", b"%d" % number, qos=1, retain=False)
    line.session.close(20)
    assert _payloads(listener.take(500, acknowledge=True)) == list(map(str, range(500)))


def test_a_wrong_password_is_reported_without_it(
    mosquitto_factory: Any,
    open_line: Any,
    wait_until: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    protocol: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    broker = mosquitto_factory(users={"line": "correct horse"})
    monkeypatch.setenv("MQTT_PASSWORD", "wrong battery")
    line = open_line(broker, protocol=protocol, username="line", password_env="MQTT_PASSWORD")
    wait_until(lambda: "refused the connection" in line.session.problem, "the refusal")
    assert "check broker.username and the password" in line.session.problem
    assert not line.session.connected
    assert "wrong battery" not in caplog.text
    assert "refused the connection" in caplog.text


def test_a_password_from_a_file_lets_in(mosquitto_factory: Any, open_line: Any, tmp_path: Any, protocol: str) -> None:
    broker = mosquitto_factory(users={"line": "correct hörse"})
    (tmp_path / "password").write_text("correct hörse\n", encoding="utf-8")
    open_line(broker, protocol=protocol, username="line", password_file=tmp_path / "password").subscribed()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"password_file": "/nowhere/secret"}, "broker.password_file: cannot read /nowhere/secret: No such file"),
        (
            {"password_env": "NO_SUCH_VARIABLE"},
            "broker.password_env: the environment variable NO_SUCH_VARIABLE is not set",
        ),
        (
            {"tls": {"enabled": True, "ca_file": "/nowhere/ca"}},
            "broker.tls.ca_file: cannot use /nowhere/ca: No such file",
        ),
        (
            {"tls": {"enabled": True, "cert_file": "/x", "key_file": "/y"}},
            "broker.tls.cert_file, key_file: cannot use /x",
        ),
    ],
)
def test_what_cannot_work_is_an_error_at_the_start(options: dict[str, Any], says: str) -> None:
    session = Session(Broker(username="line", **options), [Source()], Events(), Inbox(1))
    with pytest.raises(SetupError, match=says):
        session.open()


def test_an_empty_password_file_is_an_error_at_the_start(tmp_path: Any) -> None:
    (tmp_path / "password").write_text("\n")
    session = Session(Broker(username="line", password_file=tmp_path / "password"), [Source()], Events(), Inbox(1))
    with pytest.raises(SetupError, match="is empty"):
        session.open()


def test_two_clients_with_one_id_are_found_out(
    mosquitto: Any, open_line: Any, wait_until: Any, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [open_line(mosquitto, protocol=protocol, client_id="twin") for _ in range(2)]

    def told() -> bool:
        return any("taken_over" in line.lost for line in lines)

    wait_until(told, "the explanation")
    assert "another client with the id 'twin'" in caplog.text


def test_an_error_in_a_callback_is_logged_and_survived(
    mosquitto: Any, open_line: Any, publish: Any, wait_until: Any, caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    line = open_line(mosquitto).subscribed()

    def broken(_: object) -> bool:
        raise ZeroDivisionError("oops")

    with monkeypatch.context() as patched:
        patched.setattr(line.inbox, "put", broken)
        publish(mosquitto, "sensors/a", "1")
        wait_until(lambda: "oops" in caplog.text, "the log")
    publish(mosquitto, "sensors/a", "2")
    assert _payloads(line.take(1)) == ["2"]


def test_an_unexpected_error_in_the_network_thread_is_logged_and_survived(
    mosquitto: Any, open_line: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, calls = Client.reconnect, list[int]()

    def broken_once(client: Client) -> Any:
        calls.append(1)
        return 1 / 0 if len(calls) == 1 else connect(client)

    monkeypatch.setattr(Client, "reconnect", broken_once)
    open_line(mosquitto).subscribed()
    assert "the network thread failed" in caplog.text


def test_filters_are_merged_so_that_a_message_comes_once(
    mosquitto: Any, publish: Any, wait_until: Any, one_by_one: Any
) -> None:
    topics = [("plant/{sensor}", 0), ("plant/#", 1), ("plant/+", 0), ("other/{sensor}", 0)]
    sources = [Source.model_validate({"topic": topic, "qos": qos, "sensor": "x"}) for topic, qos in topics]
    assert subscriptions(sources) == {"plant/#": 1, "other/+": 0}
    inbox = Inbox(10)
    session = Session(Broker(host=mosquitto.host, port=mosquitto.port, protocol="5"), sources, Events(), inbox)
    session.open()
    try:
        wait_until(lambda: session.subscribed, "the subscription")
        publish(mosquitto, "plant/a", "1")
        publish(mosquitto, "other/a", "2")
        wait_until(lambda: len(inbox) >= 2, "the messages")
        assert _payloads(one_by_one(inbox.take(10, 0))) == ["1", "2"]
    finally:
        session.close(20)


@pytest.mark.parametrize(
    ("topic", "own"),
    [("ai/pump 7/x-events", True), ("ai/a/b/x-events", False), ("ai/x-events", False), ("up", True), ("up/x", False)],
)
def test_own_topics_are_those_of_events_and_status(topic: str, own: bool) -> None:
    matches = own_topics(Events(topic="ai/{sensor}/x-events", status_topic="up"))
    assert bool(matches(topic)) is own


def test_it_can_be_closed_twice_and_before_it_was_opened(mosquitto: Any, open_line: Any) -> None:
    Session(Broker(), [Source()], Events(), Inbox(1)).close(1)
    line = open_line(mosquitto).subscribed()
    line.session.close(20)
    line.session.close(20)
    assert not line.session.connected
    with pytest.raises(OSError, match="not open"):
        line.session.publish("t", b"", 0, False)

"""The embedded broker against real paho clients, and against what is not MQTT."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import MagicMock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from lstm_stream.demo.broker import EmbeddedBroker, Exchange, Session
from lstm_stream.demo.packets import is_filter, length, matches, next_packet, packet

PATIENCE = 60.0


def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


class Client:
    """A paho client with a network thread that keeps what arrives."""

    def __init__(self, broker: EmbeddedBroker, name: str, **options: Any) -> None:
        self.got: list[mqtt.MQTTMessage] = []
        self.subscribed = 0
        self.ended: list[Any] = []
        self.paho = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, **options)
        self.paho.max_queued_messages_set(0)
        self.paho.on_message = lambda _client, _data, message: self.got.append(message)
        self.paho.on_subscribe = self._subscribed
        self.paho.on_disconnect = lambda *arguments: self.ended.append(arguments)
        self._broker = broker

    def _subscribed(self, *_: Any) -> None:
        self.subscribed += 1

    def open(self) -> Client:
        self.paho.connect(self._broker.host, self._broker.port)
        self.paho.loop_start()
        until(self.paho.is_connected, "the connection")
        return self

    def subscribe(self, *filters: tuple[str, int]) -> None:
        before = self.subscribed
        self.paho.subscribe(list(filters))
        until(lambda: self.subscribed > before, "the subscription")

    def close(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()
        self.paho.reinitialise()  # closes what paho leaves to the garbage collector

    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.got]


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    one = EmbeddedBroker()
    one.open()
    yield one
    one.close()


@pytest.fixture
def create(broker: EmbeddedBroker) -> Iterator[Callable[..., Client]]:
    """Clients that do not connect by themselves."""
    clients: list[Client] = []

    def make(name: str, **options: Any) -> Client:
        clients.append(Client(broker, name, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def connect(create: Callable[..., Client]) -> Callable[..., Client]:
    """Clients that are connected and served."""
    return lambda name, **options: create(name, **options).open()


@pytest.mark.parametrize("qos", [0, 1])
def test_every_message_arrives_once_and_in_order(connect: Callable[..., Client], qos: int) -> None:
    reader, writer = connect("reader"), connect("writer")
    reader.subscribe(("demo/+/telemetry", qos))
    payloads = [b"%d" % k for k in range(8000)]
    for payload in payloads:
        last = writer.paho.publish("demo/a/telemetry", payload, qos)
    last.wait_for_publish(PATIENCE)
    until(lambda: len(reader.got) >= len(payloads), "the messages")
    assert reader.payloads() == payloads
    assert {message.qos for message in reader.got} == {qos}


@pytest.mark.parametrize(("published", "wanted", "delivered"), [(0, 1, 0), (1, 0, 0), (1, 1, 1), (1, 2, 1)])
def test_the_lower_qos_holds(connect: Callable[..., Client], published: int, wanted: int, delivered: int) -> None:
    reader, writer = connect("reader"), connect("writer")
    reader.subscribe(("a", wanted))
    writer.paho.publish("a", b"x", published)
    until(lambda: reader.got, "the message")
    assert reader.got[0].qos == delivered


def test_a_message_that_several_filters_want_comes_once(connect: Callable[..., Client]) -> None:
    reader, writer = connect("reader"), connect("writer")
    reader.subscribe(("a/#", 0), ("a/+", 1), ("a/b", 0))
    for payload in (b"1", b"2"):
        writer.paho.publish("a/b", payload, 1)
    until(lambda: len(reader.got) >= 2, "the messages")
    assert [(message.payload, message.qos) for message in reader.got] == [(b"1", 1), (b"2", 1)]


def test_nothing_comes_after_unsubscribing(connect: Callable[..., Client]) -> None:
    reader, writer = connect("reader"), connect("writer")
    reader.subscribe(("a", 0), ("b", 0))
    gone = threading.Event()
    reader.paho.on_unsubscribe = lambda *_: gone.set()
    reader.paho.unsubscribe("a")
    assert gone.wait(PATIENCE)
    writer.paho.publish("a", b"no")
    writer.paho.publish("b", b"yes")
    until(lambda: reader.got, "the message")
    assert reader.payloads() == [b"yes"]


def test_the_latest_retained_message_waits_for_who_comes_later(connect: Callable[..., Client]) -> None:
    early, writer = connect("early"), connect("writer")
    early.subscribe(("status/#", 1))
    for payload in (b"old", b"new"):
        writer.paho.publish("status/a", payload, 1, retain=True).wait_for_publish(PATIENCE)
    late = connect("late")
    late.subscribe(("status/+", 1))
    until(lambda: late.got and len(early.got) == 2, "the messages")
    assert [(message.payload, message.retain, message.qos) for message in late.got] == [(b"new", True, 1)]
    assert not any(message.retain for message in early.got)


def test_an_empty_retained_message_removes_the_one_before(connect: Callable[..., Client]) -> None:
    writer, late = connect("writer"), connect("late")
    for payload in (b"x", b""):
        writer.paho.publish("status", payload, 1, retain=True).wait_for_publish(PATIENCE)
    late.subscribe(("#", 0))
    writer.paho.publish("mark", b"mark")
    until(lambda: late.got, "the message")
    assert late.payloads() == [b"mark"]


def leave_a_will(client: Client, broker: EmbeddedBroker, keepalive: int = 60) -> Client:
    client.paho.will_set("status", b"offline", qos=1, retain=True)
    client.paho.connect(broker.host, broker.port, keepalive)
    while not client.paho.is_connected():
        client.paho.loop(0.05)
    return client


def test_the_will_is_published_when_a_connection_breaks(
    broker: EmbeddedBroker, create: Callable[..., Client], connect: Callable[..., Client]
) -> None:
    reader = connect("reader")
    reader.subscribe(("status", 1))
    mortal = leave_a_will(create("mortal"), broker)
    broken = mortal.paho.socket()
    assert broken is not None
    broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    broken.close()
    until(lambda: reader.got, "the will")
    assert reader.payloads() == [b"offline"]
    late = connect("late")
    late.subscribe(("status", 1))
    until(lambda: late.got, "the retained will")


def test_who_says_goodbye_leaves_no_will(
    broker: EmbeddedBroker, create: Callable[..., Client], connect: Callable[..., Client]
) -> None:
    reader, writer = connect("reader"), connect("writer")
    reader.subscribe(("#", 1))
    leave_a_will(create("mortal"), broker).paho.disconnect()
    time.sleep(0.2)
    writer.paho.publish("mark", b"mark", 1)
    until(lambda: reader.got, "the message")
    assert reader.payloads() == [b"mark"]


def test_who_is_silent_for_longer_than_its_keepalive_is_cut_off(
    broker: EmbeddedBroker, create: Callable[..., Client], connect: Callable[..., Client]
) -> None:
    reader = connect("reader")
    reader.subscribe(("status", 1))
    leave_a_will(create("mortal"), broker, keepalive=1)  # nobody serves this client any more: it sends no pings
    until(lambda: reader.got, "the will")
    assert reader.payloads() == [b"offline"]


def test_who_pings_stays(broker: EmbeddedBroker, create: Callable[..., Client]) -> None:
    client = create("alive")
    client.paho.connect(broker.host, broker.port, keepalive=1)
    client.paho.loop_start()
    until(client.paho.is_connected, "the connection")
    for _ in range(60):  # 3 s
        client.paho._send_pingreq()  # its own would come at the last moment
        time.sleep(0.05)
    assert client.ended == []


def test_a_second_client_of_the_same_name_takes_over(connect: Callable[..., Client]) -> None:
    first = connect("twin", reconnect_on_failure=False)
    second = connect("twin")
    until(lambda: first.ended, "the end of the first")
    second.subscribe(("a", 0))
    second.paho.publish("a", b"x")
    until(lambda: second.got, "the message")


def test_clients_without_a_name_do_not_disturb_each_other(connect: Callable[..., Client]) -> None:
    one, two = connect(""), connect("")
    one.subscribe(("a", 0))
    two.paho.publish("a", b"x")
    until(lambda: one.got, "the message")
    assert one.ended == two.ended == []


def test_a_filter_that_is_none_is_refused_and_the_others_hold(connect: Callable[..., Client]) -> None:
    reader = connect("reader")
    codes: list[Any] = []
    reader.paho.on_subscribe = lambda _client, _data, _mid, reasons, _properties: codes.extend(reasons)
    reader.paho._send_subscribe(False, [(b"a/#/b", 0), (b"c", 0)])  # paho itself would not let it pass
    until(lambda: codes, "the answer")
    assert [code.is_failure for code in codes] == [True, False]
    reader.paho.publish("c", b"x")
    until(lambda: reader.got, "the message")


def test_mqtt_5_is_refused(broker: EmbeddedBroker, create: Callable[..., Client]) -> None:
    client = create("five", protocol=MQTTProtocolVersion.MQTTv5, reconnect_on_failure=False)
    client.paho.connect(broker.host, broker.port)
    client.paho.loop_start()
    until(lambda: client.ended, "the refusal")
    assert not client.paho.is_connected()


def test_nothing_is_lost_while_a_subscriber_does_not_keep_up(
    broker: EmbeddedBroker, create: Callable[..., Client], connect: Callable[..., Client]
) -> None:
    slow = create("slow")
    slow.paho.connect(broker.host, broker.port)
    slow.paho.subscribe("bulk", 0)
    while not slow.subscribed:
        slow.paho.loop(0.05)
    writer = connect("writer")
    payload = bytes(10_000)
    for _ in range(3000):  # 30 MB: far beyond what sockets hold
        writer.paho.publish("bulk", payload)
    time.sleep(0.5)
    assert writer.paho.want_write(), "the broker took it all in, though nobody reads"
    deadline = time.monotonic() + 60
    while len(slow.got) < 3000 and time.monotonic() < deadline:
        slow.paho.loop(0.05)
    assert len(slow.got) == 3000


CONNECT = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04evil"


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x30\x03\x00\x01a",  # PUBLISH before CONNECT
        CONNECT + CONNECT,
        CONNECT + b"\x30\xff\xff\xff\x7f",  # 256 MB announced
        CONNECT + b"\x30\x80\x80\x80\x80\x01",  # a length of five bytes
        CONNECT + b"\x30\x03\x00\x09a",  # a topic longer than its packet
        CONNECT + b"\x30\x03\x00\x01+",  # a topic with a wildcard
        CONNECT + b"\x30\x03\x00\x01\xff",  # not UTF-8
        CONNECT + b"\x34\x05\x00\x01a\x00\x01",  # QoS 2
        CONNECT + b"\x82\x05\x00\x01\x00\x01a",  # SUBSCRIBE without a QoS
        CONNECT + b"\x82\x01\x00",  # SUBSCRIBE without anything
        CONNECT + b"\xf0\x00",
    ],
)
def test_what_is_not_mqtt_ends_its_own_connection_and_no_other(
    broker: EmbeddedBroker, connect: Callable[..., Client], data: bytes
) -> None:
    neighbour = connect("neighbour")
    with socket.create_connection((broker.host, broker.port), timeout=PATIENCE) as evil:
        evil.sendall(data)
        try:
            while evil.recv(100):
                pass
        except ConnectionResetError:
            pass
    neighbour.subscribe(("a", 1))
    neighbour.paho.publish("a", b"x", 1)
    until(lambda: neighbour.got, "the message")


@given(st.lists(st.binary(max_size=60), max_size=6), st.booleans())
def test_no_bytes_upset_a_session(chunks: list[bytes], greet: bool) -> None:
    transport = MagicMock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asyncio.get_running_loop", lambda: MagicMock(time=lambda: 0.0))
        session = Session(Exchange())
        session.connection_made(transport)
        for chunk in [CONNECT] * greet + chunks:
            session.data_received(chunk)
        session.connection_lost(None)


@pytest.mark.parametrize(
    ("wanted", "topic", "match"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/b/c", "a/b", False),
        ("a/+/c", "a/b/c", True),
        ("a/+", "a", False),
        ("a/+", "a/", True),
        ("+", "a", True),
        ("+/+", "/a", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "a/b", True),
        ("a/#", "ab", False),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("a//b", "a//b", True),
    ],
)
def test_filters_match_as_the_standard_says(wanted: str, topic: str, match: bool) -> None:
    assert is_filter(wanted)
    assert matches(wanted, topic) is match


@pytest.mark.parametrize("text", ["", "a#", "#/a", "a+/b", "a/+b", "a\0"])
def test_what_is_no_filter_is_known_as_such(text: str) -> None:
    assert not is_filter(text)


@given(st.binary(max_size=300), st.integers(0, 1), st.integers(1, 0xFFFF))
def test_a_packet_is_found_again_wherever_it_is_cut(payload: bytes, qos: int, number: int) -> None:
    whole = bytearray(packet("a/ü", payload, qos, number))
    assert all(next_packet(whole[:cut], 0) is None for cut in range(len(whole)))
    body, end = next_packet(whole + b"rest", 0) or (0, 0)
    assert end == len(whole)
    assert whole[body:end].endswith(payload)
    assert length(end - body) == whole[1:body]


def test_the_port_is_free_again_after_close() -> None:
    one = EmbeddedBroker()
    one.open()
    with pytest.raises(OSError, match="in use"):
        EmbeddedBroker(port=one.port).open()
    one.close()
    again = EmbeddedBroker(port=one.port)
    again.open()
    again.close()
    again.close()

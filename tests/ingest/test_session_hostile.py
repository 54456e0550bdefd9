"""Brokers that misbehave: the session neither dies, nor hangs, nor keeps quiet."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

CONNACK = b"\x20\x02\x00\x00"
CONNACK_KEPT = b"\x20\x02\x01\x00"
PUBACK = b"\x40\x02\x00\x07"


def _ignore(peer: Any, _number: int) -> None:
    while peer.read():
        pass


@pytest.mark.parametrize(
    "packet",
    [
        b"\x30\x02\xff\xff",  # the topic is longer than the packet
        b"\x30\x00",  # nothing at all
        b"\x32\x03\x00\x01a",  # no packet id
        b"\x90\x00",  # SUBACK of nothing
        b"\x00\x00",  # no such packet
        b"\xff" * 6,  # an endless length
    ],
)
def test_a_malformed_packet_costs_the_connection_and_no_more(fake_broker: Any, open_line: Any, packet: bytes) -> None:
    def script(peer: Any, number: int) -> None:
        peer.accept()
        peer.send(packet) if number == 0 else peer.publish(b"sensors/a", b"fine")
        peer.serve()

    line = open_line(fake_broker(script))
    [message] = line.take(1)
    assert (message.topic, message.payload) == ("sensors/a", b"fine")
    assert line.session.connected
    assert line.session.disconnects == 1


def test_a_topic_that_is_not_text_goes_down_the_line_and_does_not_stop_it(fake_broker: Any, open_line: Any) -> None:
    def script(peer: Any, _number: int) -> None:
        peer.accept()
        peer.publish(b"sensors/\xff", b"1")
        peer.publish(b"sensors/a", b"2")
        sent.extend(peer.serve())

    sent: list[bytes] = []
    line = open_line(fake_broker(script))
    messages = line.take(2)
    assert [(message.topic, message.payload) for message in messages] == [("", b"1"), ("sensors/a", b"2")]
    line.session.acknowledge(messages)
    line.session.close(20)
    line.wait(lambda: sent.count(PUBACK) == 2, "the acknowledgements")


def test_an_acknowledgement_is_not_sent_to_another_session(fake_broker: Any, open_line: Any) -> None:
    asked, answer, sent = threading.Event(), threading.Event(), list[bytes]()

    def script(peer: Any, number: int) -> None:
        if number == 0:
            peer.accept()
            peer.publish(b"sensors/a", b"1")
            peer.read()  # its status; then it is cut off
            return
        peer.read()
        asked.set()
        answer.wait(60)
        peer.send(CONNACK)
        sent.extend(peer.serve())

    line = open_line(fake_broker(script))
    messages = line.take(1)
    assert asked.wait(60)
    line.session.acknowledge(messages)
    answer.set()
    line.wait(lambda: line.session.connected, "the connection")
    line.session.acknowledge(messages)
    line.session.close(20)
    line.wait(lambda: sent and sent[-1][0] == 0xE0, "its farewell")
    assert PUBACK not in sent


@pytest.mark.parametrize("done", [False, True])
def test_a_repetition_is_acknowledged_once_and_when_the_work_is_done(
    fake_broker: Any, open_line: Any, done: bool
) -> None:
    repeat, sent = threading.Event(), list[bytes]()

    def script(peer: Any, number: int) -> None:
        if number == 0:
            peer.accept()
            peer.publish(b"sensors/a", b"1")
            peer.read()  # its status; then it is cut off
            return
        peer.read()
        peer.send(CONNACK_KEPT)
        repeat.wait(60)
        peer.publish(b"sensors/a", b"1", repeated=True)
        peer.publish(b"sensors/b", b"2", repeated=True)  # marked, but another: the id was used again meanwhile
        sent.extend(peer.serve())

    line = open_line(fake_broker(script))
    messages = line.take(1)
    line.wait(lambda: line.session.disconnects == 1 and line.session.connected, "the next connection")
    if done:
        line.session.acknowledge(messages)
    repeat.set()
    assert [message.payload for message in line.take(1)] == [b"2"]
    line.session.close(20)
    line.wait(lambda: sent and sent[-1][0] == 0xE0, "its farewell")
    assert sent.count(PUBACK) == int(done)


def test_a_refused_subscription_is_told_by_name(fake_broker: Any, open_line: Any) -> None:
    def script(peer: Any, _number: int) -> None:
        peer.accept(code=0x80)
        peer.serve()

    line = open_line(fake_broker(script))
    line.wait(lambda: "refused the subscription to sensors/+" in line.session.problem, "the refusal")
    assert line.session.connected
    assert not line.session.subscribed


def test_a_broker_that_never_answers_does_not_hold_up_the_end(fake_broker: Any, open_line: Any) -> None:
    line = open_line(fake_broker(_ignore))
    time.sleep(0.3)
    begin = time.monotonic()
    line.session.close(1)
    assert time.monotonic() - begin < 10
    assert not line.session.connected


def test_a_broker_that_stops_acknowledging_does_not_hold_up_the_end(
    fake_broker: Any, open_line: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def script(peer: Any, number: int) -> None:
        peer.accept()
        _ignore(peer, number)

    line = open_line(fake_broker(script)).subscribed()
    line.session.publish("lstm_stream/a/anomaly", b"{}", qos=1, retain=False)
    begin = time.monotonic()
    line.session.close(1)
    assert time.monotonic() - begin < 10
    assert "did not confirm within 1 s" in caplog.text


def test_a_broker_that_hangs_up_at_once_is_told_and_tried_again(fake_broker: Any, open_line: Any) -> None:
    def script(peer: Any, number: int) -> None:
        if number:
            peer.accept()
            peer.serve()

    line = open_line(fake_broker(script))
    line.subscribed()
    assert line.session.disconnects == 0

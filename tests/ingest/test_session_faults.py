"""Faults between us and the broker: each is noticed, named and counted, and passes."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from lstm_stream.ingest.aside import Aside
from lstm_stream.ingest.clock import Clock
from lstm_stream.ingest.inbox import Inbox
from lstm_stream.ingest.silent import TOPIC, BrokerLosses
from lstm_stream.records import Message


class Proxy:
    """Between a client and a broker; `swallow` lets nothing through any more, and tells nobody."""

    def __init__(self, port: int, broker: Any) -> None:
        self.host, self.port = "127.0.0.1", port
        self.swallow = False
        self._broker = broker
        self._listener = socket.create_server((self.host, port))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                theirs = socket.create_connection((self._broker.host, self._broker.port))
                for one, other in ((ours, theirs), (theirs, ours)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError), one, other:
            while data := one.recv(65536):
                while self.swallow:
                    time.sleep(0.02)
                other.sendall(data)


def test_a_connection_that_is_half_open_is_given_up_and_made_anew(
    mosquitto: Any, open_line: Any, publish: Any, free_port: Callable[[], int], caplog: Any
) -> None:
    proxy = Proxy(free_port(), mosquitto)
    line = open_line(proxy, keepalive=2.0).subscribed()
    proxy.swallow = True
    line.wait(lambda: line.lost, "the loss")
    assert line.lost == ["silent"]
    assert line.session.disconnects == 1
    assert "nothing was heard from it for 3 s" in caplog.text
    proxy.swallow = False
    line.subscribed()
    publish(mosquitto, "sensors/a", "back")
    assert [message.payload for message in line.take(1)] == [b"back"]
    proxy.close()


def test_a_broker_that_is_slow_to_answer_is_waited_for(fake_broker: Any, open_line: Any) -> None:
    def script(peer: Any, _number: int) -> None:
        peer.read()
        time.sleep(0.5)
        peer.send(b"\x20\x02\x00\x00")
        subscribe = peer.read()
        time.sleep(0.5)
        peer.send(b"\x90\x03" + subscribe[2:4] + b"\x01")
        peer.publish(b"sensors/a", b"1")
        peer.serve()

    line = open_line(fake_broker(script))
    assert len(line.take(1)) == 1
    assert line.session.disconnects == 0


def test_a_login_that_is_refused_is_counted(mosquitto_factory: Any, open_line: Any, wait_until: Any) -> None:
    line = open_line(mosquitto_factory(users={"us": "right"}))
    wait_until(lambda: line.session.failures["login"] >= 2, "two attempts")
    assert "refused the connection" in line.session.problem


def test_a_name_that_is_none_is_counted(open_line: Any, wait_until: Any) -> None:
    class Nowhere:
        host, port = "nowhere.invalid", 1883

    line = open_line(Nowhere())
    wait_until(lambda: line.session.failures["name"] >= 1, "an attempt")


def test_a_full_inbox_that_blocks_holds_the_broker_back_and_keeps_the_connection(
    fake_broker: Any, open_line: Any
) -> None:
    pings, sent = list[float](), threading.Event()

    def script(peer: Any, _number: int) -> None:
        peer.accept()

        def listen() -> None:
            with suppress(OSError, ValueError):
                while packet := peer.read():
                    if packet == b"\xc0\x00":  # the answer would wait behind the flood
                        pings.append(time.monotonic())

        listener = threading.Thread(target=listen)
        listener.start()
        for number in range(0, 20_000, 100):  # 20 MB: beyond what the sockets take
            packets = [b"\x30\x87\x08\x00\x09sensors/a" + b"%1020d" % (number + k) for k in range(100)]
            peer.send(b"".join(packets))
        sent.set()
        listener.join()

    line = open_line(fake_broker(script), qos=0, keepalive=2.0, inbox=Inbox(100, overflow="block"))
    line.wait(lambda: len(line.inbox) >= 100, "a full inbox")
    before = len(pings)
    line.wait(lambda: len(pings) >= before + 4, "pings for longer than one and a half keep-alives")
    assert len(line.inbox) < 100 + 2**18 // 1034 + 1  # what one read brings
    assert not sent.is_set()
    numbers = [int(message.payload) for message in line.take(20_000)]
    assert numbers == list(range(20_000))
    assert line.session.disconnects == 0
    gaps = sorted(b - a for a, b in itertools.pairwise(pings))
    assert gaps[len(gaps) // 2] < 3.0  # half of them: one may be the machine's


def test_messages_that_come_while_it_stops_are_counted(
    mosquitto: Any, open_line: Any, publish: Any, wait_until: Any
) -> None:
    line = open_line(mosquitto, qos=1).subscribed()
    line.session.stop_intake()
    publish(mosquitto, "sensors/a", "1", "2", qos=0)
    publish(mosquitto, "sensors/a", "3", qos=1)  # comes again
    wait_until(lambda: line.session.losses["stopping"] == 2, "the count")
    line.session.close(20)
    assert line.session.losses == {"stopping": 2, "internal": 0}


def test_what_mosquitto_drops_is_told(
    mosquitto_factory: Any, open_line: Any, publish: Any, wait_until: Any, caplog: Any
) -> None:
    broker = mosquitto_factory(queue="max_queued_messages 2", extra=["max_inflight_messages 1", "sys_interval 1"])
    aside = Aside()
    losses = BrokerLosses(aside)
    line = open_line(broker, aside=aside).subscribed()
    wait_until(lambda: losses._latest is not None, "the first count")
    publish(broker, "sensors/a", *map(str, range(50)))  # none is acknowledged
    wait_until(lambda: losses.dropped > 0, "the count")
    assert "the broker has dropped" in caplog.text
    assert len(line.take(1)) == 1


def test_a_broker_that_hangs_up_on_who_asks_for_its_statistics_is_not_asked_again(
    fake_broker: Any, open_line: Any
) -> None:
    def script(peer: Any, _number: int) -> None:
        peer.read()
        peer.send(b"\x20\x02\x00\x00")
        subscribe = peer.read()
        if TOPIC.encode() not in subscribe:
            peer.send(b"\x90\x03" + subscribe[2:4] + b"\x01")
            peer.serve()

    aside = Aside()
    BrokerLosses(aside)
    line = open_line(fake_broker(script), aside=aside).subscribed()
    assert line.session.disconnects == 1


@pytest.mark.parametrize("payload", [b"", b"many", b"-1", b"9" * 40, b"1.5", b"\xff"])
def test_a_count_that_is_none_is_no_news(payload: bytes) -> None:
    aside = Aside()
    losses = BrokerLosses(aside)
    for text in (b"5", payload, b"7"):
        aside.hear(Message(TOPIC, text, 0.0))
    assert losses.dropped == 2


def test_a_broker_that_was_restarted_counts_anew() -> None:
    losses = BrokerLosses(Aside())
    for text in (b"100", b"103", b"0", b"4"):
        losses.hear(Message(TOPIC, text, 0.0))
    assert losses.dropped == 7


def test_a_clock_that_is_set_back_does_not_run_backwards_and_is_caught_up_with(caplog: Any) -> None:
    at, set_by = [0.0], [1000.0]
    clock = Clock(lambda: at[0] + set_by[0], lambda: at[0])
    seen = [clock()]
    for second in range(1, 2000):
        at[0] = float(second)
        if second == 100:
            set_by[0] -= 60.0
        seen.append(clock())
    steps = [b - a for a, b in itertools.pairwise(seen)]
    assert min(steps) > 0.89
    assert seen[-1] == at[0] + set_by[0]
    assert clock.ahead == 0
    assert caplog.text.count("set back by 60.0 s") == 1


def test_a_clock_that_is_set_forward_is_followed_at_once(caplog: Any) -> None:
    at, wall = [0.0], [100.0]
    clock = Clock(lambda: wall[0], lambda: at[0])
    assert clock() == 100.0
    at[0], wall[0] = 1.0, 1e9  # a machine without a battery learns what day it is
    assert clock() == 1e9
    assert "set forward" in caplog.text

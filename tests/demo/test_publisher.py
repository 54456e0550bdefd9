"""The publisher: in order, at its speed, never far ahead of the daemon."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from lstm_stream.demo.broker import EmbeddedBroker, Letter, Session
from lstm_stream.demo.publisher import Publisher
from lstm_stream.simulate import Publication

PATIENCE = 60.0


class Listener:
    """Sees every message that the broker takes in, without a client in between."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.letters: list[Letter] = []
        publish = Session._on_publish

        def seen(session: Session, first: int, body: bytes) -> None:
            publish(session, first, body)
            size = int.from_bytes(body[:2], "big")
            self.letters.append(Letter(body[2 : 2 + size].decode(), body[2 + size :], first >> 1 & 3, False))

        monkeypatch.setattr(Session, "_on_publish", seen)


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Listener:
    return Listener(monkeypatch)


@pytest.fixture
def broker(listener: Listener) -> Iterator[EmbeddedBroker]:
    """A broker that the listener is attached to."""
    assert listener.letters == []
    one = EmbeddedBroker()
    one.open()
    yield one
    one.close()


def publications(count: int, step: float = 1.0) -> list[Publication]:
    return [Publication(1000.0 + k * step, f"demo/here/s{k % 3}/telemetry", b"%d" % k) for k in range(count)]


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


def test_everything_is_published_in_order(broker: EmbeddedBroker, listener: Listener) -> None:
    told = publications(5000)
    publisher = Publisher(broker.host, broker.port, told, 1000.0, 1e9, lambda _: 0)
    publisher.open()
    until(lambda: publisher.done, "the end")
    until(lambda: len(listener.letters) == 5000, "the messages")
    assert [(letter.topic, letter.payload) for letter in listener.letters] == [(one.topic, one.payload) for one in told]
    assert (publisher.published, publisher.time, publisher.error) == (5000, told[-1].time, None)


def test_simulated_time_passes_at_the_speed_asked_for(broker: EmbeddedBroker) -> None:
    began = time.monotonic()
    publisher = Publisher(broker.host, broker.port, publications(500), 1000.0, 500.0, lambda _: 0)
    publisher.open()
    until(lambda: publisher.done, "the end")
    assert time.monotonic() - began >= 0.99
    assert 0.99 <= publisher.seconds < 1 + PATIENCE


def test_it_waits_while_the_daemon_does_not_keep_up(broker: EmbeddedBroker, listener: Listener) -> None:
    worked_through = [0]
    publisher = Publisher(
        broker.host, broker.port, publications(5000), 1000.0, 1e9, lambda published: published - worked_through[0], 1000
    )
    publisher.open()
    until(lambda: publisher.published > 1000, "the messages ahead")
    time.sleep(0.3)
    assert 1000 < publisher.published <= 1000 + 256
    worked_through[0] = 5000
    until(lambda: publisher.done and len(listener.letters) == 5000, "the rest")


def test_close_ends_it_at_once_and_what_was_published_has_left(broker: EmbeddedBroker, listener: Listener) -> None:
    publisher = Publisher(broker.host, broker.port, publications(1000), 1000.0, 100.0, lambda _: 0)
    publisher.open()
    until(lambda: publisher.published > 10, "the first messages")
    publisher.close()
    assert publisher.done
    assert publisher.published < 1000
    until(lambda: len(listener.letters) == publisher.published, "the messages")


def test_nothing_is_lost_at_the_end_where_the_broker_reads_late(
    broker: EmbeddedBroker, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unread PINGRESP at the end of a connection made TCP discard what the broker had not read yet."""
    received = Session.data_received

    def late(session: Session, data: bytes) -> None:
        time.sleep(0.2)
        received(session, data)

    monkeypatch.setattr(Session, "data_received", late)

    def waiting(_: int) -> int:
        publisher._client._send_pingreq()
        return 0

    publisher = Publisher(broker.host, broker.port, publications(20_000), 1000.0, 1e9, waiting)
    publisher.open()
    until(lambda: publisher.done, "the end")
    until(lambda: len(listener.letters) == 20_000, "the last messages")


def test_close_ends_it_while_it_waits(broker: EmbeddedBroker) -> None:
    publisher = Publisher(broker.host, broker.port, publications(10), 1000.0, 1.0, lambda _: 10_000)
    publisher.open()
    publisher.close()
    assert (publisher.published, publisher.error) == (0, None)


def test_a_broker_that_is_not_there_is_an_error_at_once() -> None:
    gone = EmbeddedBroker()
    gone.open()
    gone.close()
    with pytest.raises(OSError, match="refused"):
        Publisher(gone.host, gone.port, [], 0.0, 1.0, lambda _: 0).open()


def test_a_broker_that_goes_away_ends_it_with_a_reason(broker: EmbeddedBroker) -> None:
    publisher = Publisher(broker.host, broker.port, publications(100_000), 1000.0, 10.0, lambda _: 0)
    publisher.open()
    until(lambda: publisher.published, "the first message")
    broker.close()
    until(lambda: publisher.done, "the end")
    assert publisher.error is not None
    assert f"{broker.host}:{broker.port}" in publisher.error

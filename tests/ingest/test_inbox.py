"""The inbox keeps order, stays bounded, and never makes the network thread wait."""

from __future__ import annotations

import threading
import time

from lstm_stream.ingest.inbox import Inbox
from lstm_stream.records import Message


def _message(number: int) -> Message:
    return Message("t", b"%d" % number, float(number))


def test_messages_come_out_in_order_and_at_most_so_many_at_once() -> None:
    inbox = Inbox(10)
    for number in range(5):
        assert inbox.put(_message(number))
    assert len(inbox) == 5
    assert [message.time for message in inbox.take(3, 0)] == [0, 1, 2]
    assert [message.time for message in inbox.take(3, 0)] == [3, 4]
    assert inbox.take(3, 0) == []


def test_a_full_inbox_drops_and_counts_and_takes_again_when_there_is_room() -> None:
    inbox = Inbox(2)
    assert [inbox.put(_message(number)) for number in range(4)] == [True, True, False, False]
    assert (len(inbox), inbox.dropped) == (2, 2)
    inbox.take(1, 0)
    assert inbox.put(_message(9))
    assert [message.time for message in inbox.take(5, 0)] == [1, 9]


def test_large_messages_are_bounded_by_their_size_together() -> None:
    inbox, megabyte = Inbox(1000), Message("t", bytes(2**20), 0.0)
    assert [inbox.put(megabyte) for _ in range(70)] == [True] * 64 + [False] * 6
    assert (len(inbox), inbox.dropped) == (64, 6)
    inbox.take(10, 0)
    assert [inbox.put(megabyte) for _ in range(11)] == [True] * 10 + [False]
    inbox.take(1000, 0)
    assert inbox.put(Message("t", bytes(100 * 2**20), 0.0))  # alone, it is let through to be rejected with a reason


def test_take_waits_for_the_first_message_alone() -> None:
    inbox = Inbox(10)
    threading.Timer(0.2, lambda: inbox.put(_message(1))).start()
    begin = time.monotonic()
    assert [message.time for message in inbox.take(100, 30)] == [1]
    assert time.monotonic() - begin < 20


def test_take_gives_up_after_its_timeout() -> None:
    inbox = Inbox(10)
    inbox.put(_message(1))
    inbox.take(1, 0)
    inbox.take(1, 0)
    begin = time.monotonic()
    assert inbox.take(1, 0.1) == []  # waits, also after a message came
    assert time.monotonic() - begin >= 0.09


def test_close_wakes_a_waiting_take_and_leaves_what_is_there() -> None:
    inbox = Inbox(10)
    threading.Timer(0.2, inbox.close).start()
    begin = time.monotonic()
    assert inbox.take(1, 30) == []
    inbox.put(_message(1))
    assert [message.time for message in inbox.take(1, 30)] == [1]
    assert inbox.take(1, 30) == []
    assert time.monotonic() - begin < 20


def test_nothing_is_lost_or_reordered_between_two_threads() -> None:
    inbox, count, taken = Inbox(1_000_000), 50_000, list[float]()

    def consume() -> None:
        while len(taken) < count:
            taken.extend(message.time for message in inbox.take(64, 5))

    consumer = threading.Thread(target=consume)
    consumer.start()
    for number in range(count):
        inbox.put(_message(number))
        if number % 5000 == 0:
            time.sleep(0.001)  # lets the consumer run dry and wait
    consumer.join(60)
    assert taken == list(range(count))

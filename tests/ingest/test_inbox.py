"""The inbox keeps order, stays bounded, and never makes the network thread wait."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstm_stream.ingest.inbox import Inbox, Overflow
from lstm_stream.records import Chunk, Message


def _message(number: int) -> Message:
    return Message("t", b"%d" % number, float(number))


def _chunk(start: int, stop: int) -> Chunk:
    """Messages of these numbers, with as many bytes of payload, at these times."""
    data, table = b"", np.zeros((stop - start, 6), np.int32)
    for row, number in enumerate(range(start, stop)):
        table[row, :4] = len(data), 1, len(data) + 1, number % 50
        data += b"t" + b"x" * (number % 50)
    return Chunk(data, table, np.arange(start, stop, dtype=np.float64))


def _numbers(items: list[Message | Chunk]) -> list[float]:
    """The messages, by their times."""
    return [time for item in items for time in (item.arrivals.tolist() if isinstance(item, Chunk) else [item.time])]


def test_messages_come_out_in_order_and_at_most_so_many_at_once() -> None:
    inbox = Inbox(10)
    for number in range(5):
        assert inbox.put(_message(number)) == []
    assert len(inbox) == 5
    assert [message.time for message in inbox.take(3, 0)] == [0, 1, 2]
    assert [message.time for message in inbox.take(3, 0)] == [3, 4]
    assert inbox.take(3, 0) == []


def test_a_full_inbox_drops_what_comes_and_takes_again_when_there_is_room() -> None:
    inbox = Inbox(2)
    assert [_numbers(inbox.put(_message(number))) for number in range(4)] == [[], [], [2], [3]]
    assert (len(inbox), inbox.drops) == (2, {"drop_newest": 2, "drop_oldest": 0})
    inbox.take(1, 0)
    assert inbox.put(_message(9)) == []
    assert _numbers(inbox.take(5, 0)) == [1, 9]


def test_a_full_inbox_may_drop_what_has_waited_longest() -> None:
    inbox = Inbox(2, overflow="drop_oldest")
    assert [_numbers(inbox.put(_message(number))) for number in range(4)] == [[], [], [0], [1]]
    assert inbox.drops == {"drop_newest": 0, "drop_oldest": 2}
    assert _numbers(inbox.take(5, 0)) == [2, 3]


def test_a_full_inbox_may_keep_the_reader_waiting_instead() -> None:
    inbox = Inbox(4, overflow="block")
    assert inbox.put(_chunk(0, 6)) == []
    assert (len(inbox), inbox.dropped) == (6, 0)
    assert not inbox.admits(0.01)
    inbox.take(2, 0)
    assert not inbox.admits(0)  # not with every message that is taken
    inbox.take(2, 0)
    assert inbox.admits(0)
    inbox.put(_chunk(6, 9))
    threading.Timer(0.1, lambda: inbox.take(9, 0)).start()
    assert inbox.admits(20)


@pytest.mark.parametrize(
    ("overflow", "kept", "lost"),
    [("drop_newest", [0, 1, 2, 3, 4], [[], [5]]), ("drop_oldest", [1, 2, 3, 4, 5], [[], [0]])],
)
def test_a_chunk_is_cut_where_it_does_not_fit(overflow: Overflow, kept: list[int], lost: list[list[int]]) -> None:
    inbox = Inbox(5, overflow=overflow)
    assert [_numbers(inbox.put(_chunk(*ends))) for ends in ((0, 3), (3, 6))] == lost
    assert _numbers(inbox.take(9, 0)) == kept


@pytest.mark.parametrize(("overflow", "kept"), [("drop_newest", [0, 1, 2]), ("drop_oldest", [5, 6, 7])])
def test_a_chunk_beyond_the_whole_inbox_fills_it(overflow: Overflow, kept: list[int]) -> None:
    inbox = Inbox(3, overflow=overflow)
    lost = _numbers(inbox.put(_chunk(0, 8)))
    assert (_numbers(inbox.take(9, 0)), sorted(lost + kept)) == (kept, list(range(8)))
    assert inbox.dropped == 5


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest"])
def test_what_waits_is_bounded_in_bytes_too(overflow: Overflow) -> None:
    inbox, megabyte = Inbox(1000, 64 * 2**20 + 64 * 65, overflow), Message("t", bytes(2**20), 0.0)
    assert sum(len(inbox.put(megabyte)) for _ in range(70)) == 6
    assert (len(inbox), inbox.dropped) == (64, 6)
    inbox.take(10, 0)
    assert [len(inbox.put(megabyte)) for _ in range(11)] == [0] * 10 + [1]
    inbox.take(1000, 0)
    assert inbox.bytes_waiting == 0
    assert inbox.put(Message("t", bytes(100 * 2**20), 0.0)) == []  # alone, it is let through to be rejected


def test_long_topics_count_as_well() -> None:
    inbox = Inbox(1000, 10 * 65_536)
    assert sum(len(inbox.put(Message("t" * 65_000, b"", 0.0))) for _ in range(100)) == 90


def _held(items: list[Message | Chunk]) -> int:
    """Bytes of memory behind these chunks, the parts of them that nobody sees included."""
    chunks = [item for item in items if isinstance(item, Chunk)]
    arrays = [array for chunk in chunks for array in (chunk.table, chunk.arrivals)]
    whole = {id(array if array.base is None else array.base): array for array in arrays}
    behind = [array if array.base is None else array.base for array in whole.values()]
    return sum(array.nbytes for array in behind) + sum(len(chunk.data) for chunk in chunks)


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest", "block"])
def test_no_more_memory_is_held_than_is_counted_twice(overflow: Overflow) -> None:
    inbox, chunk = Inbox(100_000, 2**20, overflow), _chunk(0, 2000)
    for start in range(0, 1500, 3):
        another = Chunk(chunk.data, chunk.table.copy(), chunk.arrivals.copy())
        inbox.put(another.only(slice(start, start + 3)))  # as what is left of it after most was dropped
    counted = inbox.bytes_waiting
    kept = inbox.take(100_000, 0)
    assert _numbers(kept) == list(range(1500))
    assert _held(kept) <= 2 * counted
    assert [m for c in kept if isinstance(c, Chunk) for m in c.messages()] == chunk.only(slice(1500)).messages()


def test_properties_that_nobody_reads_are_not_kept() -> None:
    inbox = Inbox(10)
    inbox.put(Chunk(b"t" + bytes(3000) + b"1", np.array([[0, 1, 3001, 1, 0x30, 0]], np.int32), np.zeros(1)))
    kept = inbox.take(9, 0)
    assert _held(kept) < 200
    assert [m.payload for c in kept if isinstance(c, Chunk) for m in c.messages()] == [b"1"]


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest", "block"])
@given(
    steps=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 30)), max_size=30),
    capacity=st.integers(1, 50),
    size=st.integers(100, 5000),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_each_message_comes_out_once_in_order_or_is_given_back(
    overflow: Overflow, steps: list[tuple[int, int]], capacity: int, size: int
) -> None:
    inbox, put, taken, lost = Inbox(capacity, size, overflow), 0, list[float](), list[float]()
    for some, take in steps:
        lost += _numbers(inbox.put(_chunk(put, put + some) if some != 1 else _message(put)))
        put += some
        if overflow != "block":
            assert len(inbox) <= capacity
            assert inbox.bytes_waiting <= size or len(inbox) == 1
        taken += _numbers(inbox.take(take, 0))
    taken += _numbers(inbox.take(10_000, 0))
    assert taken == sorted(taken)
    assert sorted(taken + lost) == list(range(put))
    assert inbox.dropped == len(lost)
    assert (len(inbox), inbox.bytes_waiting) == (0, 0)


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

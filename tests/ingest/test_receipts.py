"""The book of deliveries: one PUBACK a delivery, one piece of work a message."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_stream.ingest.receipts import Receipts, content_of
from lstm_stream.records import Chunk


def _receipts() -> Receipts:
    receipts = Receipts()
    receipts.begin(kept=False)
    return receipts


def test_a_message_is_new_and_its_acknowledgement_due_when_it_is_done() -> None:
    receipts = _receipts()
    assert not receipts.is_repeated(7, marked=False, content=1)
    assert not receipts.is_done(7)
    assert receipts.finish(receipts.number(7))
    assert receipts.is_done(7)


def test_a_packet_id_is_used_again_for_another_message() -> None:
    receipts = _receipts()
    receipts.is_repeated(7, marked=False, content=1)
    receipts.finish(receipts.number(7))
    assert not receipts.is_repeated(7, marked=False, content=1)  # the same content, but the broker calls it new
    assert not receipts.is_done(7)
    assert not receipts.is_repeated(7, marked=True, content=2)


def test_what_was_at_work_when_the_connection_was_lost_is_acknowledged_with_its_repetition() -> None:
    receipts = _receipts()
    receipts.is_repeated(7, marked=False, content=1)
    number = receipts.number(7)
    receipts.begin(kept=True)
    assert not receipts.finish(number)  # the broker has not repeated it yet
    assert receipts.is_repeated(7, marked=True, content=1)
    assert receipts.is_done(7)


def test_work_that_ends_after_the_repetition_acknowledges_that() -> None:
    receipts = _receipts()
    receipts.is_repeated(7, marked=False, content=1)
    receipts.begin(kept=True)
    assert receipts.is_repeated(7, marked=True, content=1)
    assert not receipts.is_done(7)
    assert receipts.finish(receipts.number(7))


def test_a_new_session_knows_nothing_of_the_old_one() -> None:
    receipts = _receipts()
    receipts.is_repeated(7, marked=False, content=1)
    number = receipts.number(7)
    receipts.begin(kept=False)
    assert not receipts.is_repeated(7, marked=True, content=1)
    assert not receipts.finish(number)
    assert not receipts.is_done(7)


def test_a_process_that_resumes_a_session_takes_what_it_has_not_seen() -> None:
    receipts = Receipts()
    receipts.begin(kept=True)
    assert not receipts.is_repeated(7, marked=True, content=1)
    assert receipts.finish(receipts.number(7))


@pytest.mark.parametrize("first", [0x32, 0x3A])
def test_a_chunk_is_entered_as_its_messages_are(first: int) -> None:
    """Also a message that came singly the one time and in a chunk the other."""
    data = bytes(range(256))
    rows = [(0, 3, 3, 20, first, 7), (0, 3, 3, 20, first & 1 | 0x30, 0), (30, 9, 40, 200, first, 9)]
    chunk = Chunk(data, np.array([*rows, rows[0]], np.int32), np.zeros(4))
    one, other = _receipts(), _receipts()
    for receipts in (one, other):
        receipts.is_repeated(9, marked=False, content=content_of(data[30:39], data[40:240]))
    expected = []
    for start, length, payload, size, flags, packet_id in chunk.table.tolist():
        content = content_of(data[start : start + length], data[payload : payload + size])
        expected.append(flags & 6 > 0 and one.is_repeated(packet_id, bool(flags & 8), content))
    repeated, finished = other.are_repeated(chunk)
    assert repeated.tolist() == expected
    assert not finished.any()
    assert expected == ([False] * 4 if first == 0x32 else [False, False, True, True])
    assert other.finish_all(other.session, np.array([7, 9])).all()
    again = Chunk(data, np.array([(0, 3, 3, 20, 0x3A, 7), (0, 3, 3, 21, 0x3A, 7)], np.int32), np.zeros(2))
    repeated, finished = other.are_repeated(again)  # the second is another, under the same id at once
    assert (repeated.tolist(), finished.tolist()) == ([True, False], [True, False])


def _chunk(session: int, *packets: tuple[int, int, bytes]) -> Chunk:
    """Packets of an id, a first byte and a payload of one byte."""
    table = [[0, 1, 1 + k, 1, first, packet_id] for k, (packet_id, first, _) in enumerate(packets)]
    data = b"t" + b"".join(payload for *_, payload in packets)
    return Chunk(data, np.array(table, np.int32), np.zeros(len(packets)), session)


def _next_process(before: Receipts, *came: Chunk, kept: bool = True) -> Receipts:
    """One that takes up what was saved, and what came after that."""
    after = Receipts()
    after.remember(before.memory())
    for chunk in came:
        after.recall(chunk)
    after.begin(kept)
    return after


AGAIN = 0x3A


def test_what_another_process_did_is_acknowledged_and_goes_no_further() -> None:
    before = _receipts()
    before.are_repeated(_chunk(1, (1, 0x32, b"a"), (2, 0x32, b"b")))
    before.finish_all(1, np.array([1]))  # the other one is at work when the state is saved, and comes again
    after = _next_process(before, _chunk(1, (3, 0x32, b"c"), (0, 0x30, b"q")))
    repeated, finished = after.are_repeated(_chunk(1, *((k, AGAIN, bytes([96 + k])) for k in (1, 2, 3))))
    assert repeated.tolist() == finished.tolist() == [True, False, True]
    assert not after.is_repeated(1, marked=True, content=content_of(b"t", b"another"))


def test_over_two_kills_too() -> None:
    first = _next_process(_receipts(), _chunk(1, (1, 0x32, b"a")))
    assert first.session == 1
    second = _next_process(_receipts(), _chunk(1, (1, 0x32, b"a")), _chunk(first.session, (2, 0x32, b"b")))
    repeated, _ = second.are_repeated(_chunk(1, (1, AGAIN, b"a"), (2, AGAIN, b"b")))
    assert repeated.all()


def test_what_another_session_left_means_nothing() -> None:
    for after in (
        _next_process(_receipts(), _chunk(1, (1, 0x32, b"a")), kept=False),
        _next_process(_receipts(), _chunk(1, (1, 0x32, b"a")), _chunk(2, (9, 0x32, b"z"))),
    ):
        repeated, _ = after.are_repeated(_chunk(after.session, (1, AGAIN, b"a")))
        assert not repeated.any()


def test_what_was_long_ago_is_forgotten_over_a_restart() -> None:
    """The broker has gone round its packet ids since, and one alike may be another message."""
    before = _receipts()
    for packet_id in range(1, 2**15 + 3):
        before.is_repeated(packet_id, marked=False, content=packet_id)
        before.finish(before.number(packet_id))
    after = _next_process(before)
    assert not after.is_repeated(1, marked=True, content=1)
    assert after.is_repeated(2**15, marked=True, content=2**15)


def test_a_memory_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="buffer size"):
        Receipts().remember(b"x" * 17)

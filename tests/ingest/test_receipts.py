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

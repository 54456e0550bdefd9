"""The book of deliveries: one PUBACK a delivery, one piece of work a message."""

from __future__ import annotations

from lstm_stream.ingest.receipts import Receipts


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

"""The journal: what is in it comes back, whatever moment the process ended at, and a failing disk stops nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lstm_stream.journal.entries import Entry, Held, Late, Listen, Look, Messages, Obeyed, from_bytes, to_parts
from lstm_stream.journal.inputs import Inputs
from lstm_stream.journal.journal import Journal
from lstm_stream.outputs.outbox import Outbox
from lstm_stream.records import Adoption, ChannelEvidence, Chunk, Command, Event, Lost, Message, Reply


def event(number: int) -> Event:
    evidence = {"v": ChannelEvidence(1.0, None, 0.1, 0.2, 1.0)}
    return Event(f"id{number}", "s", "g", "opened", "level", "why", 1.5, None, float("inf"), 2.0, 3, evidence)


def render(one: Event) -> tuple[str, bytes]:
    return f"t/{one.sensor}", one.id.encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def start(path: Path) -> Iterator[Callable[..., Journal]]:
    """`start(kill=True)`: a journal as a new process has it; the one before it ended, with or without a goodbye."""
    running: list[Journal] = []

    def again(kill: bool = True, sinks: tuple[str, ...] = ("mqtt", "log")) -> Journal:
        for former in running:
            end(former, kill)
        running[:] = [Journal(path, Outbox(sinks, render))]
        running[0].open()
        return running[0]

    yield again
    for last in running:
        end(last, kill=True)


def end(journal: Journal, kill: bool) -> None:
    if kill and journal.book is not None:
        journal.book.close()  # the system does
    journal.close()


def outbox(journal: Journal) -> Outbox:
    return journal._outbox


# --- entries


def plain(entry: Entry) -> object:
    """A form that can be compared."""
    if not isinstance(entry, Messages):
        return entry
    chunks = [item if isinstance(item, Chunk) else [item] for item in entry.items]
    return [m for chunk in chunks for m in (chunk.messages() if isinstance(chunk, Chunk) else chunk)]


def chunk(count: int, size: int = 8, session: int = 3) -> Chunk:
    """As the reader makes them: packets one after the other in a buffer that begins earlier."""
    data, table = bytearray(b"earlier"), np.zeros((count, 6), np.int32)
    for k in range(count):
        data += b"\x32\x99"
        table[k] = len(data), 5, len(data) + 7, size, 0x32 if k % 2 else 0x31, k + 1
        data += f"top/{k % 10}".encode() + b"\0\7" + bytes([65 + k % 20]) * size
    return Chunk(bytes(data), table, 1e9 + np.arange(count) * 1e-6, session)


COMMAND = Command("c1", "rollback", "g", "s ü", "me", 1.25, "4", "because", b"\x00\xff" * 8)


@pytest.mark.parametrize(
    "entry",
    [
        Messages([chunk(7)]),
        Messages([chunk(100).only(slice(90, None)), chunk(3)]),
        Messages([chunk(400, 100).only(np.arange(400) % 399 == 0)]),
        Messages([Message("ü", b"1", 5.0, True, 1, 3 << 16 | 9), Message("", b"", 6), chunk(2), Message("b", b"", 7)]),
        Obeyed(COMMAND),
        Look(1.5e9),
        Listen(float("inf")),
        Held(2.0),
        Late([Lost("g", "", ("a", "b"), 512, "late")]),
    ],
    ids=lambda entry: type(entry).__name__,
)  # fmt: skip
def test_entries_come_back_as_they_were(entry) -> None:
    record = b"".join(to_parts([Look(0.0), entry]))
    first, second = from_bytes(record)
    assert first == Look(0.0)
    assert plain(second) == plain(entry)


def test_of_a_sparse_chunk_only_its_messages_are_kept() -> None:
    sparse = chunk(400, 100).only(np.arange(400) == 7)
    assert len(b"".join(to_parts([Messages([sparse])]))) < 300


def test_bytes_that_are_no_entries_are_refused() -> None:
    with pytest.raises(ValueError, match="no entry of a journal"):
        list(from_bytes(b"Zxxxxxxxxxxxxxxxx"))


# --- inputs


def written(path: Path, *records: bytes) -> Inputs:
    inputs = Inputs(path)
    list(inputs.read(0))
    inputs.begin()
    for record in records:
        inputs.append([record[:1], record[1:]])
    inputs.close()
    return inputs


def read(path: Path, after: int = 0) -> list[bytes]:
    return [record for _, record in Inputs(path).read(after)]


def test_records_come_back_in_order_over_files(path) -> None:
    written(path, b"one", b"two")
    written(path, b"three")
    assert read(path) == [b"one", b"two", b"three"]
    assert read(path, after=2) == [b"three"]


def test_what_a_save_covers_is_deleted(path) -> None:
    inputs = written(path, b"one", b"two")
    inputs.begin()
    inputs.append([b"three"])
    inputs.drop(2)
    inputs.close()
    assert read(path, after=2) == [b"three"]
    assert len(inputs.files()) == 1


@pytest.mark.parametrize("left", range(1, 30))
def test_a_record_half_written_is_cut_off(path, left) -> None:
    (file,) = written(path, b"one", b"a record of some length").files()
    os.truncate(file, file.stat().st_size - left)
    assert read(path) == [b"one"]
    written(path, b"three")
    assert read(path) == [b"one", b"three"]


def test_zeros_after_a_power_cut_are_cut_off(path) -> None:
    (file,) = written(path, b"one").files()
    with file.open("ab") as end_of_it:
        end_of_it.write(bytes(4096))
    assert read(path) == [b"one"]


def test_a_damaged_file_is_set_aside_with_those_after_it(path, caplog) -> None:
    (file,) = written(path, b"one", b"two", b"three").files()
    written(path, b"four")
    content = bytearray(file.read_bytes())
    content[content.index(b"two")] ^= 1
    file.write_bytes(content)
    assert read(path) == [b"one"]
    names = sorted(p.name for p in path.parent.iterdir())
    assert names == ["state.db.inputs.0.broken", "state.db.inputs.3.broken"]
    assert "what came in it is lost" in caplog.text


def test_a_gap_ends_what_is_repeated(path) -> None:
    inputs = written(path, b"one")
    inputs.position += 1
    inputs.begin()
    inputs.append([b"three"])
    inputs.close()
    assert read(path) == [b"one"]


def test_a_write_that_fails_leaves_the_file_whole(path, monkeypatch) -> None:
    inputs = written(path, b"one")
    inputs.begin()

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", full)
        with pytest.raises(OSError, match="No space"):
            inputs.append([b"two"])
    inputs.append([b"three"])
    inputs.close()
    assert read(path) == [b"one", b"three"]


# --- events


def test_an_event_waits_for_every_sink_over_restarts(start) -> None:
    journal = start()
    journal.tell([event(1), event(2)])
    journal.commit()
    box = outbox(journal)
    box.done("mqtt", box.pending("mqtt", 1))
    box = outbox(start())
    assert [letter.event for letter in box.pending("mqtt", 10)] == [event(2)]
    assert [letter.event for letter in box.pending("log", 10)] == [event(1), event(2)]
    assert [letter.payload for letter in box.pending("log", 10)] == [b"id1", b"id2"]


def test_an_event_that_was_written_before_is_not_told_anew(start) -> None:
    journal = start()
    journal.tell([event(1)])
    journal.commit()
    box = outbox(journal)
    box.done("mqtt", box.pending("mqtt", 10))
    box.done("log", box.pending("log", 10))
    journal = start()
    journal.begin()
    journal.tell([event(1), event(2)])
    journal.commit()
    assert [letter.event.id for letter in outbox(journal).pending("mqtt", 10)] == ["id2"]
    assert [letter.seq for letter in outbox(journal).pending("mqtt", 10)] == [2]


def test_events_of_a_sink_that_is_gone_are_forgotten(start) -> None:
    journal = start()
    journal.tell([event(1)])
    journal.commit()
    assert len(outbox(start(sinks=("log",)))) == 1
    assert outbox(start(sinks=("mqtt",))).pending("mqtt", 10) == []


def test_commands_and_generations_are_kept(start) -> None:
    journal = start()
    assert journal.book
    journal.audit(COMMAND, Reply(True, "done"))
    journal.commit()
    weights = np.arange(4, dtype=np.float32)
    for number in range(1, 9):
        journal.keep([Adoption("g", "s", ("a",), number, "adopted", 2.0, 1.0, 0.1, weights + number)])
    journal.keep([Adoption("g", "s", ("a",), 8, "rejected", np.nan, np.nan, 0.1, None)])
    journal.flush()
    book = start().book
    assert book
    ((command, ok, text),) = book.commands()
    assert (command._replace(weights=COMMAND.weights), ok, text) == (COMMAND, True, "done")
    found = book.generations("g", "s")
    assert [(g.generation, g.kept) for g in found] == [*((k, k > 3) for k in range(1, 9)), (8, False)]
    assert found[-1].champion is None
    kept = book.weights_of("g", "s", 5)
    assert kept is not None
    np.testing.assert_array_equal(kept, weights + 5)
    assert book.weights_of("g", "s", 2) is None


# --- a disk that fails


def test_a_full_disk_delays_no_event_and_is_over_with_the_next_save(start, monkeypatch, caplog) -> None:
    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    journal = start()
    journal.begin()
    journal.note(Look(1.0))
    journal.commit()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", full)
        journal.note(Look(2.0))
        journal.tell([event(1)])
        journal.commit()
        assert (journal.durable, journal.failures) == (False, 1)
        assert [letter.event.id for letter in outbox(journal).pending("mqtt", 10)] == ["id1"]
    assert "No space left on device; scoring goes on" in caplog.text
    journal.note(Look(3.0))
    journal.commit()
    journal.begin()  # a save
    journal.note(Look(4.0))
    journal.commit()
    journal.saved(journal.position)
    assert journal.durable
    position = journal.position - 1
    journal = start()
    assert list(journal.replay(position)) == [[Look(4.0)]]
    assert [letter.event.id for letter in outbox(journal).pending("mqtt", 10)] == ["id1"]


def test_a_damaged_book_is_set_aside(path, caplog) -> None:
    broken = path.with_name("state.db.journal")
    for content in (b"no database" * 1000, b"nor this" * 1000):
        journal = Journal(path, Outbox([], render))
        broken.write_bytes(content)
        journal.open()
        journal.close()
    assert path.with_name("state.db.journal.broken").read_bytes().startswith(b"no database")
    assert path.with_name("state.db.journal.broken.1").read_bytes().startswith(b"nor this")
    assert "it is kept as" in caplog.text


@pytest.mark.parametrize("durability", ["interval", "off"])
def test_without_strict_durability_events_are_kept_and_inputs_are_not(path, durability) -> None:
    journal = Journal(path, Outbox(["mqtt"], render), durability)
    journal.open()
    journal.begin()
    journal.note(Look(1.0))
    journal.tell([event(1)])
    journal.commit()
    end(journal, kill=True)
    assert not list(path.parent.glob("*.inputs.*"))
    journal = Journal(path, Outbox(["mqtt"], render), durability)
    journal.open()
    assert not journal.repeats
    assert [letter.event.id for letter in outbox(journal).pending("mqtt", 10)] == ["id1"]
    journal.close()


def test_without_a_path_events_go_out_and_nothing_is_written(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    journal = Journal(None, Outbox(["mqtt"], render))
    journal.open()
    journal.begin()
    journal.note(Look(1.0))
    journal.tell([event(1), event(1)])
    journal.commit()
    assert [letter.event.id for letter in outbox(journal).pending("mqtt", 10)] == ["id1"]
    assert list(tmp_path.iterdir()) == []

"""What goes into the journal: every input that the state depends on, as compact bytes, and back.

    Messages   what came from the broker, as it came           Look     a look at who is silent, at a data time
    Obeyed     a command of a person                           Listen   since when silence counts
    Held       what was held back and is due, by that time     Late     rounds of training that were not waited for

A record is entries one after the other: kind and length, then the content. Nothing else decides what the line does.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import orjson

from lstm_stream.records import Chunk, Command, Lost, Message

HEAD = struct.Struct("<cI")  # kind, bytes that follow
PART = struct.Struct("<IIi")  # of a chunk: messages, bytes of data, session
ROW, ARRIVAL = 24, 8  # bytes a message beside its own
SPARSE = 2  # times as long as its messages a chunk's data may be


class Messages(NamedTuple):
    """In order of arrival."""

    items: Sequence[Message | Chunk]


class Obeyed(NamedTuple):
    """A command."""

    command: Command


class Look(NamedTuple):
    """A look at silences, at data time `now` (unix s)."""

    now: float


class Listen(NamedTuple):
    """Silence counts since that data time; infinite: it does not."""

    since: float


class Held(NamedTuple):
    """What was held back and due by `now` (unix s) went down the line."""

    now: float


class Late(NamedTuple):
    """Rounds of training that were not heard."""

    rounds: Sequence[Lost]


Entry: TypeAlias = Messages | Obeyed | Look | Listen | Held | Late


def to_parts(entries: Iterable[Entry]) -> list[bytes | memoryview]:
    """A record in pieces, to be written one after the other."""
    parts: list[bytes | memoryview] = []
    for entry in entries:
        kind, content = _parts(entry)
        parts += [HEAD.pack(kind, sum(map(len, content))), *content]
    return parts


def from_bytes(record: bytes) -> Iterator[Entry]:
    """The entries of a record. Raises ValueError where it is not one."""
    start = 0
    while start < len(record):
        try:
            kind, size = HEAD.unpack_from(record, start)
            start += HEAD.size
            yield _entry(kind, record[start : start + size])
        except (struct.error, KeyError, TypeError, IndexError) as error:
            raise ValueError(f"no entry of a journal: {error!r}") from None
        start += size


def _parts(entry: Entry) -> tuple[bytes, list[bytes | memoryview]]:
    if isinstance(entry, Messages):
        return b"M", [part for chunk in _chunks(entry.items) for part in _chunk_parts(chunk)]
    if isinstance(entry, Obeyed):
        command = entry.command._asdict() | {"weights": base64.b64encode(entry.command.weights).decode()}
        return b"C", [orjson.dumps(command)]
    if isinstance(entry, Late):
        return b"T", [orjson.dumps([tuple(lost) for lost in entry.rounds])]
    kind = {Look: b"L", Listen: b"S", Held: b"H"}[type(entry)]
    return kind, [struct.pack("<d", entry[0])]


def _entry(kind: bytes, content: bytes) -> Entry:
    if kind == b"M":
        return Messages(list(_read_chunks(content)))
    if kind == b"C":
        fields = orjson.loads(content)
        return Obeyed(Command(**fields | {"weights": base64.b64decode(fields["weights"])}))
    if kind == b"T":
        rounds = orjson.loads(content)
        return Late([Lost(group, sensor, tuple(channels), *rest) for group, sensor, channels, *rest in rounds])
    value: float = struct.unpack("<d", content)[0]
    moments: dict[bytes, type[Look] | type[Listen] | type[Held]] = {b"L": Look, b"S": Listen, b"H": Held}
    return moments[kind](value)


# --- messages


def _chunks(items: Sequence[Message | Chunk]) -> Iterator[Chunk]:
    """All as chunks: single messages that follow each other become one."""
    single: list[Message] = []
    for item in items:
        if isinstance(item, Message):
            single.append(item)
            continue
        if single:
            yield _as_chunk(single)
            single = []
        yield item
    if single:
        yield _as_chunk(single)


def _as_chunk(messages: Sequence[Message]) -> Chunk:
    pieces: list[bytes] = []
    table, at = np.zeros((len(messages), 6), np.int32), 0
    for k, m in enumerate(messages):
        topic = m.topic.encode("utf-8", "surrogatepass")
        first = m.qos << 1 | m.retain
        table[k] = at, len(topic), at + len(topic), len(m.payload), first, m.mid & 0xFFFF
        pieces += [topic, m.payload]
        at += len(topic) + len(m.payload)
    arrivals = np.array([m.time for m in messages], np.float64)
    return Chunk(b"".join(pieces), table, arrivals, next((m.mid >> 16 for m in messages if m.mid), 0))


def _chunk_parts(chunk: Chunk) -> list[bytes | memoryview]:
    """Only the bytes between the chunk's first and last message; of a sparse one those of its messages."""
    if not len(chunk):
        return []
    table = chunk.table
    start, stop = int(table[:, 0].min()), int((table[:, 2] + table[:, 3]).max())
    if stop - start > SPARSE * int((table[:, 1] + table[:, 3]).sum()) + len(table) * ROW:
        chunk = _as_chunk(chunk.messages())
        table, start, stop = chunk.table, 0, len(chunk.data)
    elif start:
        table = table - np.array([start, 0, start, 0, 0, 0], np.int32)
    rows, arrivals = np.ascontiguousarray(table, "<i4"), np.ascontiguousarray(chunk.arrivals, "<f8")
    head = PART.pack(len(table), stop - start, chunk.session)
    return [head, rows.tobytes(), arrivals.tobytes(), memoryview(chunk.data)[start:stop]]


def _read_chunks(content: bytes) -> Iterator[Chunk]:
    at = 0
    while at < len(content):
        count, size, session = PART.unpack_from(content, at)
        at += PART.size
        table = np.frombuffer(content, "<i4", 6 * count, at).reshape(count, 6).astype(np.int32)
        at += count * ROW
        arrivals = np.frombuffer(content, "<f8", count, at).astype(np.float64)
        at += count * ARRIVAL
        yield Chunk(content[at : at + size], table, arrivals, session)
        at += size

"""What a stopped daemon has beside its state file: recorded samples, alarms, generations of weights."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lstm_stream.desk import archive
from lstm_stream.journal.book import Book
from lstm_stream.journal.entries import Messages, from_bytes
from lstm_stream.journal.inputs import Inputs, records
from lstm_stream.outputs.tape import BUCKET
from lstm_stream.records import Chunk


def waiting(state: Path) -> int:
    """How many messages came after the state was saved."""
    entries = (from_bytes(record) for path in Inputs(state).files() for _, record, _ in records(path))
    messages = (entry.items for some in entries for entry in some if isinstance(entry, Messages))
    return sum(len(item) if isinstance(item, Chunk) else 1 for items in messages for item in items)


def recorded(state: Path, group: str, sensor: str) -> dict[str, Any]:
    """The `series` of the API. Raises OSError or ValueError where it cannot be read."""
    trace = archive.trace(state, group, sensor)
    document: dict[str, Any] = {
        "time": [],
        "score": [],
        "threshold": [],
        "channels": {},
        "alarms": [],
        "retrainings": [],
    }
    if trace is None:
        return {**document, "step": BUCKET, "fine_since": None}
    parts = ("value", "expected", "lower", "upper")
    return {
        "time": trace.time,
        "score": trace.score,
        "threshold": trace.threshold,
        "channels": {
            name: {"low": trace.low[:, k], **{part: trace.values[:, k, j] for j, part in enumerate(parts)}}
            for k, name in enumerate(trace.channels)
        },
        "alarms": _alarms(state, group, sensor),
        "retrainings": [],
        "step": BUCKET,
        "fine_since": trace.fine_since,
    }


def _alarms(state: Path, group: str, sensor: str) -> list[dict[str, Any]]:
    """The alarms of a sensor, oldest first."""
    found: dict[tuple[str, float], dict[str, Any]] = {}
    with _book(state) as book:
        for letter in book.events() if book is not None else ():
            event = letter.event
            if (event.group, event.sensor) == (group, sensor):
                first = {"id": event.id, "opened": event.opened, "view": event.view, "reason": event.reason}
                ended = event.reason if event.state == "closed" else None
                found.setdefault((event.view, event.opened), first).update(closed=event.closed, ended=ended)
    return list(found.values())


def generations(state: Path, group: str, sensor: str, current: int) -> list[dict[str, Any]]:
    """A sensor's rounds of training, the latest first, as the API tells them."""
    with _book(state) as book:
        rounds = book.generations(group, sensor) if book is not None else []
    latest = max((k for k, one in enumerate(rounds) if one.generation == current and one.kept), default=-1)
    fields = ("generation", "at", "result", "champion", "challenger", "seconds", "kept")
    documents = [
        {**{name: _finite(getattr(one, name)) for name in fields}, "current": k == latest}
        for k, one in enumerate(rounds)
    ]
    return documents[::-1]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


@contextmanager
def _book(state: Path) -> Iterator[Book | None]:
    """The journal's book, if there is one that can be read."""
    book = Book(state.with_name(state.name + ".journal"), "FULL", 1)
    if not book.path.exists():
        yield None
        return
    try:
        book.open()
        yield book
    except sqlite3.Error as error:
        raise ValueError(f"{book.path}: {error}") from error
    finally:
        book.close()

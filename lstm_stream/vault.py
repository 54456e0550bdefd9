"""Everything that outlives the process, in the order in which it is taken up again.

state file ──▶ fleet, births, counters, receipts        everything as it was at the last save
journal ─────▶ replay: what came after it               then the broker may send
"""

from __future__ import annotations

import logging
import math
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator

from lstm_stream.config import State
from lstm_stream.detect.fleet import Fleet
from lstm_stream.ingest.assembly import Assembly
from lstm_stream.ingest.mqtt import Session
from lstm_stream.journal.journal import Journal
from lstm_stream.outputs.outbox import LIMIT, Outbox
from lstm_stream.outputs.scraped import Written
from lstm_stream.records import Command, Event, Packed
from lstm_stream.saving import Notes
from lstm_stream.store import DamagedError, StateError, Store

log = logging.getLogger(__name__)


class Vault:
    """The state file and the journal beside it, or nothing where no path is configured."""

    def __init__(self, state: State, fleet: Fleet, assembly: Assembly, session: Session, outbox: Outbox) -> None:
        self.journal = Journal(state.path, outbox, state.durability, state.generations, state.journal_bytes)
        self.prefix = ""  # of what Home Assistant was told, so that it can be taken back
        self.keeps = state.path is not None
        self._store = Store(state.path) if state.path else None
        self._outbox = outbox
        self._fleet = fleet
        self._assembly = assembly
        self._session = session

    def open(self, fresh: bool, replay: Callable[[str | None], int]) -> None:
        """Take everything up again; `replay` is the service's. Raises StateError where that cannot be."""
        if self._store is None:
            replay(None)
            return
        began = time.perf_counter()
        try:
            self._take_up(self._store, fresh)
        except ValueError as error:
            raise StateError(
                f"{self._store.path}: {error}; go back to the former configuration, set another state.path, "
                "or start anew with --fresh, which keeps this file aside"
            ) from error
        try:
            self.journal.open(fresh)
        except (sqlite3.Error, OSError) as error:
            raise StateError(f"the journal beside {self._store.path} cannot be used: {error}") from error
        self._assembly.remember(self._store.memory() or None)
        self.prefix = self._store.memory("homeassistant") or ""
        if receipts := self._store.memory("receipts"):
            self._session.remember(receipts)
        restored, seconds = len(self._fleet), time.perf_counter() - began
        began = time.perf_counter()
        messages = replay(self._store.memory("line"))
        if restored:
            log.info("restored %d sensors from %s in %.1f s", restored, self._store.path, seconds)
        if messages:
            log.info("repeated %d messages that came after it in %.1f s", messages, time.perf_counter() - began)
        elif not restored:
            log.info("starting with no state; it will be kept in %s", self._store.path)

    def _take_up(self, store: Store, fresh: bool) -> None:
        """Take up the state file, or what of a damaged one can be read."""
        done: set[tuple[str, str, tuple[str, ...]]] = set()
        try:
            store.open(fresh)
            self._fleet.unpack_all(_others(store.load(), done))
        except DamagedError as error:
            aside, count = store.salvage()
            log.error("%s; it is kept as %s, and %d sensors could be read", error, aside, count)
            self._fleet.unpack_all(_others(store.load(), done))

    def written(self) -> Written:
        """How the journal is."""
        return Written(self.journal.durable, self.journal.failures, self.journal.size)

    def close(self) -> None:
        """Close the files; may be called twice."""
        self.journal.close()
        if self._store is not None:
            self._store.close()

    # --- as a saver

    def notes(self, line: str) -> Notes:
        """What is saved besides the sensors."""
        heard, receipts = self._assembly.memory() or "", self._session.memory()
        return {"memory": heard, "line": line, "receipts": receipts, "homeassistant": self.prefix}

    def save(self, packed: Iterable[Packed], notes: Notes) -> None:
        """Write to the state file. Raises StateError."""
        if self._store is not None:
            self._store.save(packed, notes)

    def interrupt(self) -> None:
        """Make `save` fail soon, if one is under way."""
        if self._store is not None:
            self._store.interrupt()

    # --- what was told before

    def told(self, sink: str) -> list[Event]:
        """The latest events that a sink has confirmed, oldest first."""
        book = self.journal.book
        if book is None or not book.is_open:
            return []
        waiting = {letter.seq for letter in self._outbox.pending(sink, LIMIT)}
        return [letter.event for letter in book.events() if letter.seq not in waiting]

    def obeyed(self) -> list[tuple[Command, bool]]:
        """The latest commands, oldest first, and whether they were obeyed."""
        book = self.journal.book
        return [(audit.command, audit.ok) for audit in book.commands()] if book is not None and book.is_open else []


def _others(rows: Iterable[Packed], done: set[tuple[str, str, tuple[str, ...]]]) -> Iterator[Packed]:
    """Those that are not done yet."""
    for one in rows:
        if one[:3] not in done:
            done.add(one[:3])
            yield one


def save_every(state: State) -> float:
    """Seconds between two saves."""
    return math.inf if state.durability == "off" else state.every

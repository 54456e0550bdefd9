"""What was decided, in one SQLite file: events and who has them, commands, generations of weights.

    events ─┬─ outbox        an event stays until every sink has confirmed it, and in the log as one of the latest
            └─ log           ids by which a repetition is known
    commands                 who asked for what, and what became of it
    generations              how rounds of training ended, and the latest weights

Rules:
1. Each call is one transaction; a connection of its own, used by several threads, one at a time.
2. An event's id is there once: to write it again does nothing.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.outputs.outbox import Letter
from lstm_stream.records import Adoption, ChannelEvidence, Command, Event

SCHEMA_VERSION = "1"
LOG = 10_000  # events, and commands, that are kept
ROUNDS = 10  # of which the end is kept, for each whose weights are
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at REAL NOT NULL, position INTEGER NOT NULL,
    event TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS outbox (sink TEXT, seq INTEGER, PRIMARY KEY (sink, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS commands (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at REAL NOT NULL, by TEXT NOT NULL, verb TEXT NOT NULL,
    grp TEXT NOT NULL, sensor TEXT NOT NULL, argument TEXT NOT NULL, comment TEXT NOT NULL,
    ok INTEGER NOT NULL, text TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS generations (
    row INTEGER PRIMARY KEY, grp TEXT NOT NULL, sensor TEXT NOT NULL, channels TEXT NOT NULL,
    generation INTEGER NOT NULL, at REAL NOT NULL, result TEXT NOT NULL, champion REAL, challenger REAL,
    seconds REAL NOT NULL, cause TEXT NOT NULL, weights BLOB, UNIQUE (grp, sensor, channels, cause)
);
"""


class Generation(NamedTuple):
    """How a round of training ended; `kept`: its weights are still here."""

    group: str
    sensor: str
    channels: tuple[str, ...]
    generation: int
    at: float
    result: str
    champion: float | None
    challenger: float | None
    seconds: float
    kept: bool


class Audit(NamedTuple):
    """A command and what became of it."""

    command: Command
    ok: bool
    text: str


class Book:
    """The SQLite file at `path`. Every method but the constructor may raise sqlite3.Error."""

    def __init__(self, path: Path, synchronous: str, keep: int) -> None:
        self.path = path
        self._synchronous = synchronous
        self._keep = keep  # generations a sensor whose weights are kept
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file, or make one."""
        self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=1.0)
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(f"PRAGMA synchronous = {self._synchronous}")
        self._db.executescript(_SCHEMA)
        self._db.execute("INSERT OR IGNORE INTO meta VALUES ('schema', ?)", (SCHEMA_VERSION,))
        (version,) = self._db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
        if version != SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"schema {version}, this version of lstm_stream writes {SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the file; may be called twice."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        return self._db is not None

    # --- written

    def write(
        self,
        letters: Sequence[Letter],
        sinks: Sequence[str],
        audits: Sequence[Audit],
        adoptions: Sequence[tuple[str, Adoption]],
        position: int,
    ) -> None:
        """All of one turn, whose input has that position; what is here already stays as it is.

        With each adoption comes what tells it from others, the same in a replay.
        """
        now = time.time()
        with self._transaction() as db:
            for letter in letters:
                event = letter.event
                told = letter.seq, event.id, now, position, _to_text(event), letter.topic, letter.payload
                if db.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", told).rowcount:
                    db.executemany("INSERT INTO outbox VALUES (?, ?)", [(sink, letter.seq) for sink in sinks])
            for audit in audits:
                c = audit.command
                row = c.id, c.at, c.by, c.verb, c.group, c.sensor, c.argument, c.comment, audit.ok, audit.text
                db.execute("INSERT OR IGNORE INTO commands VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            for cause, adoption in adoptions:
                _keep(db, adoption, now, cause)
            for group, sensor in {(a.group, a.sensor) for _, a in adoptions}:
                _thin(db, group, sensor, self._keep)

    def delivered(self, sink: str, seqs: Iterable[int]) -> None:
        """A sink has confirmed these."""
        with self._transaction() as db:
            db.executemany("DELETE FROM outbox WHERE sink = ? AND seq = ?", [(sink, seq) for seq in seqs])

    def shorten(self, position: int) -> None:
        """Of events up to that position, and of commands, keep the latest, and those that a sink still wants."""
        with self._transaction() as db:
            db.execute(
                "DELETE FROM events WHERE position <= ? AND seq <= (SELECT max(seq) FROM events) - ? "
                "AND seq NOT IN (SELECT seq FROM outbox)",
                (position, LOG),
            )
            db.execute("DELETE FROM commands WHERE number <= (SELECT max(number) FROM commands) - ?", (LOG,))

    # --- read

    def pending(self, sink: str) -> list[Letter]:
        """What a sink has not confirmed."""
        query = "SELECT seq, event, payload, topic FROM events JOIN outbox USING (seq) WHERE sink = ? ORDER BY seq"
        return [Letter(seq, _from_text(text), payload, topic) for seq, text, payload, topic in self._rows(query, sink)]

    def forget_sinks(self, but: Sequence[str]) -> int:
        """Nobody asks for these sinks any more: how many events they had not confirmed."""
        marks = ", ".join("?" * len(but))
        with self._transaction() as db:
            return db.execute(f"DELETE FROM outbox WHERE sink NOT IN ({marks})", tuple(but)).rowcount

    def latest(self) -> int:
        """The number of the latest event."""
        ((seq,),) = self._rows("SELECT coalesce(max(seq), 0) FROM events")
        return int(seq)

    def known(self) -> list[str]:
        """The ids in the log, oldest first."""
        return [text for (text,) in self._rows("SELECT id FROM events ORDER BY seq")]

    def events(self, limit: int = LOG) -> list[Letter]:
        """The latest events, oldest first."""
        query = "SELECT seq, event, payload, topic FROM events ORDER BY seq DESC LIMIT ?"
        found = [
            Letter(seq, _from_text(text), payload, topic) for seq, text, payload, topic in self._rows(query, limit)
        ]
        return found[::-1]

    def commands(self, limit: int = LOG) -> list[Audit]:
        """The latest commands, oldest first, without the weights that came with them."""
        query = (
            "SELECT id, verb, grp, sensor, by, at, argument, comment, ok, text FROM commands "
            "ORDER BY number DESC LIMIT ?"
        )
        return [Audit(Command(*row[:8]), bool(row[8]), row[9]) for row in self._rows(query, limit)][::-1]

    def generations(self, group: str, sensor: str) -> list[Generation]:
        """How a sensor's rounds of training ended, oldest first."""
        query = (
            "SELECT channels, generation, at, result, champion, challenger, seconds, weights IS NOT NULL "
            "FROM generations WHERE grp = ? AND sensor = ? ORDER BY row"
        )
        return [
            Generation(
                group, sensor, tuple(json.loads(channels)), number, at, result, champion, other, seconds, bool(kept)
            )
            for channels, number, at, result, champion, other, seconds, kept in self._rows(query, group, sensor)
        ]

    def weights_of(self, group: str, sensor: str, generation: int) -> NDArray[np.float32] | None:
        """The weights (P,) of a generation; None where they are not kept."""
        query = (
            "SELECT weights FROM generations WHERE grp = ? AND sensor = ? AND generation = ? AND weights IS NOT NULL "
            "ORDER BY row DESC LIMIT 1"
        )
        rows = self._rows(query, group, sensor, generation)
        return np.frombuffer(rows[0][0], np.float32) if rows else None

    # --- the rest

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            db = self._connection
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise sqlite3.ProgrammingError("the journal is not open")
        return self._db


def _keep(db: sqlite3.Connection, a: Adoption, now: float, cause: str) -> None:
    weights = None if a.weights is None else np.ascontiguousarray(a.weights, np.float32).tobytes()
    row = a.group, a.sensor, json.dumps(a.channels), a.generation, now, a.result, a.champion, a.challenger, a.seconds
    db.execute(
        "INSERT OR IGNORE INTO generations VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, cause, weights)
    )


def _thin(db: sqlite3.Connection, group: str, sensor: str, keep: int) -> None:
    """Drop the weights but of the latest generations, and of very old rounds everything."""
    old = "SELECT row FROM generations WHERE grp = ? AND sensor = ? {} ORDER BY row DESC LIMIT -1 OFFSET ?"
    kept = old.format("AND weights IS NOT NULL")
    db.execute(f"UPDATE generations SET weights = NULL WHERE row IN ({kept})", (group, sensor, keep))
    db.execute(
        f"DELETE FROM generations WHERE weights IS NULL AND row IN ({old.format('')})", (group, sensor, ROUNDS * keep)
    )


def _to_text(event: Event) -> str:
    return json.dumps(asdict(event))  # knows infinities and NaN


def _from_text(text: str) -> Event:
    fields = json.loads(text)
    channels = {name: ChannelEvidence(**evidence) for name, evidence in fields.pop("channels").items()}
    return Event(**fields, channels=channels)

"""The durable state: one SQLite file, one row a sensor.

A save is one transaction: after a crash the file holds the last whole save. The file is locked while it is open, so
that two daemons cannot share it. It stores bytes and layout signatures and refuses to know what is in them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lstm_stream.journal.files import set_aside
from lstm_stream.records import Packed

SCHEMA_VERSION = "1"
PAGE = 16384  # bytes: rows of 2 to 30 KB
CACHE = 64 * 2**20  # bytes: a save that does not fit is written twice
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sensors (
    grp TEXT NOT NULL, sensor TEXT NOT NULL, channels TEXT NOT NULL, signature TEXT NOT NULL, state BLOB NOT NULL,
    PRIMARY KEY (grp, sensor, channels)
);
"""


class StateError(Exception):
    """The state file cannot be used; the message says why and what to do."""


class Store:
    """`path` is the SQLite file; it is created where there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None

    def open(self, fresh: bool = False) -> None:
        """Open the file; `fresh` sets an existing one aside first. Raises StateError where it cannot be used."""
        try:
            if fresh:
                self._set_aside()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=1.0)
            self._prepare(self._db)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise StateError(self._explain(error)) from error
        except StateError:
            self.close()
            raise

    def load(self) -> Iterator[Packed]:
        """Everything saved, in the order in which sensors first came. Raises StateError where the file is damaged."""
        query = "SELECT grp, sensor, channels, signature, state FROM sensors ORDER BY rowid"
        try:
            for group, sensor, channels, signature, state in self._connection.execute(query):
                yield Packed(group, sensor, tuple(json.loads(channels)), signature, state)
        except sqlite3.Error as error:
            raise StateError(self._explain(error)) from error

    def memory(self, key: str = "memory") -> Any:
        """What save() was given under that name, the last time that it was any; None: never.

        Raises StateError where it cannot be read.
        """
        try:
            row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise StateError(self._explain(error)) from error
        return None if row is None else row[0]

    def save(self, packed: Iterable[Packed], memory: Mapping[str, str | bytes] | None = None) -> int:
        """Replace these sensors' rows, or delete those without a state, and what is remembered by name; all or none.

        Returns how many sensors there were.

        Raises StateError where it cannot be written. What `packed` raises comes through, and nothing is written.
        """
        db, count = self._connection, 0
        try:
            db.execute("BEGIN IMMEDIATE")
            for row in packed:
                count += 1
                channels = json.dumps(row.channels)
                if not row.state:
                    db.execute(
                        "DELETE FROM sensors WHERE grp = ? AND sensor = ? AND channels = ?",
                        (row.group, row.sensor, channels),
                    )
                    continue
                if row.sensor:  # a sensor lives in one place; what is shared exists once for each set of channels
                    db.execute(
                        "DELETE FROM sensors WHERE grp = ? AND sensor = ? AND channels <> ?",
                        (row.group, row.sensor, channels),
                    )
                db.execute(
                    "INSERT INTO sensors VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
                    "SET signature = excluded.signature, state = excluded.state",
                    (row.group, row.sensor, channels, row.signature, row.state),
                )
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [*(memory or {}).items()])
            db.execute("COMMIT")
        except sqlite3.Error as error:
            raise StateError(self._explain(error)) from error
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
        return count

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._db is not None:
            self._db.close()
            self._db = None

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise RuntimeError("the store is not open")
        return self._db

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute(f"PRAGMA page_size = {PAGE}")  # of a new file
        db.execute(f"PRAGMA cache_size = -{CACHE >> 10}")
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(_SCHEMA)
        db.execute("INSERT OR IGNORE INTO meta VALUES ('schema', ?)", (SCHEMA_VERSION,))
        (version,) = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
        if version != SCHEMA_VERSION:
            raise StateError(
                f"{self.path}: the state was written by another version of lstm_stream (schema {version}, this one "
                f"reads {SCHEMA_VERSION}); run that version, or start anew with --fresh, which keeps this file aside"
            )

    def _set_aside(self) -> None:
        """Rename the files, unless a running daemon uses them: it would go on writing to what was set aside."""
        if not self.path.exists():
            return
        db = sqlite3.connect(self.path, isolation_level=None, timeout=1.0)
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise
        except sqlite3.DatabaseError:
            pass  # damaged: set it aside all the same
        finally:
            db.close()
        set_aside(self.path, "old")

    def _explain(self, error: Exception) -> str:
        text = str(error)
        if "locked" in text:
            advice = "another lstm-stream uses it; stop that one, or set another state.path"
        elif "malformed" in text or "not a database" in text:
            advice = "the file is damaged or not a state file; restore a copy, or start anew with --fresh"
        else:
            advice = "check that its directory exists, is writable and has room, or set another state.path"
        return f"{self.path}: {text}; {advice}"

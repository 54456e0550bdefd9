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
_MAGIC = b"SQLite format 3\0"
_HOLE = 10_000  # rows in a row that cannot be read, after which a damaged file has no more
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sensors (
    grp TEXT NOT NULL, sensor TEXT NOT NULL, channels TEXT NOT NULL, signature TEXT NOT NULL, state BLOB NOT NULL,
    PRIMARY KEY (grp, sensor, channels)
);
"""


class StateError(Exception):
    """The state file cannot be used; the message says why and what to do."""


class DamagedError(StateError):
    """It is a state file, but parts of it cannot be read; `salvage` gets what can."""


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
            raise self._failure(error) from error
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
            raise self._failure(error) from error

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

    def interrupt(self) -> None:
        """Make a save that another thread is at fail; nothing of it is written then."""
        if self._db is not None:
            self._db.interrupt()

    def salvage(self) -> tuple[Path, int]:
        """Set the damaged file aside and begin a new one with what of it can be read.

        Returns its new name, and how many sensors were saved. Raises StateError where that is not possible either.
        """
        self.close()
        try:
            aside = set_aside(self.path, "broken")
            self.open()
            return aside, self.save(_readable(aside), _memories(aside))
        except (sqlite3.Error, OSError) as error:
            raise StateError(self._explain(error)) from error

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

    def _failure(self, error: Exception) -> StateError:
        damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
        return (DamagedError if damaged and _is_ours(self.path) else StateError)(self._explain(error))

    def _explain(self, error: Exception) -> str:
        text = str(error)
        if "locked" in text:
            advice = "another lstm-stream uses it; stop that one, or set another state.path"
        elif "malformed" in text or "not a database" in text:
            advice = "the file is damaged or not a state file; restore a copy, or start anew with --fresh"
        else:
            advice = "check that its directory exists, is writable and has room, or set another state.path"
        return f"{self.path}: {text}; {advice}"


def _is_ours(path: Path) -> bool:
    """Whether a damaged file was a database, or what a crash leaves of one: zeros."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
    except OSError:
        return False
    return head == _MAGIC or not any(head)


def _memories(path: Path) -> dict[str, str | bytes]:
    """What a damaged file remembers by name, if it can be read."""
    db = sqlite3.connect(path)
    try:
        return dict(db.execute("SELECT key, value FROM meta WHERE key <> 'schema'").fetchall())
    except sqlite3.Error:
        return {}
    finally:
        db.close()


def _readable(path: Path) -> Iterator[Packed]:
    """The sensors of a damaged file that can be read."""
    query = "SELECT rowid, grp, sensor, channels, signature, state FROM sensors WHERE rowid > ? ORDER BY rowid LIMIT 1"
    db, row, misses = sqlite3.connect(path), 0, 0
    try:
        while misses < _HOLE:
            try:
                found = db.execute(query, (row,)).fetchone()
                if found is None:
                    return
                row, group, sensor, channels, signature, state = found
                one = Packed(group, sensor, tuple(json.loads(channels)), signature, state)
                misses = 0
            except (sqlite3.Error, ValueError, TypeError):
                row, misses = row + 1, misses + 1
                continue
            yield one
    finally:
        db.close()

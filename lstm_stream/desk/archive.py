"""What is recorded for charts, kept over restarts: a file beside the state, `<state.path>.traces`.

It is not the state: losing it loses pictures of the past and no decision. So it has a file of its own that others may
read meanwhile (`lstm-stream plot`), it is written by a thread of its own, which the line never waits for, and a file
that is damaged is set aside.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from lstm_stream.journal.files import set_aside
from lstm_stream.outputs.tape import Trace, trace_of

log = logging.getLogger(__name__)

BEHIND = 64  # writes that may wait

Key = tuple[str, str]  # group, sensor
_SCHEMA = "CREATE TABLE IF NOT EXISTS traces (grp TEXT, sensor TEXT, data BLOB, PRIMARY KEY (grp, sensor))"


class Archive:
    """The file beside the state file at `state`. No method raises but for errors of this program."""

    def __init__(self, state: Path) -> None:
        self.path = path_of(state)
        self._db: sqlite3.Connection | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._waiting: list[Future[None]] = []

    def open(self, fresh: bool = False) -> None:
        """Open the file; `fresh` sets an existing one aside."""
        try:
            if fresh and self.path.exists():
                set_aside(self.path, "old")
            self._open()
        except (sqlite3.OperationalError, OSError) as error:  # locked, or no place for it
            self._give_up(error)
        except sqlite3.DatabaseError as error:
            log.error("%s: %s; it is set aside, charts begin anew", self.path, error)
            self._begin_anew()

    def _open(self) -> None:
        self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=1.0)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(_SCHEMA)
        self._thread = ThreadPoolExecutor(1, "archive")

    def _begin_anew(self) -> None:
        self.close()
        try:
            set_aside(self.path)
            self._open()
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.close()
        log.error("%s: %s; charts are not kept over a restart", self.path, error)

    def load(self) -> Iterator[tuple[Key, bytes]]:
        """All that is kept."""
        if self._db is None:
            return
        try:
            for group, sensor, data in self._db.execute("SELECT grp, sensor, data FROM traces"):
                yield (group, sensor), data
        except sqlite3.Error as error:
            log.error("%s: %s; charts begin anew", self.path, error)

    def keep(self, rows: Sequence[tuple[Key, bytes | None]], *, last: bool = False) -> None:
        """Write these soon; None: delete. Where the disk does not keep up they are left out, but for the last ones."""
        self._waiting = [future for future in self._waiting if not future.done()]
        if self._thread is not None and rows and (last or len(self._waiting) < BEHIND):
            self._waiting.append(self._thread.submit(self._write, rows))

    def _write(self, rows: Sequence[tuple[Key, bytes | None]]) -> None:
        db = self._db
        if db is None:
            return
        try:
            db.execute("BEGIN IMMEDIATE")
            gone = [key for key, data in rows if data is None]
            db.executemany("DELETE FROM traces WHERE grp = ? AND sensor = ?", gone)
            kept = [(*key, data) for key, data in rows if data is not None]
            db.executemany("INSERT OR REPLACE INTO traces VALUES (?, ?, ?)", kept)
            db.execute("COMMIT")
        except sqlite3.Error as error:
            log.warning("%s: %s; what is recorded for charts was not written", self.path, error)
            if db.in_transaction:
                db.execute("ROLLBACK")

    def close(self) -> None:
        """Finish what waits, close the file; may be called twice."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        if self._db is not None:
            self._db.close()
            self._db = None


def path_of(state: Path) -> Path:
    """Where the archive beside a state file is."""
    return state.with_name(state.name + ".traces")


def sensors(state: Path) -> list[Key]:
    """The sensors whose samples are kept, by group and name. Raises OSError or ValueError where they cannot be read."""
    rows = _read(state, "SELECT grp, sensor FROM traces WHERE grp <> '' ORDER BY grp, sensor")
    return [(str(group), str(sensor)) for group, sensor in rows]


def trace(state: Path, group: str, sensor: str) -> Trace | None:
    """A sensor's recorded samples; None: it has none. Raises OSError or ValueError where they cannot be read."""
    rows = _read(state, "SELECT data FROM traces WHERE grp = ? AND sensor = ?", group, sensor)
    return trace_of(rows[0][0]) if rows else None


def _read(state: Path, query: str, *values: str) -> list[tuple[Any, ...]]:
    path = path_of(state)
    path.stat()
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)) as db:
            return db.execute(query, values).fetchall()
    except sqlite3.Error as error:
        raise ValueError(f"{path}: {error}") from error

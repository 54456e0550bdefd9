"""Saves of the state: packed by the worker between two turns, written by a thread of their own.

    begin: journal begins anew · pack ──▶ thread: one transaction ──▶ finish: the journal forgets what came before

Rules:
1. All rows of a save are of one moment, that of the journal's position that is saved with them.
2. More than AT_ONCE bytes are not copied, but written as they are packed: the line waits for that.
3. What could not be written is kept, and written with the next save.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from lstm_stream.detect.fleet import Fleet
from lstm_stream.journal.journal import Journal
from lstm_stream.records import Packed

AT_ONCE = 256 * 2**20  # bytes that are copied in order to be written beside the line

Notes = Mapping[str, str | bytes]


class Saver(Protocol):
    """Where the state goes."""

    def notes(self, line: str) -> Notes:
        """What is saved besides the sensors; `line` is what the line remembers. By the worker."""
        ...

    def save(self, packed: Iterable[Packed], notes: Notes) -> None:
        """Write them, all or none. By any thread, one at a time. Raises what goes wrong."""
        ...

    def interrupt(self) -> None:
        """Make `save` fail soon, if one is under way."""
        ...


class Saving:
    """Saves what changes in a fleet. `told` hears of each save: seconds, and what went wrong. One thread uses it."""

    def __init__(
        self, fleet: Fleet, journal: Journal, saver: Saver, told: Callable[[float, Exception | None], None]
    ) -> None:
        self._fleet = fleet
        self._journal = journal
        self._saver = saver
        self._told = told
        self._rows: dict[tuple[str, str, tuple[str, ...]], Packed] = {}  # packed and not safe yet
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._position, self._began = 0, 0.0

    @property
    def unsaved(self) -> int:
        """Bytes of state that are not in the file."""
        return self._fleet.unsaved + sum(len(one.state) for one in self._rows.values())

    def begin(self, memory: Callable[[], str], *, wait: bool) -> None:
        """Save everything as it is now; unless told to wait, go on while it is written. One save at a time."""
        if self._thread is not None and not wait:
            return
        self.finish(wait=True)
        self._began = time.perf_counter()
        self._journal.begin()
        self._position = self._journal.position
        try:
            notes = self._saver.notes(memory())
            if self._fleet.unsaved <= AT_ONCE:
                self._rows |= {one[:3]: one for one in self._fleet.pack()}
                self._fleet.saved()
                rows: Iterable[Packed] = list(self._rows.values())
                self._thread = threading.Thread(target=self._write, args=(rows, notes), name="saving")
                self._thread.start()
            else:
                self._saver.save(self._all(), notes)
                self._fleet.saved()
                self._end(None)
        except Exception as error:
            self._end(error)
        self.finish(wait=wait)

    def finish(self, *, wait: bool) -> None:
        """Take note of a save that has ended; where told to wait, of the one under way as well."""
        if self._thread is None or (self._thread.is_alive() and not wait):
            return
        self._thread.join()
        self._thread = None
        self._end(self._error)

    def abandon(self) -> None:
        """Break off a save that is under way: the journal has everything."""
        self._saver.interrupt()
        self.finish(wait=True)

    def _write(self, rows: Iterable[Packed], notes: Notes) -> None:
        try:
            self._error = None
            self._saver.save(rows, notes)
        except Exception as error:
            self._error = error

    def _all(self) -> Iterable[Packed]:
        yield from self._rows.values()
        yield from self._fleet.pack()

    def _end(self, error: Exception | None) -> None:
        if error is None:
            self._rows.clear()
            self._journal.saved(self._position)
        self._told(time.perf_counter() - self._began, error)

"""What makes the line durable: its inputs and its events, committed before a message is acknowledged.

    note(input) ... tell(events) ... keep(adoptions) ... commit() ──▶ inputs on disk ──▶ events on disk ──▶ outbox
                                                                              └▶ then the PUBACK, by whoever called

Rules:
1. commit() never raises. Where the disk fails, the line goes on without it: messages are acknowledged all the same and
   events are told, `durable` is False, log and metrics say so. What is repeated after a crash then ends where the disk
   failed: nothing is appended after a gap. The next save of the whole state ends that by itself.
2. An event has one id for ever: one that was written before, by a run that was killed or in a replay, is not told anew.
3. Events are in the outbox in memory as well, so that a full disk delays none.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lstm_stream.journal.book import LOG, Audit, Book
from lstm_stream.journal.entries import Entry, from_bytes, to_parts
from lstm_stream.journal.files import set_aside
from lstm_stream.journal.inputs import Inputs
from lstm_stream.outputs.outbox import LIMIT, Letter, Outbox
from lstm_stream.records import Adoption, Command, Event, Reply

_log = logging.getLogger(__name__)

KNOWN = 20_000  # ids of events that are remembered
RETRY = 5.0  # s between two saves that the journal asks for
SYNCHRONOUS = {"strict": "FULL", "interval": "FULL", "off": "OFF"}  # of the events


class Journal:
    """`path` is the state file, beside which it writes; None: nothing is kept, events go to the outbox alone.

    `durability` as in the configuration: with strict, inputs are kept. `generations`: how many weights of each sensor
    are kept. `longest`: bytes of inputs after which the state had better be saved.
    """

    def __init__(
        self,
        path: Path | None,
        outbox: Outbox,
        durability: str = "strict",
        generations: int = 5,
        longest: int = 2**28,
    ) -> None:
        self.failures = 0
        self.problem = ""  # in words, while it cannot write
        self.book: Book | None = None
        self._outbox = outbox
        self._longest = longest
        self._inputs: Inputs | None = None
        if path is not None:
            self.book = Book(path.with_name(path.name + ".journal"), SYNCHRONOUS[durability], generations)
            self._inputs = Inputs(path) if durability == "strict" else None
            outbox.shelf = self
        self._known: OrderedDict[str, None] = OrderedDict()
        self._noted: list[Entry] = []
        self._trivial = True  # what is noted alone needs no record
        self._letters: list[Letter] = []
        self._audits: list[Audit] = []
        self._adoptions: list[tuple[str, Adoption]] = []
        self._unwritten: deque[Letter] = deque(maxlen=LOG)
        self._run = "" if self._inputs is not None else f"{time.time_ns():x}."
        self._rounds = 0, 0  # the latest position at which rounds ended, and how many
        self._live = False  # whether inputs are kept now
        self._gap = False  # whether some are missing since the last record

    @property
    def durable(self) -> bool:
        """Whether it keeps what `durability` promises."""
        return not self.problem

    @property
    def position(self) -> int:
        """Of the latest input."""
        return self._inputs.position if self._inputs is not None else 0

    @property
    def size(self) -> int:
        """Bytes that a start would repeat."""
        return self._inputs.size if self._inputs is not None else 0

    @property
    def repeats(self) -> bool:
        """Whether a restart repeats what came after the state was saved."""
        return self._inputs is not None

    @property
    def wants_save(self) -> bool:
        """Whether the state had better be saved now: a replay would be long, or the disk has failed."""
        return self.size > self._longest or bool(self.problem)

    # --- start and end

    def open(self, fresh: bool = False) -> None:
        """Open the files; `fresh` sets existing ones aside. Raises OSError or sqlite3.Error where that cannot be."""
        if self.book is None:
            return
        if fresh:
            self.set_aside("old")
        try:
            self.book.open()
        except sqlite3.DatabaseError as error:
            self.book.close()
            if isinstance(error, sqlite3.OperationalError):  # locked, or no place for it
                raise
            _log.error("%s: %s; it is kept as %s", self.book.path, error, set_aside(self.book.path))
            self.book.open()
        self._restore(self.book)

    def set_aside(self, word: str) -> None:
        """Rename the files, which are not open. Raises OSError."""
        if self.book is not None and self.book.path.exists():
            set_aside(self.book.path, word)
        for path in self._inputs.files() if self._inputs is not None else []:
            set_aside(path, word)

    def _restore(self, book: Book) -> None:
        if lost := book.forget_sinks(self._outbox.sinks):
            _log.warning("%d events waited for sinks that are no more in the configuration", lost)
        latest = book.latest()
        for sink in self._outbox.sinks:
            self._outbox.restore(sink, book.pending(sink), latest)
        self._known = OrderedDict.fromkeys(book.known())

    def replay(self, after: int) -> Iterator[list[Entry]]:
        """What came after a save at that position, turn by turn; commit() after each adds events that are missing."""
        for _, record in self._inputs.read(after) if self._inputs is not None else ():
            yield list(from_bytes(record))

    def begin(self) -> None:
        """The replay is over, or a save begins: what is noted from now on comes after it. Never raises."""
        if self._inputs is None:
            return
        self._inputs.position += self._gap  # so that nobody takes what follows for the next
        try:
            self._inputs.begin()
            self._live, self._gap = True, False
        except OSError as error:
            self._fail(error)

    def saved(self, position: int) -> None:
        """The state is safe as it was at that position: what came before it goes. Never raises."""
        try:
            if self._inputs is not None:
                self._inputs.drop(position)
            self._write([], all_of_it=True)
            if self.book is not None:
                self._shelve(self.book)
                self.book.shorten(position)
        except (OSError, sqlite3.Error) as error:
            self._fail(error)
            return
        if self.problem and not self._gap:
            self.problem = ""
            _log.info("the journal can be written again, nothing more is lost")

    def close(self) -> None:
        """Write what could wait, close the files; may be called twice."""
        if self.book is not None and self.book.is_open:
            self.flush()
            self.book.close()
        if self._inputs is not None:
            self._inputs.close()

    # --- a turn

    def note(self, entry: Entry, *, trivial: bool = False) -> None:
        """An input of this turn. A trivial one waits for another before it is written."""
        if self._live:
            self._noted.append(entry)
            self._trivial &= trivial

    def tell(self, events: Iterable[Event]) -> None:
        """Events that this turn made."""
        new = []
        for event in events:
            if event.id not in self._known:
                self._known[event.id] = None
                new.append(event)
        while len(self._known) > KNOWN:
            self._known.popitem(last=False)
        self._letters += self._outbox.write(new)

    def audit(self, command: Command, reply: Reply) -> None:
        """A command and what became of it."""
        self._audits.append(Audit(command, reply.ok, reply.text))

    def keep(self, adoptions: Iterable[Adoption]) -> None:
        """How rounds of training ended in the turn that was just committed. They are written with what comes next."""
        for adoption in adoptions:
            position, number = self._rounds
            self._rounds = self.position, number + 1 if position == self.position else 0
            self._adoptions.append((f"{self._run}{self.position}.{self._rounds[1]}", adoption))

    def commit(self) -> None:
        """Make what was noted and told durable, then let the couriers have the events. Never raises."""
        letters, self._letters = self._letters, []
        try:
            if not self._trivial and self._inputs is not None:
                noted, self._noted, self._trivial = self._noted, [], True
                self._inputs.append(to_parts(noted))
            self._write(letters)
        except (OSError, sqlite3.Error) as error:
            self._unwritten += letters
            self._fail(error)
        self._outbox.post(letters)

    def flush(self) -> None:
        """Write what could wait. Never raises."""
        try:
            self._write([], all_of_it=True)
        except (OSError, sqlite3.Error) as error:
            self._fail(error)

    def delivered(self, sink: str, seqs: Sequence[int]) -> None:
        """A sink has confirmed these events. Never raises; from any thread."""
        if self.book is None:
            return
        try:
            self.book.delivered(sink, seqs)
        except sqlite3.Error as error:
            self.failures += 1
            _log.warning("that %s has %d events could not be written: %s", sink, len(seqs), error)

    def _write(self, letters: Sequence[Letter], *, all_of_it: bool = False) -> None:
        if self.book is not None and (letters or self._audits or (all_of_it and self._adoptions)):
            self.book.write(letters, self._outbox.sinks, self._audits, self._adoptions, self.position)
            self._audits, self._adoptions = [], []

    def _shelve(self, book: Book) -> None:
        """Write the events that could not be when they were made; those that were delivered go into the log alone."""
        if not self._unwritten:
            return
        waiting = {sink: {letter.seq for letter in self._outbox.pending(sink, LIMIT)} for sink in self._outbox.sinks}
        book.write(list(self._unwritten), self._outbox.sinks, [], [], self.position)
        for sink, seqs in waiting.items():
            book.delivered(sink, [letter.seq for letter in self._unwritten if letter.seq not in seqs])
        self._unwritten.clear()

    def _fail(self, error: Exception) -> None:
        self.failures += 1
        self._noted, self._trivial = [], True
        self._live, self._gap = False, self._inputs is not None
        if not self.problem:
            _log.error("the journal cannot be written: %s; scoring goes on, but a crash now loses what comes", error)
        self.problem = str(error)

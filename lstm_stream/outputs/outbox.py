"""Events on their way to the sinks: what each still has to be told, in order, until it confirms it.

    worker: write(events) -> letters -> kept by the shelf, in the turn's own transaction -> post(letters)
    courier of a sink:       wait -> pending -> send -> done

Rules:
1. A letter leaves the shelf when its sink has confirmed it: what a restart finds there is sent, again perhaps, under
   the same event id.
2. Memory is bounded: of more than `limit` letters that wait for one sink, or more than `size` bytes of payload, the
   oldest are dropped and counted.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from lstm_stream.records import Event

_log = logging.getLogger(__name__)

LIMIT = 50_000  # letters that wait for one sink
SIZE = 64 * 2**20  # bytes of their payloads; the events themselves take about as much again


class Letter(NamedTuple):
    """An event as it is sent. `seq` numbers letters in the order in which their events were made, over restarts."""

    seq: int
    event: Event
    payload: bytes
    topic: str


class Shelf(Protocol):
    """Where letters are safe over a restart."""

    def delivered(self, sink: str, seqs: Sequence[int]) -> None:
        """A sink has confirmed them. Never raises."""
        ...


class Outbox:
    """The letters of all sinks. `render` gives an event's topic and payload. Thread-safe."""

    def __init__(
        self,
        sinks: Sequence[str],
        render: Callable[[Event], tuple[str, bytes]],
        limit: int = LIMIT,
        size: int = SIZE,
    ) -> None:
        self.sinks = tuple(sinks)
        self.shelf: Shelf | None = None  # none: they are in memory alone
        self.dropped = 0  # letters lost to the limit
        self._render = render
        self._limit = limit
        self._size = size
        self._waiting: dict[str, deque[Letter]] = {sink: deque() for sink in sinks}
        self._bytes = dict.fromkeys(sinks, 0)  # of the payloads
        self._changed = threading.Condition()
        self._seq = 0

    def __len__(self) -> int:
        """Letters that wait for the sink that has most."""
        return max(map(len, self._waiting.values()), default=0)

    def waiting(self) -> dict[str, int]:
        """How many letters wait for each sink."""
        with self._changed:
            return {sink: len(letters) for sink, letters in self._waiting.items()}

    def restore(self, sink: str, letters: Iterable[Letter], seq: int) -> None:
        """Take up what the shelf kept for a sink, and number on after `seq`."""
        with self._changed:
            self._add(sink, list(letters))
            self._seq = max(self._seq, seq)

    def write(self, events: Iterable[Event]) -> list[Letter]:
        """Letters for these events, not posted yet. By the worker alone."""
        letters = []
        for event in events:
            try:
                topic, payload = self._render(event)
            except Exception:
                _log.exception("event %s could not be written", event.id)
                continue
            self._seq += 1
            letters.append(Letter(self._seq, event, payload, topic))
        return letters

    def post(self, letters: Sequence[Letter]) -> None:
        """Let every sink have them."""
        if not letters:
            return
        with self._changed:
            for sink in self.sinks:
                self._add(sink, letters)
                self._bound(sink)
            self._changed.notify_all()

    def wait(self, sink: str, timeout: float, after: int = 0) -> bool:
        """Wait until a sink has letters with a `seq` above `after`, at most `timeout` s. Whether it has some."""
        waiting = self._waiting[sink]
        with self._changed:
            return self._changed.wait_for(lambda: bool(waiting) and waiting[-1].seq > after, timeout)

    def pending(self, sink: str, limit: int, after: int = 0) -> list[Letter]:
        """The oldest letters that a sink has not confirmed, of those with a `seq` above `after`."""
        with self._changed:
            return list(islice((letter for letter in self._waiting[sink] if letter.seq > after), limit))

    def done(self, sink: str, letters: Sequence[Letter]) -> None:
        """A sink has confirmed these."""
        if not letters:
            return
        told = {letter.seq for letter in letters}
        if self.shelf is not None:
            self.shelf.delivered(sink, sorted(told))
        with self._changed:
            waiting = self._waiting[sink]
            while waiting and waiting[0].seq in told:
                told.discard(self._first(sink).seq)
            if told:
                kept = [letter for letter in waiting if letter.seq not in told]
                waiting.clear()
                self._bytes[sink] = 0
                self._add(sink, kept)
            self._changed.notify_all()

    def _add(self, sink: str, letters: Sequence[Letter]) -> None:
        self._waiting[sink].extend(letters)
        self._bytes[sink] += sum(len(letter.payload) for letter in letters)

    def _first(self, sink: str) -> Letter:
        """Take out the oldest."""
        letter = self._waiting[sink].popleft()
        self._bytes[sink] -= len(letter.payload)
        return letter

    def _bound(self, sink: str) -> None:
        lost = []
        while len(self._waiting[sink]) > self._limit or self._bytes[sink] > self._size:
            lost.append(self._first(sink).seq)
        if not lost:
            return
        if not self.dropped:
            _log.error("%d events wait for %s; the oldest are dropped from now on", len(self._waiting[sink]), sink)
        self.dropped += len(lost)
        if self.shelf is not None:
            self.shelf.delivered(sink, lost)

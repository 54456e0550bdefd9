"""The bounded queue between the network thread and the worker thread.

Rule: put() never waits, for a network thread that waits misses its keep-alive. When the inbox is full, messages are
dropped and counted. One thread puts and one thread takes: each counter below is written by one of them alone.
"""

from __future__ import annotations

import threading
from collections import deque

import numpy as np

from lstm_stream.records import Chunk, Message

_BYTES_EACH = 1024  # of payload, on average; also bounds memory where messages are large
_BYTES_FREE = 64 * 2**20  # that any inbox may hold, however few its messages


class Inbox:
    """Messages that wait to be scored, in order of arrival: at most `capacity`, and of limited size together."""

    def __init__(self, capacity: int) -> None:
        self.dropped = 0
        self.limit(capacity)
        self._put = self._taken = 0
        self._bytes_put = self._bytes_taken = 0
        self._items: deque[tuple[Message | Chunk, int, int]] = deque()  # with their messages and bytes
        self._ready = threading.Event()
        self._closed = False

    def limit(self, capacity: int) -> None:
        """Hold so many messages at most from now on; those that are there stay."""
        self._capacity = capacity
        self._budget = max(capacity * _BYTES_EACH, _BYTES_FREE)  # bytes of payload

    def __len__(self) -> int:
        return self._put - self._taken

    def put(self, item: Message | Chunk) -> int:
        """Add messages; returns how many. Where the inbox is full, those after them are dropped and counted."""
        count = 1 if isinstance(item, Message) else len(item)
        size = _payload_bytes(item)
        room = self._room(item, count, size)
        if room < count:
            self.dropped += count - room
            if isinstance(item, Message) or not room:
                return 0
            item = item.only(slice(room))
            size = _payload_bytes(item)
        self._put += room
        self._bytes_put += size
        self._items.append((item, room, size))
        if not self._ready.is_set():
            self._ready.set()
        return room

    def take(self, limit: int, timeout: float) -> list[Message | Chunk]:
        """Up to `limit` messages, oldest first. Waits up to `timeout` seconds for the first one, and for no other."""
        if not self._items and not self._closed:
            self._ready.clear()
            if not self._items and not self._closed:  # not put between the two lines above
                self._ready.wait(timeout)
        taken: list[Message | Chunk] = []
        while limit and self._items:
            item, count, size = self._items.popleft()
            if isinstance(item, Chunk) and count > limit:
                rest, item = item.only(slice(limit, None)), item.only(slice(limit))
                whole, size = size, _payload_bytes(item)
                self._items.appendleft((rest, count - limit, whole - size))
                count = limit
            limit -= count
            taken.append(item)
            self._bytes_taken += size
            self._taken += count
        return taken

    def close(self) -> None:
        """Wake a waiting take(); from now on it gives what is there without waiting."""
        self._closed = True
        self._ready.set()

    def _room(self, item: Message | Chunk, count: int, size: int) -> int:
        """How many of these messages there is room for."""
        waiting = self._put - self._taken
        room = min(count, self._capacity - waiting)
        free = self._budget - (self._bytes_put - self._bytes_taken)
        if room <= 0 or size <= free:
            return max(room, 0)
        sizes = np.array([len(item.payload)]) if isinstance(item, Message) else item.table[:, 3]
        fitting = int(np.searchsorted(np.cumsum(sizes, dtype=np.int64), free, side="right"))
        return min(room, max(fitting, 0 if waiting else 1))  # alone, any message passes, to be rejected with a reason


def _payload_bytes(item: Message | Chunk) -> int:
    return len(item.payload) if isinstance(item, Message) else int(item.table[:, 3].sum())

"""The bounded queue between the network thread and the worker thread.

Rules:
1. put() never waits, for a network thread that waits misses its keep-alive.
2. A full inbox sheds as the configuration says: what has just come (drop_newest), what has waited longest
   (drop_oldest), or nothing (block). Then it takes what has been read already, and admits() holds the reader back.
3. What is dropped is counted by policy and given back to be acknowledged: it shall not come again.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lstm_stream.records import Chunk, Message

Overflow = Literal["drop_newest", "drop_oldest", "block"]
Item = Message | Chunk

_BYTES = 128 * 2**20
_EACH = 64  # bytes that a message takes beside its topic and payload
_WASTE = 2  # times what its messages take is as long as a chunk's data may be: no more is held than is counted twice
_LOW = 0.75  # of its bounds: below that a blocking inbox admits again


class Inbox:
    """Messages that wait to be scored, in order of arrival: at most `capacity`, and at most `size` bytes together.

    One thread puts and another one takes.
    """

    def __init__(self, capacity: int, size: int = _BYTES, overflow: Overflow = "drop_newest") -> None:
        self.drops = {"drop_newest": 0, "drop_oldest": 0}
        self._count = self._bytes = 0
        self._items: deque[tuple[Item, int, int]] = deque()  # with their messages and bytes
        self._lock = threading.Lock()  # guards what is above; never held for long
        self._ready = threading.Event()  # there is something
        self._room = threading.Event()  # a blocking inbox admits
        self._closed = False
        self.limit(capacity, size, overflow)

    def limit(self, capacity: int, size: int, overflow: Overflow) -> None:
        """Hold so much at most from now on; what is there stays."""
        self._capacity, self._size, self._overflow = capacity, size, overflow
        self._room.set()

    def __len__(self) -> int:
        return self._count

    @property
    def bytes_waiting(self) -> int:
        """What they take together."""
        return self._bytes

    @property
    def dropped(self) -> int:
        """Messages since the start."""
        return sum(self.drops.values())

    def admits(self, timeout: float) -> bool:
        """Whether more may be read from the network; waits up to `timeout` seconds for it. Never waits if it drops."""
        return self._room.is_set() or self._room.wait(timeout)

    def put(self, item: Item) -> list[Item]:
        """Add messages; returns those that were dropped for want of room, theirs or others'."""
        count, size = _length(item), _bytes(item)
        if not count:
            return []
        kept: Item | None = item
        dropped: list[Item] = []
        with self._lock:
            fits = self._count + count <= self._capacity and self._bytes + size <= self._size
            if not fits and self._overflow != "block":
                kept, dropped = (self._newest if self._overflow == "drop_newest" else self._oldest)(item)
            if dropped:
                self.drops[self._overflow] += sum(map(_length, dropped))
            if kept is not None:
                self._append(kept)
            if self._overflow == "block" and self._is_above(1.0):
                self._room.clear()
        if not self._ready.is_set():
            self._ready.set()
        return dropped

    def take(self, limit: int, timeout: float) -> list[Item]:
        """Up to `limit` messages, oldest first. Waits up to `timeout` seconds for the first one, and for no other."""
        if not self._items and not self._closed:
            self._ready.clear()
            if not self._items and not self._closed:  # not put between the two lines above
                self._ready.wait(timeout)
        taken: list[Item] = []
        with self._lock:
            while limit and self._items:
                item = self._first(limit)
                limit -= _length(item)
                taken.append(item)
            if not self._room.is_set() and not self._is_above(_LOW):
                self._room.set()
        return taken

    def close(self) -> None:
        """Wake a waiting take(); from now on it gives what is there without waiting."""
        self._closed = True
        self._ready.set()

    # -- the lock is held

    def _is_above(self, part: float) -> bool:
        return self._count >= part * self._capacity or self._bytes >= part * self._size

    def _append(self, item: Item) -> None:
        count, size = _length(item), _bytes(item)
        if isinstance(item, Chunk):
            item = _compact(item, size)
        self._items.append((item, count, size))
        self._count += count
        self._bytes += size

    def _first(self, most: int) -> Item:
        """Take out the oldest item, or its first messages."""
        item, count, size = self._items.popleft()
        if isinstance(item, Chunk) and count > most:
            rest, item = item.only(slice(most, None)), item.only(slice(most))
            whole, size = size, _bytes(item)
            self._items.appendleft((rest, count - most, whole - size))
            count = most
        self._count -= count
        self._bytes -= size
        return item

    def _newest(self, item: Item) -> tuple[Item | None, list[Item]]:
        """As much of the item's beginning as there is room for, and the rest."""
        sizes = _sizes(item)
        fitting = int(np.searchsorted(np.cumsum(sizes), self._size - self._bytes, side="right"))
        room = min(fitting, len(sizes), max(self._capacity - self._count, 0))
        return _cut(item, max(room, 0 if self._count else 1))  # alone, any message passes, to be rejected with a reason

    def _oldest(self, item: Item) -> tuple[Item | None, list[Item]]:
        """As much of the item's end as may wait at all, and what had to go for it."""
        sizes = _sizes(item)
        behind = np.cumsum(sizes[::-1])
        fitting = min(int(np.searchsorted(behind, self._size, side="right")), len(sizes), self._capacity)
        count, size = max(fitting, 1), int(behind[max(fitting, 1) - 1])
        dropped: list[Item] = []
        while self._items and (self._count + count > self._capacity or self._bytes + size > self._size):
            dropped.append(self._first(self._surplus(count, size)))
        lost, kept = _cut(item, len(sizes) - count)
        return (kept[0] if kept else None), [*dropped, *([lost] if lost is not None else [])]

    def _surplus(self, count: int, size: int) -> int:
        """How many messages of the oldest item must go for so many others of so many bytes."""
        sizes = _sizes(self._items[0][0])
        heavy = int(np.searchsorted(np.cumsum(sizes), self._bytes + size - self._size)) + 1
        return max(self._count + count - self._capacity, heavy if self._bytes + size > self._size else 0)


def _cut(item: Item, count: int) -> tuple[Item | None, list[Item]]:
    """Its first messages, and the others."""
    if count >= _length(item):
        return item, []
    if isinstance(item, Message) or not count:
        return None, [item]
    return item.only(slice(count)), [item.only(slice(count, None))]


def _length(item: Item) -> int:
    return 1 if isinstance(item, Message) else len(item)


def _bytes(item: Item) -> int:
    """What its messages take together."""
    if isinstance(item, Message):
        return len(item.topic) + len(item.payload) + _EACH
    return int(_sizes(item).sum())


def _sizes(item: Item) -> NDArray[np.int64]:
    """The bytes that each message takes."""
    if isinstance(item, Message):
        return np.array([_bytes(item)])
    return item.table[:, 1].astype(np.int64) + item.table[:, 3] + _EACH


def _compact(chunk: Chunk, size: int) -> Chunk:
    """The same messages, without what they share with others: that would stay in memory, and nobody counts it."""
    if len(chunk.data) > _WASTE * size:
        return _alone(chunk)
    if chunk.table.base is not None or chunk.arrivals.base is not None:
        return Chunk(chunk.data, chunk.table.copy(), chunk.arrivals.copy(), chunk.session)
    return chunk


def _alone(chunk: Chunk) -> Chunk:
    """The same messages without the bytes that stood between them: other messages, properties."""
    table, pieces, at = chunk.table.copy(), list[bytes](), 0
    for row in table:
        topic, length, payload, size = row[:4].tolist()
        pieces += chunk.data[topic : topic + length], chunk.data[payload : payload + size]
        row[0], row[2] = at, at + length
        at += length + size
    return Chunk(b"".join(pieces), table, chunk.arrivals.copy(), chunk.session)

"""Topics by number: a hash table of their bytes, looked up by a kernel for a whole chunk at once.

An entry is in one place of memory: [number, 4 bytes | length, 4 bytes | the topic], from a multiple of eight on. The
table holds of each half of its hash and where its entry is. Nothing is ever removed.
"""

from __future__ import annotations

import secrets

import numpy as np
from numpy.typing import NDArray

from lstm_stream.ingest.hashing import hashed
from lstm_stream.jit import kernel

U1 = NDArray[np.uint8]
I4 = NDArray[np.int32]
I8 = NDArray[np.int64]

_HEAD = 8  # bytes of an entry before the topic
_EMPTY = -1


class TopicIndex:
    """Numbers of topics, 0, 1, 2 ... in the order in which they were added; `most` at most."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seed = np.uint64(secrets.randbits(64))
        self._count = 0
        self._table = np.full(64, _EMPTY, np.int64)  # a power of two, at least twice the count
        self._entries = np.zeros(4096, np.uint8)
        self._used = 0  # bytes of entries

    def __len__(self) -> int:
        return self._count

    def find(self, data: U1, rows: I4) -> I4:
        """The number of the topic of each row (N, 6) of a chunk's table; -1 where it is not known."""
        return _find(data, rows, self._seed, self._table, self._entries)

    def add(self, topic: bytes) -> int:
        """The number of a topic that was not known; -1 where there are too many."""
        if self._count >= self._most:
            return -1
        size = -(-(_HEAD + len(topic)) // 8) * 8
        if self._used + size > len(self._entries):
            self._entries = np.concatenate((self._entries, np.zeros(max(size, len(self._entries)), np.uint8)))
        entry = self._entries[self._used : self._used + size]
        entry[:_HEAD].view(np.int32)[:] = self._count, len(topic)
        entry[_HEAD : _HEAD + len(topic)] = np.frombuffer(topic, np.uint8)
        self._used += size
        self._count += 1
        if 2 * self._count > len(self._table):
            self._table = np.full(2 * len(self._table), _EMPTY, np.int64)
            _insert(self._entries, 0, self._used, self._seed, self._table)
        else:
            _insert(self._entries, self._used - size, self._used, self._seed, self._table)
        return self._count - 1


@kernel
def _insert(entries: U1, start: int, stop: int, seed: np.uint64, table: I8) -> None:
    """Put the entries of that stretch into the table."""
    numbers = entries.view(np.int32)
    mask = len(table) - 1
    at = start
    while at < stop:
        length = int(numbers[at // 4 + 1])
        h = hashed(entries, at + _HEAD, length, seed)
        place = int(h >> np.uint64(1)) & mask
        while table[place] != _EMPTY:
            place = (place + 1) & mask
        table[place] = int(h >> np.uint64(33)) << 32 | at // 8
        at += (_HEAD + length + 7) // 8 * 8


@kernel
def _find(data: U1, rows: I4, seed: np.uint64, table: I8, entries: U1) -> I4:
    numbers = entries.view(np.int32)
    mask = len(table) - 1
    found = np.full(len(rows), -1, np.int32)
    for n in range(len(rows)):
        start, length = int(rows[n, 0]), int(rows[n, 1])
        h = hashed(data, start, length, seed)
        half = int(h >> np.uint64(33))
        place = int(h >> np.uint64(1)) & mask
        while table[place] != _EMPTY:
            if table[place] >> 32 == half:
                at = (table[place] & 0xFFFFFFFF) * 8
                if int(numbers[at // 4 + 1]) == length:
                    k = 0
                    while k < length and entries[at + _HEAD + k] == data[start + k]:
                        k += 1
                    if k == length:
                        found[n] = numbers[at // 4]
                        break
            place = (place + 1) & mask
    return found

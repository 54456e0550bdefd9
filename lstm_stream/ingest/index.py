"""Topics by number: a hash table of their bytes, looked up by a kernel for a whole chunk at once.

    hash -> shard -> place in its table: (31 bits of the hash | where the entry is) -> entry: number, length, topic

An entry is in one place of memory: [number, 4 bytes | length, 4 bytes | the topic], from a multiple of eight on. What
is in a place counts entries from 1 on; 0 is an empty one. Nothing is ever removed. The shards grow one by one, each to
another part of one array that is never copied: to double a table of a million topics is a pause, and so is the memory
that it needs at once. What is reserved costs nothing before it is written.
"""

from __future__ import annotations

import secrets

import numpy as np
from numpy.typing import NDArray

from lstm_stream.ingest.hashing import hashed
from lstm_stream.jit import inline, kernel

U1 = NDArray[np.uint8]
I4 = NDArray[np.int32]
I8 = NDArray[np.int64]

SHARDS = 256
_FIRST = 8  # places of an empty shard
_HEAD = 8  # bytes of an entry before the topic
_USUAL = 64  # bytes of an entry for which there is room from the beginning
_START, _SIZE, _COUNT = 0, 1, 2  # of a shard: where it begins, its places, how many of them are taken


class TopicIndex:
    """Numbers of topics, 0, 1, 2 ... in the order in which they were added; `most` at most."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seed = np.uint64(secrets.randbits(64))
        self._count = 0
        self._shards = np.zeros((SHARDS, 3), np.int64)
        self._shards[:, _START], self._shards[:, _SIZE] = np.arange(SHARDS) * _FIRST, _FIRST
        self._end = SHARDS * _FIRST  # of the shards
        # A shard has at most four places an entry, and what it had before is half as much, a quarter ...
        self._places = np.zeros(8 * most + 2 * self._end, np.int64)
        self._entries = np.zeros(_USUAL * most, np.uint8)
        self._used = 0  # bytes of entries

    def __len__(self) -> int:
        return self._count

    @property
    def room(self) -> int:
        """How many more there may be."""
        return self._most - self._count

    def find(self, data: U1, rows: I4) -> I4:
        """The number of the topic of each row (N, 6) of a chunk's table; -1 where it is not known."""
        return _find(data, rows, self._seed, self._shards, self._places, self._entries)

    def add(self, data: U1, rows: I4) -> int:
        """Number topics, one a row (M, ..), in their order; returns the first number.

        They are distinct and not known, and there is room for them.
        """
        first, used = self._count, self._used
        self._used += int((-(-(_HEAD + rows[:, 1].astype(np.int64)) // 8) * 8).sum())
        if self._used > len(self._entries):
            longer = np.zeros(2 * self._used, np.uint8)
            longer[:used] = self._entries[:used]
            self._entries = longer
        self._count += len(rows)
        self._end = _add(data, rows, first, self._seed, self._shards, self._places, self._end, self._entries, used)
        return first


@kernel
def _add(
    data: U1, rows: I4, number: int, seed: np.uint64, shards: I8, places: I8, end: int, entries: U1, used: int
) -> int:
    """Write the entries from `used` on, and where they are; returns where the shards end now."""
    numbers = entries.view(np.int32)
    for n in range(len(rows)):
        start, length = int(rows[n, 0]), int(rows[n, 1])
        numbers[used // 4], numbers[used // 4 + 1] = number + n, length
        for k in range(length):
            entries[used + _HEAD + k] = data[start + k]
        h = hashed(data, start, length, seed)
        shard = shards[int(h) & (SHARDS - 1)]
        if 2 * shard[_COUNT] >= shard[_SIZE]:
            end = _grow(shard, places, end)
        _put(shard, places, int(h >> np.uint64(33)) << 32 | (used // 8 + 1))
        shard[_COUNT] += 1
        used += (_HEAD + length + 7) // 8 * 8
    return end


@inline
def _grow(shard: I8, places: I8, end: int) -> int:
    """Twice the places for a shard, from `end` on; returns where they end."""
    start, size = int(shard[_START]), int(shard[_SIZE])
    shard[_START], shard[_SIZE] = end, 2 * size
    for k in range(start, start + size):
        if places[k] != 0:
            _put(shard, places, places[k])
    return end + 2 * size


@inline
def _put(shard: I8, places: I8, what: int) -> None:
    mask = shard[_SIZE] - 1
    place = (what >> 32) & mask
    while places[shard[_START] + place] != 0:
        place = (place + 1) & mask
    places[shard[_START] + place] = what


@kernel
def _find(data: U1, rows: I4, seed: np.uint64, shards: I8, places: I8, entries: U1) -> I4:
    numbers = entries.view(np.int32)
    found = np.full(len(rows), -1, np.int32)
    for n in range(len(rows)):
        start, length = int(rows[n, 0]), int(rows[n, 1])
        h = hashed(data, start, length, seed)
        half, shard = int(h >> np.uint64(33)), int(h) & (SHARDS - 1)
        first, mask = shards[shard, _START], shards[shard, _SIZE] - 1
        place = half & mask
        while places[first + place] != 0:
            what = places[first + place]
            if what >> 32 == half:
                at = ((what & 0xFFFFFFFF) - 1) * 8
                if int(numbers[at // 4 + 1]) == length:
                    k = 0
                    while k < length and entries[at + _HEAD + k] == data[start + k]:
                        k += 1
                    if k == length:
                        found[n] = numbers[at // 4]
                        break
            place = (place + 1) & mask
    return found

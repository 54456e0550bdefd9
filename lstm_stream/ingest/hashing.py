"""A quick hash of bytes, for kernels. Whoever keys a table by what strangers send starts it with a secret seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lstm_stream.jit import inline, kernel

U1 = NDArray[np.uint8]

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 by the golden ratio
_MIXER = np.uint64(0xD6E8FEB86659FD93)


@inline
def scramble(h: np.uint64) -> np.uint64:
    """Every bit of the result depends on every bit of `h`."""
    h = (h ^ (h >> np.uint64(32))) * _MIXER
    h = (h ^ (h >> np.uint64(32))) * _MIXER
    return h ^ (h >> np.uint64(32))


@inline
def hashed(data: U1, start: int, length: int, seed: np.uint64) -> np.uint64:
    """The hash of data[start:start + length], eight bytes at a time."""
    h = (seed ^ np.uint64(length)) * _MULTIPLIER
    at, stop = start, start + length
    while at + 8 <= stop:
        word = np.uint64(0)
        for k in range(8):
            word |= np.uint64(data[at + k]) << np.uint64(8 * k)
        h = (h ^ word) * _MULTIPLIER
        h ^= h >> np.uint64(29)
        at += 8
    word = np.uint64(0)
    shift = np.uint64(0)
    while at < stop:
        word |= np.uint64(data[at]) << shift
        shift += np.uint64(8)
        at += 1
    return scramble(h ^ word)


@kernel
def hash_of(data: U1, start: int, length: int, seed: np.uint64) -> np.uint64:
    """The same for one text, from Python."""
    return hashed(data, start, length, seed)

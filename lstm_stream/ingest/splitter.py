"""From received bytes to the PUBLISH packets in them: where the topic is, where the payload, in one pass.

Rules:
1. It takes PUBLISH packets of QoS 0 and 1 alone. At any other packet it stops, for paho to read: also at a PUBLISH of
   QoS 2, at one whose lengths do not fit, at one without a topic.
2. No length that the broker sends is trusted: nothing outside `data` is read.
3. It stops at a packet that is not complete, and begins with the same packet when there is more.

`split_by_hand` says the same in the plainest Python; tests hold the two against each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lstm_stream.jit import inline, kernel

COLUMNS = 6
"""Of the table, as `records.Chunk` describes them."""
INCOMPLETE, OTHER, FULL = 0, 1, 2
"""Why splitting ended: for want of bytes, at a packet that is not ours, for want of room in the table."""

ENDLESS = 2**40
"""The length of a packet that says none that could be: all that follows is paho's, who will end the connection."""

_PUBLISH = 0x30

U1 = NDArray[np.uint8]
I4 = NDArray[np.int32]


@inline
def variable_length(data: U1, at: int, stop: int) -> tuple[int, int]:
    """A variable byte integer: its value and how many bytes it takes. 0 bytes: more are needed; -1: it is none."""
    value = 0
    for k in range(4):
        if at + k >= stop:
            return 0, 0
        byte = int(data[at + k])
        value |= (byte & 127) << 7 * k
        if byte < 128:
            return value, k + 1
    return 0, -1


@inline
def publish(data: U1, start: int, body: int, end: int, v5: bool, row: I4) -> bool:
    """Write the row of the packet from `start` to `end`, whose body begins at `body`. False: its lengths do not fit."""
    if body + 2 > end:
        return False
    topic, length = body + 2, int(data[body]) << 8 | int(data[body + 1])
    at = topic + length
    packet_id = 0
    if data[start] & 6:
        if at + 2 > end:
            return False
        packet_id = int(data[at]) << 8 | int(data[at + 1])
        at += 2
    if v5:
        if at >= end:
            return False
        skipped, taken = variable_length(data, at, end)
        at += taken + skipped
        if taken <= 0:
            return False
    if at > end or length == 0:
        return False
    row[0], row[1], row[2], row[3], row[4], row[5] = topic, length, at, end - at, data[start], packet_id
    return True


@kernel
def split(data: U1, start: int, stop: int, v5: bool, table: I4) -> tuple[int, int, int, int]:
    """Fill the table (R, 6) with the PUBLISH packets of data[start:stop]; places are counted from `start`.

    Returns the number of rows, where it stopped, why, and the length of the whole packet there (0: not known yet).
    """
    rows, at = 0, start
    while at < stop:
        remaining, taken = variable_length(data, at + 1, stop)
        if taken == 0:
            return rows, at, INCOMPLETE, 0
        if taken < 0:
            return rows, at, OTHER, ENDLESS
        body = at + 1 + taken
        end = body + remaining
        if data[at] & 0xF0 != _PUBLISH or data[at] & 4:
            return rows, at, OTHER, end - at
        if end > stop:
            return rows, at, INCOMPLETE, end - at
        if rows == len(table):
            return rows, at, FULL, end - at
        if not publish(data, at, body, end, v5, table[rows]):
            return rows, at, OTHER, end - at
        table[rows, 0] -= start
        table[rows, 2] -= start
        rows += 1
        at = end
    return rows, at, INCOMPLETE, 0


def split_by_hand(data: bytes, v5: bool) -> tuple[list[tuple[int, ...]], int, int]:
    """The reference of `split`, without a limit of rows: the rows, where it stopped, and why."""
    rows: list[tuple[int, ...]] = []
    at = 0
    while True:
        length = length_by_hand(data[at + 1 :])
        if at == len(data) or length is None:
            return rows, at, INCOMPLETE
        if length[1] == 0 or data[at] & 0xF4 != _PUBLISH:
            return rows, at, OTHER
        body = at + 1 + length[1]
        end = body + length[0]
        if end > len(data):
            return rows, at, INCOMPLETE
        row = publish_by_hand(data[at], data[body:end], body, v5)
        if row is None:
            return rows, at, OTHER
        rows.append(row)
        at = end


def length_by_hand(data: bytes) -> tuple[int, int] | None:
    """Value and size of a variable byte integer; None while bytes are missing, of size 0 where it is none."""
    size = next((k + 1 for k, byte in enumerate(data[:4]) if byte < 128), None)
    if size is None:
        return None if len(data) < 4 else (0, 0)
    return sum((byte & 127) * 128**k for k, byte in enumerate(data[:size])), size


def publish_by_hand(first: int, body: bytes, start: int, v5: bool) -> tuple[int, ...] | None:
    """The row of a packet whose body begins at `start`."""
    length = int.from_bytes(body[:2], "big")
    topic, rest = body[2 : 2 + length], body[2 + length :]
    packet_id = 0
    if first & 6:
        packet_id, rest = int.from_bytes(rest[:2], "big"), rest[2:]
        if len(body) < 4 + length:
            return None
    if v5:
        properties = length_by_hand(rest)
        if properties is None or properties[1] == 0 or sum(properties) > len(rest):
            return None
        rest = rest[sum(properties) :]
    if not topic or len(topic) < length:
        return None
    return start + 2, length, start + len(body) - len(rest), len(rest), first, packet_id

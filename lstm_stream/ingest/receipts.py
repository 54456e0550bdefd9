"""Which messages came, and what the broker still waits to hear of them.

Rules:
1. Each delivery gets one PUBACK, on the connection it came over, once the work on the message is done.
2. The broker delivers an unacknowledged message again over the next connection of a kept session, marked as repeated
   and under the same packet id. Its first copy is still at work, or done: the repetition is no new message.
3. Where the session was not kept, packet ids start anew, and what was open is never delivered again.
4. The book outlives the process, as far as the work was done: its memory() is saved with the state, and what came after
   that is entered by recall(). An entry is forgotten after 2**15 further messages of QoS 1: it was acknowledged then,
   and a broker may deliver another one alike under the same packet id.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lstm_stream.ingest.hashing import hash_of, hashed
from lstm_stream.jit import kernel
from lstm_stream.records import Chunk

_IDS = 2**16
_NEVER = -1  # no connection
_SPAN = 2**15  # messages with a packet id after which one of them is forgotten over a restart
_ENTRY = np.dtype([("age", "<i8"), ("content", "<u8"), ("packet_id", "<u2")])

I4 = NDArray[np.int32]
I8 = NDArray[np.int64]
U8 = NDArray[np.uint64]
Mask = NDArray[np.bool_]


def content_of(topic: bytes, payload: bytes) -> int:
    """What tells one message from another under the same packet id: a hash."""
    seed = np.uint64(hash_of(np.frombuffer(topic, np.uint8), 0, len(topic), np.uint64(0)))
    return int(hash_of(np.frombuffer(payload, np.uint8), 0, len(payload), seed))


class Receipts:
    """The book of QoS 1 messages by packet id; at most 65,536 entries. Not thread-safe."""

    def __init__(self) -> None:
        self.session = 0
        self._connection = 0
        self._content = np.zeros(_IDS, np.uint64)
        self._over = np.full(_IDS, _NEVER, np.int64)  # the connection over which it came last
        self._done = np.zeros(_IDS, np.bool_)
        self._at = np.zeros(_IDS, np.int64)  # the count at which it came
        self._count = 0  # of messages with a packet id

    def begin(self, kept: bool) -> None:
        """A connection begins, of the same session as the one before or of a new one."""
        self._connection += 1
        if not kept:
            self.session += 1
            self._forget()

    def _forget(self) -> None:
        self._over[:] = _NEVER
        self._done[:] = False

    def memory(self) -> bytes:
        """The messages whose work is done, for another process."""
        ids = np.flatnonzero(self._done & (self._over != _NEVER) & (self._at > self._count - _SPAN))
        entries = np.zeros(len(ids) + 1, _ENTRY)
        entries[0] = self.session, 0, 0
        entries["packet_id"][1:], entries["content"][1:] = ids, self._content[ids]
        entries["age"][1:] = self._count - self._at[ids]
        return entries.tobytes()

    def remember(self, memory: bytes) -> None:
        """Take up what memory() of another process said. Raises ValueError where it is something else."""
        first, *_ = entries = np.frombuffer(memory, _ENTRY)
        self.session, entries = int(first["age"]), entries[1:]
        ids = entries["packet_id"].astype(np.int64)
        self._content[ids], self._over[ids], self._done[ids] = entries["content"], self._connection, True
        self._at[ids] = self._count - entries["age"]

    def recall(self, chunk: Chunk) -> None:
        """Enter a chunk's messages, on which another process has worked. Its session goes on until begin() ends it."""
        packet_ids = chunk.table[chunk.is_acknowledged, 5]
        if not len(packet_ids):
            return
        if chunk.session != self.session:  # it was not kept, then
            self.session = chunk.session
            self._forget()
        self.are_repeated(chunk)
        self._done[packet_ids] = True

    def number(self, packet_id: int) -> int:
        """A number for finish() that no other message of this or another session has while it matters."""
        return self.session << 16 | packet_id

    def is_repeated(self, packet_id: int, marked: bool, content: int) -> bool:
        """Enter a delivery. True: the same message came before. `marked`: the broker says that it may have."""
        same = self._over[packet_id] != _NEVER and self._content[packet_id] == np.uint64(content)
        self._over[packet_id] = self._connection
        self._count += 1
        self._at[packet_id] = self._count
        if marked and same:
            return True
        self._content[packet_id], self._done[packet_id] = content, False
        return False

    def are_repeated(self, chunk: Chunk) -> tuple[Mask, Mask]:
        """Enter a chunk's deliveries (N): which came before, of QoS 0 none does; and on which of these work is done."""
        repeated, finished = np.zeros(len(chunk), np.bool_), np.zeros(len(chunk), np.bool_)
        data = np.frombuffer(chunk.data, np.uint8)
        _enter(data, chunk.table, self._connection, self._content, self._over, self._done, repeated, finished)
        packet_ids = chunk.table[chunk.is_acknowledged, 5]
        self._count += len(packet_ids)
        self._at[packet_ids] = self._count
        return repeated, finished

    def is_done(self, packet_id: int) -> bool:
        """Whether the work on it is done."""
        return bool(self._done[packet_id])

    def finish(self, number: int) -> bool:
        """The work is done. True: a PUBACK is due on this connection; False: none is, or not before it is repeated."""
        return bool(self.finish_all(number >> 16, np.array([number & 0xFFFF]))[0])

    def finish_all(self, session: int, packet_ids: NDArray[np.integer]) -> Mask:
        """The same for several messages (N) of one session."""
        if session != self.session:
            return np.zeros(len(packet_ids), np.bool_)
        self._done[packet_ids] = True
        due: Mask = self._over[packet_ids] == self._connection
        return due


@kernel
def _enter(
    data: NDArray[np.uint8],
    table: I4,
    connection: int,
    content: U8,
    over: I8,
    done: Mask,
    repeated: Mask,
    finished: Mask,
) -> None:
    """Each row of QoS 1 in turn, as is_repeated() and is_done()."""
    for n in range(len(table)):
        if not table[n, 4] & 6:
            continue
        seed = hashed(data, table[n, 0], table[n, 1], np.uint64(0))
        told, packet_id = hashed(data, table[n, 2], table[n, 3], seed), table[n, 5]
        repeated[n] = table[n, 4] & 8 and over[packet_id] != _NEVER and content[packet_id] == told
        finished[n] = repeated[n] and done[packet_id]
        over[packet_id] = connection
        if not repeated[n]:
            content[packet_id], done[packet_id] = told, False

"""Which messages came, and what the broker still waits to hear of them.

Rules:
1. Each delivery gets one PUBACK, on the connection it came over, once the work on the message is done.
2. The broker delivers an unacknowledged message again over the next connection of a kept session, marked as repeated
   and under the same packet id. Its first copy is still at work, or done: the repetition is no new message.
3. Where the session was not kept, packet ids start anew, and what was open is never delivered again.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class _Receipt:
    content: int  # a hash
    connection: int  # over which it came last
    done: bool = False


class Receipts:
    """The book of QoS 1 messages by packet id; at most 65,535 entries. Not thread-safe."""

    def __init__(self) -> None:
        self._session = 0
        self._connection = 0
        self._receipts: dict[int, _Receipt] = {}

    def begin(self, kept: bool) -> None:
        """A connection begins, of the same session as the one before or of a new one."""
        self._connection += 1
        if not kept:
            self._session += 1
            self._receipts.clear()

    def number(self, packet_id: int) -> int:
        """A number for finish() that no other message of this or another session has while it matters."""
        return self._session << 16 | packet_id

    def is_repeated(self, packet_id: int, marked: bool, content: int) -> bool:
        """Enter a delivery. True: the same message came before. `marked`: the broker says that it may have."""
        receipt = self._receipts.get(packet_id)
        if marked and receipt is not None and receipt.content == content:
            receipt.connection = self._connection
            return True
        self._receipts[packet_id] = _Receipt(content, self._connection)
        return False

    def is_done(self, packet_id: int) -> bool:
        """Whether the work on it is done."""
        return self._receipts[packet_id].done

    def finish(self, number: int) -> bool:
        """The work is done. True: a PUBACK is due on this connection; False: none is, or not before it is repeated."""
        if number >> 16 != self._session:
            return False
        receipt = self._receipts[number & 0xFFFF]
        receipt.done = True
        return receipt.connection == self._connection

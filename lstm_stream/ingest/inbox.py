"""The bounded queue between the network thread and the worker thread.

Rule: put() never waits, for a network thread that waits misses its keep-alive. When the inbox is full, messages are
dropped and counted. One thread puts and one thread takes: each counter below is written by one of them alone.
"""

from __future__ import annotations

import threading
from collections import deque

from lstm_stream.records import Message

_BYTES_EACH = 1024  # of payload, on average; also bounds memory where messages are large
_BYTES_FREE = 64 * 2**20  # that any inbox may hold, however few its messages


class Inbox:
    """Messages that wait to be scored, in order of arrival: at most `capacity`, and of limited size together."""

    def __init__(self, capacity: int) -> None:
        self.dropped = 0
        self._capacity = capacity
        self._budget = max(capacity * _BYTES_EACH, _BYTES_FREE)  # bytes of payload
        self._bytes_put = 0
        self._bytes_taken = 0
        self._messages: deque[Message] = deque()
        self._ready = threading.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message: Message) -> bool:
        """Add a message. False: the inbox is full, the message is dropped and counted."""
        size = self._bytes_put + len(message.payload)
        waiting = len(self._messages)
        if waiting >= self._capacity or (waiting and size - self._bytes_taken > self._budget):
            self.dropped += 1
            return False
        self._bytes_put = size
        self._messages.append(message)
        if not self._ready.is_set():
            self._ready.set()
        return True

    def take(self, limit: int, timeout: float) -> list[Message]:
        """Up to `limit` messages, oldest first. Waits up to `timeout` seconds for the first one, and for no other."""
        if not self._messages and not self._closed:
            self._ready.clear()
            if not self._messages and not self._closed:  # not put between the two lines above
                self._ready.wait(timeout)
        messages = [self._messages.popleft() for _ in range(min(limit, len(self._messages)))]
        self._bytes_taken += sum(len(message.payload) for message in messages)
        return messages

    def close(self) -> None:
        """Wake a waiting take(); from now on it gives what is there without waiting."""
        self._closed = True
        self._ready.set()

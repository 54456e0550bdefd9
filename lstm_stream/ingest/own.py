"""The topics that this daemon publishes to, which it must not take for sensors."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Events
from lstm_stream.jit import kernel
from lstm_stream.records import Chunk

U1 = NDArray[np.uint8]


def own_topics(events: Events) -> Callable[[str], re.Match[str] | None]:
    """Matches the topics of events and of the status."""
    parts = re.split(r"(\{\w+\})", events.topic)
    event = "".join("[^/]+" if part.startswith("{") else re.escape(part) for part in parts)
    return re.compile(f"{event}|{re.escape(events.status_topic)}").fullmatch


class OwnTopics:
    """Finds own messages; only topics that begin like one are looked at closely."""

    def __init__(self, events: Events) -> None:
        self.match = own_topics(events)
        texts = (events.topic.partition("{")[0], events.status_topic)
        self._event, self._status = (np.frombuffer(text.encode(), np.uint8) for text in texts)

    def among(self, chunk: Chunk) -> NDArray[np.bool_] | None:
        """Which of a chunk's messages (N) are own ones; None where none is."""
        own = np.zeros(len(chunk), np.bool_)
        if not _begin_alike(np.frombuffer(chunk.data, np.uint8), chunk.table, self._event, self._status, own):
            return None
        for k in np.flatnonzero(own).tolist():
            own[k] = self.match(chunk.message(k).topic) is not None
        return own if own.any() else None


@kernel
def _begin_alike(data: U1, table: NDArray[np.int32], one: U1, other: U1, found: NDArray[np.bool_]) -> bool:
    """Which topics begin with one of two texts, and whether any does."""
    some = False
    for n in range(len(table)):
        for text in (one, other):
            if table[n, 1] < len(text):
                continue
            alike = True
            for k in range(len(text)):
                if data[table[n, 0] + k] != text[k]:
                    alike = False
                    break
            found[n] |= alike
            some |= alike
    return some

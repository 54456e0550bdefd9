"""The topics that are no sensors: those that this daemon publishes to, and those that somebody else listens to."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Events
from lstm_stream.ingest.aside import Aside
from lstm_stream.jit import kernel
from lstm_stream.records import Chunk

U1 = NDArray[np.uint8]


def own_topics(events: Events) -> Callable[[str], re.Match[str] | None]:
    """Matches the topics of events and of the status."""
    parts = re.split(r"(\{\w+\})", events.topic)
    event = "".join("[^/]+" if part.startswith("{") else re.escape(part) for part in parts)
    return re.compile(f"{event}|{re.escape(events.status_topic)}").fullmatch


class OwnTopics:
    """Finds messages that are no samples; only topics that begin like theirs are looked at closely."""

    def __init__(self, events: Events, aside: Aside | None = None) -> None:
        self._published = own_topics(events)
        self._aside = aside or Aside()
        texts = [events.topic.partition("{")[0], events.status_topic, *self._aside.beginnings]
        encoded = [text.encode() for text in texts]
        self._texts = np.frombuffer(b"".join(encoded), np.uint8)
        self._ends = np.cumsum([len(text) for text in encoded])

    def match(self, topic: str) -> bool:
        """Whether messages of a topic are no samples."""
        return self._published(topic) is not None or self._aside.takes(topic)

    def among(self, chunk: Chunk) -> NDArray[np.bool_] | None:
        """Which of a chunk's messages (N) are own ones; None where none is."""
        own = np.zeros(len(chunk), np.bool_)
        if not _begin_alike(np.frombuffer(chunk.data, np.uint8), chunk.table, self._texts, self._ends, own):
            return None
        for k in np.flatnonzero(own).tolist():
            own[k] = self.match(chunk.message(k).topic)
        return own if own.any() else None


@kernel
def _begin_alike(
    data: U1, table: NDArray[np.int32], texts: U1, ends: NDArray[np.int64], found: NDArray[np.bool_]
) -> bool:
    """Which topics begin with one of some texts, which lie one behind the other, and whether any does."""
    some = False
    for n in range(len(table)):
        begin = 0
        for end in ends:
            alike = table[n, 1] >= end - begin
            k = 0
            while alike and k < end - begin:
                alike = data[table[n, 0] + k] == texts[begin + k]
                k += 1
            found[n] |= alike
            some |= alike
            begin = end
    return some

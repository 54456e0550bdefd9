"""Messages that are no samples: who listens to which topics besides the line.

They do not go through the inbox. A listener is called on the network thread and must not wait; what goes wrong in it is
logged. With QoS 1 such a message is acknowledged as it comes, and may come twice.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import NamedTuple

from lstm_stream.ingest.topics import Pattern
from lstm_stream.records import Message

_log = logging.getLogger(__name__)

Hear = Callable[[Message], None]


class _Listener(NamedTuple):
    pattern: Pattern
    qos: int
    hear: Hear


class Aside:
    """The listeners. All of them are there before the session opens."""

    def __init__(self) -> None:
        self._listeners: list[_Listener] = []

    def listen(self, topic: str, qos: int, hear: Hear) -> None:
        """Call `hear` with every message of a topic, a pattern as in sources. Raises ValueError for what is none."""
        self._listeners.append(_Listener(Pattern.parse(topic), qos, hear))

    @property
    def filters(self) -> dict[str, int]:
        """What to subscribe to, and the QoS."""
        return {one.pattern.filter: one.qos for one in self._listeners}

    @property
    def beginnings(self) -> list[str]:
        """What topics begin with that somebody listens to."""
        return [re.split("[+#]", topic)[0].removesuffix("/") for topic in self.filters]

    def takes(self, topic: str) -> bool:
        """Whether anybody listens to a topic."""
        return any(one.pattern.match(topic) is not None for one in self._listeners)

    def hear(self, message: Message) -> None:
        """Tell those who listen to its topic. Never raises."""
        for one in self._listeners:
            if one.pattern.match(message.topic) is not None:
                try:
                    one.hear(message)
                except Exception:
                    _log.exception("a message on %s could not be taken", message.topic)

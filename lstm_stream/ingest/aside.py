"""Messages that are no samples: who listens to which topics besides the line, and what we publish ourselves.

They do not go through the inbox. A listener is called on the network thread and must not wait; what goes wrong in it is
logged. With QoS 1 such a message is acknowledged as it comes, and may come twice.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from lstm_stream.ingest.topics import Pattern
from lstm_stream.records import Message

_log = logging.getLogger(__name__)

Hear = Callable[[Message], None]


class _Listener(NamedTuple):
    pattern: Pattern
    qos: int
    hear: Hear
    optional: bool


class Aside:
    """The listeners. All of them are there before the session opens."""

    def __init__(self) -> None:
        self._listeners: list[_Listener] = []
        self._ignored: list[Pattern] = []

    def listen(self, topic: str, qos: int, hear: Hear, *, optional: bool = False) -> None:
        """Call `hear` with every message of a topic, a pattern as in sources. Raises ValueError for what is none."""
        self._listeners.append(_Listener(Pattern.parse(topic), qos, hear, optional))

    def give_up(self) -> list[str]:
        """Forget the optional listeners; their filters. Some brokers hang up on who asks for what they do not give."""
        given_up = [one.pattern.filter for one in self._listeners if one.optional]
        self._listeners = [one for one in self._listeners if not one.optional]
        return given_up

    def ignore(self, topic: str) -> None:
        """A topic that we publish to ourselves, a pattern as in sources. Raises ValueError for what is none."""
        self._ignored.append(Pattern.parse(topic))

    @property
    def filters(self) -> dict[str, int]:
        """What to subscribe to, and the QoS."""
        return {one.pattern.filter: one.qos for one in self._listeners}

    @property
    def beginnings(self) -> list[str]:
        """What topics begin with that are no samples'."""
        return [re.split("[+#]", pattern.filter)[0].removesuffix("/") for pattern in self._patterns]

    def takes(self, topic: str) -> bool:
        """Whether messages of a topic are no samples."""
        return any(pattern.match(topic) is not None for pattern in self._patterns)

    def hear(self, message: Message) -> None:
        """Tell those who listen to its topic. Never raises."""
        for one in self._listeners:
            if one.pattern.match(message.topic) is not None:
                try:
                    one.hear(message)
                except Exception:
                    _log.exception("a message on %s could not be taken", message.topic)

    def hear_all(self, messages: Iterable[Message]) -> None:
        """Tell those who listen to their topics. Never raises."""
        for message in messages:
            self.hear(message)

    @property
    def _patterns(self) -> list[Pattern]:
        return [*(one.pattern for one in self._listeners), *self._ignored]

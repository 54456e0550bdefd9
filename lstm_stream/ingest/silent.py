"""Losses that nobody would hear of: what mosquitto drops for slow or absent clients, which it tells in $SYS alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from lstm_stream.ingest.aside import Aside
from lstm_stream.records import Message

_log = logging.getLogger(__name__)

TOPIC = "$SYS/broker/publish/messages/dropped"
_TELL_EVERY = 3600.0  # s


class BrokerLosses:
    """Counts what the broker has `dropped` since we listen: of all its clients, it does not say of which."""

    def __init__(self, aside: Aside, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.dropped = 0
        self._monotonic = monotonic
        self._latest: int | None = None
        self._told = -_TELL_EVERY
        aside.listen(TOPIC, 0, self.hear, optional=True)

    def hear(self, message: Message) -> None:
        """The broker's own count, since its start. What is no number is no news."""
        if not message.payload.isdigit() or len(message.payload) > 18:
            return
        count, former = int(message.payload), self._latest
        self._latest = count
        if former is None or count <= former:  # the first one, or the broker was restarted
            return
        self.dropped += count - former
        if self._monotonic() - self._told >= _TELL_EVERY:
            self._told = self._monotonic()
            text = "the broker has dropped %d messages of some client; are its limits too low (max_queued_messages)?"
            _log.warning(text, count - former)

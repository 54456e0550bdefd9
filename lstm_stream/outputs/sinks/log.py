"""Events as lines of the daemon's log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from lstm_stream.outputs.outbox import Letter
from lstm_stream.records import Event

_log = logging.getLogger(__name__)


class LogSink:
    """`remark` says what else is to be known of an event, such as its severity."""

    name = "log"
    longest_pause = 1.0

    def __init__(self, remark: Callable[[Event], str]) -> None:
        self._remark = remark

    def send(self, letters: Sequence[Letter]) -> int:
        """A line each."""
        for letter in letters:
            event = letter.event
            about = f"{event.group}, {event.view}, {self._remark(event)}"
            _log.info("alarm %s: %s (%s): %s", event.state, event.sensor, about, event.reason)
        return len(letters)

    def close(self) -> None:
        """Nothing to let go of."""

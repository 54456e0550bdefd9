"""Alarms and letters for the tests of what goes out."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from lstm_stream.outputs.events import to_json, topic_for
from lstm_stream.outputs.outbox import Letter
from lstm_stream.records import Event

T0 = 1_795_243_666.0
_numbers = itertools.count(1)


def alarm(sensor: str = "pump-7", opened: float = T0, **fields: Any) -> Event:
    """An alarm that opened. `closed` makes it one that closed."""
    group = fields.pop("group", "pumps")
    closed = fields.pop("closed", None)
    state = "opened" if closed is None else "closed"
    cause = hashlib.sha256(f"{group}/{sensor}/{opened}".encode()).hexdigest()[:16]
    values: dict[str, Any] = {
        "view": "level",
        "reason": "bearing averages 61 where 57 is usual" if closed is None else "back to normal after 60 s",
        "score": 3.6,
        "threshold": 3.5,
        "generation": 1,
        **fields,
    }
    return Event(f"{cause}-{state}", sensor, group, state, opened=opened, closed=closed, **values)


def render(event: Event) -> tuple[str, bytes]:
    """Topic and payload of an event."""
    return topic_for("a/{sensor}", event), to_json(event, T0, "0")


def letter(event: Event | None = None) -> Letter:
    """A letter with a number of its own."""
    one = event or alarm()
    topic, payload = render(one)
    return Letter(next(_numbers), one, payload, topic)


class Memory:
    """A sink that keeps what it gets; `fail` is called before each delivery and may raise."""

    longest_pause = 60.0

    def __init__(self, name: str = "memory", most: int = 1000, fail: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self.most = most
        self.fail = fail
        self.got: list[Letter] = []
        self.closed = False

    def send(self, letters: Sequence[Letter]) -> int:
        self.fail()
        taken = letters[: self.most]
        self.got += taken
        return len(taken)

    def close(self) -> None:
        self.closed = True

"""Where events can go. Each sink takes letters from its courier, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lstm_stream.outputs.outbox import Letter


class RefusalError(Exception):
    """The receiver will never take the first of these letters: trying again is of no use."""


class Sink(Protocol):
    """A receiver of events, used by one thread."""

    @property
    def name(self) -> str:
        """Short, as in metrics."""
        ...

    @property
    def longest_pause(self) -> float:
        """Seconds that its courier waits at most before it tries again."""
        ...

    def send(self, letters: Sequence[Letter]) -> int:
        """Deliver letters, in order; how many from the front were delivered, at least one.

        Raises OSError where not one was, RefusalError where the first never will be.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections. It may be used again."""
        ...

"""How many messages a turn of the loop takes: those that come meanwhile wait until all of it is through."""

from __future__ import annotations

LONGEST = 0.04  # s that a turn may last
LEAST = 128  # messages that a turn may take whatever they cost, or it would be all overhead


class Pace:
    """`limit` for the next turn: twice what the last one took, at most `most`, and less where that lasted long."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._limit = LEAST

    @property
    def limit(self) -> int:
        """Messages."""
        return min(self._limit, self.most)

    def took(self, messages: int, seconds: float) -> None:
        """A turn is through."""
        fitting = messages * LONGEST / max(seconds, 1e-9)
        self._limit = int(max(LEAST, min(2 * messages, fitting, self.most)))

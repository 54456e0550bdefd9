"""How many messages a turn of the loop takes, and when the next one begins.

Messages that come meanwhile wait until all of a turn is through. Of few messages it costs more than they do: such turns
begin some time after one another, unless the broker waits for their acknowledgement.
"""

from __future__ import annotations

LONGEST = 0.025  # s that a turn may last
APART = 0.002  # s between the beginnings of turns of few messages
FEW = 512
LEAST = 128  # messages that a turn may take whatever they cost, or it would be all overhead


class Pace:
    """`limit` for the next turn: twice what the last one took, at most `most`, and less where that lasted long.

    `rest` is how long after it the next one is to begin, s.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.rest = 0.0
        self._limit = LEAST

    @property
    def limit(self) -> int:
        """Messages."""
        return min(self._limit, self.most)

    def took(self, messages: int, seconds: float, *, awaited: bool = False) -> None:
        """A turn is through; `awaited`: the broker sends more only when it hears of it."""
        self.rest = 0.0 if awaited or messages >= FEW else max(APART - seconds, 0.0)
        fitting = messages * LONGEST / max(seconds, 1e-9)
        self._limit = int(max(LEAST, min(2 * messages, fitting, self.most)))

"""When messages arrive. The machine's clock may be set while we run; the times of samples shall not run backwards."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)

_PACE = 0.9  # of the real one, while waiting for a clock that was set back
_WORTH_A_LINE = 1.0  # s


class Clock:
    """Unix seconds that never run backwards: set forward it follows at once, set back it goes slower until they meet.

    A sensor whose samples bear no times would otherwise be refused for as long as the clock was set back.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.ahead = 0.0  # s before the machine's clock
        self._wall = wall
        self._monotonic = monotonic
        self._now, self._at = wall(), monotonic()
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Now."""
        with self._lock:
            wall, at = self._wall(), self._monotonic()
            passed, self._at = max(at - self._at, 0.0), at
            self._tell(wall - self._now - passed)
            self._now = max(wall, self._now + _PACE * passed)
            self.ahead = self._now - wall
            return self._now

    def _tell(self, step: float) -> None:
        """The clock of the machine was set by so many seconds since the last call, if by more than our own ahead."""
        if step + self.ahead < -_WORTH_A_LINE:
            text = "the clock of this machine was set back by %.1f s; arrivals are dated by our own until they meet"
            _log.warning(text, -step - self.ahead)
        elif step + self.ahead > _WORTH_A_LINE:
            _log.warning("the clock of this machine was set forward by %.1f s", step + self.ahead)

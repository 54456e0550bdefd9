"""How long a sensor's longest gap is."""

from __future__ import annotations

import numpy as np

from lstm_stream.detect.inputs import elapse


def _longest(elapsed: list[float]) -> float:
    """The longest gap after samples so far apart."""
    last, interval, longest = np.zeros(1), np.zeros(1), np.zeros(1)
    count, time = np.zeros(1, np.int64), 0.0
    for gap in elapsed:
        time += gap
        elapse(np.zeros(1, np.int32), np.array([time]), last, interval, longest, count, np.zeros(1, np.bool_))
        count += 1
    return float(longest[0])


def test_one_long_absence_does_not_make_the_next_one_usual() -> None:
    assert _longest([60.0] * 100 + [36000.0]) <= 180.0


def test_gaps_that_come_again_and_again_are_usual() -> None:
    assert _longest(([60.0] * 20 + [1800.0]) * 10) > 1500.0

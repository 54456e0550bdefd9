"""A turn takes what is through in good time."""

from __future__ import annotations

import pytest

from lstm_stream.pace import APART, LEAST, LONGEST, Pace


@pytest.mark.parametrize("cost", [1e-6, 5e-6, 60e-6])
def test_a_flood_is_taken_in_turns_that_do_not_last_long(cost: float) -> None:
    pace, limits = Pace(8192), list[int]()
    for _ in range(20):
        limits.append(pace.limit)
        pace.took(pace.limit, pace.limit * cost)
    assert limits[0] <= LEAST, "the first turn after a pause may be the dearest"
    assert all(limit * cost <= LONGEST + 1e-9 for limit in limits)
    assert limits[-1] == pytest.approx(min(8192, LONGEST / cost), rel=0.01)


def test_a_turn_that_lasted_too_long_makes_the_next_one_shorter() -> None:
    pace = Pace(8192)
    pace.took(8192, 0.01)
    assert pace.limit == 8192
    pace.took(8192, 0.4)
    assert pace.limit == int(8192 * LONGEST / 0.4)


def test_it_takes_no_more_than_is_configured() -> None:
    pace = Pace(100)
    pace.took(100, 0.0)
    assert pace.limit == 100


def test_turns_of_few_messages_begin_some_time_after_one_another_unless_the_broker_waits() -> None:
    pace = Pace(8192)
    pace.took(10, 0.001)
    assert pace.rest == pytest.approx(APART - 0.001)
    pace.took(10, 0.001, awaited=True)
    assert pace.rest == 0
    pace.took(10, 0.01)
    assert pace.rest == 0
    pace.took(5000, 0.001)
    assert pace.rest == 0

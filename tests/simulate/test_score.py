"""What counts as found and what as false, by hand-made cases and by what must hold for all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_stream.simulate import Fault, Series
from lstm_stream.simulate.score import WEEK, Alarm, Windows, grace_of, score, watched_weeks

HOUR = 3600.0


def fault(start: float, end: float, sensor: str = "a") -> Fault:
    return Fault(sensor, "level_shift", start * HOUR, end * HOUR, ("x",), 5.0)


def alarm(opened: float, closed: float | None = None, sensor: str = "a") -> Alarm:
    return Alarm(sensor, opened * HOUR, None if closed is None else closed * HOUR, "level", "because", 3.0)


def test_an_alarm_inside_a_fault_finds_it() -> None:
    result = score([fault(10, 20)], [alarm(13, 25)], 100 * HOUR, HOUR)
    assert (result.injected, result.found, result.false_alarms) == (1, 1, ())
    assert result.outcomes[0].delay == 3 * HOUR
    assert result.median_delay == 3 * HOUR


def test_the_window_is_as_long_as_the_grace_allows() -> None:
    inside = score([fault(10, 20)], [alarm(21)], 100 * HOUR, HOUR)
    assert (inside.found, inside.outcomes[0].delay) == (1, 11 * HOUR)
    outside = score([fault(10, 20)], [alarm(21.01)], 100 * HOUR, HOUR)
    assert (outside.found, outside.median_delay, len(outside.false_alarms)) == (0, None, 1)


def test_several_alarms_in_one_fault_are_one_find_and_none_is_false() -> None:
    result = score([fault(10, 20)], [alarm(18), alarm(12, 13), alarm(15, 16)], 100 * HOUR, HOUR)
    assert (result.found, result.outcomes[0].delay, result.false_alarms) == (1, 2 * HOUR, ())


def test_an_alarm_of_another_sensor_is_false() -> None:
    result = score([fault(10, 20)], [alarm(12, sensor="b")], 100 * HOUR, HOUR)
    assert (result.found, [one.sensor for one in result.false_alarms]) == (0, ["b"])


def test_an_alarm_that_is_open_when_the_fault_begins_is_false_and_finds_nothing() -> None:
    result = score([fault(10, 20)], [alarm(8, 15)], 100 * HOUR, HOUR)
    assert (result.found, len(result.false_alarms)) == (0, 1)


def test_a_fault_that_had_not_begun_at_the_end_does_not_count() -> None:
    result = score([fault(10, 20), fault(50, 60)], [alarm(11)], 40 * HOUR, HOUR)
    assert (result.injected, result.found) == (1, 1)
    assert score([fault(30, 60)], [], 40 * HOUR, HOUR).injected == 1


def test_the_median_is_over_the_faults_that_were_found() -> None:
    faults = [fault(10, 20), fault(30, 40), fault(50, 60), fault(70, 80)]
    result = score(faults, [alarm(11), alarm(35), alarm(52)], 100 * HOUR, HOUR)
    assert (result.found, result.median_delay) == (3, 2 * HOUR)
    assert [outcome.alarm is None for outcome in result.outcomes] == [False, False, False, True]


def test_no_faults_no_alarms() -> None:
    result = score([], [], 0.0, HOUR)
    assert (result.injected, result.found, result.median_delay, result.false_alarms) == (0, 0, None, ())


def test_times_that_travelled_as_text_may_be_a_little_early() -> None:
    assert score([fault(10, 20)], [alarm(10 - 0.3 / HOUR)], 100 * HOUR, HOUR).outcomes[0].delay == 0.0


@pytest.mark.parametrize(("interval", "grace"), [(10.0, 3600.0), (300.0, 3600.0), (900.0, 10800.0)])
def test_the_grace_is_an_hour_or_twelve_samples(interval: float, grace: float) -> None:
    assert grace_of(interval) == grace


def series(hours: list[float], sensor: str = "a") -> Series:
    time = np.array(hours) * HOUR
    return Series(sensor, "here", "tank", ("x",), ("%",), time, np.zeros((len(time), 1)), np.ones(1))


def test_the_watch_begins_with_the_last_sample_of_the_warm_up() -> None:
    one = series([1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert watched_weeks([one], [], 20 * HOUR, HOUR, warmup=4) * WEEK == pytest.approx(16 * HOUR)
    assert watched_weeks([one, one], [], 20 * HOUR, HOUR, warmup=4) * WEEK == pytest.approx(32 * HOUR)
    assert watched_weeks([one], [], 4 * HOUR, HOUR, warmup=4) == 0.0
    assert watched_weeks([one], [], 20 * HOUR, HOUR, warmup=10) == 0.0


def test_the_time_in_windows_is_not_watched() -> None:
    one = series([1, 2, 3, 4])
    faults = [fault(10, 12), fault(18, 30), fault(15, 16, "b"), fault(0, 5)]
    watched = watched_weeks([one], faults, 20 * HOUR, HOUR, warmup=4) * WEEK
    assert watched == pytest.approx((16 - 2 - 3 - 2) * HOUR)  # 4 to 6, 10 to 13 and 18 to 20 are in windows


hours = st.floats(0, 200, allow_nan=False)
faults_of = st.lists(
    st.builds(lambda s, n, who: fault(s, s + n, who), hours, st.floats(0.1, 30), st.sampled_from("abc")),
    max_size=8,
    unique_by=lambda one: (one.sensor, one.start),
)
alarms_of = st.lists(
    st.builds(lambda s, n, who: alarm(s, s + n, who), hours, st.floats(0, 30), st.sampled_from("abcd")), max_size=12
)


@given(faults_of, alarms_of, hours)
def test_what_holds_for_any_run(faults: list[Fault], alarms: list[Alarm], end: float) -> None:
    result = score(faults, alarms, end * HOUR, HOUR)
    assert 0 <= result.found <= result.injected <= len(faults)
    assert result.found + len(result.false_alarms) <= len(alarms)
    finders = [outcome.alarm for outcome in result.outcomes if outcome.alarm]
    assert not {id(one) for one in finders} & {id(one) for one in result.false_alarms}
    assert len({id(one) for one in finders}) == len(finders)
    for outcome in result.outcomes:
        assert outcome.delay is None or 0 <= outcome.delay <= outcome.fault.end - outcome.fault.start + HOUR + 1
    assert score(faults, alarms[::-1], end * HOUR, HOUR).found == result.found


@given(faults_of, alarms_of, hours, alarms_of)
def test_more_alarms_never_find_less_and_never_forgive(
    faults: list[Fault], alarms: list[Alarm], end: float, more: list[Alarm]
) -> None:
    one, two = (score(faults, some, end * HOUR, HOUR) for some in (alarms, alarms + more))
    assert two.found >= one.found
    assert len(two.false_alarms) >= len(one.false_alarms)


@given(faults_of, hours, hours)
def test_windows_take_no_more_time_than_there_is(faults: list[Fault], begin: float, length: float) -> None:
    inside = Windows(faults, HOUR).seconds("a", begin * HOUR, (begin + length) * HOUR)
    moments = (begin + length * (np.arange(2000) + 0.5) / 2000) * HOUR
    claimed = np.zeros(2000, bool)
    for one in faults:
        if one.sensor == "a":
            claimed |= (moments >= one.start) & (moments <= one.end + HOUR)
    assert inside == pytest.approx(claimed.mean() * length * HOUR, abs=length * HOUR * 0.01 + 1e-6)

"""When an alarm opens and closes, sample by sample."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_stream.detect import alarm
from lstm_stream.detect.alarm import ACCEPTED, CLOSED, NOTHING, OPENED

THRESHOLD = 4.0


class Sensor:
    """One sensor that was quiet long enough to be armed."""

    def __init__(self, rows) -> None:
        self.rows, self.time = rows, 0.0
        self.feed([0.5] * 50)

    def feed(self, scores, threshold=THRESHOLD, accept_after=1e9, view=2, back=True):
        """One score a minute: the transitions."""
        result = []
        for score in scores:
            self.time += 60.0
            transition = self.rows.call(
                alarm.decide,
                time=np.array([self.time]),
                score=np.array([score]),
                threshold=np.array([threshold]),
                view=np.array([view], np.int8),
                back=np.array([back]),
                accept_after=accept_after,
            )
            result.append(int(transition[0]))
        return result

    @property
    def open(self) -> bool:
        return bool(self.rows.arrays.open[0])


@pytest.fixture
def sensor(rows_of) -> Sensor:
    return Sensor(rows_of())


def closing(sensor) -> int:
    """Quiet samples until the alarm closes, and how many that took."""
    for needed in range(1, 200):
        if sensor.feed([0.1]) == [CLOSED]:
            return needed
    raise AssertionError("it never closes")


def test_it_opens_at_the_threshold_and_remembers_when_and_why(sensor) -> None:
    assert sensor.feed([THRESHOLD - 0.001, THRESHOLD, 5.0, 4.5]) == [NOTHING, OPENED, NOTHING, NOTHING]
    a = sensor.rows.arrays
    assert (a.open[0], a.opened[0], a.leading[0]) == (True, sensor.time - 120, 2)
    assert a.peak[0] == 5.0


def test_it_closes_after_some_quiet_samples_in_a_row(sensor) -> None:
    sensor.feed([9.0])
    needed = closing(sensor)
    assert needed > 1
    sensor.feed([20.0])
    for _ in range(5):  # never quiet for long enough
        assert CLOSED not in sensor.feed([0.1] * (needed - 1) + [THRESHOLD])
    assert sensor.feed([0.1] * needed)[-1] == CLOSED


def test_just_below_the_threshold_is_not_quiet(sensor) -> None:
    """Hysteresis: an alarm that hovers does not flutter."""
    sensor.feed([9.0])
    assert set(sensor.feed([0.97 * THRESHOLD] * 100 + [1.03 * THRESHOLD, 0.97 * THRESHOLD] * 50)) == {NOTHING}
    assert sensor.open


def test_an_echo_is_not_a_second_alarm(sensor) -> None:
    """Soon after it closed, only something worse opens another; later anything does."""
    sensor.feed([8.0])
    closing(sensor)
    assert OPENED not in sensor.feed([0.1] * 5 + [7.9] + [0.1] * 5 + [8.0])
    assert sensor.feed([8.1]) == [OPENED]
    closing(sensor)
    sensor.feed([0.1] * 500)
    assert sensor.feed([THRESHOLD]) == [OPENED]


def test_what_lasts_is_accepted_as_the_new_normal(sensor) -> None:
    transitions = sensor.feed([9.0] * 100, accept_after=3600.0)
    assert transitions[0] == OPENED
    assert transitions.index(ACCEPTED) == 60
    assert set(transitions[61:]) == {NOTHING}, "what was accepted is no second alarm"


def test_no_alarm_while_the_threshold_is_unknown(sensor) -> None:
    assert set(sensor.feed([1e3] * 50, threshold=np.inf)) == {NOTHING}


def test_a_new_sensor_is_armed_by_a_quiet_stretch(rows_of) -> None:
    """What has been so since its warm-up is no event; what comes after is."""
    fresh = Sensor.__new__(Sensor)
    fresh.rows, fresh.time = rows_of(), 0.0
    assert set(fresh.feed([0.1] * 100, threshold=np.inf) + fresh.feed([9.0] * 200)) == {NOTHING}
    fresh.feed([0.1] * 50)
    assert fresh.feed([THRESHOLD]) == [OPENED]


def test_sensors_decide_for_themselves(rows_of) -> None:
    rows = rows_of(1, 3)
    one = np.ones(3)
    for k, scores in enumerate([[0.1] * 3] * 50 + [[9.0, 0.1, 3.9]]):
        transition = rows.call(
            alarm.decide,
            time=k * one,
            score=np.array(scores),
            threshold=THRESHOLD * one,
            view=np.ones(3, np.int8),
            back=np.ones(3, np.bool_),
            accept_after=1e9,
        )
    assert transition.tolist() == [OPENED, NOTHING, NOTHING]
    assert rows.arrays.open.tolist() == [True, False, False]


def test_an_alarm_stays_open_until_the_level_is_back(rows_of) -> None:
    sensor = Sensor(rows_of())
    sensor.feed([9.0])
    assert set(sensor.feed([0.1] * 500, back=False)) == {NOTHING}
    assert sensor.feed([0.1] * 12).count(CLOSED) == 1


def test_a_level_is_back_when_it_is_usual_or_most_of_the_way() -> None:
    """The largest tenth of what was usual begins at 2; in this alarm it was 20."""
    slot, fit, crest = np.zeros(1, np.int32), np.full((1, 7, 4), 2.0), np.zeros((1, 2))
    votes, is_open = np.ones(12), np.ones(1, np.bool_)
    said = []
    for level in (1.0, 5.0, 20.0, 15.0, 11.0, 1.0):
        statistic = np.full((1, 7), level)
        said.append(bool(alarm.are_back(slot, statistic, fit, votes, (3, 7), is_open, crest)[0]))
    assert said == [True, False, False, False, True, True]
    votes[[3, 7]] = 0.0
    assert alarm.are_back(slot, np.full((1, 7), 20.0), fit, votes, (3, 7), is_open, crest).all()

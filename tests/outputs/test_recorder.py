"""What is recorded for charts: which samples of which sensors, thinned how, and over a restart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from lstm_stream.outputs.recorder import EVERY, Recorder, Round
from lstm_stream.outputs.tape import BUCKET, BUCKETS, FINE, Trace, channels_of, trace_of
from lstm_stream.records import Samples, Verdicts

START = 1_795_200_000.0  # a whole bucket
NAN = float("nan")


class Line:
    """A group of sensors and the recorder of their samples."""

    def __init__(self, limit: int = 10, channels: Sequence[str] = ("v",)) -> None:
        self.now = 0.0
        self.recorder = Recorder(limit, lambda: self.now)
        self.channels = tuple(channels)
        self.sensors: list[str | None] = []
        self.count = np.zeros(100, np.int64)
        self.detector = object()

    def slot(self, sensor: str) -> int:
        if sensor not in self.sensors:
            self.sensors.append(sensor)
        return self.sensors.index(sensor)

    def send(self, *samples: tuple[str, float, Any], score: float = 1.0, threshold: float = 4.0) -> None:
        """One batch: (sensor, time, value or values)."""
        slot = np.array([self.slot(sensor) for sensor, _, _ in samples], np.int32)
        np.add.at(self.count, slot, 1)
        values = np.array([np.broadcast_to(value, len(self.channels)) for _, _, value in samples], float)
        time = np.array([time for _, time, _ in samples], float)
        many = len(samples)
        verdicts = Verdicts(
            values + 0.5,
            values - 1.0,
            values + 1.0,
            np.full(many, score),
            np.full(many, threshold),
            values,
            np.zeros(many, np.int8),
            np.zeros(many, np.bool_),
        )
        key = "g", self.channels
        self.recorder.record(self.detector, key, self.sensors, self.count, Samples(slot, time, values), verdicts)

    def trace(self, sensor: str) -> Trace:
        trace = self.recorder.trace(("g", sensor))
        assert trace is not None
        return trace

    def values(self, sensor: str) -> list[float]:
        """Of the first channel."""
        return [float(value) for value in self.trace(sensor).values[:, 0, 0]]


@pytest.fixture
def line() -> Line:
    return Line()


def test_the_latest_samples_are_kept_one_by_one(line: Line) -> None:
    for k in range(FINE + 40):
        line.send(("a", START + k, k), ("b", START + k, -k), score=k)
    trace = line.trace("a")
    fine = trace.within(trace.fine_since, None)
    assert fine.time.tolist() == [START + k for k in range(40, FINE + 40)]
    assert fine.values[:, 0].tolist() == [[k, k + 0.5, k - 1, k + 1] for k in range(40, FINE + 40)]
    assert fine.score.tolist() == list(range(40, FINE + 40))
    assert line.values("b")[-1] == -(FINE + 39)


def test_older_samples_are_kept_in_buckets_that_hide_no_spike(line: Line) -> None:
    many = int(3 * BUCKET / 10)
    for k in range(many + FINE):
        line.send(("a", START + 10 * k, 100.0 if k == 70 else k % 7), score=9.0 if k == 70 else 1.0)
    trace = line.trace("a")
    coarse = trace.within(None, START + 3 * BUCKET - 1)
    assert coarse.time.tolist() == [START + (k + 0.5) * BUCKET for k in range(3)]
    assert coarse.values[:, 0, 0].tolist() == [6.0, 100.0, 6.0], "the highest"
    assert coarse.low[:, 0].tolist() == [0.0, 0.0, 0.0], "the lowest"
    assert coarse.score.tolist() == [1.0, 9.0, 1.0]
    assert coarse.values[0, 0, 1] == pytest.approx(np.mean([k % 7 + 0.5 for k in range(60)]), abs=1e-4)
    assert coarse.values[1, 0, 2:].tolist() == [-1.0, 101.0], "the band at its widest"
    assert (np.diff(trace.time) > 0).all()


def test_a_bucket_that_ends_in_the_latest_samples_is_told_up_to_there(line: Line) -> None:
    for k in range(FINE + 20):
        line.send(("a", START + k, k))
    trace = line.trace("a")
    assert trace.time[:2].tolist() == [START + 10, START + 20]
    assert trace.fine_since == START + 20


def test_more_than_a_week_is_forgotten(line: Line) -> None:
    for k in range(BUCKETS + 200 + FINE):
        line.send(("a", START + k * BUCKET, k))
    trace = line.trace("a")
    assert len(trace.time) == BUCKETS, "a bucket has one sample here, so that the ring is a week in all"
    assert line.values("a")[-1] == BUCKETS + 199 + FINE


def test_what_is_absent_or_unknown_stays_so() -> None:
    line = Line(channels=("v", "w"))
    line.send(("a", START, (NAN, 2.0)), threshold=np.inf)
    line.send(("a", START + 1, (1.0, NAN)))
    trace = line.trace("a")
    assert np.isnan(trace.values[:, 0, 0]).tolist() == [True, False]
    assert np.isnan(trace.values[:, 1, 0]).tolist() == [False, True]
    assert trace.threshold.tolist() == [np.inf, 4.0]
    assert line.recorder.sparks([("g", "a")], 5)[0].tolist() == [0.0, 0.25]


def test_any_batching_records_the_same() -> None:
    rng = np.random.default_rng(1)
    samples = [(f"s{k % 3}", START + 7.0 * k, rng.normal()) for k in range(900)]
    single, whole, odd = Line(), Line(), Line()
    for sample in samples:
        single.send(sample)
    whole.send(*samples)
    for start in range(0, 900, 128):
        odd.send(*samples[start : start + 128])
    for other in (whole, odd):
        for sensor in ("s0", "s1", "s2"):
            np.testing.assert_array_equal(single.trace(sensor).values, other.trace(sensor).values)
            np.testing.assert_array_equal(single.trace(sensor).time, other.trace(sensor).time)


def test_sparks_are_the_latest_scores_of_each_sensor(line: Line) -> None:
    for k in range(FINE + 7):
        line.send(("long", START + k, 0.0), score=k)
    line.send(("short", START, 0.0), score=3.0)
    line.send(("short", START + 1, 0.0), score=5.0, threshold=np.inf)
    wide = Line(channels=("v", "w"))
    wide.recorder = line.recorder
    wide.send(("wide", START, 0.0), score=2.0)
    sparks = line.recorder.sparks([("g", name) for name in ("short", "nobody", "wide", "long")], 4)
    expected = [[0.75, 0.0], [], [0.5], [(FINE + k) / 4 for k in (3, 4, 5, 6)]]
    assert [spark.tolist() for spark in sparks] == expected


# --- which sensors


def test_sensors_beyond_the_limit_are_left_out_until_they_alarm(line: Line) -> None:
    sensors = [f"s{k}" for k in range(15)]
    line.send(*((sensor, START, 1.0) for sensor in sensors))
    assert len(line.recorder) == 10
    assert line.recorder.trace(("g", "s12")) is None
    line.now = 5.0
    line.recorder.interesting(("g", "s0"), ("v",), 0)
    line.recorder.interesting(("g", "s12"), ("v",), 12)
    line.send(*((sensor, START + 1, 2.0) for sensor in sensors))
    assert len(line.recorder) == 10
    assert line.values("s12") == [2.0]
    assert line.values("s0") == [1.0, 2.0], "it alarmed itself, so another one went"


def test_the_one_that_alarmed_longest_ago_makes_room() -> None:
    line = Line(limit=2)
    line.send(("a", START, 1.0), ("b", START, 1.0), ("c", START, 1.0))
    for line.now, sensor in ((1.0, "b"), (2.0, "a"), (3.0, "c")):
        line.recorder.interesting(("g", sensor), ("v",), line.slot(sensor))
    line.send(("a", START + 1, 2.0), ("b", START + 1, 2.0), ("c", START + 1, 2.0))
    assert line.recorder.trace(("g", "b")) is None
    assert line.values("c") == [2.0]


def test_nothing_is_recorded_where_the_limit_is_0() -> None:
    line = Line(limit=0)
    line.send(("a", START, 1.0))
    line.recorder.interesting(("g", "a"), ("v",), 0)
    line.send(("a", START + 1, 1.0))
    assert len(line.recorder) == 0
    assert line.recorder.sparks([("g", "a")], 5)[0].tolist() == []


def test_a_row_that_another_sensor_took_over_is_not_mixed_up(line: Line) -> None:
    """Slots are used again: the count of samples tells, and the name."""
    for k in range(5):
        line.send(("old", START + k, 1.0))
    line.sensors[0], line.count[0] = "new", 0
    line.send(("new", START + 9, 2.0), ("new", START + 10, 2.0))
    assert line.values("new") == [2.0, 2.0]
    assert line.values("old") == [1.0] * 5


def test_a_sensor_that_began_anew_goes_on_in_its_row(line: Line) -> None:
    line.send(("a", START, 1.0))
    line.count[0] = 0
    line.send(("a", START + 5, 2.0))
    assert line.values("a") == [1.0, 2.0]


def test_a_sensor_with_another_channel_begins_anew(line: Line) -> None:
    line.send(("a", START, 1.0))
    wide = Line(channels=("v", "w"))
    wide.recorder = line.recorder
    wide.send(("a", START + 1, 2.0))
    assert wide.trace("a").channels == ("v", "w")
    assert wide.values("a") == [2.0]


def test_after_a_change_of_the_configuration_slots_are_others(line: Line) -> None:
    line.send(("a", START, 1.0), ("b", START, 10.0))
    line.detector, line.sensors, line.count = object(), ["b", "a"], np.ones(100, np.int64)
    line.send(("a", START + 1, 2.0), ("b", START + 1, 20.0))
    assert line.values("a") == [1.0, 2.0]
    assert line.values("b") == [10.0, 20.0]


def test_sensors_that_are_gone_are_let_go(line: Line) -> None:
    line.send(("a", START, 1.0), ("b", START, 1.0))
    line.recorder.forget(lambda key: key != ("g", "a"))
    assert line.recorder.trace(("g", "a")) is None
    line.sensors = ["c", "b"]
    line.count[0] = 0
    line.send(("c", START + 1, 3.0), ("b", START + 1, 2.0))
    assert line.values("c") == [3.0]
    assert line.values("b") == [1.0, 2.0]


def test_rounds_of_training_are_marked(line: Line) -> None:
    line.send(("a", START, 1.0))
    line.recorder.trained(("g", ""), Round(START + 2, 2, "rejected"))
    line.recorder.trained(("g", "a"), Round(START + 1, 1, "adopted"))
    line.recorder.trained(("g", "unknown"), Round(START, 1, "adopted"))
    assert [one.result for one in line.recorder.rounds(("g", "a"))] == ["adopted", "rejected"]
    assert line.recorder.rounds(("g", "unknown")) == line.recorder.rounds(("g", ""))


# --- out and in


def packed(line: Line) -> dict[tuple[str, str], bytes]:
    return {key: data for key, data in line.recorder.packed(everything=True) if data is not None}


def test_what_was_recorded_survives_a_restart(line: Line) -> None:
    for k in range(2 * FINE):
        line.send(("a", START + 60 * k, k), ("b", START + 60 * k, -k))
    again = Line()
    for key, data in packed(line).items():
        again.recorder.unpack(key, data)
    for sensor in ("b", "a"):
        np.testing.assert_array_equal(again.trace(sensor).values, line.trace(sensor).values)
    again.count[:] = 2 * FINE  # as the state has it
    again.slot("b")
    for one in (line, again):
        one.send(("a", START + 60 * 2 * FINE, 7.0))
    np.testing.assert_array_equal(again.trace("a").time, line.trace("a").time)
    np.testing.assert_array_equal(again.trace("a").values, line.trace("a").values)


def test_packing_is_spread_over_time_and_repeats_nothing(line: Line) -> None:
    line.send(*((f"s{k}", START, 1.0) for k in range(10)))
    assert line.recorder.packed() == []
    line.now = EVERY
    first = [key for _ in range(20) for key, _ in line.recorder.packed()]
    assert sorted(first) == [("g", f"s{k}") for k in range(10)]
    line.now *= 2
    assert line.recorder.packed() == [], "nothing came since"
    line.send(("s3", START + 1, 1.0))
    assert [key for key, _ in line.recorder.packed()] == [("g", "s3")]


def test_a_sensor_that_is_let_go_is_packed_as_gone(line: Line) -> None:
    line.send(("a", START, 1.0))
    line.recorder.forget(lambda _: False)
    assert line.recorder.packed() == [(("g", "a"), None)]


def test_packed_bytes_tell_their_channels_and_are_a_trace_by_themselves(line: Line) -> None:
    line.send(("a", START, 1.0))
    (data,) = packed(line).values()
    assert channels_of(data) == ("v",)
    np.testing.assert_array_equal(trace_of(data).values, line.trace("a").values)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: data.replace(b'"version": 1', b'"version": 9'),
        lambda data: data.replace(b'"fine": 1', b'"fine": 99999'),
        lambda _: b"[]\n",
        lambda _: b"\xff" * 100,
    ],
)
def test_what_is_no_trace_is_refused_and_leaves_no_trace(line: Line, spoil: Any) -> None:
    line.send(("a", START, 1.0))
    (data,) = packed(line).values()
    again = Line()
    with pytest.raises(ValueError):
        again.recorder.unpack(("g", "a"), spoil(data))
    assert len(again.recorder) == 0

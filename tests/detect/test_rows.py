"""Samples that come as rows are scored as if they had come as readings, bit by bit, whatever comes between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_stream.config import Group, Limits
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.trainer import Trainer
from lstm_stream.records import Reading, Rows

GROUP = Group.model_validate(
    {"model": {"hidden": 2}, "warmup": 64, "retraining": {"enabled": False, "history": 128, "lag": 1}}
)
Said = tuple[dict[int, Any], list[tuple[int, Any]], list[Any]]
NAMES = ["a", "b", "c", "d"]
CHANNELS = [("x",), ("x", "y"), ("y", "z")]


def fleet(sensors: int = 3, channels: int = 2, weights: str = "own") -> Fleet:
    group = GROUP.model_copy(update={"model": GROUP.model.model_copy(update={"weights": weights})})
    return Fleet({"default": group}, Limits(sensors=sensors, channels=channels), Trainer())


def as_rows(readings: Sequence[Reading], at: Sequence[int], names: list[str] = NAMES) -> list[Rows]:
    """Some readings as rows, by their channels."""
    result = []
    for channels in CHANNELS:
        some = [(k, r) for k, r in zip(at, readings, strict=True) if tuple(sorted(r.values)) == channels]
        if some:
            numbers = np.array([names.index(r.sensor) for _, r in some], np.int32)
            values = np.array([[r.values[name] for name in channels] for _, r in some])
            times = np.array([r.time for _, r in some])
            places, none = np.array([k for k, _ in some], np.int64), np.zeros(len(some), np.bool_)
            result.append(Rows("default", channels, names, numbers, places, times, values, times, none))
    return result


def told(
    fleet: Fleet, batch: Sequence[Reading], rowwise: Sequence[bool]
) -> tuple[dict[Any, Any], list[Any], list[Any]]:
    """What a fleet says of a batch: scores by place, rejections by place, events."""
    singly = [k for k, row in enumerate(rowwise) if not row]
    together = [k for k, row in enumerate(rowwise) if row]
    rows = as_rows([batch[k] for k in together], together)
    place = singly + [int(k) for some in rows for k in some.at]
    outcome = fleet.process([batch[k] for k in singly], singly, rows)
    scores = {
        place[which]: (float(found.verdicts.score[k]), found.verdicts.expected[k].tobytes(), found.detector.channels)
        for found in outcome.batches
        for k, which in enumerate(found.which)
    }
    return scores, sorted((place[which], rejection) for which, rejection in outcome.rejections), outcome.events


_SAMPLE = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from(CHANNELS),
    st.sampled_from([-1.0, 0.0, 1.0, 1.0, 1.0, 7.0]),
    st.sampled_from([0.0, 1.5, 1e39, -20.0]),
    st.booleans(),
)


@settings(max_examples=25)
@given(
    st.lists(st.lists(_SAMPLE, max_size=30), max_size=5),
    st.integers(0, 80),
    st.booleans(),
    st.sampled_from(["own", "shared"]),
)
def test_rows_and_readings_mixed_are_as_readings_one_by_one(batches: Any, known: int, wide: bool, weights: str) -> None:
    """Sensors that are new, too many, moved by a channel that is new, past their warm-up; old and repeated samples."""
    one, other = fleet(3, 3 if wide else 2, weights), fleet(3, 3 if wide else 2, weights)
    clock = dict.fromkeys(NAMES, 1e6)
    for each in (one, other):
        each.process([Reading("a", "default", 1e5 + k, {"x": float(k % 7)}) for k in range(known)])
    for batch in batches:
        readings = []
        for sensor, channels, step, value, _ in batch:
            clock[sensor] += step
            readings.append(Reading(sensor, "default", clock[sensor], dict.fromkeys(channels, value)))
        expected: Said = {}, [], []
        for k, reading in enumerate(readings):
            scores, rejections, events = told(one, [reading], [False])
            expected[0].update(dict.fromkeys([k] * len(scores), scores.get(0)))
            expected[1].extend((k, rejection) for _, rejection in rejections)
            expected[2].extend(events)
        found = told(other, readings, [sample[4] for sample in batch])
        assert found[:2] == expected[:2]
        assert sorted(found[2], key=lambda event: event.id) == sorted(expected[2], key=lambda event: event.id)
    assert sorted(one.pack()) == sorted(other.pack())


def rows_of(sensors: Sequence[str], time: float, names: list[str]) -> list[Rows]:
    readings = [Reading(sensor, "default", time, {"x": time}) for sensor in sensors]
    return as_rows(readings, range(len(readings)), names)


def test_two_sources_of_rows_may_know_one_sensor_by_different_numbers() -> None:
    both = fleet()
    for time in range(1, 9):
        both.process([], rows=rows_of(["a", "b"], 2.0 * time, ["a", "b"]))
        outcome = both.process([], rows=rows_of(["a", "b"], 2.0 * time + 1, ["b", "a"]))
        assert sum(len(batch.samples) for batch in outcome.batches) == 2
    assert len(both) == 2
    assert [int(detector.arrays.count[:2].min()) for detector in both.detectors.values()] == [16]


@pytest.mark.parametrize("rowwise", [True, False])
def test_what_was_saved_goes_on(rowwise: bool) -> None:
    """A sample of a time that was scored before the restart is a duplicate, as a row as well."""
    before, after = fleet(), fleet()
    before.process([Reading("a", "default", float(k), {"x": 1.0}) for k in range(10)])
    packed = list(before.pack())
    before.saved()
    assert list(before.pack()) == []
    for one in packed:
        after.unpack(one)
    scores, rejections, _ = told(after, [Reading("a", "default", t, {"x": 2.0}) for t in (9.0, 10.0)], [rowwise] * 2)
    assert list(scores) == [1]
    assert [(k, rejection.reason.value) for k, rejection in rejections] == [(0, "duplicate")]
    assert len(list(after.pack())) == 1

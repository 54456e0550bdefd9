"""What the observer of the line remembers: rates, how the alarm budget is kept, what is recorded."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from lstm_stream.config import Group, Limits
from lstm_stream.desk import watch as room
from lstm_stream.desk.alarms import Alarm, Alarms
from lstm_stream.desk.archive import Archive
from lstm_stream.desk.watch import WEEK, Watch
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.trainer import Trainer
from lstm_stream.line import Turn
from lstm_stream.outputs.recorder import Recorder
from lstm_stream.records import Adoption, Decoded, Event, Message, Reading

GROUP = Group.model_validate(
    {"model": {"hidden": 2}, "warmup": 64, "retraining": {"enabled": False, "history": 128, "lag": 1}}
)
START = 1_795_200_000.0
MINUTE = 60.0


class Line:
    """A fleet whose turns a watch sees."""

    def __init__(self, recorded: int = 10, archive: Archive | None = None) -> None:
        self.fleet = Fleet({"default": GROUP}, Limits(), Trainer())
        self.data_time: float | None = None
        self.told: list[Alarm] = []
        self.watch = Watch(self.fleet, lambda: self.data_time, Alarms(lambda _: b"{}"), Recorder(recorded), archive)
        self.watch.told = self.told.append

    def send(self, sensors: list[str], samples: int, since: float = START) -> None:
        """So many samples of each, a minute apart, in one turn."""
        times = [since + k * MINUTE for k in range(samples)]
        readings = [Reading(name, "default", time, {"v": math.sin(time)}) for time in times for name in sensors]
        many = len(readings)
        decoded = Decoded(readings, list(range(many)), [reading.time for reading in readings])
        turn = Turn([Message("t", b"", 0.0)] * many, decoded)
        turn.outcome = self.fleet.process(readings)
        self.watch.on_turn(turn)

    def look(self, data_time: float) -> None:
        self.data_time = data_time
        self.watch.on_upkeep({}, [])


def event(sensor: str, state: str = "opened") -> Event:
    return Event(f"{sensor}-{state}", sensor, "default", state, "level", "odd", START, None, 5.0, 3.0, 0)  # type: ignore[arg-type]


def test_the_budget_is_measured_over_sensors_past_their_warmup_in_data_time() -> None:
    line = Line()
    line.send(["a", "b"], 70)
    line.send(["young"], 10)
    line.look(START)
    hours = 15
    for hour in range(1, hours + 1):
        line.look(START + hour * 3599)
    line.watch.on_turn(Turn([], outcome=room.Outcome(events=[event("a"), event("b"), event("a", "closed")])))
    budget = line.watch.budget("default", 1 / WEEK)
    weeks = 2 * hours * 3599 / WEEK
    assert budget.asked_per_week == pytest.approx(1.0)
    assert budget.sensor_weeks == pytest.approx(weeks, rel=0.02), "two sensors, not the one that warms up"
    assert budget.kept_per_week == pytest.approx(2 / weeks, rel=0.02)


def test_a_leap_of_data_time_is_not_time_watched() -> None:
    line = Line()
    line.send(["a"], 70)
    line.look(START)
    line.look(START + 30 * WEEK)
    line.look(START)
    assert line.watch.budget("default", 1.0).sensor_weeks == 0
    assert line.watch.budget("default", 1.0).kept_per_week is None, "nothing is said of nothing"


def test_alarms_are_told_as_they_come() -> None:
    line = Line()
    line.watch.on_turn(Turn([], outcome=room.Outcome(events=[event("a"), event("a", "closed")])))
    assert [alarm.told.state for alarm in line.told] == ["opened", "closed"]


def test_rates_are_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(room.time, "monotonic", lambda: now[0])
    line = Line()
    for _ in range(40):
        line.send(["a"], 3, START + now[0] * 1000)
        now[0] += 1.0
        line.look(START)
    assert line.watch.per_second() == (pytest.approx(3.0), pytest.approx(3.0))
    assert line.watch.rates().messages == [pytest.approx(3.0)] * 8
    for _ in range(12):
        now[0] += 1.0
        line.look(START)
    assert line.watch.per_second() == (0.0, 0.0)


def test_rounds_of_training_are_remembered_without_their_weights() -> None:
    line = Line()
    line.send(["a"], 3)
    adoption = Adoption("default", "a", ("v",), 1, "adopted", 0.5, 0.4, 0.1, np.zeros(3, np.float32))
    line.watch.on_upkeep({}, [adoption])
    ((at, kept),) = line.watch.rounds("default", "a")
    assert kept == adoption._replace(weights=None)
    assert line.watch.retrained is not None
    assert at <= line.watch.retrained
    assert [one.generation for one in line.watch.recorder.rounds(("default", "a"))] == [1]


def test_a_sensor_that_alarms_is_recorded_though_there_are_more_than_may_be() -> None:
    line = Line(recorded=1)
    line.send(["a", "b"], 3)
    assert line.watch.recorder.trace(("default", "b")) is None
    line.watch.on_turn(Turn([], outcome=room.Outcome(events=[event("b")])))
    line.send(["a", "b"], 3, START + 3600)
    trace = line.watch.recorder.trace(("default", "b"))
    assert trace is not None
    assert len(trace.time) == 3


def test_charts_and_budget_go_on_after_a_restart(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "state.db")
    archive.open()
    line = Line(archive=archive)
    line.send(["a", "b", "forgotten"], 70)
    line.look(START)
    line.look(START + 3599)
    line.watch.keep(everything=True)
    archive.close()

    again = Line(archive=Archive(tmp_path / "state.db"))
    again.send(["b", "a"], 0)
    for packed in line.fleet.pack():
        if packed.sensor != "forgotten":
            again.fleet.unpack(packed)
    assert again.watch._archive is not None
    again.watch._archive.open()
    again.watch.restore()
    assert again.watch.recorder.trace(("default", "forgotten")) is None
    again.send(["a"], 1, START + 70 * MINUTE)
    line.send(["a"], 1, START + 70 * MINUTE)
    before, after = (one.watch.recorder.trace(("default", "a")) for one in (line, again))
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(before.values, after.values)
    assert again.watch.budget("default", 1.0).sensor_weeks == pytest.approx(3 * 3599 / WEEK)
    again.watch._archive.close()


def test_what_the_archive_should_not_have_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    archive = Archive(tmp_path / "state.db")
    archive.open()
    archive.keep([(("default", "a"), b"garbage"), (room.BUDGET, json.dumps({"watched": 5}).encode())])
    archive.close()
    archive.open()
    line = Line(archive=archive)
    line.send(["a"], 1)
    line.watch.recorder.forget(lambda _: False)
    line.watch.restore()
    assert len(line.watch.recorder) == 0
    assert caplog.text.count("cannot be read") == 2
    archive.close()

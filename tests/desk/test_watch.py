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
MINUTE, DAY = 60.0, 86400.0


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


def test_the_budget_is_measured_over_sensors_past_their_warmup() -> None:
    line = Line()
    line.send(["a", "b"], 64 + 1440)
    line.send(["young"], 10)
    line.watch.on_turn(Turn([], outcome=room.Outcome(events=[event("a"), event("b"), event("a", "closed")])))
    budget = line.watch.budget("default", 1 / WEEK)
    weeks = 2 / 7
    assert budget.asked_per_week == pytest.approx(1.0)
    assert budget.sensor_weeks == pytest.approx(weeks, rel=0.01), "two sensors, not the one that warms up"
    opened = [alarm for alarm in line.told if alarm.is_open]  # of the sensors' own too
    assert budget.kept_per_week == pytest.approx(len(opened) / weeks, rel=0.01)


@pytest.mark.parametrize("turn", [1, 60, 720], ids=["live", "replay", "demo"])
def test_time_watched_is_the_same_however_fast_it_goes_by(turn: int) -> None:
    line = Line()
    line.send(["a"], 64)
    for first in range(64, 64 + 720, turn):
        since = START + first * MINUTE
        line.send(["a"], turn, since)
        line.look(since + turn * MINUTE)
    assert line.watch.budget("default", 1.0).sensor_weeks == pytest.approx(720 * MINUTE / WEEK, rel=0.02)


def test_an_absence_is_not_time_watched() -> None:
    line = Line()
    line.send(["a"], 70)
    line.look(START)
    before = line.watch.budget("default", 1.0)
    line.look(START + 30 * WEEK)
    line.send(["a"], 1, START + 30 * WEEK)
    line.look(START)
    after = line.watch.budget("default", 1.0)
    assert after.sensor_weeks == pytest.approx(before.sensor_weeks + MINUTE / WEEK, rel=0.2)
    assert after.kept_per_week is None, "nothing is said of nothing"


def test_what_was_long_ago_counts_less_alarms_and_time_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "HORIZON", 60 * MINUTE)
    monkeypatch.setattr(room, "KNOWN", 0.0)
    line = Line()
    line.send(["a", "b"], 64 + 120)
    line.watch.on_turn(Turn([], outcome=room.Outcome(events=[event("a")])))
    before = line.watch.budget("default", 1.0)
    line.look(START)
    after = line.watch.budget("default", 1.0)
    assert after.sensor_weeks == pytest.approx(before.sensor_weeks * math.exp(-2), rel=0.05)
    assert after.kept_per_week == pytest.approx(before.kept_per_week)


def test_an_alarm_is_never_of_another_day_than_its_turn() -> None:
    line = Line()
    line.look(START - 3 * DAY)
    line.data_time = START
    line.watch.on_turn(Turn([], outcome=room.Outcome(events=[event("a")])))
    assert line.watch.alarms.counts(line.watch.now).opened_day == 1
    line.look(START + 2 * DAY)
    assert line.watch.alarms.counts(line.watch.now).opened_day == 0


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
    seconds = 3 * 6 * MINUTE + MINUTE
    assert again.watch.budget("default", 1.0).sensor_weeks == pytest.approx(seconds / WEEK, rel=0.01)
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

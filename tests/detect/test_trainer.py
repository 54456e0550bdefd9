"""The trainer's thread: what goes wrong in it costs the line a round, not itself; and how a replay repeats that."""

from __future__ import annotations

import threading
import time

import pytest

from lstm_stream.detect import trainer as module
from lstm_stream.detect.trainer import Job, Round, Trainer


class Sabotaged(Trainer):
    """The real one; the first rounds get a job that cannot be computed."""

    def __init__(self, broken: int) -> None:
        super().__init__()
        self.broken = broken

    def submit(self, job: Job):
        if self.broken > 0:
            self.broken -= 1
            job = job._replace(target=None)
        return super().submit(job)


@pytest.fixture
def sabotaged():
    one = Sabotaged(1)
    one.open()
    yield one
    one.close()


def test_a_round_that_fails_in_the_thread_is_counted_and_the_next_one_works(
    fleet_of, sabotaged, lively_sensor, caplog
) -> None:
    fleet, readings = fleet_of(trainer=sabotaged), lively_sensor("s", 1)
    outcome = fleet.process(readings[:300])
    assert not outcome.rejections
    results = [one.result for one in fleet.take_adoptions()]
    assert results[0] == "failed"
    assert "failed" not in results[1:]
    assert "adopted" in results
    assert "a retraining round failed" in caplog.text
    assert [(one.sensor, one.samples, one.result) for one in fleet.take_lost()] == [("s", 72, "failed")]


def test_a_round_that_never_ends_is_left_behind(monkeypatch, fleet_of, lively_sensor) -> None:
    never, real, started = threading.Event(), module.train, threading.Event()

    def train(job: Job) -> Round:
        if not started.is_set():
            started.set()
            never.wait()
        return real(job)

    monkeypatch.setattr(module, "train", train)
    monkeypatch.setattr(module, "HUNG", 0.05)
    monkeypatch.setattr(module, "GOODBYE", 60.0)
    trainer = Trainer()
    trainer.open()
    fleet, readings = fleet_of(trainer=trainer, patience=0.5), lively_sensor("s", 1)
    fleet.process(readings[:73])
    assert started.is_set()
    assert [one.result for one in fleet.take_adoptions()] == ["late"]
    small = fleet_of(trainer=trainer)  # patient
    small.process(readings[:73])
    assert [one.result for one in small.take_adoptions()] == ["adopted"]
    began = time.monotonic()
    trainer.close()
    assert time.monotonic() - began < 30
    never.set()


@pytest.mark.parametrize("weights", ["own", "shared"])
def test_a_replay_repeats_which_rounds_were_lost(fleet_of, told, sabotaged, lively_sensor, weights) -> None:
    sabotaged.broken = 2
    readings = lively_sensor("s", 1)
    fleet = fleet_of(trainer=sabotaged, weights=weights)
    expected = told(fleet, readings)
    lost, results = fleet.take_lost(), [(one.generation, one.result) for one in fleet.take_adoptions()]
    assert len(lost) == 2
    assert fleet.take_lost() == [], "told once"
    again = fleet_of(weights=weights, patience=0.0)  # which a replay does not mind
    again.expect_lost(lost)
    story = told(again, readings)
    assert [(one.generation, one.result) for one in again.take_adoptions()] == results
    assert story.verdicts == expected.verdicts
    assert story.verdicts != told(fleet_of(weights=weights), readings).verdicts, "it makes no difference"

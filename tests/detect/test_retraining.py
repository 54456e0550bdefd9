"""Promise 6: learning never eats a fault. When rounds start, what they learn from, and what becomes of bad ones."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest

from lstm_stream.config import Retraining
from lstm_stream.detect.history import sequence
from lstm_stream.detect.retraining import is_due
from lstm_stream.detect.trainer import Job, Round, train
from lstm_stream.lstm import cell, params
from lstm_stream.lstm.params import CELLS, Parameters, Shape
from lstm_stream.records import Reading


class Watched:
    """The real trainer, and what it was asked."""

    def __init__(self, trainer) -> None:
        self.trainer, self.jobs = trainer, []

    def submit(self, job: Job) -> Future[Round]:
        self.jobs.append(job)
        return self.trainer.submit(job)


class Always:
    """A trainer whose rounds all end the same way: with this result or exception, or never (None)."""

    def __init__(self, outcome: Round | Exception | None) -> None:
        self.outcome, self.futures = outcome, []

    def submit(self, job: Job) -> Future[Round]:
        assert job.x.shape[:2] == job.target.shape[:2]
        future: Future[Round] = Future()
        if isinstance(self.outcome, Round):
            future.set_result(self.outcome)
        elif self.outcome is not None:
            future.set_exception(self.outcome)
        self.futures.append(future)
        return future


def noisy(samples: int, seed: int = 0, sensor: str = "s") -> list[Reading]:
    """One channel of noise around 20, a sample a minute."""
    values = 20 + np.random.default_rng(seed).standard_normal(samples)
    return [Reading(sensor, "default", 1e6 + 60.0 * k, {"a": float(v)}) for k, v in enumerate(values)]


def shifted(readings, first, stop, by=30.0):
    """A fault: another level in these samples."""
    rows = list(readings)
    for k in range(first, stop):
        rows[k] = rows[k]._replace(values={"a": rows[k].values["a"] + by})
    return rows


# --- when


def test_rounds_come_often_at_first_and_then_regularly() -> None:
    assert [n for n in range(1, 2100) if is_due(n, 512)] == [64, 128, 256, 512, 1024, 1536, 2048]
    assert [n for n in range(1, 300) if is_due(n, 100)] == [64, 100, 200]
    assert [n for n in range(1, 300) if is_due(n, 32)] == [64, 96, 128, 160, 192, 224, 256, 288]


@pytest.mark.parametrize("weights", ["own", "shared"])
def test_no_round_starts_while_an_alarm_is_open(fleet_of, trainer, weights) -> None:
    watched = Watched(trainer)
    fleet = fleet_of(trainer=watched, weights=weights, accept_after=1e6)
    started_in_alarm, alarmed = 0, 0
    for one in shifted(noisy(1000), 700, 1000):
        before = len(watched.jobs)
        fleet.process([one])
        if fleet.counts()["alarmed"]:
            alarmed += 1
            started_in_alarm += len(watched.jobs) - before
    assert alarmed > 200, "the fault was not noticed"
    assert len(watched.jobs) >= 6
    assert started_in_alarm == 0


def test_disabled_means_never(fleet_of, trainer) -> None:
    watched = Watched(trainer)
    fleet = fleet_of(trainer=watched, enabled=False)
    fleet.process(noisy(300))
    assert watched.jobs == []
    assert fleet.take_adoptions() == []


# --- with what


def test_samples_of_an_alarm_are_not_learned_from(fleet_of) -> None:
    """Neither the sample that opened it nor any until it closed is a target of training."""
    fleet = fleet_of(history=800, accept_after=1e6)  # what is accepted is learned from
    outcome = fleet.process(shifted(noisy(800), 700, 740))
    (batch,), (detector,) = outcome.batches, fleet.detectors.values()
    anomaly = batch.verdicts.anomaly
    assert anomaly[705:715].all()
    assert 10 < anomaly.sum() < 150
    a = detector.arrays
    _, target = sequence(0, 800, a.past_value[0], a.past_context[0])
    assert np.array_equal(np.isnan(target[:-1, 0]), anomaly[1:])


def job(target_old, target_new, settings=None, seed=0) -> Job:
    """A job of 400 + 100 samples; `target_*` maps inputs to what is to be forecast in the older and the newest part."""
    rng = np.random.default_rng(seed)
    shape = Shape(3, 4, 1)
    x = rng.standard_normal((1, 500, 3)).astype(np.float32)
    target = np.concatenate((target_old(x[:, :400, :1]), target_new(x[:, 400:, :1])), axis=1)
    settings = settings or Retraining(epochs=30, learning_rate=1e-2)
    return Job(params.initial(shape, 1), x, target.astype(np.float32), (CELLS[shape.cell].code, 4), settings)


def same(x):
    return x


def opposite(x):
    return -x


def test_a_challenger_that_forecasts_better_is_adopted() -> None:
    one = job(opposite, opposite)
    done = train(one)
    assert done.result == "adopted"
    assert done.challenger < 0.5 * done.champion
    assert not np.array_equal(done.weights, one.weights)


def test_a_challenger_that_is_worse_on_held_back_samples_is_not() -> None:
    """It learned the older part well, but the newest is as the champion has it."""
    done = train(job(opposite, same))
    assert done.result == "rejected"
    assert done.weights is None
    assert done.challenger > done.champion == pytest.approx(0, abs=1e-12)


def test_held_back_samples_are_never_trained_on() -> None:
    one, two = train(job(opposite, opposite)), train(job(opposite, lambda x: -2 * x))
    assert one.result == two.result == "adopted"
    assert np.array_equal(one.weights, two.weights)
    assert one.challenger != two.challenger


def test_a_round_is_a_pure_function() -> None:
    one = job(opposite, opposite)
    copies = [array.copy() for array in one[:3]]
    first, second = train(one), train(one)
    assert np.array_equal(first.weights, second.weights)
    assert (first.champion, first.challenger) == (second.champion, second.challenger)
    assert all(np.array_equal(before, after) for before, after in zip(copies, one[:3], strict=True))


@pytest.mark.parametrize("present", [0, 3])
def test_too_little_to_compare_on_adopts_nothing(present) -> None:
    def hardly_any(x):
        return np.where(np.arange(x.shape[1])[None, :, None] < present, -x, np.nan)

    assert train(job(opposite, hardly_any)).result == "rejected"


def test_weights_that_explode_are_not_adopted() -> None:
    wild = Retraining(epochs=30, learning_rate=1.0, clip=1e6)
    done = train(job(opposite, opposite, wild))
    assert done.result == "rejected" or done.challenger <= done.champion


@pytest.mark.parametrize("at", [50, 450])
def test_inputs_that_are_no_numbers_spoil_no_weights(at) -> None:
    """They never come, but if they did."""
    spoiled = job(opposite, opposite)
    spoiled.x[0, at, 0] = np.inf
    done = train(spoiled)
    assert done.weights is None or np.isfinite(done.weights).all()


# --- and what becomes of it


@pytest.mark.parametrize("weights", ["own", "shared"])
@pytest.mark.parametrize(
    ("outcome", "result", "patience"),
    [
        (Round("rejected"), "rejected", 600.0),
        (MemoryError("in the trainer"), "failed", 600.0),
        (None, "late", 0.0),
    ],
    ids=["rejected", "failed", "late"],
)
def test_a_round_without_a_better_challenger_changes_nothing(
    fleet_of, told, weights, outcome, result, patience
) -> None:
    readings = shifted(noisy(700), 600, 610)
    expected = told(fleet_of(enabled=False), readings)
    trainer = Always(outcome)
    fleet = fleet_of(trainer=trainer, weights=weights, patience=patience)
    story = told(fleet, readings, range(7, 700, 7))
    assert len(trainer.futures) >= 4
    assert {r.result for r in fleet.take_adoptions()} == {result}
    assert fleet.take_adoptions() == [], "told once"
    assert story.verdicts == expected.verdicts
    assert story.events == expected.events
    assert len(story.events) > 0


def test_a_late_round_is_called_off(fleet_of) -> None:
    trainer = Always(None)
    fleet = fleet_of(trainer=trainer, patience=0.0)
    fleet.process(noisy(80))
    assert [future.cancelled() for future in trainer.futures] == [True]


@pytest.mark.parametrize("name", list(CELLS))
def test_adopted_weights_stand_as_if_they_had_always_been(fleet_of, name) -> None:
    """State and forecast after an adoption are those of the NumPy cell over the recent window."""
    shape = Shape(9, 3, 1, name)
    rng = np.random.default_rng(77)
    p = Parameters(*(rng.uniform(-0.5, 0.5, part.shape).astype(np.float32) for part in params.zeros(shape)))
    adopted = params.pack(p, shape)
    fleet = fleet_of(trainer=Always(Round("adopted", weights=adopted)), cell=name, history=400)
    fleet.process(noisy(73))  # a round started at 64, and was adopted before sample 73
    (detector,) = fleet.detectors.values()
    a = detector.arrays
    assert a.generation[0] == 1
    x, _ = sequence(0, 73, a.past_value[0], a.past_context[0])
    h = c = np.zeros((1, 3))
    for row in x.astype(np.float64):
        gates = cell.forward(name, p, row[None], h, c).gates
        h, c = gates.h, gates.c
    padded = np.pad(np.concatenate((h, c)), ((0, 0), (0, shape.width - 3))).ravel()
    near = {"atol": 1e-4}  # the latest sample was shown at its time, the ring knows it to some seconds
    np.testing.assert_allclose(a.lstm[0], padded, **near)
    np.testing.assert_allclose(a.forecast[0], cell.forecast(p, x[-1:].astype(np.float64), h)[0], **near)


def test_learning_makes_forecasts_better(fleet_of) -> None:
    """A rhythm of period 8 that no persistence forecast follows."""
    time = np.arange(1500)
    values = np.sin(2 * np.pi * time / 8) + 0.05 * np.random.default_rng(0).standard_normal(1500)
    readings = [Reading("s", "default", 60.0 * k, {"a": float(v)}) for k, v in enumerate(values)]
    errors = {}
    for enabled in (False, True):
        fleet = fleet_of(enabled=enabled, hidden=8, epochs=8, history=512, every=128)
        (batch,) = fleet.process(readings).batches
        errors[enabled] = float(np.abs(batch.verdicts.expected[1000:, 0] - values[1000:]).mean())
    assert errors[True] < 0.5 * errors[False]


def test_a_sensor_that_moves_while_its_round_is_under_way(fleet_of) -> None:
    """The round is forgotten with the old row; the new one learns in its turn."""
    fleet = fleet_of()
    fleet.process(noisy(66))
    later = [one._replace(values={**one.values, "b": 1.0}) for one in noisy(266)[66:]]
    assert not fleet.process(later).rejections
    results = [r.result for r in fleet.take_adoptions()]
    assert len(results) == 2, "64 and 128 samples after the move; the third is under way"
    assert "failed" not in results

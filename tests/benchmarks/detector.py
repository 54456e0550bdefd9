"""What a sample costs in the detector: `python -m tests.benchmarks.detector [--quick]`.

Processor time of all threads, the trainer's included, from samples to verdicts, with sensors past their warm-up whose
retraining is spread evenly over time. A batch of M samples is of M sensors.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from lstm_stream.config import Group
from lstm_stream.detect.detector import Detector
from lstm_stream.detect.trainer import Trainer
from lstm_stream.records import Samples
from tests.benchmarks.stopwatch import on_one_thread

SEEDS = 64  # sensors that are really brought up; the others begin with copies of their state
STAGGER = 8  # samples by which their numbers of samples differ: 64 x 8 = a whole period of retraining
WARM = 450  # samples of the youngest
EVERY = SEEDS * STAGGER
PERIOD = 60.0  # s


class Case(NamedTuple):
    """One line of the table."""

    profile: str
    weights: str
    channels: int
    retraining: bool
    batch: int


class Result(NamedTuple):
    """What it measured."""

    micros: float  # a sample
    row_bytes: int  # a sensor


def make_group(case: Case) -> Group:
    """Default settings but for what the case asks for."""
    settings: dict[str, object] = {"model": {"weights": case.weights, "hidden": 32 if case.weights == "shared" else 16}}
    extra = {} if case.profile == "full" else {"profile": case.profile}
    return Group.model_validate({**settings, **extra, "retraining": {"enabled": case.retraining, "every": EVERY}})


def waves(rng: np.random.Generator, slots: np.ndarray, channels: int, since: float) -> Iterator[Samples]:
    """One sample of each slot at a time, for ever."""
    phase, times = rng.uniform(0, 86400, len(slots)), since + rng.uniform(0, PERIOD, len(slots))
    while True:
        wave = 5 * np.sin((times + phase) / 3000)[:, None] + rng.standard_normal((len(slots), channels))
        yield Samples(slots, times.copy(), 20 + wave)
        times += PERIOD


def brought_up(case: Case, trainer: Trainer) -> Detector:
    """A detector of enough sensors for the case, all past their warm-up."""
    names = tuple(f"c{j}" for j in range(case.channels))
    detector = Detector("bench", names, make_group(case), trainer)
    seeds = np.array([detector.add(f"s{k:07d}") for k in range(SEEDS)], np.int32)
    rng = np.random.default_rng(0)
    for step, samples in enumerate(waves(rng, seeds, case.channels, 1e9)):
        begun = step >= STAGGER * np.arange(SEEDS)
        detector.process(Samples(samples.slot[begun], samples.time[begun], samples.values[begun]))
        if step == WARM + EVERY:
            break
    for slot in range(SEEDS, case.batch):
        added = detector.add(f"s{slot:07d}")
        detector.arrays.unpack(added, detector.arrays.pack(slot % SEEDS))
        detector.learner.resume(added)
    return detector


def measure(case: Case) -> Result:
    """The cost of a sample."""
    trainer = Trainer()
    trainer.open()
    detector = brought_up(case, trainer)
    sensors = max(case.batch, SEEDS)
    slots = np.arange(sensors, dtype=np.int32)
    source = waves(np.random.default_rng(1), slots, case.channels, 1e9 + 2 * (WARM + EVERY) * PERIOD)
    steps = max(64, min(EVERY, 150_000 // sensors))
    batches = [
        Samples(s.slot[k : k + case.batch], s.time[k : k + case.batch], s.values[k : k + case.batch])
        for s, _ in zip(source, range(steps), strict=False)
        for k in range(0, sensors, case.batch)
    ]
    for batch in batches[: len(batches) // 8]:  # the times go on from there
        detector.process(batch)
    rest = batches[len(batches) // 8 :]
    began = time.process_time()
    for batch in rest:
        detector.process(batch)
    trainer.close()  # waits for the round under way
    spent = time.process_time() - began

    return Result(1e6 * spent / sum(len(batch) for batch in rest), detector.arrays.row_bytes)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one channel and small batches only")
    parser.add_argument("--profile", action="append", choices=("full", "lean"), help="only this one")
    args = parser.parse_args()
    print(f"{'profile':8}{'weights':8}{'channels':>9}{'retraining':>11}{'batch':>7}{'us/sample':>11}{'bytes':>8}")
    for profile in args.profile or ("full", "lean"):
        for weights in ("own", "shared") if profile == "full" else ("shared",):
            for channels in (1,) if args.quick else (1, 3):
                for retraining in (False, True):
                    for batch in (1, 16, 256) if args.quick else (1, 16, 256, 10_000):
                        case = Case(profile, weights, channels, retraining, batch)
                        r = measure(case)
                        on = "yes" if retraining else "no"
                        print(
                            f"{profile:8}{weights:8}{channels:9d}{on:>11}{batch:7d}{r.micros:11.1f}{r.row_bytes:8d}",
                            flush=True,
                        )


if __name__ == "__main__":
    on_one_thread("tests.benchmarks.detector")
    main()

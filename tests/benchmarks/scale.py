"""A large fleet in one process: `python -m tests.benchmarks.scale --sensors 1000000`.

Prints the memory of the whole process, the longest pause while the fleet grows, what a sample costs with sensors in
random order, and how long it takes to save and to load some of them. Lean sensors of one channel share their weights.
Times are processor time of this thread, so that other programs on the machine do not count.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lstm_stream.config import Group, Limits
from lstm_stream.detect.detector import Detector
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.trainer import Trainer
from lstm_stream.records import Reading, Samples
from lstm_stream.store import Store
from tests.benchmarks import detector as bench
from tests.benchmarks.stopwatch import on_one_thread

TOGETHER = 64  # readings of new sensors in one call: what a call costs by itself is no pause
BATCH = 10_000
SAVED, LOADED = 10_000, 100_000  # sensors


def resident() -> float:
    """Memory of this process, MiB."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def readings(first: int, stop: int, at: float) -> list[Reading]:
    """One of each of some sensors."""
    return [
        Reading(f"plant/line{k % 97}/sensor{k}", "default", at, {"value": k % 13 + 1.0}) for k in range(first, stop)
    ]


def grown(fleet: Fleet, sensors: int) -> list[float]:
    """Let all sensors send their first sample; the time of each call, s."""
    times = []
    for first in range(0, sensors, TOGETHER):
        some = readings(first, min(first + TOGETHER, sensors), 1e9)
        began = time.thread_time()
        fleet.process(some)
        times.append(time.thread_time() - began)
    return times


def batches(sensors: int, rounds: int, since: float) -> Iterator[Samples]:
    """Every sensor once a round, in an order of its own."""
    rng = np.random.default_rng(0)
    for k in range(rounds):
        order = rng.permutation(sensors).astype(np.int32)
        for start in range(0, sensors, BATCH):
            slot = order[start : start + BATCH]
            values = 20 + rng.standard_normal((len(slot), 1))
            yield Samples(slot, np.full(len(slot), since + 60.0 * k), values)


def brought_on(detector: Detector, sensors: int, trainer: Trainer, profile: str) -> float:
    """Give all sensors the state of some that are past their warm-up; returns the data time to go on from."""
    case = bench.Case(profile, "shared", 1, True, 1)
    source = bench.brought_up(case, trainer).arrays
    for spec in source.specs:
        target, rows = getattr(detector.arrays, spec.name), getattr(source, spec.name)[: bench.SEEDS]
        for start in range(0, sensors, len(rows)):
            target[start : start + len(rows)] = rows[: sensors - start]
    return float(source.time.max()) + 60.0


def said(what: str, value: str) -> None:
    """A line of the report."""
    print(f"{what:58}{value:>16}", flush=True)


def main() -> None:
    """Grow, step, look, save, load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sensors", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="samples of each sensor past its warm-up")
    parser.add_argument("--profile", choices=("lean", "full"), default="lean")
    args = parser.parse_args()
    trainer = Trainer()
    trainer.open()
    settings = {"profile": args.profile, "model": {"weights": "shared", "hidden": 32}}
    groups, limits = {"default": Group.model_validate(settings)}, Limits(sensors=args.sensors)
    Fleet(groups, limits, trainer).process(readings(0, TOGETHER, 1e9))  # compiles
    said("before: memory, MiB", f"{resident():,.0f}")

    fleet = Fleet(groups, limits, trainer)
    times = sorted(grown(fleet, args.sensors))
    said(f"growing to {len(fleet):,} sensors, {TOGETHER} a call, s", f"{sum(times):.1f}")
    said("  median of a call, ms", f"{1e3 * times[len(times) // 2]:.2f}")
    said("  longest calls, ms", " ".join(f"{1e3 * t:.1f}" for t in times[-3:]))
    said("  memory, MiB", f"{resident():,.0f}")

    detector = next(iter(fleet.detectors.values()))
    said("  state of a sensor, bytes", f"{detector.arrays.row_bytes:,}")
    since = brought_on(detector, args.sensors, trainer, args.profile)
    source = batches(args.sensors, args.rounds, since)
    detector.process(next(source))
    began, count, longest = time.thread_time(), 0, 0.0
    for batch in source:
        before = time.thread_time()
        detector.process(batch)
        longest, count = max(longest, time.thread_time() - before), count + len(batch)
    said("a sample, sensors in random order, us", f"{1e6 * (time.thread_time() - began) / max(count, 1):.2f}")
    said("  longest batch of 10,000, ms", f"{1e3 * longest:.1f}")
    said("  memory, MiB", f"{resident():,.0f}")

    for name, call in (
        ("a look for silences", lambda: fleet.silences(since + 60.0 * args.rounds)),
        ("counting the sensors by state", fleet.counts),
        ("collecting garbage", gc.collect),
    ):
        began = time.thread_time()
        call()
        said(f"{name}, ms", f"{1e3 * (time.thread_time() - began):.1f}")
    save_and_load(fleet, groups, limits, trainer, args.sensors)
    trainer.close()


def save_and_load(fleet: Fleet, groups: dict[str, Group], limits: Limits, trainer: Trainer, sensors: int) -> None:
    """Save and load a part of the fleet."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "state.db")
        store.open()
        fleet.saved()
        for count, what in ((min(SAVED, sensors), "saving"), (min(LOADED, sensors), "saving")):
            fleet.process(readings(0, count, 2e9 + count))
            began, wall = time.thread_time(), time.perf_counter()
            packed = sum(1 for _ in fleet.pack())
            packing = time.thread_time() - began
            store.save(fleet.pack())
            fleet.saved()
            took = time.thread_time() - began - packing
            said(f"packing {packed - 1:,} sensors, ms", f"{1e3 * packing:.0f}")
            said(
                f"{what} {packed - 1:,} sensors, ms (by the clock)",
                f"{1e3 * took:.0f} ({1e3 * (time.perf_counter() - wall - packing):.0f})",
            )
        other, began = Fleet(groups, limits, trainer), time.thread_time()
        other.unpack_all(store.load())
        said(f"loading {len(other):,} sensors, s", f"{time.thread_time() - began:.2f}")
        store.close()


if __name__ == "__main__":
    on_one_thread("tests.benchmarks.scale")
    main()

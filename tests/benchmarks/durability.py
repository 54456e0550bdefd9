"""What durability costs: a commit, a save, a start.

    python -m tests.benchmarks.durability --sensors 10000
    python -m tests.benchmarks.durability --sensors 100000 --profile lean --folder /var/lib/lstm_stream

Times of this machine's disk, in the folder given.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lstm_stream.config import Group, Limits
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.trainer import Trainer
from lstm_stream.journal.entries import Look, Messages
from lstm_stream.journal.journal import Journal
from lstm_stream.outputs.outbox import Outbox
from lstm_stream.records import Chunk, Rows
from lstm_stream.store import Store

PAYLOAD = b'{"ts": 1795255200.123, "value": 21.375}'
TOPIC = b"plant/line3/sensor-00000"


def chunk(messages: int) -> Chunk:
    """As the reader makes them: one message after the other."""
    size = len(TOPIC) + len(PAYLOAD)
    start = np.arange(messages) * size
    columns = start, np.full(messages, len(TOPIC)), start + len(TOPIC), np.full(messages, len(PAYLOAD))
    table = np.stack([*columns, np.full(messages, 0x32), np.arange(messages) % 65535 + 1], 1).astype(np.int32)
    return Chunk((TOPIC + PAYLOAD) * messages, table, np.full(messages, 1.8e9))


def fleet(sensors: int, profile: str, weights: str) -> Fleet:
    """So many sensors with one sample each."""
    group = Group.model_validate({"profile": profile, "model": {"weights": weights}})
    made = Fleet({"default": group}, Limits(sensors=sensors), Trainer())
    names = [f"plant/sensor-{k}" for k in range(sensors)]
    number = np.arange(sensors, dtype=np.int32)
    at, time_of = number.astype(np.int64), np.full(sensors, 1.8e9)
    made.process(
        [], [], [Rows("default", ("value",), names, number, at, time_of, np.ones((sensors, 1)), time_of, time_of > 0)]
    )
    return made


def timed(work: Callable[[], Any], times: int = 1) -> str:
    """Median and worst of so many, in ms, and the CPU of one."""
    took, cpu = [], time.process_time()
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1e3)
    used = (time.process_time() - cpu) / times * 1e3
    return f"{statistics.median(took):8.1f} ms, CPU {used:.1f}" + (f", worst {max(took):.1f}" if times > 1 else "")


def commits(folder: Path, sensors: int) -> None:
    """Of one input, and of a message of every sensor."""
    journal = Journal(folder / "commits.db", Outbox([], lambda _event: ("", b"")))
    journal.open()
    journal.begin()

    def commit(entry: Any) -> None:
        journal.note(entry)
        journal.commit()

    many = Messages([chunk(sensors)])
    print(f"{'a commit of one message':44}", timed(lambda: commit(Messages([chunk(1)])), 100))
    print(f"{f'a commit of {sensors} messages':44}", timed(lambda: commit(many), 20))
    commit(Look(1.0))
    journal.close()


def saves(folder: Path, sensors: int, profile: str, weights: str) -> None:
    """Of all sensors, and what a start takes."""
    made, store = fleet(sensors, profile, weights), Store(folder / "state.db")
    store.open()
    size = made.unsaved / 2**20
    print(f"{f'a save of {sensors} sensors, {size:.0f} MB, new':44}", timed(lambda: store.save(made.pack())))
    print(f"{'the same again':44}", timed(lambda: store.save(made.pack())))
    print(f"{'of it packing':44}", timed(lambda: sum(len(one.state) for one in made.pack())))
    store.close()
    other = Fleet({"default": made.detectors["default", ("value",)].group}, Limits(sensors=sensors), Trainer())
    store.open()
    print(f"{'a start':44}", timed(lambda: other.unpack_all(store.load())))
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.benchmarks.durability", description="What durability costs.")
    parser.add_argument("--sensors", type=int, default=10_000, metavar="N")
    parser.add_argument("--profile", choices=("full", "lean"), default="full")
    parser.add_argument("--weights", choices=("own", "shared"), default="shared")
    parser.add_argument("--folder", type=Path, help="on the disk to measure (default: the working directory)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder or Path.cwd()) as folder:
        commits(Path(folder), args.sensors)
        saves(Path(folder), args.sensors, args.profile, args.weights)


if __name__ == "__main__":
    main()

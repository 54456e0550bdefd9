"""What a message costs from the socket to its sensor's slot: CPU us by stage, the fast way and the slow one.

    python -m tests.benchmarks.ingest [--topics 1000 10000 100000] [--messages 400000]

receive   read() of 256 KiB at a time from a socket that another process keeps full, and the copy of what is in it
split     where each packet's topic and payload are
topic     the number of each topic: a hash table, verified byte by byte
decode    payload to time and values
rows      arrays of samples in order, by their channels
slot      the sensor's row, and whether the sample is new; the detector itself does nothing here
slow      the same message through Message, Decoder, Reading and Fleet, after the split

Each figure is the least of several rounds: what else the machine does only adds to it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lstm_stream.config import Group, Limits, Source
from lstm_stream.detect.batches import empty_verdicts
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.trainer import Trainer
from lstm_stream.ingest.assembly import Assembly
from lstm_stream.ingest.fast import Fast
from lstm_stream.ingest.reader import BUFFER, Tap
from lstm_stream.ingest.splitter import COLUMNS, split
from lstm_stream.records import Chunk, Samples

BATCH = 8192
CONNACK = b"\x20\x02\x00\x00"
PAYLOADS: dict[str, Callable[[float, int], bytes]] = {
    "text": lambda value, _: b"%.2f" % value,
    "json": lambda value, k: (
        b'{"timestamp":%d,"temperature":%.2f,"humidity":%.1f,"rpm":%d,"on":true}'
        % (1_795_255_200_000 + k, value, value / 2, k % 3000)
    ),
}


def publish(topic: bytes, payload: bytes) -> bytes:
    """A PUBLISH with QoS 0 of less than 16 KiB."""
    body = struct.pack("!H", len(topic)) + topic + payload
    length = bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 127 | 128, len(body) >> 7])
    return b"\x30" + length + body


def stream(kind: str, topics: int, messages: int) -> list[bytes]:
    """Packets: every topic in turn, in an order of no use to a cache, first each of them once."""
    rng = np.random.default_rng(1)
    order = np.concatenate([rng.permutation(topics), rng.integers(0, topics, messages)]).tolist()
    values = rng.normal(21.5, 3, len(order)).tolist()
    make = PAYLOADS[kind]
    return [
        publish(b"plant/hall-%d/sensor-%06d" % (topic % 16, topic), make(value, k))
        for k, (topic, value) in enumerate(zip(order, values, strict=True))
    ]


def chunked(packets: list[bytes]) -> Iterator[Chunk]:
    """The packets as the reader would give them."""
    step = BUFFER // max(map(len, packets))
    for k in range(0, len(packets), step):
        data = b"".join(packets[k : k + step])
        table = np.empty((step, COLUMNS), np.int32)
        rows, *_ = split(np.frombuffer(data, np.uint8), 0, len(data), False, table)
        yield Chunk(data, table[:rows], 1_795_255_200.0 + (k + np.arange(rows)) * 1e-6)


class Stages:
    """CPU seconds of this thread, by stage; of several rounds the least."""

    def __init__(self) -> None:
        self.best: dict[str, float] = {}

    def add(self, name: str, messages: int, work: Callable[[], Any]) -> Any:
        """Do it and note what a message took."""
        began = time.thread_time()
        result = work()
        cost = (time.thread_time() - began) / messages * 1e6
        self.best[name] = min(cost, self.best.get(name, cost))
        return result


def pump(address: int, data: bytes) -> None:
    """Keep a socket full until the other end hangs up."""
    with socket.socket(fileno=address) as connection:
        try:
            connection.sendall(CONNACK)
            while True:
                connection.sendall(data)
        except OSError:
            return


def received(packets: list[bytes], stages: Stages) -> None:
    """Read for a second through the tap."""
    data, count = b"".join(packets[:50_000]), 0
    ours, theirs = socket.socketpair()

    def deliver(chunk: Chunk) -> None:
        nonlocal count
        count += len(chunk)

    tap = Tap(ours, False, deliver)
    with ours:
        child = multiprocessing.get_context("fork").Process(target=pump, args=(theirs.fileno(), data), daemon=True)
        child.start()
        theirs.close()
        tap.recv(4)
        began, cpu = time.monotonic(), time.thread_time()
        while time.monotonic() - began < 1.0:
            try:
                tap.recv(1)
            except BlockingIOError:
                continue
        stages.best["receive and split"] = (time.thread_time() - cpu) / count * 1e6
    child.terminate()
    child.join()


def measure(kind: str, topics: int, messages: int) -> dict[str, float]:
    """All stages."""
    packets, stages = stream(kind, topics, messages), Stages()
    received(packets, stages)
    source, limits = Source.model_validate({"topic": "plant/+/{sensor}"}), Limits(sensors=2 * topics)
    assembly, fleet = Assembly([source], limits), idle_fleet(limits)
    chunks = list(chunked(packets))
    data = b"".join(packets[:2000])
    table, raw = np.empty((2000, COLUMNS), np.int32), np.frombuffer(data, np.uint8)
    for _ in range(20):
        stages.add("split", 2000, lambda: split(raw, 0, len(raw), False, table))
    parts(assembly._fast, chunks, stages)
    for turn in turns(chunks):
        size = sum(map(len, turn))
        decoded = stages.add("all of decode", size, lambda turn=turn: assembly.decode_all(turn))
        name = "slot" if not decoded.readings else "slot, new topics"
        stages.add(name, size, lambda d=decoded: fleet.process(d.readings, d.at, d.rows))
    slow(source, limits, chunks[-1], stages)
    return stages.best


def parts(fast: Fast, chunks: list[Chunk], stages: Stages) -> None:
    """The stages of the fast path, apart from each other, on topics that it knows."""
    known = Assembly(fast._sources, fast._limits)
    for chunk in chunks:
        known.decode_all([chunk])
    fast = known._fast
    for chunk in chunks[-8:]:
        raw = np.frombuffer(chunk.data, np.uint8)
        number = stages.add("topic", len(chunk), lambda c=chunk, r=raw: fast._index.find(r, c.table))
        read = stages.add("decode", len(chunk), lambda c=chunk, r=raw, n=number: fast._scan(r, c, n, fast._shape_of, 0))
        fast._parts.append(read)
        stages.add("rows", len(chunk), fast.rows)


def turns(chunks: list[Chunk]) -> Iterator[list[Chunk]]:
    """The chunks in batches."""
    turn: list[Chunk] = []
    for chunk in chunks:
        if sum(map(len, turn)) + len(chunk) > BATCH:
            yield turn
            turn = []
        turn.append(chunk)
    yield turn


def idle_fleet(limits: Limits) -> Fleet:
    """A fleet whose detectors do nothing."""
    group = Group.model_validate({"model": {"hidden": 2, "weights": "shared"}, "retraining": {"enabled": False}})
    fleet = Fleet({"default": group}, limits, Trainer())
    directory = fleet._directory
    roster = directory.roster

    def idle(key: Any) -> Any:
        found = roster(key)

        def process(samples: Samples) -> Any:
            return empty_verdicts(len(samples), len(found.detector.channels)), []

        found.detector.process = process
        return found

    directory.roster = idle  # type: ignore[method-assign]
    return fleet


def slow(source: Source, limits: Limits, chunk: Chunk, stages: Stages) -> None:
    """The way of a message that is not read fast."""
    assembly, fleet = Assembly([source], limits), idle_fleet(limits)
    for _ in range(2):
        decoded = stages.add("slow decode", len(chunk), lambda: assembly.decode_all(chunk.messages()))
        stages.add("slow slot", len(chunk), lambda d=decoded: fleet.process(d.readings, d.at))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--topics", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--messages", type=int, default=200_000)
    args = parser.parse_args()
    print("CPU us a message")
    for kind in PAYLOADS:
        for topics in args.topics:
            best = measure(kind, topics, args.messages)
            whole = best["receive and split"] + best["all of decode"] + best["slot"]
            listed = ", ".join(f"{name} {cost:.3f}" for name, cost in best.items())
            print(f"{kind}, {topics} topics: socket to slot {whole:.3f} ({listed})", flush=True)


if __name__ == "__main__":
    main()

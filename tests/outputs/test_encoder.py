"""The text of a scrape is prometheus_client's own, and making it keeps no other thread from the interpreter."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from lstm_stream.outputs.encoder import SLICE, Encoder, paced


@pytest.fixture
def registry() -> CollectorRegistry:
    """One of each kind, with all that has to be escaped."""
    registry = CollectorRegistry()
    hostile = Counter("hostile", 'a "quoted" \\ word\nand a line', ["b", "a"], registry=registry)
    hostile.labels('x"} 1\n', "\\").inc(3)
    hostile.labels("é\u2028", "").inc(1e22)
    gauge = Gauge("numbers", "", ["n"], unit="seconds", registry=registry)
    for n, number in enumerate((0.1, 1e6, 12345678.9, 1e300, -2e9, 5e-324, math.inf, -math.inf, math.nan)):
        gauge.labels(str(n)).set(number)
    Histogram("waits", "How long.", ["of"], buckets=(0.5, 1e7), registry=registry).labels("a").observe(0.7)
    Summary("losses", "What is lost.", registry=registry).observe(2)
    Info("build", "Which.", registry=registry).info({"version": "1"})
    return registry


def without_created(text: bytes) -> bytes:
    """The registry here has them, the daemon's does not."""
    return b"".join(line for line in text.splitlines(keepends=True) if b"_created" not in line)


@pytest.mark.parametrize("openmetrics", [False, True])
def test_it_writes_what_prometheus_client_writes_first_and_again(
    registry: CollectorRegistry, openmetrics: bool
) -> None:
    encoder = Encoder(openmetrics)
    for _ in range(2):
        theirs = (generate_openmetrics if openmetrics else generate_latest)(registry)
        ours = b"".join(encoder.encode(registry.collect())) + b"# EOF\n" * openmetrics
        assert without_created(ours) == without_created(theirs)
    assert not b"".join(encoder.encode([]))


def test_another_thread_gets_the_interpreter_while_pieces_are_made() -> None:
    made: list[bytes] = []
    seen: set[int] = set()
    ended = threading.Event()

    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            began = time.perf_counter()
            while time.perf_counter() - began < 2 * SLICE:
                pass
            made.append(b"x")
            yield b"x"

    def look() -> None:
        while not ended.is_set():
            seen.add(len(made))
            time.sleep(0.0001)

    before = sys.getswitchinterval()
    sys.setswitchinterval(60.0)  # nobody has to give way
    other = threading.Thread(target=look)
    try:
        other.start()
        assert paced(pieces()) == [b"x"] * 100
    finally:
        ended.set()
        sys.setswitchinterval(before)
    other.join(60)
    assert len(seen) > 5

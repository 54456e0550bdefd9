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

from lstm_stream.outputs.text import END, SLICE, families, paced


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


@pytest.mark.parametrize("openmetrics", [False, True])
def test_family_by_family_it_is_the_text_of_all(registry: CollectorRegistry, openmetrics: bool) -> None:
    whole = (generate_openmetrics if openmetrics else generate_latest)(registry)
    assert b"".join(families(registry, openmetrics)) + END * openmetrics == whole


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

"""What a scrape costs, and what it costs the line: aggregates alone, and with series of every single sensor.

    python -m tests.benchmarks.scrape [--sensors 10000] [--scrapes 40]

The line is the real one from rows to metrics, in the main thread: turns of 64 samples, 100 a second. The web server is
the real one too; another process scrapes it five times a second, for OpenMetrics as Prometheus does. Reported are

answer      what the scraper waits for the whole answer, median and 90th percentile of the scrapes, and its size
render      of it, making the text
turn        time of a turn that no scrape met, median, 90th and 99th percentile
disturbed   the same of turns that met one
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
import urllib.request
from collections.abc import Sequence
from multiprocessing.connection import Connection

import numpy as np

from lstm_stream.app import SWITCH
from lstm_stream.config import Group, Limits, Web
from lstm_stream.config.metrics import SensorSeries
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.trainer import Trainer
from lstm_stream.outputs.health import Health
from lstm_stream.outputs.metrics import Intake, Metrics
from lstm_stream.outputs.series import Series
from lstm_stream.outputs.web.server import WebServer
from lstm_stream.records import Chunk, Decoded, Rows
from lstm_stream.reporting import Reporter
from lstm_stream.service import Turn

SAMPLES, RATE = 64, 100.0  # of a turn, and turns a second
PAUSE = 0.2  # s between two scrapes
CHANNELS = ("temperature", "vibration")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sensors", type=int, default=10_000)
    parser.add_argument("--scrapes", type=int, default=40)
    options = parser.parse_args(arguments)
    print(f"{options.sensors} sensors of {len(CHANNELS)} channels; ms")
    print(" " * 12 + "answer p50    p90      KB  render  turn p50    p90    p99  disturbed p50    p90    p99")
    for name, allow in (("aggregates", ()), ("all sensors", ("*",))):
        print(f"{name:12} {measure(options.sensors, options.scrapes, allow)}", flush=True)


class Line:
    """A fleet, and all that is told of its turns."""

    def __init__(self, sensors: int, allow: tuple[str, ...]) -> None:
        group = Group.model_validate({"model": {"weights": "shared"}, "retraining": {"enabled": False}})
        self.groups, limits = {"default": group}, Limits(sensors=sensors)
        self.fleet = Fleet(self.groups, limits, Trainer())
        self.metrics = Metrics("0", self.groups)
        self.series = Series(SensorSeries(allow=allow, limit=sensors, top=0))
        self.reporter = Reporter(self.metrics, sensors, self.series if allow else None)
        if allow:
            self.metrics.watch_series(self.series.render)
        self.names = [f"plant/hall-{n % 7}/machine-{n}" for n in range(sensors)]
        self.random = np.random.default_rng(1)
        self.time = 1e9
        self.drawn: list[tuple[float, float]] = []  # when a scrape was rendered

    def turn(self, number: np.ndarray) -> float:
        """One, of these sensors (M,); how long it took, s."""
        self.time += 1.0
        m, now = len(number), np.full(len(number), self.time)
        values = self.random.normal(20.0, 1.0, (m, len(CHANNELS)))
        at, timed = np.arange(m), np.ones(m, np.bool_)
        rows = Rows("default", CHANNELS, self.names, number.astype(np.int32), at, now, values, now, timed)
        began = time.perf_counter()
        turn = Turn([Chunk(b"", np.zeros((m, 6), np.int32), now)], Decoded(rows=[rows]))
        turn.outcome = self.fleet.process([], [], turn.decoded.rows)
        self.reporter.on_turn(turn)
        return time.perf_counter() - began

    def render(self, accept: str) -> tuple[bytes, str]:
        """For the web server; notes when."""
        began = time.perf_counter()
        text = self.metrics.render(accept)
        self.drawn.append((began, time.perf_counter()))
        return text


def scrape(url: str, count: int, out: Connection) -> None:
    """In another process: ask so often, and tell how long each answer took and how long the last one was."""
    spent, body = [], b""
    asked = urllib.request.Request(url, headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    for _ in range(count):
        time.sleep(PAUSE)
        began = time.perf_counter()
        with urllib.request.urlopen(asked, timeout=60) as response:
            body = response.read()
        spent.append(time.perf_counter() - began)
    out.send((spent, len(body)))


def measure(sensors: int, scrapes: int, allow: tuple[str, ...]) -> str:
    """A line of the table."""
    sys.setswitchinterval(SWITCH)  # as the daemon does
    line = Line(sensors, allow)
    line.metrics.watch(lambda: Intake(True, 0, {}, 0, 1))
    for _ in range(3):  # all are there, the kernels compiled
        for start in range(0, sensors, 4096):
            line.turn(np.arange(start, min(start + 4096, sensors)))
    line.reporter.on_upkeep(line.fleet.counts(), [])
    web = WebServer(Web(port=0), line.render, lambda: Health(healthy=True, ready=True))
    web.open()
    here, there = multiprocessing.Pipe()
    url = f"http://127.0.0.1:{web.port}/metrics"
    child = multiprocessing.get_context("spawn").Process(target=scrape, args=(url, scrapes, there))
    child.start()
    turns = run(line, child)
    spent, size = here.recv()
    child.join()
    web.close()
    return report(line, turns, np.array(spent) * 1e3, size)


def run(line: Line, child: multiprocessing.process.BaseProcess) -> np.ndarray:
    """Turns while the child scrapes: begin and end of each (N, 2), s."""
    turns, looked = [], time.perf_counter()
    due = time.perf_counter()
    while child.is_alive():
        due += 1.0 / RATE
        time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        turns.append((began, began + line.turn(line.random.integers(0, len(line.names), SAMPLES))))
        if began - looked > 1.0:
            looked = began
            line.reporter.on_upkeep(line.fleet.counts(), [])
    return np.array(turns)


def report(line: Line, turns: np.ndarray, spent: np.ndarray, size: int) -> str:
    """The figures, in ms."""
    drawn = np.array(line.drawn)
    met = ((turns[:, :1] < drawn[:, 1]) & (turns[:, 1:] > drawn[:, 0])).any(axis=1)
    took = (turns[:, 1] - turns[:, 0]) * 1e3
    quiet, loud = took[~met], took[met] if met.any() else np.zeros(1)
    render = np.median(drawn[:, 1] - drawn[:, 0]) * 1e3
    figures = (
        f"{np.percentile(spent, 50):10.1f} {np.percentile(spent, 90):6.1f} {size / 1e3:7.0f} {render:7.1f}",
        "{:9.2f} {:6.2f} {:6.2f}".format(*np.percentile(quiet, (50, 90, 99))),
        "{:14.2f} {:6.2f} {:6.2f}".format(*np.percentile(loud, (50, 90, 99))),
        f"  ({met.sum()} turns met a scrape)",
    )
    return " ".join(figures)


if __name__ == "__main__":
    main()

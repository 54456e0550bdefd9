"""How much CPU a message costs, and how late its verdict comes: the daemon beside other consumers.

    python -m tests.benchmarks.load                                   10,000 sensors, some minutes
    python -m tests.benchmarks.load --sensors 1000 100000 --qos 0 1 --payload text json --via raw mosquitto
    python -m tests.benchmarks.load --rate 20000 --sensors 1000       latency, at an exact schedule
    python -m tests.benchmarks.load --consumers daemon --config FILE --json FILE --plot FILE.png

docs/load.md says what it measures and how.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from lstm_stream.bench import this_machine
from tests.benchmarks.load import report
from tests.benchmarks.load.measure import Plan, Result, measure
from tests.benchmarks.load.packets import PAYLOADS, encode
from tests.benchmarks.load.processes import CONSUMERS, REPOSITORY

FASTEST = 10_000  # messages a second of one sensor: the resolution of the times


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests.benchmarks.load", description="CPU a message, and latency.")
    add = parser.add_argument
    add("--sensors", metavar="N", nargs="+", type=int, default=[10_000])
    add("--qos", nargs="+", type=int, choices=(0, 1), default=[0])
    add("--payload", nargs="+", choices=PAYLOADS, default=["json1"])
    add("--via", nargs="+", choices=("raw", "mosquitto"), default=["raw"])
    add("--consumers", nargs="+", choices=CONSUMERS, default=list(CONSUMERS))
    add("--rate", metavar="R", nargs="+", type=float, default=[0.0], help="messages a second; 0: as fast as it can")
    add("--seconds", metavar="S", type=float, default=5.0, help="of each measured phase (default: 5)")
    add("--rounds", metavar="N", type=int, default=1, help="messages of each sensor before it (default: 1)")
    add("--blast", action="store_true", help="without a rate: whatever the consumer has finished")
    add("--window", metavar="N", type=int, default=50_000, help="else messages under way at most (default: 50000)")
    add("--inflight", metavar="N", type=int, default=1000, help="unacknowledged, with QoS 1 (default: 1000)")
    add("--memory", metavar="GB", type=float, default=8.0, help="that a consumer may have (default: 8)")
    add("--config", metavar="FILE", type=Path, help="sections of the daemon's configuration, above those of the run")
    add("--json", metavar="FILE", type=Path)
    add("--plot", metavar="FILE", type=Path)
    add("--redraw", metavar="FILE", type=Path, help="measure nothing: draw --plot from what --json wrote")
    return parser


def plans(args: argparse.Namespace) -> Iterator[Plan]:
    """Every combination. Raises ValueError where one makes no sense."""
    config: dict[str, Any] = yaml.safe_load(args.config.read_text()) if args.config else {}
    for sensors, qos, payload, via, rate in product(args.sensors, args.qos, args.payload, args.via, args.rate):
        if sensors < 1 or rate / sensors > FASTEST:
            raise ValueError(f"{rate:g} messages a second of {sensors} sensors: at most {FASTEST} each")
        yield Plan(
            *(sensors, qos, payload, via, rate, args.seconds, args.rounds, args.blast),
            *(args.window, args.inflight, args.memory, config),
        )


def run(plan: Plan, consumers: Sequence[str]) -> list[Result]:
    """One row after the other, printed as they come."""
    packets = encode(plan.sensors, plan.qos, plan.payload)
    print(f"\n{report.title(plan)}, {packets.index[-1, 0] / len(packets):.0f} bytes each\n{report.HEADER}", flush=True)
    results = []
    for kind in consumers:
        try:
            results.append(measure(kind, plan, packets))
            print(report.line(results[-1]), flush=True)
        except RuntimeError as error:
            print(f"{kind:14} FAILED: {error}", flush=True)
    return results


def heading() -> str:
    """The machine, the versions, the commit."""
    machine = this_machine()
    commit = _git("rev-parse", "--short", "HEAD")
    changed = " with changes" if _git("status", "--porcelain", "--", "lstm_stream") else ""
    load = os.getloadavg()[0]
    return (
        f"lstm_stream {machine.lstm_stream}, commit {commit or 'unknown'}{changed}; Python {machine.python}, "
        f"Numba {machine.numba}\n{machine.cpu}, {machine.cores} cores, load before {load:.1f}"
    )


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, cwd=REPOSITORY, check=False)
    return done.stdout.strip()


def to_json(runs: Sequence[tuple[Plan, list[Result]]], said: str) -> str:
    """Everything; what does not exist is null."""
    rows = [
        {"plan": asdict(plan), "results": [asdict(r) | {"rate": r.rate, "complete": r.complete} for r in results]}
        for plan, results in runs
    ]
    return json.dumps({"heading": said, "machine": asdict(this_machine()), "runs": rows}, indent=1)


def from_json(text: str) -> tuple[list[tuple[Plan, list[Result]]], str]:
    """What to_json wrote: the runs and their heading."""
    saved = json.loads(text)
    known = {field.name for field in fields(Result)}
    runs = [
        (Plan(**row["plan"]), [Result(**{name: one[name] for name in one if name in known}) for one in row["results"]])
        for row in saved["runs"]
    ]
    return runs, saved["heading"]


def main() -> None:
    parser = options()
    args = parser.parse_args()
    if args.redraw:
        if not args.plot:
            parser.error("--redraw needs --plot")
        report.draw(*from_json(args.redraw.read_text()), args.plot)
        return
    try:
        todo = list(plans(args))
    except ValueError as error:
        parser.error(str(error))
    said = heading()
    print(said, flush=True)
    runs = [(plan, run(plan, args.consumers)) for plan in todo]
    if args.json:
        args.json.write_text(to_json(runs, said))
    if args.plot:
        report.draw(runs, said, args.plot)
    finished = all(len(results) == len(args.consumers) for _, results in runs)
    sys.exit(0 if finished and all(math.isfinite(r.cpu) for _, results in runs for r in results) else 1)


if __name__ == "__main__":
    main()

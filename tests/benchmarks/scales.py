"""Would an LSTM on coarser means find more? The detector beside a second one that sees means of K samples.

    python -m tests.benchmarks.scales [--nab NAB] [--sensors 24] [--days 21] [--seeds 2] [--scales 4 8]

The second detector is whole (`--views` may reduce it to those of its LSTM), its score holds until the next mean is
complete. The two are joined by the larger score, or by a sum in which the coarse one counts a part. NAB: points of the
standard profile of the onsets, best threshold (threshold of the other files). Fleets: faults found with the threshold
at which the same fleets without faults have an alarm a sensor and week. Nothing is steered: both are scores alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Group
from lstm_stream.detect.alarm import REFRACTORY
from lstm_stream.evaluate import nab, scorer
from lstm_stream.evaluate.fleets import Fleets, stream
from lstm_stream.evaluate.watch import Stream, Watched, streams_of, watch
from lstm_stream.records import Reading
from lstm_stream.simulate import WIDEST, Simulation
from lstm_stream.simulate.score import grace_of, watched_weeks

SEED = 7001
ASKED = 1.0  # alarms a sensor and week

F8 = NDArray[np.float64]
JOINS: dict[str, Callable[[F8, F8], F8]] = {
    "the larger": np.maximum,
    "+ 0.15": lambda fine, coarse: fine + 0.15 * coarse,
    "+ 0.3": lambda fine, coarse: fine + 0.3 * coarse,
    "+ 1": lambda fine, coarse: fine + coarse,
    "coarse alone": lambda _, coarse: coarse,
}


def coarser(one: Stream, factor: int) -> tuple[Stream, NDArray[np.int_]]:
    """The stream of means of so many readings, and the row at which each is complete."""
    rows = [(k, reading) for k, reading in enumerate(one.readings[:]) if reading is not None]
    ends = [k for k, _ in rows[factor - 1 :: factor]]
    means = [_mean([reading for _, reading in rows[n * factor : (n + 1) * factor]]) for n in range(len(ends))]
    return Stream(one.name, one.group, means), np.array(ends, np.int_)


def _mean(readings: Sequence[Reading]) -> Reading:
    channels = dict.fromkeys(channel for reading in readings for channel in reading.values)
    values = {c: float(np.mean([r.values[c] for r in readings if c in r.values])) for c in channels}
    return readings[-1]._replace(values=values)


def scores(streams: Sequence[Stream], group: Group, factor: int = 1) -> list[F8]:
    """Each stream's scores, of means of so many samples, row by row."""
    if factor == 1:
        return [watched.score for watched in watch(streams, group)]
    coarse = [coarser(one, factor) for one in streams]
    result = []
    for one, (_, ends), watched in zip(streams, coarse, watch([c for c, _ in coarse], group), strict=True):
        held = np.zeros(len(one.readings))
        for row, stop, value in zip(ends, [*ends[1:], len(held)], watched.score, strict=True):
            held[row:stop] = value
        result.append(held)
    return result


def points(files: Sequence[nab.File], of: Sequence[F8]) -> str:
    """The standard profile's points of the onsets of these scores."""
    watched = [_scored(file, score) for file, score in zip(files, of, strict=True)]
    report = nab.evaluate(files, watched, len(files))
    best, left_out = (report.score(f"onset_{rule}", scorer.PROFILES[0]) for rule in ("optimised", "left_out"))
    return f"{best:.1f} ({left_out:.1f})"


def _scored(file: nab.File, score: F8) -> Watched:
    """A stream of which nothing but the score is known."""
    rows = len(score)
    unknown, never = np.full(rows, np.nan), np.zeros(rows, np.bool_)
    return Watched(file.name, unknown, score, np.full(rows, np.inf), never, np.zeros(rows, np.int8))


def openings(score: F8, threshold: float, first: int) -> int:
    """Alarms: from `first` on, rows that reach the threshold after none did for the refractory time."""
    rows = np.flatnonzero(score[first:] >= threshold)
    return int((np.diff(rows) > REFRACTORY).sum()) + 1 if len(rows) else 0


def found(faulty: Sequence[Simulation], of: Sequence[F8], quiet: Sequence[F8], weeks: float, warmup: int) -> float:
    """% of the faults whose scores reach the threshold that spends `ASKED` without faults."""
    low, high = 0.0, 20.0
    for _ in range(20):
        middle = 0.5 * (low + high)
        spent = sum(openings(score, middle, warmup) for score in quiet) / weeks
        low, high = (middle, high) if spent > ASKED else (low, middle)
    sensors = [(k, series) for k, fleet in enumerate(faulty) for series in fleet.series]
    scored = {(k, s.sensor): (s.time, score) for (k, s), score in zip(sensors, of, strict=True)}
    hits = []
    for k, fleet in enumerate(faulty):
        for fault in fleet.faults:
            time, score = scored[k, fault.sensor]
            first, stop = np.searchsorted(time, [fault.start, fault.end + grace_of(fleet.interval)])
            hits.append(bool((score[first:stop] >= high).any()))
    return 100.0 * float(np.mean(hits))


def main() -> None:
    """Print a row for each scale and each way of joining."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nab", type=Path)
    parser.add_argument("--sensors", type=int, default=24)
    parser.add_argument("--days", type=float, default=21.0)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--scales", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--views", nargs="+", help="of the coarse detector; forecast burst surprise are its LSTM's")
    options = parser.parse_args()
    group = Group()
    second = group.model_copy(update={"views": tuple(options.views)}) if options.views else group
    fleets = Fleets(options.sensors, options.days, tuple(range(SEED, SEED + options.seeds)))
    simulated = {faulty: fleets.simulations(faulty) for faulty in (True, False)}
    streams = {b: [stream(s, k) for k, f in enumerate(fleet) for s in f.series] for b, fleet in simulated.items()}
    grace, warmup = grace_of(fleets.interval), group.warmup_of(WIDEST)
    weeks = sum(watched_weeks(f.series, [], f.start + f.duration, grace, warmup) for f in simulated[False])
    files = nab.load(options.nab)[0] if options.nab else []
    life = streams_of(files)

    def line(name: str, of: Sequence[F8], faulty: Sequence[F8], quiet: Sequence[F8]) -> None:
        real = points(files, of) if files else "-"
        print(
            f"{name:<24}{real:>16}{found(simulated[True], faulty, quiet, weeks, warmup):>10.1f} %",
            flush=True,
        )

    print(f"{'':<24}{'NAB onsets':>16}{'faults found':>12}")
    fine = [scores(part, group) for part in (life, streams[True], streams[False])]
    line("samples alone", *fine)
    for factor in options.scales:
        coarse = [scores(part, second, factor) for part in (life, streams[True], streams[False])]
        for name, join in JOINS.items():
            joined = [[join(a, b) for a, b in zip(x, y, strict=True)] for x, y in zip(fine, coarse, strict=True)]
            line(f"means of {factor}, {name}", *joined)


if __name__ == "__main__":
    main()

"""The Skoltech Anomaly Benchmark: runs of a pump with eight channels; rows are flagged, and flags are counted.

    DIR/**/<run>.csv: datetime; channels; anomaly; changepoint

Each run is a sensor with all its channels; its first 400 rows are for learning: they are its warm-up. The rows after
them are pooled over all runs. `default` flags the rows at which an alarm is open; `best` those whose score reaches the
threshold that is best for all runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Group, Source
from lstm_stream.evaluate.watch import Watched, streams_of, watch_all
from lstm_stream.recording import RecordingError, read
from lstm_stream.records import Reading
from lstm_stream.replay import UnusableError

TRAINING = 400  # rows of a run
LABEL, OTHER_LABEL = "anomaly", "changepoint"

F8 = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Run:
    """One experiment: N rows of D channels."""

    name: str  # path below DIR
    channels: tuple[str, ...]
    values: F8  # (N, D)
    anomalous: Bools  # (N,) labelled so
    readings: list[Reading | None]


class Counts(NamedTuple):
    """Rows by label and flag."""

    hits: int
    false: int
    missed: int
    quiet: int

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.hits / max(2 * self.hits + self.false + self.missed, 1)

    @property
    def false_rate(self) -> float:
        """FAR: the share of normal rows that are flagged."""
        return self.false / max(self.false + self.quiet, 1)

    @property
    def missed_rate(self) -> float:
        """MAR: the share of anomalous rows that are not."""
        return self.missed / max(self.hits + self.missed, 1)


@dataclass(frozen=True, slots=True)
class Report:
    """All figures."""

    runs: list[Run]
    watched: list[Watched]
    default: Counts
    best: Counts
    threshold: float  # of the score, for `best`
    by_run: list[tuple[Counts, Counts]]  # default, best


def load(folder: Path) -> list[Run]:
    """All runs below a folder. Raises UnusableError where there is none."""
    paths = sorted(folder.rglob("*.csv"), key=lambda path: (path.parent, len(path.stem), path.stem))
    if not paths:
        raise UnusableError(f"{folder}: holds no CSV files; give the folder of SKAB's data, such as SKAB/data/")
    runs = [run for path in paths if (run := _run(path, str(path.relative_to(folder)))) is not None]
    if not runs:
        raise UnusableError(f"{folder}: no file has a column {LABEL!r}; give the folder of SKAB's data")
    short = [run.name for run in runs if len(run.readings) <= TRAINING]
    if short:
        raise UnusableError(f"{folder}: {short[0]} has no rows after the first {TRAINING}, which are for learning")
    return runs


def _run(path: Path, name: str) -> Run | None:
    """None for a file without labels, such as the recording without anomalies."""
    try:
        labels = read(path, Source(include=(LABEL,)))
    except RecordingError:
        return None
    recording = read(path, Source(exclude=(LABEL, OTHER_LABEL)))
    readings = [
        row.reading._replace(sensor=name) if isinstance(row.reading, Reading) else None for row in recording.rows
    ]
    values = np.array([row.values for row in recording.rows])
    return Run(name, recording.channels, values, np.array([row.values[0] == 1 for row in labels.rows]), readings)


def learning(group: Group) -> Group:
    """The settings with the rows for learning as warm-up, or a longer one."""
    return group.model_copy(update={"warmup": max(group.warmup or 0, TRAINING)})


def run(runs: Sequence[Run], group: Group, jobs: int = 1) -> list[Watched]:
    """The detection on all runs, in their order."""
    return watch_all(streams_of(runs), learning(group), jobs, "SKAB")


def evaluate(runs: Sequence[Run], watched: Sequence[Watched]) -> Report:
    """Count the rows after the training, of each run and of all."""
    labels = [one.anomalous[TRAINING:] for one in runs]
    flags = [lasting(one.anomaly, one.time)[TRAINING:] for one in watched]
    scores = [lasting(one.score, one.time)[TRAINING:] for one in watched]
    threshold = best_threshold(np.concatenate(labels), np.concatenate(scores))
    best = [score >= threshold for score in scores]
    by_run = [(count(label, flag), count(label, other)) for label, flag, other in zip(labels, flags, best, strict=True)]
    all_labels = np.concatenate(labels)
    return Report(
        list(runs),
        list(watched),
        count(all_labels, np.concatenate(flags)),
        count(all_labels, np.concatenate(best)),
        threshold,
        by_run,
    )


def lasting(column: NDArray[Any], time: F8) -> NDArray[Any]:
    """(N,) what was said at the last row that was not refused; its first value where none was."""
    rows = np.maximum.accumulate(np.where(np.isnan(time), 0, np.arange(len(time))))
    kept: NDArray[Any] = column[rows]
    return kept


def count(label: Bools, flag: Bools) -> Counts:
    """Rows by label and flag."""
    hits, flagged, anomalous = int((label & flag).sum()), int(flag.sum()), int(label.sum())
    return Counts(hits, flagged - hits, anomalous - hits, len(label) - flagged - anomalous + hits)


def best_threshold(label: Bools, score: F8) -> float:
    """The threshold with the highest F1; the highest of several."""
    order = np.argsort(-score, kind="stable")
    falling, hits = score[order], np.cumsum(label[order])
    last = np.flatnonzero(np.r_[falling[1:] != falling[:-1], True])
    f1 = 2 * hits[last] / (last + 1 + label.sum())
    return float(falling[last[np.argmax(f1)]])


def to_dict(report: Report) -> dict[str, Any]:
    """All figures, for JSON."""
    return {
        "benchmark": "skab",
        "runs": len(report.runs),
        "rows": report.default.hits + report.default.false + report.default.missed + report.default.quiet,
        "default": _figures(report.default),
        "best": _figures(report.best) | {"threshold": report.threshold},
        "by_run": {
            one.name: {"default": _figures(default), "best": _figures(best)}
            for one, (default, best) in zip(report.runs, report.by_run, strict=True)
        },
    }


def _figures(counts: Counts) -> dict[str, float]:
    return {"f1": counts.f1, "far": counts.false_rate, "mar": counts.missed_rate, **counts._asdict()}

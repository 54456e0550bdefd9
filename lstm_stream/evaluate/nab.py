"""The Numenta Anomaly Benchmark: a checkout in, the product's detection on it, the benchmark's scores out.

    DIR/data/<category>/<file>.csv, DIR/labels/combined_windows.json
      -> File (rows and windows) -> Watched (scores and alarms) -> Report

Rules say which rows fire. `optimised`: those whose score reaches the threshold that is best for all files, as the
benchmark has it. `left_out`: the threshold that is best for all other files. `default`: those at which the product
opens an alarm, by its own threshold; that is what a user gets. The benchmark counts rows where a user counts alarms, so
the first two are also taken of the `onset`s alone: of scores at which an alarm could open, whatever its threshold.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Group, Source
from lstm_stream.detect.alarm import CLOSE, REFRACTORY
from lstm_stream.evaluate import scorer
from lstm_stream.evaluate.watch import Watched, streams_of, watch_all
from lstm_stream.recording import read
from lstm_stream.records import Reading
from lstm_stream.replay import UnusableError

RULES = ("optimised", "left_out", "onset_optimised", "onset_left_out", "default")
DETECTOR = "lstm_stream"
VALUE = "value"
RISE = 0.5  # of an episode's highest score: a score by so much above it is an event of its own

F8 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class File:
    """One stream of the benchmark: N rows."""

    name: str  # category/file.csv
    stamps: list[str]
    values: F8  # (N,)
    readings: list[Reading | None]
    windows: list[tuple[int, int]]  # first and last row of each, in order

    @property
    def category(self) -> str:
        """The folder it is in."""
        return self.name.split("/")[0]


@dataclass(frozen=True, slots=True)
class Result:
    """What one rule makes of one file in one profile."""

    fires: int  # rows, after the probation
    found: int  # windows
    false: int  # rows that fire outside the windows
    raw: float  # in the benchmark's unit
    lost: float  # points of the normalised score of all files that this file does not earn
    threshold: float  # of anomaly_score; NaN where the product's own thresholds rule


@dataclass(frozen=True, slots=True)
class Report:
    """All figures. Results are by rule and profile, in the order of the files."""

    files: list[File]
    watched: list[Watched]
    worth: list[scorer.Worth]
    results: dict[str, dict[str, list[Result]]]
    listed: int  # streams in the labels

    def score(self, rule: str, profile: scorer.Profile, category: str | None = None) -> float:
        """The normalised score of all files or of a category; NaN where it has no window."""
        chosen = [k for k, file in enumerate(self.files) if category in (None, file.category)]
        results = self.results[rule][profile.name]
        return scorer.normalised(sum(results[k].raw for k in chosen), [self.worth[k] for k in chosen], profile)

    @property
    def categories(self) -> list[str]:
        """In order, each once."""
        return list(dict.fromkeys(file.category for file in self.files))


# --- reading


def load(folder: Path) -> tuple[list[File], int]:
    """The files of a checkout, or of a part of it, and how many the labels list.

    Raises UnusableError where it is none.
    """
    path = folder / "labels" / "combined_windows.json"
    try:
        labels = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UnusableError(
            f"{path}: {error.strerror}; give the folder of a checkout of NAB, which holds data/ and labels/"
        ) from error
    except ValueError as error:
        raise UnusableError(f"{path}: is no JSON: {error}") from error
    present = [name for name in sorted(labels) if (folder / "data" / name).is_file()]
    if not present:
        raise UnusableError(f"{folder / 'data'}: holds none of the {len(labels)} streams that the labels list")
    return [_file(folder / "data" / name, name, labels[name], path) for name in present], len(labels)


def _file(path: Path, name: str, labels: Sequence[Sequence[str]], source: Path) -> File:
    recording = read(path, Source(include=(VALUE,)))
    stamps = [row.stamp for row in recording.rows]
    readings = [
        row.reading._replace(sensor=name) if isinstance(row.reading, Reading) else None for row in recording.rows
    ]
    values = np.array([row.values[0] for row in recording.rows])
    windows = sorted(_window(stamps, limits, f"{source}: {name}") for limits in labels)
    for (_, last), (first, _) in pairwise(windows):
        if first <= last:
            raise UnusableError(f"{source}: {name}: two windows overlap at {stamps[first]}; join them")
    return File(name, stamps, values, readings, windows)


def _window(stamps: list[str], limits: Sequence[str], where: str) -> tuple[int, int]:
    """The rows of a window's limits; labels have fractions of a second that the data lack."""
    try:
        first, last = (stamps.index(limit.split(".")[0]) for limit in limits)
    except (ValueError, AttributeError, TypeError) as error:
        raise UnusableError(f"{where}: the window {limits} must be two times at which there are rows") from error
    if first > last:
        raise UnusableError(f"{where}: the window {limits} ends before it begins")
    return first, last


# --- running


def run(files: Sequence[File], group: Group, jobs: int = 1) -> list[Watched]:
    """The detection on all files, in their order."""
    return watch_all(streams_of(files), group, jobs, "NAB")


def anomaly_score(score: F8) -> F8:
    """(N,) the product's score in [0, 1): strictly monotone, and far from saturated where scores are below 10^4."""
    return score / (1 + score)


def onset(score: F8, rows: int = REFRACTORY) -> F8:
    """(N,) the score where an episode begins or clearly worsens, else 0.

    An episode lasts until the score has been below `CLOSE` of its highest for so many `rows` (as an alarm does); within
    it only a score by `RISE` above that highest is another onset. A row depends on those before it alone.
    """
    result = np.zeros(len(score))
    highest, left = 0.0, 0
    for row, value in enumerate(score.tolist()):
        if value > (1 + RISE) * highest:
            result[row] = highest = value
            left = rows
        elif value >= CLOSE * highest:
            left = rows
        else:
            left -= 1
            if left == 0:
                highest, left = value, rows
    return result


# --- scoring


def evaluate(files: Sequence[File], watched: Sequence[Watched], listed: int) -> Report:
    """Score what the detection said, by all rules and in all profiles."""
    worth = [scorer.worth(len(file.stamps), file.windows) for file in files]
    results: dict[str, dict[str, list[Result]]] = {rule: {} for rule in RULES}
    emitted = {
        "": [anomaly_score(one.score) for one in watched],
        "onset_": [anomaly_score(onset(one.score)) for one in watched],
    }
    for profile in scorer.PROFILES:
        for rule, (fires, thresholds) in _firing(watched, emitted, worth, profile).items():
            results[rule][profile.name] = [
                _result(*one, worth, profile) for one in zip(worth, fires, thresholds, strict=True)
            ]
    return Report(list(files), list(watched), worth, results, listed)


def _firing(
    watched: Sequence[Watched],
    emitted: dict[str, list[F8]],
    worth: Sequence[scorer.Worth],
    profile: scorer.Profile,
) -> dict[str, tuple[list[NDArray[np.bool_]], list[float]]]:
    """By rule, for each file: the rows that fire, and the threshold."""
    result = {"default": ([one.openings() for one in watched], [np.nan] * len(watched))}
    for prefix, scores in emitted.items():
        curves = [scorer.curve(of, score, profile) for of, score in zip(worth, scores, strict=True)]
        chosen = {
            "optimised": [scorer.best_threshold(curves)] * len(scores),
            "left_out": scorer.left_out_thresholds(curves),
        }
        for rule, thresholds in chosen.items():
            fires = [score >= threshold for score, threshold in zip(scores, thresholds, strict=True)]
            result[prefix + rule] = (fires, thresholds)
    return result


def _result(
    of: scorer.Worth,
    fires: NDArray[np.bool_],
    threshold: float,
    everything: Sequence[scorer.Worth],
    profile: scorer.Profile,
) -> Result:
    counted = fires & of.scored
    windows = of.window[counted]
    earned = scorer.raw(of, fires, profile)
    best = profile.found * of.windows
    lost = scorer.normalised(best, everything, profile) - scorer.normalised(earned, everything, profile)
    found = len(np.unique(windows[windows >= 0]))
    return Result(int(counted.sum()), found, int((windows < 0).sum()), earned, lost, threshold)


# --- writing


def write(folder: Path, files: Iterable[File], scores: Iterable[F8]) -> None:
    """A result file for each stream, as the benchmark's own scorer reads them. Raises OSError."""
    for file, score in zip(files, scores, strict=True):
        target = folder / file.category / f"{DETECTOR}_{Path(file.name).name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        label = scorer.worth(len(file.stamps), file.windows).window >= 0
        rows = zip(file.stamps, file.values, anomaly_score(score), label, strict=True)
        lines = [f"{stamp},{float(value)!r},{float(of)!r},{int(inside)}" for stamp, value, of, inside in rows]
        target.write_text("\n".join(["timestamp,value,anomaly_score,label", *lines, ""]), "utf-8")


def to_dict(report: Report) -> dict[str, Any]:
    """All figures, for JSON."""
    return {
        "benchmark": "nab",
        "streams": len(report.files),
        "streams_listed": report.listed,
        "rows": sum(len(file.stamps) for file in report.files),
        "windows": sum(len(file.windows) for file in report.files),
        "scores": {rule: {profile.name: report.score(rule, profile) for profile in scorer.PROFILES} for rule in RULES},
        "thresholds": {
            rule: {name: results[0].threshold for name, results in report.results[rule].items()}
            for rule in ("optimised", "onset_optimised")
        },
        "categories": {
            name: {
                rule: {profile.name: report.score(rule, profile, name) for profile in scorer.PROFILES} for rule in RULES
            }
            for name in report.categories
        },
        "files": {file.name: _file_dict(report, k) for k, file in enumerate(report.files)},
    }


def _file_dict(report: Report, k: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"rows": len(report.files[k].stamps), "windows": len(report.files[k].windows)}
    for rule in RULES:
        result = report.results[rule]["standard"][k]
        figures[rule] = {"fires": result.fires, "found": result.found, "false": result.false, "lost": result.lost}
    return figures

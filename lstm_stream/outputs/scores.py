"""The scores of a recording as a table, and as a CSV file with a row for each of its rows.

    timestamp, sensor, a, b, a_expected, a_lower, a_upper, b_expected, ..., score, threshold, anomaly, reason

With one channel the bands are called expected, lower and upper. A channel that would bear the name of another column
gets `_value` behind it. Numbers are written so that reading them gives the same number, bit for bit.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

F8 = NDArray[np.float64]

_FIRST, _LAST = ("timestamp", "sensor"), ("score", "threshold", "anomaly", "reason")
_BAND = ("expected", "lower", "upper")
_AT_ONCE = 4096  # rows


@dataclass(slots=True)
class Scores:
    """N rows in their order, C channels. NaN: absent, unknown, or not scored."""

    channels: tuple[str, ...]
    stamp: list[str]  # N times as they were written
    sensor: list[str]  # N
    time: F8  # (N,) unix s
    values: F8  # (N, C)
    expected: F8  # (N, C)
    lower: F8  # (N, C)
    upper: F8  # (N, C)
    score: F8  # (N,)
    threshold: F8  # (N,) inf while warming up
    anomaly: NDArray[np.bool_]  # (N,)
    reason: list[str]  # N why there is an alarm, or no score

    def __len__(self) -> int:
        return len(self.stamp)


def blank(channels: tuple[str, ...], stamp: list[str], sensor: list[str], values: F8) -> Scores:
    """A table for values (N, C) in which nothing is scored yet."""
    rows = len(stamp)
    return Scores(
        channels,
        stamp,
        sensor,
        time=np.full(rows, np.nan),
        values=values,
        expected=np.full(values.shape, np.nan),
        lower=np.full(values.shape, np.nan),
        upper=np.full(values.shape, np.nan),
        score=np.full(rows, np.nan),
        threshold=np.full(rows, np.nan),
        anomaly=np.zeros(rows, np.bool_),
        reason=[""] * rows,
    )


def write(path: Path, scores: Scores) -> None:
    """Write the table. Raises OSError where the file cannot be written."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns(scores.channels))
        for start in range(0, len(scores), _AT_ONCE):
            writer.writerows(_rows(scores, slice(start, start + _AT_ONCE)))


def columns(channels: Sequence[str]) -> list[str]:
    """The header, without a name that occurs twice."""
    names = [""] if len(channels) == 1 else [f"{name}_" for name in channels]
    bands = [f"{name}{part}" for name in names for part in _BAND]
    taken = {*_FIRST, *bands, *_LAST}
    values: list[str] = []
    for channel in channels:
        name = channel
        while name in taken or (name != channel and name in channels):
            name += "_value"
        taken.add(name)
        values.append(name)
    return [*_FIRST, *values, *bands, *_LAST]


def _rows(scores: Scores, part: slice) -> Iterator[list[str]]:
    bands = np.stack([scores.expected[part], scores.lower[part], scores.upper[part]], axis=2)
    numbers = np.column_stack(
        [scores.values[part], bands.reshape(len(bands), -1), scores.score[part], scores.threshold[part]]
    )
    anomaly = scores.anomaly[part].astype(int).astype(str).tolist()
    rows = zip(scores.stamp[part], scores.sensor[part], numbers.tolist(), anomaly, scores.reason[part], strict=True)
    for stamp, sensor, cells, alarm, reason in rows:
        yield [stamp, sensor, *map(_cell, cells), alarm, reason]


def _cell(value: float) -> str:
    return repr(value) if isfinite(value) else ""

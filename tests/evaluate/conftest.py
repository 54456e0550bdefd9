"""Tiny checkouts of the benchmarks: a stream that repeats a day, with a plateau somewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

ROWS = 900
START = datetime(2026, 1, 5)


def signal(rows: int, seed: int, plateau: slice | None) -> np.ndarray:
    """Half-hourly values of something that follows the day."""
    chance = np.random.default_rng(seed)
    values = 20 + 5 * np.sin(2 * np.pi * np.arange(rows) / 48) + 0.3 * chance.standard_normal(rows)
    if plateau:
        values[plateau] += 15
    return values


def stamp(row: int) -> str:
    return str(START + timedelta(minutes=30 * row))


def write_stream(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{stamp(row)},{value:.4f}" for row, value in enumerate(values)]
    path.write_text("\n".join(["timestamp,value", *lines, ""]))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Of NAB: two streams, one of them with an anomaly at row 700; a third one that is not there."""
    folder = tmp_path / "NAB"
    write_stream(folder / "data/real/pump.csv", signal(ROWS, 1, slice(700, 740)))
    write_stream(folder / "data/artificial/calm.csv", signal(ROWS, 2, None))
    labels = {
        "real/pump.csv": [[stamp(690) + ".000000", stamp(760) + ".000000"]],
        "artificial/calm.csv": [],
        "real/absent.csv": [],
    }
    (folder / "labels").mkdir()
    (folder / "labels/combined_windows.json").write_text(json.dumps(labels))
    return folder


@pytest.fixture
def skab(tmp_path: Path) -> Callable[[int], Path]:
    """Of SKAB: so many runs of 560 rows with an anomaly from row 480 on, and the recording without labels."""

    def make(runs: int = 1) -> Path:
        folder = tmp_path / "SKAB"
        for run in range(runs):
            values = np.column_stack([signal(560, 10 + run, slice(480, 560)), signal(560, 20 + run, slice(480, 560))])
            head = "datetime;pressure;current;anomaly;changepoint"
            lines = [
                f"{START + timedelta(seconds=row)};{a:.4f};{b:.4f};{float(row >= 480)};0.0"
                for row, (a, b) in enumerate(values)
            ]
            path = folder / "valve1" / f"{run}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join([head, *lines, ""]))
        free = folder / "anomaly-free/anomaly-free.csv"
        free.parent.mkdir(parents=True, exist_ok=True)
        free.write_text("datetime;pressure\n2026-01-05 00:00:00;1.0\n")
        return folder

    return make

"""A picture of streams with what is labelled in them and the alarms: small strips, a look at all of them.

Needs matplotlib (extra `plot`); in the style of outputs/plot.py, and as deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from lstm_stream.evaluate import nab, skab
from lstm_stream.outputs.panels import ALARM, INK, SOFT, WARMUP
from lstm_stream.outputs.plot import STYLE, save

BUCKETS, MEANS = 500, 110  # points of a strip with one channel, with several
WINDOW, FOUND = "#f0b429", "#2f9e44"
WIDTH = 12.0  # inches
STRIP, APART, COLUMNS = 0.55, 0.32, 2  # height, room above, strips beside one another
HEADER = 0.9

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Strip:
    """One stream: N rows of D channels, and what is marked in it."""

    name: str
    values: NDArray[np.float64]  # (N, D)
    windows: list[tuple[int, int]]  # first and last row of what is labelled
    open: Bools  # (N,) an alarm is open
    opened: Bools  # (N,) an alarm opens here
    training: int  # rows that do not count
    note: str


def of_nab(report: nab.Report) -> list[Strip]:
    """A strip for each stream of the benchmark, noted with what it costs."""
    strips = []
    for k, (file, one) in enumerate(zip(report.files, report.watched, strict=True)):
        result = report.results["default"]["standard"][k]
        note = f"{result.found} of {len(file.windows)} found, {result.false} outside, {result.lost:.1f} points lost"
        training = int(np.argmax(report.worth[k].scored))
        strips.append(Strip(file.name, file.values[:, None], file.windows, one.anomaly, one.openings(), training, note))
    return strips


def of_skab(report: skab.Report) -> list[Strip]:
    """A strip for each run, noted with its F1."""
    strips = []
    for run, one, (default, _) in zip(report.runs, report.watched, report.by_run, strict=True):
        windows = [(first, stop - 1) for first, stop in spans(run.anomalous)]
        note = f"F1 {default.f1:.2f}"
        strips.append(Strip(run.name, run.values, windows, one.anomaly, one.openings(), skab.TRAINING, note))
    return strips


def draw(path: Path, title: str, strips: Sequence[Strip]) -> None:
    """All streams, small: what is labelled, and the alarms. Raises OSError."""
    rows = -(-len(strips) // COLUMNS)
    height = HEADER + rows * (STRIP + APART) + 0.1
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, height))
        figure.text(0.02, 1 - 0.33 / height, title, fontsize=12, fontweight="bold", va="baseline")
        _strip_legend(figure, height)
        for k, strip in enumerate(strips):
            column, row = divmod(k, rows)
            width = (1 - 0.04 - 0.03 * (COLUMNS - 1)) / COLUMNS
            bottom = height - HEADER - (row + 1) * (STRIP + APART)
            axes = figure.add_axes((0.02 + column * (width + 0.03), bottom / height, width, STRIP / height))
            _strip(axes, strip)
        save(figure, path)


def _strip_legend(figure: Figure, height: float) -> None:
    handles = [
        Patch(color=WARMUP, lw=0, label="not scored"),
        Patch(color=WINDOW, alpha=0.35, lw=0, label="labelled"),
        Patch(color=ALARM, alpha=0.25, lw=0, label="alarm open"),
        Line2D([], [], color=FOUND, marker="v", lw=0, label="alarm opens, in a label"),
        Line2D([], [], color=ALARM, marker="v", lw=0, label="alarm opens, outside"),
    ]
    where = (0.02, 1 - 0.42 / height)
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=where, ncols=5, frameon=False, borderaxespad=0)


def _strip(axes: Axes, strip: Strip) -> None:
    rows = len(strip.values)
    _signal(axes, strip.values)
    axes.axvspan(0, strip.training, color=WARMUP, lw=0, zorder=0)
    inside = np.zeros(rows, np.bool_)
    for first, last in strip.windows:
        axes.axvspan(first, last + 1, color=WINDOW, alpha=0.35, lw=0, zorder=0.5)
        inside[first : last + 1] = True
    for first, stop in spans(strip.open):
        axes.axvspan(first, stop, color=ALARM, alpha=0.25, lw=0, zorder=1)
    for marked, color in ((strip.opened & inside, FOUND), (strip.opened & ~inside, ALARM)):
        at = np.flatnonzero(marked)
        axes.plot(at, np.full(len(at), 1.13), "v", color=color, ms=4, clip_on=False, zorder=3)
    axes.set_xlim(0, rows)
    axes.set_ylim(-0.03, 1.05)
    axes.grid(visible=False)
    axes.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)
    axes.annotate(strip.name, (0, 1), (0, 9), "axes fraction", "offset points", fontsize=7, color=INK)
    axes.annotate(strip.note, (1, 1), (0, 9), "axes fraction", "offset points", fontsize=7, color=SOFT, ha="right")


def _signal(axes: Axes, values: NDArray[np.float64]) -> None:
    """One channel with its lowest and highest value everywhere; of several the means, which is where faults show."""
    alone = values.shape[1] == 1
    edges = np.linspace(0, len(values), min(BUCKETS if alone else MEANS, len(values)) + 1).astype(int)[:-1]
    counts = np.diff(np.r_[edges, len(values)])
    for number, column in enumerate(values.T):
        known = np.nan_to_num(column, nan=np.nanmean(column))
        if alone:
            low, high = np.minimum.reduceat(known, edges), np.maximum.reduceat(known, edges)
            bottom, top = low.min(), high.max()
            axes.fill_between(
                edges, _scaled(low, bottom, top), _scaled(high, bottom, top) + 0.01, color=INK, alpha=0.75, lw=0.5
            )
        else:
            mean = np.add.reduceat(known, edges) / counts
            axes.plot(edges, _scaled(mean, mean.min(), mean.max()), color=f"C{number}", lw=0.7, zorder=2)


def _scaled(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    return (values - low) / ((high - low) or 1.0)


def spans(flags: Bools) -> list[tuple[int, int]]:
    """Where the flags (N,) are set: first row and the row after the last, of each stretch."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))

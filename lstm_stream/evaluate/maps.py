"""A picture of the evaluation on simulated faults: a heat map of what is found, asked against measured false alarms.

Needs matplotlib (extra `plot`); in the style of outputs/plot.py, and as deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from lstm_stream.evaluate import faults, tables
from lstm_stream.outputs.panels import ALARM, INK, SOFT
from lstm_stream.outputs.plot import STYLE, save
from lstm_stream.simulate import KINDS

WIDTH, HEIGHT = 12.0, 5.4  # inches
SHADES = LinearSegmentedColormap.from_list("recall", ["#d55e00", "#f9ead0", "#7fbbe3"])  # told apart by everyone
LINES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8c6d46")  # of Okabe and Ito but the last
MARKERS = "os^vDP"


def draw(path: Path, report: faults.Report) -> None:
    """What is found, by kinds of sensors and faults, beside asked against measured false alarms. Raises OSError."""
    shown = tables.middle(list(report.faulty))
    tally = report.faulty[shown]
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, HEIGHT))
        found = tally.over()
        share = f"{tables.percent(found.recall)} of {found.injected:,} faults found"
        weeks = tally.rate.weeks + sum(quiet.rate.weeks for quiet in report.quiet.values())
        title = f"Simulated sensors: {share} at {shown} ({weeks:,.0f} sensor-weeks)"
        figure.text(0.02, 0.945, title, fontsize=12, fontweight="bold")
        _heat(figure.add_axes((0.13, 0.1, 0.42, 0.74)), tally)
        _reliability(figure.add_axes((0.64, 0.1, 0.34, 0.74)), report)
        save(figure, path)


def _heat(axes: Axes, tally: faults.Tally) -> None:
    kinds, names = [*KINDS, "all"], [*faults.FAULTS, "all"]
    every: dict[str, Sequence[str]] = {kind: [kind] for kind in KINDS} | {"all": tuple(KINDS)}
    each: dict[str, Sequence[str]] = {name: [name] for name in faults.FAULTS} | {"all": faults.FAULTS}
    cells = [[tally.over(every[kind], each[name]) for kind in kinds] for name in names]
    axes.imshow([[cell.recall for cell in row] for row in cells], cmap=SHADES, vmin=0, vmax=1, aspect="auto")
    for y, row in enumerate(cells):
        for x, cell in enumerate(row):
            text = f"{tables.percent(cell.recall)}\n{tables.duration(cell.delay)}" if cell.injected else ""
            axes.text(x, y, text, ha="center", va="center", fontsize=7.5, color=INK)
    axes.set_xticks(range(len(kinds)), kinds)
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.grid(visible=False)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.axhline(len(names) - 1.5, color="white", lw=3)
    axes.axvline(len(kinds) - 1.5, color="white", lw=3)


def _reliability(axes: Axes, report: faults.Report) -> None:
    """Asked against measured, log-log; the band is a factor of two."""
    asked = np.array([faults.per_week(budget) for budget in report.quiet])
    order = np.argsort(asked)
    x = np.array([asked.min() / 2, asked.max() * 2])
    axes.fill_between(x, x / 2, x * 2, color="#dfe7ee", lw=0, zorder=0, label="within a factor of two")
    axes.plot(x, x, color=SOFT, lw=1, zorder=1)
    for number, kind in enumerate([*KINDS, None]):
        rates = [tally.rate_of(kind) for tally in report.quiet.values()]
        _points(axes, asked[order], [rates[k] for k in order], kind or "all simulated", number)
    if report.real:
        rates = [tally.rate for tally in report.real.values()]
        _points(axes, asked[order], [rates[k] for k in order], "real, outside labels", len(KINDS) + 1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(x[0], x[1])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator([0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("asked: false alarms per sensor and week", color=SOFT)
    axes.set_title("measured without faults, with 95 % bounds", loc="left", fontsize=9, fontweight="bold")
    axes.legend(frameon=False, fontsize=7.5, loc="upper left")


def _points(axes: Axes, asked: NDArray[np.float64], rates: Sequence[faults.Rate], label: str, number: int) -> None:
    """One line; beside its neighbours, so that the bounds can be told apart. What was never seen is not drawn."""
    seen = [k for k, rate in enumerate(rates) if rate.alarms]
    x = asked[seen] * 1.04 ** (number - 3)
    y = np.array([rates[k].per_week for k in seen])
    bounds = np.array([rates[k].bounds() for k in seen]).reshape(-1, 2)
    strong = number >= len(KINDS)
    axes.errorbar(
        x,
        y,
        np.abs(bounds.T - y),
        fmt=("o" if strong else MARKERS[number]) + "-",
        ms=5 if strong else 3.5,
        lw=1.8 if strong else 0.9,
        elinewidth=0.7,
        color=INK if number == len(KINDS) else ALARM if strong else LINES[number],
        label=label,
        zorder=3 if strong else 2,
    )

"""Pictures in bars, a panel for each measure: what changes without a part of the detector; cold starts compared.

Needs matplotlib (extra `plot`); in the style of outputs/plot.py, and as deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lstm_stream.coldstart import ColdStart
from lstm_stream.evaluate import ablation, start, tables
from lstm_stream.outputs.panels import ALARM, EXPECTED, INK, SOFT
from lstm_stream.outputs.plot import STYLE, save
from lstm_stream.simulate import KINDS

WIDTH, LEFT, APART = 12.0, 2.9, 0.3  # inches
HEADER, FOOTER, ROW = 1.2, 0.35, 0.27
ROOM = 1.75  # of the longest bar, for its number


def draw(path: Path, report: ablation.Report) -> None:
    """Bars of the differences from the whole detector. Raises OSError."""
    shown = [name for name, value in report.whole._asdict().items() if math.isfinite(value)]
    legend = {"worse without it: the part is worth having": EXPECTED, "better without it": ALARM}
    with matplotlib.style.context(["default", STYLE]):
        figure = _figure(ROW * len(report.rows), tables.ablation_title(report), legend)
        for number, (name, axes) in enumerate(zip(shown, _panels(figure, len(shown)), strict=True)):
            _panel(axes, report, name, labelled=number == 0)
        save(figure, path)


def _figure(rows: float, title: str, legend: Mapping[str, str]) -> Figure:
    """Room for rows of that height together, below a title and what the colours mean."""
    height = HEADER + rows + FOOTER
    figure = Figure(figsize=(WIDTH, height))
    figure.text(0.02, 1 - 0.35 / height, title, fontsize=12, fontweight="bold")
    handles = [Patch(color=color, label=name) for name, color in legend.items()]
    place, many = (0.02, 1 - 0.75 / height), len(legend)
    figure.legend(handles=handles, loc="center left", bbox_to_anchor=place, ncols=many, frameon=False, fontsize=8.5)
    return figure


def _panels(figure: Figure, count: int) -> Iterator[Axes]:
    """Side by side, between header and footer."""
    width, height = (WIDTH - LEFT - 0.2 - APART * (count - 1)) / count, figure.get_figheight()
    for number in range(count):
        left = (LEFT + number * (width + APART)) / WIDTH
        yield figure.add_axes((left, FOOTER / height, width / WIDTH, 1 - (HEADER + FOOTER) / height))


def _panel(axes: Axes, report: ablation.Report, name: str, labelled: bool) -> None:
    column = ablation.COLUMNS[name]
    whole = tables.number(getattr(report.whole, name), column.digits)
    axes.set_title(f"{column.title}\n{whole}", loc="left", fontsize=8, fontweight="bold")
    differences = [getattr(row.difference, name) for row in report.rows]
    longest = max((abs(value) for value in differences if math.isfinite(value)), default=0.0) or 1.0
    for y, value in enumerate(differences):
        color = EXPECTED if value * column.better < 0 else ALARM
        axes.barh(y, value, height=0.62, color=color, alpha=0.85)
        side = -1 if value < 0 else 1
        text = tables.signed(value, column.digits)
        axes.annotate(text, (value, y), (3 * side, 0), textcoords="offset points", va="center", fontsize=7.5,
                      ha="left" if side > 0 else "right", color=INK if text != "0" else SOFT)  # fmt: skip
    axes.axvline(0, color=SOFT, lw=0.8)
    axes.set_xlim(-ROOM * longest, ROOM * longest)
    _rows(axes, [f"without {row.part.name}" for row in report.rows], labelled)


def _rows(axes: Axes, names: Sequence[str], labelled: bool) -> None:
    """From the top, with names or without, and with nothing around them."""
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names if labelled else [""] * len(names))
    axes.tick_params(length=0, labelbottom=False, labelcolor=INK)
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)


# --- cold start

STARTS = {"the last value again": SOFT, "random weights": ALARM, "these weights": EXPECTED}
THICK, BAR = 0.42, 0.27  # of a row, inches; of a bar, rows
Measure = tuple[str, Callable[[float], str], list[list[float]]]  # title, number as text, values by row and STARTS


def draw_start(path: Path, report: start.Report) -> None:
    """Losses, faults found and false alarms of the first days, from random weights and from these. Raises OSError."""
    rows = tables.start_rows(report)
    with matplotlib.style.context(["default", STYLE]):
        figure = _figure(THICK * len(rows), tables.start_title(report), STARTS)
        measures = _measures(report, rows)
        for number, (measure, axes) in enumerate(zip(measures, _panels(figure, len(measures)), strict=True)):
            _grouped(axes, measure)
            _rows(axes, [name for name, _ in rows], labelled=number == 0)
        save(figure, path)


def _measures(report: start.Report, rows: Sequence[tuple[str, list[list[ColdStart]]]]) -> list[Measure]:
    """A panel for each; NaN where a row has nothing to show, as NAB's of faults."""
    result: list[Measure] = []
    for k, (first, last) in enumerate(start.SPANS):
        losses = [[by[k][0].persistence, *(one.forecast for one in by[k])] for _, by in rows]
        result.append((f"loss of samples {first}-{last}", lambda value: tables.number(value, 3), losses))
    kinds = {name: (name,) for name in KINDS} | {tables.ALL: tuple(KINDS)}
    found = [[report.faulty[one].over(kinds.get(name, ())).recall for one in start.STARTS] for name, _ in rows]
    result.append(("faults found in the first days", tables.percent, [[math.nan, *row] for row in found]))
    names = {name: name for name in KINDS} | {tables.ALL: None}
    quiet = [[report.quiet[one].rate_of(names.get(name, "")).per_week for one in start.STARTS] for name, _ in rows]
    result.append(("false alarms a week", lambda value: tables.number(value, 2), [[math.nan, *row] for row in quiet]))
    return result


def _grouped(axes: Axes, measure: Measure) -> None:
    title, text, values = measure
    axes.set_title(title, loc="left", fontsize=8, fontweight="bold")
    longest = max((value for row in values for value in row if math.isfinite(value)), default=0.0) or 1.0
    axes.set_xlim(0, 1.25 * longest)
    for y, row in enumerate(values):
        for k, (value, color) in enumerate(zip(row, STARTS.values(), strict=True)):
            if math.isfinite(value):
                at = y + BAR * (k - 1)
                axes.barh(at, value, height=BAR, color=color, alpha=0.85)
                axes.annotate(text(value), (value, at), (3, 0), textcoords="offset points", va="center", fontsize=6.5)

"""A picture of what each part of the detector is worth: what changes without it, a panel for each measure.

Needs matplotlib (extra `plot`); in the style of outputs/plot.py, and as deterministic.
"""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lstm_stream.evaluate import ablation, tables
from lstm_stream.outputs.panels import ALARM, EXPECTED, INK, SOFT
from lstm_stream.outputs.plot import STYLE, save

WIDTH, LEFT, APART = 12.0, 2.9, 0.3  # inches
HEADER, FOOTER, ROW = 1.2, 0.35, 0.27
ROOM = 1.75  # of the longest bar, for its number


def draw(path: Path, report: ablation.Report) -> None:
    """Bars of the differences from the whole detector. Raises OSError."""
    shown = [name for name, value in report.whole._asdict().items() if math.isfinite(value)]
    height = HEADER + ROW * len(report.rows) + FOOTER
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, height))
        figure.text(0.02, 1 - 0.35 / height, tables.ablation_title(report), fontsize=12, fontweight="bold")
        handles = [
            Patch(color=EXPECTED, label="worse without it: the part is worth having"),
            Patch(color=ALARM, label="better without it"),
        ]
        place = (0.02, 1 - 0.75 / height)
        figure.legend(handles=handles, loc="center left", bbox_to_anchor=place, ncols=2, frameon=False, fontsize=8.5)
        width = (WIDTH - LEFT - 0.2 - APART * (len(shown) - 1)) / len(shown)
        for number, name in enumerate(shown):
            box = (
                (LEFT + number * (width + APART)) / WIDTH,
                FOOTER / height,
                width / WIDTH,
                ROW * len(report.rows) / height,
            )
            _panel(figure.add_axes(box), report, name, labelled=number == 0)
        save(figure, path)


def _panel(axes: Axes, report: ablation.Report, name: str, labelled: bool) -> None:
    column = ablation.COLUMNS[name]
    whole = tables.number(getattr(report.whole, name), column.digits)
    axes.set_title(f"{column.title}: {whole}", loc="left", fontsize=8, fontweight="bold")
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
    axes.set_ylim(len(report.rows) - 0.5, -0.5)
    axes.set_yticks(range(len(report.rows)), [f"without {row.part.name}" if labelled else "" for row in report.rows])
    axes.tick_params(length=0, labelbottom=False, labelcolor=INK)
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)

"""The pictures of the benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from tests.benchmarks.adding import Result
    from tests.benchmarks.engine import Table

OURS = "lstm_stream"
SHOWN, COLUMNS, BARS = 32, 5, 7  # hidden units; panels side by side; room for that many bars in each

mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})


def draw_adding(results: Sequence[Result], length: int, path: Path) -> None:
    """Error over training, and gradient norms over the lag before and after it."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for number, one in enumerate(results):
        rnn = one.name == "tanh RNN"
        name = f"{one.name}, rate {one.rate:g}" if rnn else one.name
        style = {"color": "black" if rnn else f"C{number}", "label": name, "linewidth": 1.2}
        style["linestyle"] = "-" if not rnn else "--" if one.rate == results[0].rate else ":"
        left.plot([count / 1000 for count, _ in one.curve], [error for _, error in one.curve], **style)
        middle.semilogy(one.norms_before, **style)
        right.semilogy(one.norms_after, **style)
    left.set(yscale="log", xlabel="training sequences, thousands", ylabel="mean error at the end")
    left.set_title(f"The adding problem, shortest lag {length // 2}")
    left.axhline(1 / 6, color="grey", linewidth=0.8)
    left.text(0, 1 / 6, "always telling the mean", color="grey", va="bottom", fontsize=8)
    left.axhline(0.04, color="grey", linewidth=0.8)
    left.text(0, 0.04, "solved", color="grey", va="bottom", fontsize=8)
    for axes, when in ((middle, "before training"), (right, "after training")):
        axes.set(xlabel="steps back from the end", title=f"Gradient by the state, {when}", ylim=(1e-12, 1e2))
    right.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)


def draw_speed(tables: Sequence[Table], heading: str, path: Path) -> None:
    """A panel for each row of 32 hidden units, a bar for each that was measured; the floor is a line."""
    panels = [(table, row) for table in tables for row in table[3] if len(row.seconds) > 1 and f"H={SHOWN}" in row.name]
    lines = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(3.2 * COLUMNS, 2.2 * lines + 0.4), layout="constrained")
    for place, ((title, unit, scale, _), row) in enumerate(panels):
        axes = figure.add_subplot(lines, COLUMNS, place + 1)
        names = list(row.seconds)
        times = [row.seconds[name] * scale for name in names]
        ours = OURS not in names
        bars = axes.barh(names, times, color=["C0" if ours or name == OURS else "lightgrey" for name in names])
        axes.bar_label(bars, [f"{time:,.0f}" for time in times], padding=2, fontsize=8)
        if row.floor:
            axes.axvline(row.floor * scale, color="C3", linewidth=1)
        axes.set(xlim=(0, max(times) * 1.3), ylim=(max(len(names), BARS) - 0.5, -0.5))
        axes.set_title(f"{title}\n{row.name}, {unit}", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
    figure.suptitle(heading.splitlines()[0] + "; red: what the hardware allows", fontsize=9)
    figure.savefig(path, dpi=110)

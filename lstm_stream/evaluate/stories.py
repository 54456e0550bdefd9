"""A picture of changes that last for days: an example of each, with its band, its score, its alarms and the learning.

Needs matplotlib (extra `plot`); in the style of outputs/plot.py, and as deterministic.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lstm_stream.evaluate import learning, tables
from lstm_stream.outputs.panels import ALARM, BAND, EXPECTED, INK, SOFT, STRONG, dates, label, score, shade, signal
from lstm_stream.outputs.plot import STYLE, save
from lstm_stream.outputs.tracks import DAY, alarms

WIDTH, LEFT, RIGHT = 12.0, 0.8, 0.25  # inches, as all lengths
HEADER, NAME, SIGNAL, SCORE, BETWEEN, FOOTER = 0.95, 0.32, 1.5, 0.7, 0.45, 0.1
CHANGE, ROUND = "#f0b429", "#2f9e44"


def draw(path: Path, report: learning.Report) -> None:
    """An example of each change, one below another. Raises OSError."""
    each = NAME + SIGNAL + 0.1 + SCORE + BETWEEN
    height = HEADER + each * len(report.examples) + FOOTER
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, height))
        left = LEFT / WIDTH
        figure.text(left, 1 - 0.35 / height, tables.learning_title(report), fontsize=12, fontweight="bold")
        _legend(figure, left, 1 - 0.65 / height)
        for number, example in enumerate(report.examples):
            top = HEADER + number * each + NAME
            _story(figure, example, top, height)
        save(figure, path)


def _legend(figure: Figure, left: float, top: float) -> None:
    handles = [
        Line2D([], [], color=INK, lw=1.2, label="signal"),
        Patch(color=EXPECTED, alpha=BAND, lw=0, label="expected band"),
        Patch(color=CHANGE, lw=0, label="it changes"),
        Patch(color=ALARM, alpha=STRONG, lw=0, label="alarm"),
        Line2D([], [], color=ROUND, marker="^", lw=0, ms=5, mew=0, label="new weights adopted"),
        Line2D([], [], color=SOFT, lw=1.2, label="score"),
    ]
    place = (left, top)
    figure.legend(
        handles=handles, loc="center left", bbox_to_anchor=place, ncols=6, frameon=False, borderaxespad=0, fontsize=8.5
    )


def _story(figure: Figure, example: learning.Example, top: float, height: float) -> None:
    track, of = example.track, example.lasting
    channel, found = track.channels[0], alarms(track.events, float(track.time[-1]))
    title = f"{tables.CHANGED[of.change]}: {track.sensor}, {channel.name}"
    figure.text(LEFT / WIDTH, 1 - (top - 0.1) / height, title, fontsize=9, fontweight="bold")
    above = _axes(figure, example, top, SIGNAL, height)
    shade(above, track, found, channel.name)
    signal(above, track, channel)
    label(above, found, WIDTH - LEFT - RIGHT, 0.08 * len(title))
    end = max(of.end, of.start + DAY / 4)
    above.axvspan(of.start / DAY, end / DAY, ymin=0.95, color=CHANGE, lw=0, zorder=3)
    days = example.rounds / DAY
    above.plot(days, [0.05] * len(days), "^", transform=above.get_xaxis_transform(), color=ROUND, ms=5, mew=0, zorder=4)
    above.tick_params(labelbottom=False)
    below = _axes(figure, example, top + SIGNAL + 0.1, SCORE, height)
    shade(below, track, found, None)
    score(below, track)
    dates(above, 5, 12)
    dates(below, 5, 12)


def _axes(figure: Figure, example: learning.Example, top: float, tall: float, height: float) -> Axes:
    width = (WIDTH - LEFT - RIGHT) / WIDTH
    axes = figure.add_axes((LEFT / WIDTH, 1 - (top + tall) / height, width, tall / height))
    axes.set_xlim(example.track.time[0] / DAY, example.track.time[-1] / DAY)
    axes.tick_params(length=2.5)
    return axes

"""A picture of a scored recording: signal, expected band, alarms and score, so that one glance tells the story.

    file, what happened, legend
    ── sensor ──  alarms: what gave them away
    channel   the signal on its expected band; alarms shaded, darker where the channel has the larger part in them
    score     beside its threshold, filled where it is above
    close-ups of the strongest alarms, where the recording is long and the channels are few

Needs matplotlib (extra `plot`), draws without a display and touches none of its global state.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Sequence
from datetime import datetime, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from PIL import Image

from lstm_stream.outputs.panels import (
    ALARM,
    BAND,
    DASHES,
    EXPECTED,
    INK,
    LETTER,
    SOFT,
    STRONG,
    WARMUP,
    adoptions,
    dates,
    label,
    score,
    shade,
    signal,
)
from lstm_stream.outputs.tracks import DAY, Alarm, Choice, Track, alarms, choose, closeups, cut

DPI = 150
WIDTH, LEFT, RIGHT = 12.0, 0.8, 0.25  # inches, as all lengths
HEADER, FOOTER, NAME, BETWEEN = 1.0, 0.35, 0.27, 0.2
HEIGHTS = {1: (3.2, 0.95), 2: (2.1, 0.95), 3: (1.5, 0.9)}  # of a channel and of a score, where channels are few
LEAST = (1.05, 0.75)  # else
DATES = 0.42  # below a panel
CLOSEUP, APART = 1.6, 0.55
LINES, LINE, LETTERS = 2, 0.15, 62  # of the note above a close-up, their height, characters in one

STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 8.5,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "pdf.fonttype": 42,  # TrueType, as publishers want it
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "lstm_stream",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}


def draw(path: Path, name: str, tracks: Sequence[Track], budgeted: float | None) -> None:
    """Draw the scored sensors of the recording `name` into a file; its suffix says the format.

    `budgeted` is the number of false alarms that the budget allows; None: not known. Raises OSError where the file
    cannot be written.
    """
    with matplotlib.style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a name in a script that the font lacks
        save(_figure(name, tracks, budgeted), path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the file's suffix says the format. The same figure gives the same bytes."""
    if path.suffix.lower() == ".png":
        _save_png(figure, path)
    else:
        figure.savefig(path, metadata=_undated(path))


def _save_png(figure: Figure, path: Path) -> None:
    """With a palette: no difference to the eye, and a third of the bytes."""
    drawn = BytesIO()
    figure.savefig(drawn, dpi=DPI)
    with Image.open(drawn) as image:
        palette = image.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    palette.save(path, optimize=True, dpi=(DPI, DPI))


def _undated(path: Path) -> dict[str, None]:
    """Without the time at which it was made."""
    return {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower(), {})


def _figure(name: str, tracks: Sequence[Track], budgeted: float | None) -> Figure:
    choice = choose(tracks)
    panels = [len(track.channels) for track in choice.tracks]
    heights = HEIGHTS.get(sum(panels), LEAST)
    named = len(tracks) > 1
    close = closeups(choice.tracks[0]) if choice.tracks and sum(panels) <= 2 and not named else []
    blocks = sum(count * (NAME + heights[0]) + NAME + heights[1] + named * NAME + BETWEEN for count in panels)
    below = DATES + LINES * LINE + NAME + CLOSEUP if close else 0.0
    page = _Page(HEADER + blocks + below + DATES + FOOTER, _days(choice.tracks))
    _header(page, name, tracks, budgeted, choice)
    page.top += HEADER
    for number, track in enumerate(choice.tracks):
        if named:
            page.text(LEFT, 0.12, _short(track.sensor, 100), fontsize=10.5, fontweight="bold")
            page.top += NAME
        _sensor(page, track, heights, dated=number == len(choice.tracks) - 1)
        page.top += BETWEEN
    if close:
        page.top += DATES
        _closeups(page, choice.tracks[0], close)
    return page.figure


def _days(tracks: Sequence[Track]) -> tuple[float, float]:
    """The horizontal range of the picture, in days since 1970, with a little air."""
    first = min((track.time[0] for track in tracks), default=0.0) / DAY
    last = max((track.time[-1] for track in tracks), default=DAY) / DAY
    air = 0.004 * (last - first) or 1e-3
    return first - air, last + air


class _Page:
    """A figure that is filled from its top down; lengths in inches."""

    def __init__(self, height: float, days: tuple[float, float]) -> None:
        self.height = height
        self.days = days
        self.figure = Figure(figsize=(WIDTH, height))
        self.top = 0.0

    def panel(self, title: str, height: float, column: int = 0, columns: int = 1, note: str | None = None) -> Axes:
        """Axes below what is there, with a title at their upper left, and a note; the last column of a row ends it."""
        width = (WIDTH - LEFT - RIGHT - APART * (columns - 1)) / columns
        left = LEFT + column * (width + APART)
        self.text(left, NAME - 0.09, title, fontsize=9, fontweight="bold")
        for number, line in enumerate(textwrap.wrap(note or "", LETTERS, max_lines=LINES, placeholder=" …"), 1):
            self.text(left, NAME - 0.09 + number * LINE, line, fontsize=7.5, color=SOFT)
        bottom = self.top + NAME + height + (0.0 if note is None else LINES * LINE)
        box = (left / WIDTH, 1 - bottom / self.height, width / WIDTH, height / self.height)
        axes = self.figure.add_axes(box)
        axes.set_xlim(self.days)
        axes.tick_params(length=2.5, labelbottom=False)
        if column == columns - 1:
            self.top = bottom
        return axes

    def text(self, x: float, below: float, text: str, **style: Any) -> None:
        """A line of text whose foot is `below` the present top."""
        self.figure.text(x / WIDTH, 1 - (self.top + below) / self.height, text, va="baseline", **style)


# --- what stands above


def _header(page: _Page, name: str, tracks: Sequence[Track], budgeted: float | None, choice: Choice) -> None:
    opened = sum(event.state == "opened" for track in tracks for event in track.events)
    alarmed = f"{opened} alarm{'s' * (opened != 1)}"
    if budgeted is not None:
        allowed = f"{budgeted:.1f}" if budgeted >= 0.1 else "less than 0.1"
        alarmed += f"; the budget allows {allowed} false ones in this time"
    page.text(LEFT, 0.33, _short(name, 80), fontsize=14, fontweight="bold")
    page.text(LEFT, 0.57, f"{alarmed}  ·  {_extent(tracks)}", fontsize=9.5, color=SOFT)
    if choice.left_out:
        page.figure.text(1 - RIGHT / WIDTH, 1 - 0.33 / page.height, choice.left_out, ha="right", color=SOFT)
    handles = [
        Line2D([], [], color=INK, lw=1.2, label="signal"),
        Line2D([], [], color=EXPECTED, lw=1.2, label="expected"),
        Patch(color=EXPECTED, alpha=BAND, lw=0, label="expected band"),
        Patch(color=ALARM, alpha=STRONG, lw=0, label="alarm"),
        Patch(color=WARMUP, lw=0, label="warm-up: no alarms yet"),
        Line2D([], [], color=SOFT, lw=1.2, label="score"),
        Line2D([], [], color=ALARM, lw=1.2, ls=DASHES, label="threshold"),
    ]
    if any(track.adopted for track in tracks):
        handles.append(Line2D([], [], color=EXPECTED, marker="^", ls="", ms=5, mew=0, label="new weights"))
    where = (LEFT / WIDTH, 1 - 0.68 / page.height)
    page.figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=where,
        ncols=len(handles),
        frameon=False,
        borderpad=0.2,
        borderaxespad=0,
        handlelength=1.6,
        columnspacing=1.6,
        fontsize=8.5,
    )


def _extent(tracks: Sequence[Track]) -> str:
    samples, sensors = sum(len(track.time) for track in tracks), len(tracks)
    counted = f"{samples:,} samples of {sensors} sensor{'s' * (sensors != 1)}"
    if not samples:
        return counted
    first, last = min(track.time[0] for track in tracks), max(track.time[-1] for track in tracks)
    form = "%Y-%m-%d" if last - first >= 2 * DAY else "%Y-%m-%d %H:%M"
    days = [datetime.fromtimestamp(float(time), timezone.utc).strftime(form) for time in (first, last)]
    return f"{counted}, {days[0]} to {days[1]} UTC"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


# --- what stands below


def _sensor(page: _Page, track: Track, heights: tuple[float, float], dated: bool) -> None:
    """A panel for each channel, and one for the score."""
    found = alarms(track.events, float(track.time[-1]))
    for number, channel in enumerate(track.channels):
        title = _short(channel.name, 60)
        axes = page.panel(title, heights[0])
        shade(axes, track, found, channel.name)
        signal(axes, track, channel)
        dates(axes, 5, 12)
        if number == 0:
            label(axes, found, WIDTH - LEFT - RIGHT, 1.2 * LETTER * (len(title) + 1))
    axes = page.panel("score: 3 is once in a thousand blocks of normal life", heights[1])
    shade(axes, track, found, None)
    score(axes, track)
    adoptions(axes, track.adopted)
    dates(axes, 5, 12)
    axes.tick_params(labelbottom=dated)


def _closeups(page: _Page, track: Track, close: Sequence[tuple[Alarm, float, float]]) -> None:
    """The leading channel of some alarms, sample by sample, and why each was raised."""
    for column, (alarm, start, end) in enumerate(close):
        part = cut(track, start, end)
        channel = max(part.channels, key=lambda channel: alarm.share.get(channel.name, 0.0))
        when = datetime.fromtimestamp(alarm.start, timezone.utc).strftime("%Y-%m-%d %H:%M")
        named = f"{_short(channel.name, 20)}, " if len(track.channels) > 1 else ""
        axes = page.panel(f"{alarm.view}, {named}{when}", CLOSEUP, column, len(close), alarm.reason)
        axes.set_xlim(start / DAY, end / DAY)
        shade(axes, part, alarms(track.events, float(track.time[-1])), channel.name)
        signal(axes, part, channel)
        dates(axes, 3, 7)
        axes.tick_params(labelbottom=True)

"""The panels of a picture: a channel on its expected band, and the score beside its threshold.

Times are drawn as days since 1970, which is how matplotlib counts dates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from lstm_stream.outputs.tracks import (
    DAY,
    Alarm,
    Channel,
    Track,
    crest,
    envelope,
    line,
    span,
    usual_interval,
    warm_from,
)

INK, SOFT = "#1a1a1a", "#666666"
EXPECTED, ALARM, WARMUP = "#0072B2", "#D55E00", "#efefef"  # of Okabe and Ito: told apart by everyone
BAND = 0.18  # opacity, as the next
PALE, STRONG = 0.10, 0.34  # of an alarm in a channel that has no part in it, and in the leading one
DASHES = (0, (4, 2))
_DATES = ["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%S.%f"]  # of years, months, days, hours, minutes, seconds
_ZEROS = ["", "%Y", "%b", "%d %b", "%H:%M", "%H:%M"]  # where one begins
_SPAN = ["", "", "%Y", "%Y", "%d %b %Y", "%d %b %Y"]  # what they have in common
LETTER = 0.066  # inches, width of a small letter


def shade(axes: Axes, track: Track, found: Sequence[Alarm], channel: str | None) -> None:
    """The warm-up, and the alarms: as strong as the part that the channel has in them."""
    axes.axvspan(track.time[0] / DAY, warm_from(track) / DAY, color=WARMUP, lw=0, zorder=0.1)
    for alarm in found:
        most = max(alarm.share.values(), default=0.0)
        part = 0.0 if channel is None else alarm.share.get(channel, 0.0) / most if most else 1.0
        opacity = PALE + (STRONG - PALE) * part
        axes.axvspan(alarm.start / DAY, alarm.end / DAY, color=ALARM, alpha=opacity, lw=0, zorder=1.2)
        axes.axvline(alarm.start / DAY, color=ALARM, alpha=min(1.0, 2 * opacity), lw=0.9, zorder=1.3)


def signal(axes: Axes, track: Track, channel: Channel) -> None:
    interval = usual_interval(track.time)
    time, low, high = envelope(track.time, channel.lower, channel.upper, interval)
    axes.fill_between(time / DAY, low, high, color=EXPECTED, alpha=BAND, lw=0, zorder=1)
    time, value = line(track.time, channel.expected, interval)
    axes.plot(time / DAY, value, color=EXPECTED, lw=0.8, alpha=0.9, zorder=1.5)
    time, value = line(track.time, channel.value, interval)
    axes.plot(time / DAY, value, color=INK, lw=0.8, zorder=2)
    low_limit, high_limit = span(channel)
    axes.set_ylim(low_limit, high_limit)
    axes.yaxis.set_major_locator(MaxNLocator(4, min_n_ticks=2))
    digits = int(np.clip(np.log10(max(abs(low_limit), abs(high_limit)) / (high_limit - low_limit)) + 4, 6, 15))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:,.{digits}g}"))


def label(axes: Axes, found: Sequence[Alarm], width: float, taken: float) -> None:
    """A mark above each alarm, and what gave it away as far as there is room: silences and the strongest first.

    `width` of the axes and `taken` by its title, in inches from the left.
    """
    first, last = axes.get_xlim()
    used = [(0.0, taken)]
    for alarm in sorted(found, key=lambda alarm: (alarm.view != "silence", -alarm.score)):
        day = alarm.start / DAY
        at = width * (day - first) / (last - first)
        axes.plot([day], [1.0], "v", transform=axes.get_xaxis_transform(), color=ALARM, ms=4.5, mew=0, clip_on=False)
        room = LETTER * len(alarm.view)
        places = [at - room / 2, at - LETTER, at + LETTER - room]  # above it, or beginning or ending there
        places += [taken + 2 * LETTER] if abs(taken - at) < 6 * LETTER else []  # or after the title that is in the way
        for wanted in places:
            start = min(max(wanted, 0.0), width - room)
            if all(start > right + LETTER or start + room < left - LETTER for left, right in used):
                used.append((start, start + room))
                place = ((start + room / 2) / width, 1.0)
                axes.annotate(
                    alarm.view, place, (0, 5), "axes fraction", "offset points", color=ALARM, ha="center", fontsize=8
                )
                break


def score(axes: Axes, track: Track) -> None:
    """The score beside its threshold, after the warm-up: linear up to the threshold, logarithmic above."""
    time, score, threshold = crest(track.time, track.score, track.threshold)
    linear = float(np.median(threshold)) if len(threshold) else 1.0
    over = score >= threshold
    over[1:] |= over[:-1]  # a step is drawn up to the next bucket's begin
    axes.fill_between(time / DAY, 0, score, color="#bbbbbb", lw=0, zorder=1, step="post")
    axes.fill_between(time / DAY, 0, score, where=over, color=ALARM, lw=0, alpha=0.8, zorder=1.5, step="post")
    axes.plot(time / DAY, score, color=SOFT, lw=0.7, zorder=2, drawstyle="steps-post")
    axes.plot(time / DAY, threshold, color=ALARM, lw=1.1, ls=DASHES, zorder=2.5, drawstyle="steps-post")
    axes.set_yscale("symlog", linthresh=linear, linscale=1.0)
    top = max(float(score.max(initial=0.0)) * 1.3, float(threshold.max(initial=linear)) * 3)
    axes.set_ylim(0, top)
    ticks = [tick for tick in (0, 1, 3, 10, 30, 100, 300, 1000, 3000) if tick <= top]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))


def adoptions(axes: Axes, times: Sequence[float]) -> None:
    """A mark below where new weights were adopted (unix s)."""
    days = [time / DAY for time in times]
    axes.plot(days, [0.0] * len(days), "^", transform=axes.get_xaxis_transform(), color=EXPECTED, ms=5, mew=0, zorder=3)


def dates(axes: Axes, least: int, most: int) -> None:
    """From `least` to `most` dates below. They must lie wide apart: (3, 7) and (5, 12) suit every range of time."""
    locator = AutoDateLocator(minticks=least, maxticks=most)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        ConciseDateFormatter(locator, formats=_DATES, zero_formats=_ZEROS, offset_formats=_SPAN)
    )

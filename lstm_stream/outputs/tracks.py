"""What a picture of a recording shows, before a line is drawn: which sensors and channels, and how many points.

Plain arrays in, plain arrays out. A line of many samples is thinned to the lowest and the highest of each of at most
`BUCKETS` buckets, so that it looks the same and no spike is lost. Where samples are missing it is interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from lstm_stream.records import Event

BUCKETS = 900  # of a line: about one for two pixels
PANELS = 9  # in one picture, those of the scores included
LONG = 1500  # samples from which there are close-ups
CLOSEUPS = 3
AROUND = 60.0  # samples before and after an alarm in a close-up
GAP = 10.0  # usual intervals without a sample after which a line is interrupted
DAY = 86400.0
HIGHEST, LARGEST = 1e4, 1e100  # a score, a value: what is beyond is not drawn

F8 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Channel:
    """N values of one channel with what was expected. NaN: absent or unknown."""

    name: str
    value: F8  # (N,)
    expected: F8  # (N,)
    lower: F8  # (N,)
    upper: F8  # (N,)


@dataclass(frozen=True, slots=True)
class Track:
    """One sensor's N samples and the alarms among them."""

    sensor: str
    time: F8  # (N,) unix s, increasing
    channels: Sequence[Channel]
    score: F8  # (N,)
    threshold: F8  # (N,) inf while warming up
    events: Sequence[Event] = ()
    adopted: Sequence[float] = ()  # when new weights were, unix s


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm from its begin to its end, or to the end of the picture."""

    view: str
    start: float
    end: float
    score: float  # the highest; at opening, while it is open
    reason: str  # at opening
    share: dict[str, float] = field(default_factory=dict)  # channel -> contribution at opening; empty: no channel's


@dataclass(frozen=True, slots=True)
class Choice:
    """What fits into one picture, the sensors with most alarms first."""

    tracks: list[Track]
    left_out: str  # in words; empty where everything fits


def alarms(events: Iterable[Event], end: float) -> list[Alarm]:
    """The alarms of one sensor in the order of their begin; those still open last until `end` (unix s)."""
    closed = {(event.view, event.opened): event for event in events if event.state == "closed"}
    found = []
    for event in events:
        if event.state == "opened":
            last = closed.get((event.view, event.opened), event)
            until = end if last.closed is None else last.closed
            share = {name: evidence.contribution for name, evidence in event.channels.items()}
            found.append(Alarm(event.view, event.opened, max(until, event.opened), last.score, event.reason, share))
    return sorted(found, key=lambda alarm: alarm.start)


def choose(tracks: Sequence[Track], panels: int = PANELS) -> Choice:
    """As many sensors and channels as fit into `panels`, those with most alarms and the largest part in them first."""
    ranked = sorted(tracks, key=lambda track: -sum(event.state == "opened" for event in track.events))
    each = max(1, panels // max(1, min(len(ranked), 3)) - 1)  # channels of one sensor
    shown: list[Track] = []
    hidden = 0
    for track in ranked:
        channels = _leading(track, min(each, panels - 1))
        if not channels or panels < 2:
            break
        shown.append(replace(track, channels=channels))
        panels -= len(channels) + 1
        hidden += len(track.channels) - len(channels)
    return Choice(shown, _left_out(ranked[len(shown) :], hidden))


def _leading(track: Track, room: int) -> list[Channel]:
    """The channels with the largest part in the alarms, in their own order."""
    part = dict.fromkeys((channel.name for channel in track.channels), 0.0)
    for event in track.events:
        for name, evidence in event.channels.items():
            part[name] = part.get(name, 0.0) + evidence.contribution * (event.state == "opened")
    kept = sorted(track.channels, key=lambda channel: -part[channel.name])[:room]
    names = {channel.name for channel in kept}
    return [channel for channel in track.channels if channel.name in names]


def _left_out(tracks: Sequence[Track], channels: int) -> str:
    count = sum(event.state == "opened" for track in tracks for event in track.events)
    parts = []
    if channels:
        parts.append(f"{channels} channel{'s' * (channels > 1)}")
    if tracks:
        parts.append(f"{len(tracks)} sensor{'s' * (len(tracks) > 1)} with {count} alarm{'s' * (count != 1)}")
    return f"not shown: {' and '.join(parts)}" if parts else ""


def closeups(track: Track) -> list[tuple[Alarm, float, float]]:
    """The strongest alarms of a long track, in their order, each with the begin and end of a look at it (unix s)."""
    if len(track.time) < LONG:
        return []
    interval, chosen = usual_interval(track.time), list[tuple[Alarm, float, float]]()
    found = alarms(track.events, float(track.time[-1]))
    for alarm in sorted((alarm for alarm in found if alarm.score > 0), key=lambda alarm: -alarm.score):
        around = max(AROUND * interval, 0.6 * (alarm.end - alarm.start))
        start, end = alarm.start - around, alarm.end + around
        if len(chosen) < CLOSEUPS and all(end < other[1] or start > other[2] for other in chosen):
            chosen.append((alarm, start, end))
    return sorted(chosen, key=lambda close: close[1])


def cut(track: Track, start: float, end: float) -> Track:
    """What lies between two times."""
    part = slice(*np.searchsorted(track.time, [start, end]).tolist())
    channels = [Channel(c.name, c.value[part], c.expected[part], c.lower[part], c.upper[part]) for c in track.channels]
    values = track.time[part], channels, track.score[part], track.threshold[part]
    return Track(track.sensor, *values, track.events, [at for at in track.adopted if start <= at <= end])


# --- lines


def line(time: F8, value: F8, interval: float) -> tuple[F8, F8]:
    """A line to draw through the values that are there: thinned, with a NaN wherever it is interrupted."""
    there = np.isfinite(value)
    time, value = time[there], np.clip(value[there], -LARGEST, LARGEST)
    parts = []
    for part, buckets in _stretches(time, interval):
        kept = part[_extremes(value[part], buckets)]
        parts.append((time[kept], value[kept]))
    return _join([at for at, _ in parts]), _join([kept for _, kept in parts])


def envelope(time: F8, lower: F8, upper: F8, interval: float) -> tuple[F8, F8, F8]:
    """A band to draw: the lowest and the highest of each bucket, with a NaN wherever it is interrupted."""
    there = np.isfinite(lower) & np.isfinite(upper)
    time, lower, upper = time[there], lower[there], upper[there]
    parts = []
    for part, buckets in _stretches(time, interval):
        starts = edges(len(part), buckets)
        low, high = np.minimum.reduceat(lower[part], starts), np.maximum.reduceat(upper[part], starts)
        at = np.append(time[part[starts]], time[part[-1]])
        parts.append((at, np.append(low, low[-1]), np.append(high, high[-1])))
    at, low, high = (_join([part[k] for part in parts]) for k in range(3))
    return at, np.clip(low, -LARGEST, LARGEST), np.clip(high, -LARGEST, LARGEST)


def _stretches(time: F8, interval: float) -> Iterator[tuple[NDArray[np.intp], int]]:
    """The numbers of the samples between interruptions, with the buckets that are theirs."""
    cuts = np.flatnonzero(np.diff(time) > GAP * interval) + 1
    for part in np.split(np.arange(len(time)), cuts):
        if len(part):
            yield part, max(8, BUCKETS * len(part) // len(time))


def _extremes(value: F8, buckets: int) -> NDArray[np.intp]:
    """The numbers of the lowest and the highest value of each bucket, in the order in which they came."""
    count = len(value)
    if count <= 2 * buckets:
        return np.arange(count)
    starts = edges(count, buckets)
    kept = {0, count - 1}
    for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), count], strict=True):
        kept |= {start + int(value[start:stop].argmin()), start + int(value[start:stop].argmax())}
    return np.array(sorted(kept))


def _join(parts: Sequence[F8]) -> F8:
    """The parts one after the other, a NaN behind each."""
    behind = np.full(1, np.nan)
    return np.concatenate([piece for part in parts for piece in (part, behind)] or [behind])


def edges(count: int, buckets: int = BUCKETS) -> NDArray[np.intp]:
    """Where each of the buckets of `count` samples begins."""
    return np.unique(np.linspace(0, count, min(count, buckets), endpoint=False).astype(np.intp))


def crest(time: F8, score: F8, threshold: F8) -> tuple[F8, F8, F8]:
    """Of each bucket after the warm-up: its begin, the highest score, and the threshold there."""
    known = np.flatnonzero(np.isfinite(threshold))
    if not len(known):
        return (np.empty(0),) * 3
    starts = edges(len(known))
    highest = np.minimum(np.maximum.reduceat(score[known], starts), HIGHEST)
    return time[known[starts]], highest, np.minimum.reduceat(threshold[known], starts)


def warm_from(track: Track) -> float:
    """When the warm-up was over: the time of the first threshold, or the end."""
    known = np.flatnonzero(np.isfinite(track.threshold))
    return float(track.time[known[0] if len(known) else -1])


def usual_interval(time: F8) -> float:
    """Between two samples, s."""
    return float(np.median(np.diff(time))) if len(time) > 1 else 1.0


def span(channel: Channel) -> tuple[float, float]:
    """The vertical range (low, high) that shows all values and the band as far as it stays near them."""
    value = np.clip(channel.value[np.isfinite(channel.value)], -LARGEST, LARGEST)
    if not len(value):
        return 0.0, 1.0
    low, high = float(value.min()), float(value.max())
    size = high - low or abs(high) * 0.1 or 1.0
    band = np.concatenate([channel.lower, channel.upper])
    band = band[np.isfinite(band)]
    if len(band):
        near_low, near_high = np.quantile(band, [0.01, 0.99])
        low = min(low, float(near_low)) if near_low > low - 0.3 * size else low - 0.1 * size
        high = max(high, float(near_high)) if near_high < high + 0.3 * size else high + 0.1 * size
    return low - 0.06 * size, high + 0.06 * size

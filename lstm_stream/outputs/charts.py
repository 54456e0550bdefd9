"""A sensor's recorded samples, as the API tells them, ready to be drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_stream.outputs.tracks import Channel, Track, cut
from lstm_stream.records import Event

F8 = NDArray[np.float64]


def track_of(group: str, sensor: str, document: Mapping[str, Any], latest: float | None = None) -> Track:
    """The `series` of a sensor, or its `latest` seconds.

    Of a time that is kept coarsely, both the lowest and the highest values are drawn.

    Raises KeyError, TypeError or ValueError where the document is something else.
    """
    time, score, threshold = (_numbers(document[name]) for name in ("time", "score", "threshold"))
    coarse = time < (document["fine_since"] or np.inf) if document["step"] else np.zeros(len(time), np.bool_)
    each = np.repeat(np.arange(len(time)), 1 + coarse)  # a coarse point is two: its lowest, then its highest
    first = np.r_[True, np.diff(each) > 0] & coarse[each] if len(each) else coarse
    at = time[each] + np.where(coarse[each] & ~first, document["step"] / 2, 0.0)
    channels = [
        Channel(
            name,
            np.where(first, _numbers(values["low"])[each], _numbers(values["value"])[each]),
            *(_numbers(values[part])[each] for part in ("expected", "lower", "upper")),
        )
        for name, values in document["channels"].items()
    ]
    bar = np.where(np.isnan(threshold), np.inf, threshold)
    first_at = at[-1] - latest if latest is not None and len(at) else at.min(initial=np.inf)
    shown = [one for one in document["alarms"] if one["closed"] is None or one["closed"] >= first_at]
    events = [event for one in shown for event in _events(group, sensor, one, time, score)]
    adopted = [one["time"] for one in document["retrainings"] if one["result"] in ("adopted", "rollback")]
    track = Track(sensor, at, channels, np.nan_to_num(score)[each], bar[each], events, adopted)
    return cut(track, first_at, np.nextafter(at[-1], np.inf)) if len(at) else track


def _events(group: str, sensor: str, alarm: Mapping[str, Any], time: F8, score: F8) -> list[Event]:
    """An alarm that opened, and perhaps closed; its score is the highest of its time."""
    opened, closed = float(alarm["opened"]), alarm["closed"]
    during = score[(time >= opened) & (time <= (np.inf if closed is None else closed))]
    peak = float(np.nan_to_num(during).max(initial=0.0))
    who = alarm["id"], sensor, group
    first = Event(*who, "opened", alarm["view"], alarm["reason"], opened, None, peak, 0.0, 0)
    last = Event(*who, "closed", alarm["view"], alarm["reason"], opened, closed, peak, 0.0, 0)
    return [first] if closed is None else [first, last]


def _numbers(values: Any) -> F8:
    """Null is NaN."""
    return np.array([np.nan if value is None else value for value in values], np.float64)

"""What the fleet knows, for people to look at: reads the sensors' state and changes nothing."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lstm_stream.detect import calibration, line, scaling
from lstm_stream.detect.detector import UNKNOWN, Detector, finite
from lstm_stream.detect.roster import Roster
from lstm_stream.records import STATES, Overview, Packed, View


def overview(rosters: Sequence[Roster]) -> Overview:
    """All sensors that have had a sample, in the order of their rows."""
    parts = [_part(roster) for roster in rosters] or [_nobody()]

    def joined(name: str) -> Any:
        fields = [getattr(part, name) for part in parts]
        return list(itertools.chain(*fields)) if isinstance(fields[0], list) else np.concatenate(fields)

    return Overview(**{field.name: joined(field.name) for field in dataclasses.fields(Overview)})


def _part(roster: Roster) -> Overview:
    d = roster.detector
    a, codes = d.arrays, d.state()
    here = np.flatnonzero(codes != UNKNOWN)
    names, whole = d.sensors, len(here) == len(d.sensors)
    sensors = [str(name) for name in names] if whole else [str(names[slot]) for slot in here.tolist()]
    alarm: list[str | None] = [None] * len(here)
    silent = ~np.isnan(a.silent_since[here])
    acknowledged = np.where(silent, a.acknowledged[here, 1], a.acknowledged[here, 0])
    for k in np.flatnonzero(silent | a.open[here]).tolist():
        for view, opened in d.open_alarms(int(here[k]))[:1]:
            alarm[k] = d.alarm_id(int(here[k]), view, opened)
    return Overview(
        group=[d.name] * len(here),
        sensor=sensors,
        channels=[d.channels] * len(here),
        state=codes[here],
        score=roster.score[here],
        threshold=roster.threshold[here],
        last=a.time[here],
        generation=a.generation[here],
        learning=~a.paused[here] & d.group.retraining.enabled,
        acknowledged=acknowledged,
        alarm=alarm,
    )


def _nobody() -> Overview:
    f4, flags = np.zeros(0, np.float32), np.zeros(0, np.bool_)
    return Overview(
        *([], [], [], np.zeros(0, np.uint8), f4, f4, np.zeros(0), np.zeros(0, np.int32), flags, flags, []),
    )


def packed(roster: Roster, slot: int) -> list[Packed]:
    """One sensor's state, after what its group shares."""
    d = roster.detector
    common = d.learner.pack()
    shared = [Packed(d.name, "", d.channels, *common)] if common is not None else []
    return [*shared, Packed(d.name, str(d.sensors[slot]), d.channels, d.arrays.signature, d.arrays.pack(slot))]


def facts(roster: Roster, slot: int) -> dict[str, Any]:
    """One sensor, JSON-able: numbers that are unknown are None, times unix s.

    `latest` has each channel's last value, and what is expected next, with its bounds.
    """
    d = roster.detector
    a, code = d.arrays, int(d.state()[slot])
    alarms = [
        {
            "id": d.alarm_id(slot, view, opened),
            "view": view.name.lower(),
            "since": opened,
            "acknowledged": bool(a.acknowledged[slot, int(view is View.SILENCE)]),
        }
        for view, opened in d.open_alarms(slot)
    ]
    return {
        "group": d.name,
        "sensor": str(d.sensors[slot]),
        "channels": list(d.channels),
        "state": STATES[min(code, len(STATES) - 1)] if code != UNKNOWN else STATES[0],
        "count": int(a.count[slot]),
        "warmup": d.warmup,
        "interval": float(a.interval[slot]) if a.count[slot] > 1 else None,
        "last": finite(a.time[slot]),
        "generation": int(a.generation[slot]),
        "learning": bool(d.group.retraining.enabled and not a.paused[slot]),
        "score": finite(roster.score[slot]),
        "threshold": finite(roster.threshold[slot]),
        "silent_since": finite(a.silent_since[slot]),
        "alarm": alarms[0] if alarms else None,
        "alarms": alarms,
        "excused": min(int(a.excuses[slot]), a.excused.shape[1]),
        "latest": _latest(d, slot),
    }


def _latest(d: Detector, slot: int) -> dict[str, dict[str, float | None]]:
    a, row = d.arrays, np.array([slot], np.int32)
    threshold = calibration.thresholds(row, a.interval, a.strictness, a.count, d.group.false_alarms)
    band = float(calibration.band(row, threshold, a.fit)[0]) if a.count[slot] >= d.warmup else math.nan
    result = {}
    for j, name in enumerate(d.channels):
        mean = float(a.mean[slot, j])
        scale = scaling.scale_of(mean, a.variance[slot, j], a.seen[slot, j])
        forecast, half = float(a.forecast[slot, j]), math.sqrt(a.error[slot, j]) * band

        def back(u: float, mean: float = mean, scale: float = scale) -> float | None:
            bounded = min(max(u, -line.WIDEST), line.WIDEST) if math.isfinite(u) else u
            return finite(mean + scale * math.sinh(bounded)) if math.isfinite(bounded) else None

        result[name] = {
            "value": finite(a.raw[slot, j]),
            "expected": back(forecast),
            "lower": back(forecast - half),
            "upper": back(forecast + half),
        }
    return result

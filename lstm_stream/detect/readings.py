"""Readings as the detectors have them, and why some are refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lstm_stream.detect.roster import LARGEST, Arrivals
from lstm_stream.records import Reading, Reason, Rejection, Samples


@dataclass(slots=True)
class Waiting:
    """Readings of one roster's sensors that have not been scored."""

    index: list[int] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    slot: list[int] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    unknown: dict[int, set[str]] = field(default_factory=dict)  # channels that their sensor has not, by index

    def arrivals(self, channels: tuple[str, ...]) -> Arrivals:
        """The samples as the detector has them."""
        samples = to_samples(self.readings, self.slot, channels)
        steps = [len(self.unknown.get(i, ())) < len(r.values) for i, r in zip(self.index, self.readings, strict=True)]
        index, at = np.array(self.index, np.intp), np.array(self.at, np.int64)
        return Arrivals(index, at, samples.slot, samples.time, samples.values, np.array(steps, np.bool_))


def to_samples(readings: Sequence[Reading], slots: Sequence[int], channels: tuple[str, ...]) -> Samples:
    """Readings as arrays; NaN where a reading lacks a channel or shows no number that a sensor can mean."""
    values = np.array([[r.values.get(name, np.nan) for name in channels] for r in readings], np.float64)
    values[~(np.abs(values) < LARGEST)] = np.nan
    times = np.array([r.time for r in readings], np.float64)
    return Samples(np.array(slots, np.int32), times, values.reshape(len(readings), len(channels)))


def unusable(reading: Reading) -> Rejection | None:
    """Why no sensor could take this reading; None if one can. The decoder lets none of these through."""
    if not math.isfinite(reading.time):
        return Rejection(Reason.BAD_TIMESTAMP, f"{reading.sensor!r}: the time {reading.time} is none")
    if not reading.values:
        return Rejection(Reason.NO_CHANNELS, f"{reading.sensor!r}: no channel")
    return None


def stale(sensor: str, time: float, latest: float) -> Rejection:
    """Why a sample that is not newer than the last one is refused: it must not step the state twice."""
    if time == latest:
        return Rejection(Reason.DUPLICATE, f"{sensor!r} already has a sample of this time")
    return Rejection(Reason.OUT_OF_ORDER, f"{sensor!r}: {latest - time:.3f} s older than its last sample")


def unknown_channels(reading: Reading, unknown: set[str]) -> Rejection:
    """Why channels that appear after warm-up are left out."""
    names = ", ".join(sorted(unknown)[:5])
    detail = f"{reading.sensor!r}: {names} appeared after warm-up; exclude them, or start with --fresh"
    return Rejection(Reason.UNKNOWN_CHANNEL, detail)

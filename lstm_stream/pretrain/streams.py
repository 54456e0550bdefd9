"""Sensors to learn from: recordings, or parts of them, as arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lstm_stream.coldstart import Stream, stream_of
from lstm_stream.config import Source
from lstm_stream.recording import RecordingError, read
from lstm_stream.records import Reading

LENGTH = 400  # rows of a piece: the beginning of a sensor, in which no alarm is let open
SHORTEST = 64  # rows of the last piece of a stream


def recorded(paths: Sequence[str], source: Source, channels: int | None) -> list[Stream]:
    """The sensors in some recordings with this many channels; None: as many as most of them have.

    Where one channel is asked for, each channel of a sensor with more is a sensor of its own. Raises RecordingError
    where a file is none, or where no sensor is left.
    """
    sensors = [sensor for path in paths for sensor in _sensors(Path(path), source)]
    counts = Counter(sensor.values.shape[1] for sensor in sensors)
    wanted = channels or counts.most_common(1)[0][0]
    if wanted == 1:
        return [channel for sensor in sensors for channel in _channels(sensor)]
    fitting = [sensor for sensor in sensors if sensor.values.shape[1] == wanted]
    if not fitting:
        found = ", ".join(map(str, sorted(counts)))
        raise RecordingError(f"no recorded sensor has {wanted} channels; there are sensors with {found}")
    return fitting


def _sensors(path: Path, source: Source) -> list[Stream]:
    """The sensors of a recording."""
    readings: dict[str, list[Reading]] = {}
    for row in read(path, source).rows:
        if isinstance(row.reading, Reading):
            readings.setdefault(row.sensor, []).append(row.reading)
    if not readings:
        raise RecordingError(f"{path}: no row could be read; lstm-stream replay says why")
    return [stream_of(f"{path.stem}/{sensor}", of) for sensor, of in readings.items()]


def _channels(sensor: Stream) -> list[Stream]:
    parts = []
    for j, column in enumerate(sensor.values.T):
        there = ~np.isnan(column)
        parts.append(Stream(f"{sensor.name}/{j}", sensor.time[there], column[there, None]))
    return parts


def pieces(stream: Stream) -> list[Stream]:
    """A stream cut into pieces of `LENGTH`, each of which is a new sensor to the detection."""
    starts = range(0, max(len(stream.time) - SHORTEST + 1, 0), LENGTH)
    return [Stream(stream.name, stream.time[k : k + LENGTH], stream.values[k : k + LENGTH]) for k in starts]

"""A recording: a CSV file of sensor values, wide or long, as readings.

The header names a time column (`timestamp` or another usual name), perhaps a `sensor` column, and the channels. A cell
that is empty or not a finite number is an absent value; a row that cannot be read becomes a rejection, never an error.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from lstm_stream.config import Source
from lstm_stream.ingest.channels import Channels
from lstm_stream.ingest.formats.json import USUAL_TIME_FIELDS
from lstm_stream.ingest.formats.text import as_number
from lstm_stream.ingest.timestamps import parse_time
from lstm_stream.records import Reading, Reason, Rejection

_SENSOR_FIELDS = ("sensor", "sensor_id", "device", "device_id")


class RecordingError(Exception):
    """The file is no recording; the message says where and what would be right."""


class Row(NamedTuple):
    """A line of the file: its time as written, and the reading it makes, or the reason why it makes none."""

    time: str
    reading: Reading | Rejection


class Header(NamedTuple):
    """The columns of a file."""

    delimiter: str
    time: str
    sensor: str | None  # None in a wide file


def read(path: Path, source: Source) -> Iterator[Row]:
    """The rows of a recording; `source` says the group, the time's unit, and which channels to watch.

    Raises RecordingError where the file or its header cannot be used.
    """
    watched = Channels(source.include, source.exclude)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = _header(path, file)
            for cells in csv.DictReader(file, delimiter=header.delimiter, restkey="", restval=""):
                yield Row(cells[header.time].strip(), _reading(path.stem, cells, header, source, watched))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path}: cannot be read as CSV: {error}") from error


def _header(path: Path, file: TextIO) -> Header:
    line = file.readline()
    file.seek(0)
    delimiter = max(",;\t", key=line.count)
    columns = next(csv.reader([line], delimiter=delimiter), [])
    by_name = {name.strip().lower(): name for name in reversed(columns)}
    times = [by_name[name] for name in USUAL_TIME_FIELDS if name in by_name]
    if not times:
        found = ", ".join(columns[:8]) or "nothing"
        raise RecordingError(f"{path}:1: there is no time column; name one of them timestamp (found: {found:.200})")
    sensor = next((by_name[name] for name in _SENSOR_FIELDS if name in by_name), None)
    return Header(delimiter, times[0], sensor)


def _reading(
    stem: str, cells: dict[str, str], header: Header, source: Source, watched: Channels
) -> Reading | Rejection:
    sensor = (cells[header.sensor] if header.sensor else stem).strip()
    if not sensor:
        return Rejection(Reason.BAD_SENSOR, f"column {header.sensor} is empty; it says whose row it is")
    try:
        time = parse_time(cells[header.time], source.timestamp.unit)
    except ValueError as error:
        return Rejection(Reason.BAD_TIMESTAMP, str(error))
    numbers = {
        name.strip(): number
        for name, cell in cells.items()
        if name not in ("", header.time, header.sensor) and (number := as_number(cell)) is not None
    }
    values = watched.pick(numbers)
    if not values:
        return Rejection(Reason.NO_CHANNELS, "no watched column holds a number")
    return Reading(sensor, source.group, time, values)

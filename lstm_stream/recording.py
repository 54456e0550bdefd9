"""A recording: a CSV file of sensor values, wide or long, as readings.

    timestamp;pump;tank          timestamp,sensor,temperature
    2026-01-31 12:00:00;7,5;1    2026-01-31T12:00:00Z,boiler-1,61.5

The first line names the columns: the time (`timestamp` or another usual name, or what timestamp.field says), perhaps a
`sensor`, and the channels. Every column of numbers is a channel unless the source excludes it: label columns such as
`anomaly` or `changepoint` too. Columns are split by comma, semicolon, tab or bar, whichever splits the first line most;
between semicolons 7,5 is seven and a half.

Rule: a line is a row, and each line but an empty one is in the result. What cannot be read is a rejection with its
reason, never an error; a cell that is empty or not a finite number is an absent value.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import BinaryIO, NamedTuple

from lstm_stream.config import Source
from lstm_stream.ingest.channels import Channels
from lstm_stream.ingest.formats.text import as_number
from lstm_stream.ingest.labels import USUAL_TIME_FIELDS
from lstm_stream.ingest.names import check_name
from lstm_stream.ingest.shown import shown
from lstm_stream.ingest.timestamps import parse_time
from lstm_stream.records import Reading, Reason, Rejection

LONGEST_LINE = 1 << 20  # bytes
LONGEST_STAMP = 64  # characters of a time as written
_SENSOR_FIELDS = ("sensor", "sensor_id", "device", "device_id")
_DELIMITERS = ",;\t|"
_BETWEEN = {ord("\t"): None, ord("\r"): None}  # cells and lines
_UTF8_MARK, _UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")


class RecordingError(Exception):
    """The file is no recording; the message says where and what would be right."""


class Row(NamedTuple):
    """A line of the file: what is written there, and the reading it makes, or the reason why it makes none."""

    line: int  # in the file, from 1
    stamp: str  # the time as written
    sensor: str
    values: tuple[float, ...]  # one a channel, NaN where absent
    reading: Reading | Rejection


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole file. A channel is a watched column; some may hold no number at all."""

    channels: tuple[str, ...]
    rows: list[Row]


class _Header(NamedTuple):
    """The columns of a file, by position."""

    delimiter: str
    width: int
    time: int
    sensor: int | None  # None in a wide file
    channels: dict[int, str]


def read(path: Path, source: Source) -> Recording:
    """The whole of a recording; `source` says the group, where the time is, and which channels to watch.

    Raises RecordingError where the file or its first line cannot be used.
    """
    try:
        with path.open("rb") as file:
            if file.peek(2).startswith(_UTF16_MARKS):
                raise RecordingError(f"{path}: is encoded as UTF-16; save it as UTF-8")
            lines = _lines(file)
            number, first = next(lines, (1, ""))
            header = _header(f"{path}:{number}", first, source)
            rows = [_row(number, line, header, source, plain(path.stem)) for number, line in lines]
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror}") from error
    if not rows:
        raise RecordingError(f"{path}: there are no rows below the first line")
    return Recording(tuple(header.channels.values()), rows)


def plain(name: str) -> str:
    """A file's name as a sensor's: printable whatever it holds."""
    return name if name.isprintable() else ascii(name)[1:-1]


def _lines(file: BinaryIO) -> Iterator[tuple[int, str | None]]:
    """The lines that are not empty, with their numbers; None for one that is too long to be a row."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        whole = len(line) < LONGEST_LINE or line.endswith(b"\n")
        rest = b"" if whole else line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE)
        if not whole:
            yield number, None
        elif line.strip():
            yield number, _text(line.removeprefix(_UTF8_MARK) if number == 1 else line)


def _text(line: bytes) -> str:
    """Without its end; UTF-8, or what Windows programs write instead."""
    try:
        return line.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace").rstrip("\r\n")


def _split(line: str, delimiter: str) -> list[str]:
    """The cells of a line. csv.Error: it has none that make sense."""
    if '"' not in line:
        return line.split(delimiter)
    return next(csv.reader([line], delimiter=delimiter))


# --- the first line


def _header(where: str, line: str | None, source: Source) -> _Header:
    if not line:
        raise RecordingError(f"{where}: the first line must name the columns, such as timestamp,temperature")
    if not line.translate(_BETWEEN).isprintable():
        raise RecordingError(f"{where}: is no text; a CSV file is needed")
    if "\r" in line:
        raise RecordingError(f"{where}: the lines end in CR alone; save the file with line ends LF or CRLF")
    try:
        delimiter = max(_DELIMITERS, key=lambda delimiter: len(_split(line, delimiter)))
        names = [name.strip() for name in _split(line, delimiter)]
    except csv.Error as error:
        raise RecordingError(f"{where}: is no line of column names: {error}") from error
    time = _time_column(where, names, source.timestamp.field)
    lower = [name.lower() for name in names]
    sensor = next((lower.index(name) for name in _SENSOR_FIELDS if name in lower), None)
    return _Header(delimiter, len(names), time, sensor, _channels(where, names, {time, sensor}, source))


def _time_column(where: str, names: list[str], field: str | None) -> int:
    lower = [name.lower() for name in names]
    if field is not None:
        if field not in names:
            raise RecordingError(f"{where}: there is no column {shown(field)} (timestamp.field); {_found(names)}")
        return names.index(field)
    usual = [name for name in USUAL_TIME_FIELDS if name in lower]
    if not usual:
        raise RecordingError(f"{where}: there is no time column; name one of them timestamp ({_found(names)})")
    return lower.index(usual[0])


def _channels(where: str, names: list[str], taken: set[int | None], source: Source) -> dict[int, str]:
    """The watched columns. As in a JSON payload, no other usual name of a time is one."""
    times = USUAL_TIME_FIELDS if source.timestamp.field is None else ()
    others = {at: name for at, name in enumerate(names) if at not in taken and name.lower() not in times}
    watched = Channels(source.include, source.exclude).pick(dict.fromkeys(others.values(), 0.0))
    channels = {at: name for at, name in others.items() if name in watched}
    if not channels:
        raise RecordingError(f"{where}: there is no column to watch beside the time; {_found(names)}")
    for at, name in channels.items():
        if names.index(name) != at:
            raise RecordingError(f"{where}: two columns are called {shown(name)}; rename one")
    return channels


def _found(names: list[str]) -> str:
    return "found: " + ", ".join(map(shown, names[:8])) + (", ..." if len(names) > 8 else "")


# --- the others


def _row(number: int, line: str | None, header: _Header, source: Source, stem: str) -> Row:
    absent = (nan,) * len(header.channels)
    sensor = stem if header.sensor is None else ""
    if line is None:
        detail = f"the line is longer than {LONGEST_LINE} bytes"
        return Row(number, "", sensor, absent, Rejection(Reason.MALFORMED, detail))
    try:
        cells = _split(line, header.delimiter)
    except csv.Error as error:
        return Row(number, "", sensor, absent, Rejection(Reason.MALFORMED, str(error)))
    spare = any(cell.strip() for cell in cells[header.width :])
    detail = f"{len(cells)} cells, the first line has {header.width}; decimal commas need semicolons between cells"
    cells += [""] * (header.width - len(cells))
    stamp = cells[header.time].strip()
    stamp = stamp if len(stamp) <= LONGEST_STAMP and stamp.isprintable() else shown(stamp)
    values = absent if spare else tuple([_value(cells[at], header.delimiter) for at in header.channels])
    try:
        sensor = sensor if header.sensor is None else _sensor(cells[header.sensor].strip())
    except ValueError as error:
        return Row(number, stamp, "", values, Rejection(Reason.BAD_SENSOR, str(error)))
    if spare:
        return Row(number, stamp, sensor, values, Rejection(Reason.MALFORMED, detail))
    return Row(number, stamp, sensor, values, _reading(stamp, sensor, values, header, source))


def _sensor(name: str) -> str:
    if not name:
        raise ValueError("the sensor's name is empty; it says whose row it is")
    return check_name(name)


def _value(cell: str, delimiter: str) -> float:
    number = as_number(cell.replace(",", ".", 1) if delimiter == ";" and "." not in cell else cell)
    return nan if number is None else number


def _reading(
    stamp: str, sensor: str, values: tuple[float, ...], header: _Header, source: Source
) -> Reading | Rejection:
    try:
        time = parse_time(stamp, source.timestamp.unit, source.timestamp.tzinfo)
    except ValueError as error:
        return Rejection(Reason.BAD_TIMESTAMP, str(error))
    named = zip(header.channels.values(), values, strict=True)
    present = {name: value for name, value in named if value == value}  # NaN is absent
    if not present:
        return Rejection(Reason.NO_CHANNELS, "no watched column holds a number")
    return Reading(sensor, source.usual_group, time, present)

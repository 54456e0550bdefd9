"""InfluxDB's line protocol: each line is a sample of the one series that its measurement and tags name.

    weather,site=oslo\\ west,sensor=7 temp=21.5,count=3i,ok=t,note="a \\"b\\"" 1556813561098000000

The channels are the fields: floats, integers (i and u) and booleans; text is left out. Tags may make the sensor's name
(`{payload.sensor}`), so may `{payload.measurement}`. Without a stated unit a time is of the one that it fits; a line
without a time is of now.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from lstm_stream.ingest.formats.sample import NOW, Options, Sample
from lstm_stream.ingest.formats.text import as_number, trimmed
from lstm_stream.ingest.shown import shown
from lstm_stream.ingest.timestamps import parse_time
from lstm_stream.records import Reason, Rejection

# Every alternative begins with another character, so that no text takes more than linear time.
_MEASUREMENT = re.compile(r"(?:[^,\s\\]|\\[^\n])+")
_KEY = re.compile(r"(?:[^,=\s\\]|\\[^\n])+")
_VALUE = re.compile(r'"(?:[^"\\]|\\.)*"|[^,\s"]+', re.DOTALL)
_TIME = re.compile(r"[ \t]*(-?[0-9]+)?[ \t\r]*(?:\n|\Z)")
_SPACE = re.compile(r"[ \t]+")
_NEXT = re.compile(r"[^\n]*(?:\n|\Z)")
_SKIPPED = re.compile(r"(?:[ \t\r\n]|#[^\n]*(?:\n|\Z))+")
_ESCAPED = re.compile(r"\\([,= ])")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[iu]?")
_BOOLEANS = {**dict.fromkeys(("t", "T", "true", "True", "TRUE"), 1.0), **dict.fromkeys(("f", "F"), 0.0)}
_BOOLEANS |= dict.fromkeys(("false", "False", "FALSE"), 0.0)
_FIRST_LINE = re.compile(
    r"(?:[^,\s\\=]|\\[^\n])+(?:,(?:[^,=\s\\]|\\[^\n])+=(?:[^,=\s\\]|\\[^\n])+)*[ \t]+"
    r'(?:[^,=\s\\"]|\\[^\n])+=(?:"|[^,\s"])'
)


class Line(NamedTuple):
    """One line, its text fields left out."""

    measurement: str
    tags: dict[str, str]
    values: dict[str, float]
    time: float | None


def looks_like(text: str) -> bool:
    """Whether a text begins with a line of this format: `measurement key=value` at least."""
    skipped = _SKIPPED.match(text)
    return _FIRST_LINE.match(text, skipped.end() if skipped else 0) is not None


def decode(payload: bytes, options: Options) -> list[Sample | Rejection]:
    """The samples of the lines, in order."""
    return [line if isinstance(line, Rejection) else _sample(line) for line in lines(payload, options)]


def _sample(line: Line) -> Sample:
    return Sample(line.time, line.values, time_field(line), device_of(line.tags), names_of(line), NOW)


def time_field(line: Line) -> str | None:
    """What to call the place that held the time."""
    return None if line.time is None else "the end of the line"


def device_of(tags: dict[str, str]) -> str | None:
    """The device that tags name, as Telegraf has it: what was asked (source), else who asked (host)."""
    return tags.get("source") or tags.get("host")


def names_of(line: Line) -> dict[str, str]:
    """What templates may use."""
    return {"measurement": line.measurement, **line.tags}


def lines(payload: bytes, options: Options) -> list[Line | Rejection]:
    """The lines, in order. What is wrong with one does not touch the others."""
    try:
        text = trimmed(payload).decode()
    except UnicodeDecodeError:
        return [Rejection(Reason.MALFORMED, "the payload is not text (UTF-8); send line protocol")]
    found = list(_lines(text, options))
    return found or [Rejection(Reason.NO_CHANNELS, "no line in it; send at least one")]


def _lines(text: str, options: Options) -> Iterator[Line | Rejection]:
    at = number = 0
    while True:
        skipped = _SKIPPED.match(text, at)
        at = skipped.end() if skipped else at
        if at >= len(text):
            return
        number += 1
        try:
            line, at = _line(text, at, options)
            yield line
        except _MalformedError as error:
            yield Rejection(Reason.MALFORMED, f"line {number}: {error}; write measurement,tag=a field=1.5 time")
            at = _end(text, at)
        except ValueError as error:
            yield Rejection(Reason.BAD_TIMESTAMP, f"line {number}: {error}")
            at = _end(text, at)


def _end(text: str, at: int) -> int:
    match = _NEXT.match(text, at)
    return match.end() if match else len(text)


class _MalformedError(ValueError):
    """What a line is not."""


def _line(text: str, at: int, options: Options) -> tuple[Line, int]:
    """The line that begins at a place, and where the next one does. Raises _MalformedError, ValueError for its time."""
    measurement, at = _take(_MEASUREMENT, text, at, "a measurement")
    tags: dict[str, str] = {}
    while text[at : at + 1] == ",":
        key, value, at = _pair(text, at + 1, _KEY, "a tag")
        tags[_plain(key)] = _plain(value)
    _, at = _take(_SPACE, text, at, "a space before the fields")
    values: dict[str, float] = {}
    while True:
        key, value, at = _pair(text, at, _VALUE, "a field")
        number = _number(value)
        if number is not None:
            values[_plain(key)] = number
        if text[at : at + 1] != ",":
            break
        at += 1
    end = _TIME.match(text, at)
    if end is None:
        raise _MalformedError(f"{shown(text[at : at + 20])} where the time or the end should be")
    trusted = end[1] is not None and options.time_trusted
    time = parse_time(int(end[1][:40]), options.time_unit) if trusted else None
    return Line(_plain(measurement), tags, values, time), end.end()


def _pair(text: str, at: int, value: re.Pattern[str], what: str) -> tuple[str, str, int]:
    key, at = _take(_KEY, text, at, what)
    if text[at : at + 1] != "=":
        raise _MalformedError(f"{shown(key)} without =")
    found, at = _take(value, text, at + 1, f"a value of {shown(key)}")
    return key, found, at


def _take(pattern: re.Pattern[str], text: str, at: int, what: str) -> tuple[str, int]:
    match = pattern.match(text, at)
    if match is None:
        raise _MalformedError(f"{shown(text[at : at + 20])} where {what} should be")
    return match[0], match.end()


def _plain(name: str) -> str:
    return _ESCAPED.sub(r"\1", name) if "\\" in name else name


def _number(value: str) -> float | None:
    """The value of a field; None of text, and of what is no finite number. Raises _MalformedError."""
    if value.startswith('"'):
        return None
    if value in _BOOLEANS:
        return _BOOLEANS[value]
    if value.lstrip("+-").lower() in ("nan", "inf"):
        return None
    if not _NUMBER.fullmatch(value):
        raise _MalformedError(f"{shown(value)} is neither a number nor true, false or text in quotes")
    return as_number(value.rstrip("iu"))

"""Timestamps as devices and files write them, to unix seconds.

A time is either ISO 8601 text or a number (or a text that is one) of s, ms, us or ns since 1970:

    2013-07-04 00:00:00    2013-07-04T02:00:00.250+02:00    20130704T000000Z    2013-07-04
    2013/07/04 00:00:00    04.07.2013 00:00:00 (with points the day comes first; with slashes that is open, so no time)
    1372896000    "1372896000250"

Without a zone a time is UTC, or of the zone that the caller gives. There, of an hour that occurs twice, as clocks are
set back, the first counts; a time that does not occur, as clocks are set forward, is read as if they had not been.

The unit `auto` takes ISO text, and of a number the one unit in which it falls between 1990 and 2100: the four ranges
are three orders of magnitude apart. With a stated unit, times from 1900 on are taken. Later than 2100 is nothing: one
such sample would make all that follow look old.

Rule: the result is the float64 nearest to what is written, whatever the platform and the Python version, and the
same for the number 1372896000250 and the text "1372896000250". Live and replayed scores are equal because of it.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone, tzinfo

from lstm_stream.ingest.shown import shown

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_FROM_1900, _FROM_1990, _UNTIL_2100 = -2_208_988_800, 631_152_000, 4_102_444_800
_YEAR = 366 * 86_400.0  # s
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LONGEST = 64  # characters of a time that is text

_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_ISO = re.compile(
    r"(?:(?P<year>[0-9]{4})(?P<dash>[-/.]?)(?P<month>[0-9]{2})(?P=dash)(?P<day>[0-9]{2})"
    r"|(?P<its_day>[0-9]{2})\.(?P<its_month>[0-9]{2})\.(?P<its_year>[0-9]{4}))"
    r"(?:[Tt ](?P<hour>[0-9]{2})(?P<colon>:?)(?P<minute>[0-9]{2})"
    r"(?:(?P=colon)(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?)?"
    r" ?(?P<zone>[Zz]|UTC|(?P<sign>[+-])(?P<ahead>[0-9]{2})(?::?(?P<minutes_ahead>[0-9]{2}))?)?)?"
)


def parse_time(value: object, unit: str = "auto", zone: tzinfo = timezone.utc) -> float:
    """Unix seconds of a number or text, in that zone where it tells none; ValueError says what would be right.

    `unit`: auto, iso, s, ms, us or ns.
    """
    if isinstance(value, str):
        text = value.strip()
        number = _number(text)
        if number is None:
            return _iso(text, unit, zone)
        value = number
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{shown(value)} is not a time; write ISO 8601 text or a number since 1970")
    return _epoch(value, unit)


def device_time(value: object, unit: str = "auto", zone: tzinfo = timezone.utc) -> float:
    """The same of a live device's clock: text of 1970 says that it is not set. Raises ValueError."""
    time = parse_time(value, unit, zone)
    if 0 <= time < _YEAR and isinstance(value, str) and unit in ("auto", "iso"):
        raise ValueError(f"{shown(value)} is of 1970, so the device's clock is not set")
    return time


def _number(text: str) -> int | float | None:
    """The number as a JSON reader would make it of the same characters."""
    if len(text) > _LONGEST:
        return None
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else None


def _epoch(number: int | float, unit: str) -> float:
    if unit == "auto":
        for per_second in _PER_SECOND.values():
            if _FROM_1990 * per_second <= number < _UNTIL_2100 * per_second:
                return number / per_second
        raise ValueError(f"{shown(number)} is no time from 1990 to 2100, be it s, ms, us or ns since 1970")
    if unit == "iso":
        raise ValueError(f"{shown(number)} is a number; the unit iso wants text such as 2026-01-31T12:00:00Z")
    per_second = _PER_SECOND[unit]
    if not _FROM_1900 * per_second <= number < _UNTIL_2100 * per_second:  # also not a number
        raise ValueError(f"{shown(number)} {unit} since 1970 is not from 1900 to 2100")
    return number / per_second  # of an integer: the nearest float64, even beyond 2**53


def _iso(text: str, unit: str, zone: tzinfo) -> float:
    if unit not in ("auto", "iso"):
        raise ValueError(f"{shown(text)} is not a number of {unit} since 1970")
    match = _ISO.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise ValueError(f"{shown(text)} is not a time; write it like 2026-01-31T12:00:00Z, or a number since 1970")
    date = match.group("year", "month", "day") if match["year"] else match.group("its_year", "its_month", "its_day")
    year, month, day = map(int, date)
    hour, minute, second = (int(part or 0) for part in match.group("hour", "minute", "second"))
    fraction, sign = match["fraction"] or "0", match["sign"] or ""
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
        offset = _offset(sign, int(match["ahead"] or 0), int(match["minutes_ahead"] or 0))
        if match["zone"] is None and zone is not timezone.utc:
            offset = _offset_in(zone, moment)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{shown(text)} is not a time: {error}") from None
    since = moment - _EPOCH
    seconds = since.days * 86_400 + since.seconds - offset
    if not _FROM_1900 <= seconds < _UNTIL_2100:
        raise ValueError(f"{shown(text)} is not from 1900 to 2100")
    scale = int("1" + "0" * len(fraction))
    return (seconds * scale + int(fraction)) / scale  # integers divide to the nearest float64


def _offset_in(zone: tzinfo, moment: datetime) -> int:
    """Seconds that local time is ahead of UTC in a zone where clocks show that moment."""
    offset = moment.replace(tzinfo=zone).utcoffset()
    return round(offset.total_seconds()) if offset is not None else 0


def _offset(sign: str, hours: int, minutes: int) -> int:
    """Seconds that local time is ahead of UTC."""
    if hours > 23 or minutes > 59:
        raise ValueError("the offset from UTC must be less than 24:00")
    return (hours * 60 + minutes) * (-60 if sign == "-" else 60)

"""Times are read exactly, the same from a number and from its text, or refused with a sentence."""

from __future__ import annotations

import contextlib
import math
from datetime import datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_stream.ingest.timestamps import parse_time

INSTANT = 1372896000  # 2013-07-04T00:00:00Z
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
NANOSECONDS = st.integers(631_152_000 * 10**9, 4_102_444_800 * 10**9 - 1)  # 1990 to 2100
ZONES = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59)).map(
    lambda delta: timezone(timedelta(minutes=delta // timedelta(minutes=1)))
)


@pytest.mark.parametrize(
    "text",
    [
        "2013-07-04T00:00:00Z",
        "2013-07-04 00:00:00",
        "2013-07-04T00:00",
        "2013-07-04",
        "2013-07-04t00:00:00z",
        "2013-07-04T00:00:00.000000000Z",
        "2013-07-04T00:00:00,0",
        "2013-07-04 00:00:00 UTC",
        "2013-07-04T02:00:00+02:00",
        "2013-07-04T02:00:00+0200",
        "2013-07-04T02:00:00+02",
        "2013-07-03T20:30:00-03:30",
        " 2013-07-04 00:00:00 ",
        "2013/07/04 00:00:00",
        "04.07.2013 02:00:00+02:00",
        "1372896000",
        "1372896000.0",
        "1.372896e9",
        "1372896000000",
        "1372896000000000",
        "1372896000000000000",
    ],
)
def test_one_instant_in_many_notations(text: str) -> None:
    assert parse_time(text) == INSTANT


def test_a_fraction_is_not_rounded_before_it_is_added() -> None:
    half_a_step = "0000001192092895507812500"  # of a float64 at this time
    assert parse_time(f"2013-07-04T00:00:00.{half_a_step}Z") == INSTANT
    assert parse_time(f"2013-07-04T00:00:00.{half_a_step}01Z") > INSTANT


@pytest.mark.parametrize("unit", UNITS)
def test_a_number_of_each_unit_with_and_without_naming_it(unit: str) -> None:
    number = INSTANT * UNITS[unit]
    assert parse_time(number) == parse_time(number, unit) == parse_time(str(number), unit) == INSTANT
    assert parse_time(float(number)) == INSTANT


def test_a_stated_unit_takes_times_that_auto_would_not_guess() -> None:
    assert parse_time(12.5, "s") == 12.5
    assert parse_time("-86400000", "ms") == -86400.0
    assert parse_time("1981-01-01", "iso") == parse_time("1981-01-01") == 347155200.0


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        ("yesterday", "auto"),
        ("", "auto"),
        ("12:30", "auto"),
        ("04/07/2013", "auto"),
        ("2013-02-30", "auto"),
        ("2013-07-04T24:00:00", "auto"),
        ("2013-07-04T00:00:60", "auto"),
        ("2013-07-04T00:00:00+24:00", "auto"),
        ("2013-07-04T00:00:00+02:60", "auto"),
        ("2013-07-04T00:00:00." + "0" * 100, "auto"),
        ("2013-07-04T00:00:00Z", "s"),
        ("1701-07-04", "auto"),
        ("2106-02-07T06:28:15Z", "auto"),
        (4294967295, "auto"),
        (4294967295, "s"),
        (12, "auto"),
        (0, "auto"),
        (-1, "auto"),
        (INSTANT, "iso"),
        (INSTANT * 10**12, "auto"),
        (INSTANT * 1000, "s"),
        (10**400, "ns"),
        (float("nan"), "auto"),
        (float("inf"), "s"),
        ("nan", "auto"),
        ("1_372_896_000", "auto"),
        ("\u0661" * 10, "auto"),  # digits, but not those of a timestamp
        ("9" * 5000, "auto"),
        (True, "auto"),
        (None, "auto"),
        ([INSTANT], "auto"),
    ],
)
def test_what_is_not_a_time_is_refused_in_one_printable_line(value: object, unit: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_time(value, unit)
    assert str(caught.value).isprintable()
    assert 10 < len(str(caught.value)) < 200


@given(NANOSECONDS, st.sampled_from(sorted(UNITS)))
def test_integers_are_rounded_once(nanoseconds: int, unit: str) -> None:
    number = nanoseconds * UNITS[unit] // 10**9
    expected = float(Fraction(number, UNITS[unit]))
    assert parse_time(number, unit) == parse_time(number) == parse_time(str(number)) == expected


@given(st.floats(631_152_000, 4_102_444_799), st.sampled_from(["auto", "s"]))
def test_a_number_and_its_text_are_the_same_time(number: float, unit: str) -> None:
    assert parse_time(repr(number), unit) == parse_time(number, unit) == number


@given(st.datetimes(datetime(1901, 1, 1), datetime(2099, 1, 1)), ZONES, st.sampled_from("T "))
def test_iso_text_round_trips(moment: datetime, zone: timezone, separator: str) -> None:
    local = moment.replace(tzinfo=zone)
    microseconds = (local - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)
    assert parse_time(local.isoformat(separator)) == float(Fraction(microseconds, 10**6))
    assert parse_time(moment.isoformat(separator)) == parse_time(moment.isoformat(separator) + "Z")


@given(st.integers(0, 10**9 - 1))
def test_nanoseconds_in_iso_text_are_the_same_as_in_a_number(fraction: int) -> None:
    assert parse_time(f"2013-07-04T00:00:00.{fraction:09d}Z") == parse_time(INSTANT * 10**9 + fraction, "ns")


@given(st.text(max_size=80) | st.integers() | st.floats() | st.none() | st.booleans(), st.sampled_from(["auto", "s"]))
def test_anything_else_is_a_value_error(value: object, unit: str) -> None:
    with contextlib.suppress(ValueError):
        assert math.isfinite(parse_time(value, unit))

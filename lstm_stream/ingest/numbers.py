"""Numbers and times as text, read by kernels: the very float64 that Python makes of them, or not at all.

A decimal number of at most 2**53 that is scaled by a power of ten of at most 22 takes one correctly rounded operation
(Clinger, How to read floating point numbers accurately, 1990). Whatever else there is, longer numbers as well as what
is no number, is left to the slow path.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lstm_stream.jit import inline, part

U1 = NDArray[np.uint8]

_EXACT = 2**53
_DIGITS = 18  # that surely fit into 64 bits
_POWERS = np.array([10.0**k for k in range(23)])
_DAYS = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334])  # before each month, in a common year
_FROM_1990, _UNTIL_2100 = 631_152_000.0, 4_102_444_800.0
_FROM_1900 = -2_208_988_800.0
AUTO, ISO, S, MS, US, NS = 0, 1, 2, 3, 4, 5
"""Units of time, as the configuration has them."""


@inline
def is_digit(data: U1, at: int, end: int) -> bool:
    """Whether there is a digit."""
    return at < end and 48 <= data[at] <= 57


@inline
def read_number(data: U1, at: int, end: int, strict: bool) -> tuple[float, int]:
    """The number that begins at `at`, and where it ends; 0: none that is sure.

    `strict`: as in JSON, where a plus, a leading zero or a point without digits after it is an error. In plain text a
    minus makes a zero negative, in JSON that of a fraction alone.
    """
    start, negative = at, at < end and data[at] == 45
    if negative or (not strict and at < end and data[at] == 43):
        at += 1
    first, mantissa, digits, point = at, 0, 0, 0
    while is_digit(data, at, end) and digits <= _DIGITS:
        mantissa = mantissa * 10 + (int(data[at]) - 48)
        digits += 1
        at += 1
    if digits == 0 or (strict and digits > 1 and data[first] == 48):
        return 0.0, 0
    whole = True
    if at < end and data[at] == 46:
        at, whole = at + 1, False
        after = at
        while is_digit(data, at, end) and digits <= _DIGITS:
            mantissa = mantissa * 10 + (int(data[at]) - 48)
            digits += 1
            at += 1
        point = at - after
        if strict and point == 0:
            return 0.0, 0
    if digits > _DIGITS or mantissa > _EXACT:
        return 0.0, 0
    exponent = 0
    if at < end and (data[at] | 32) == 101:
        at, whole = at + 1, False
        down = at < end and data[at] == 45
        if at < end and (data[at] == 43 or down):
            at += 1
        after = at
        while is_digit(data, at, end) and at < after + 3:
            exponent = exponent * 10 + (int(data[at]) - 48)
            at += 1
        if at == after or is_digit(data, at, end):
            return 0.0, 0
        exponent = -exponent if down else exponent
    exponent -= point
    if exponent < -22 or exponent > 22 or at == start:
        return 0.0, 0
    value = mantissa / _POWERS[-exponent] if exponent < 0 else mantissa * _POWERS[exponent]
    return (-value if negative and not (strict and whole and mantissa == 0) else value), at


@part
def epoch(number: float, unit: int) -> float:
    """Unix seconds of a number since 1970, as timestamps.py has it; NaN where it is none."""
    if unit == AUTO:
        per_second = 1.0
        for _ in range(4):
            if _FROM_1990 * per_second <= number < _UNTIL_2100 * per_second:
                return number / per_second
            per_second *= 1000.0
        return np.nan
    if unit == ISO:
        return np.nan
    per_second = 1.0
    for _ in range(unit - S):
        per_second *= 1000.0
    return number / per_second if _FROM_1900 * per_second <= number < _UNTIL_2100 * per_second else np.nan


@part
def two_digits(data: U1, at: int, end: int) -> int:
    """The number of two digits; -1000 where they are none."""
    if not (is_digit(data, at, end) and is_digit(data, at + 1, end)):
        return -1000
    return (int(data[at]) - 48) * 10 + (int(data[at + 1]) - 48)


@part
def read_iso(data: U1, at: int, end: int) -> tuple[float, int]:
    """Unix seconds of a time like 2026-01-31T12:00:00.250Z that begins at `at`, from 1972 on, and where it ends.

    0: none that is sure. The zone is Z, +hh:mm, -hh:mm or none; a fraction has six digits at most.
    """
    century, years = two_digits(data, at, end), two_digits(data, at + 2, end)
    month, day = two_digits(data, at + 5, end), two_digits(data, at + 8, end)
    hour, minute, second = (
        two_digits(data, at + 11, end),
        two_digits(data, at + 14, end),
        two_digits(data, at + 17, end),
    )
    year = century * 100 + years
    if min(century, years, month, day, hour, minute, second) < 0 or year < 1972 or year > 2099:
        return 0.0, 0
    if data[at + 4] != 45 or data[at + 7] != 45 or data[at + 13] != 58 or data[at + 16] != 58:
        return 0.0, 0
    if data[at + 10] != 84 and data[at + 10] != 116 and data[at + 10] != 32:
        return 0.0, 0
    if month < 1 or month > 12 or hour > 23 or minute > 59 or second > 59 or day < 1:
        return 0.0, 0
    leap = year % 4 == 0  # of the years that are taken, 2000 is one, and there is no other century
    length = (_DAYS[month] if month < 12 else 365) - _DAYS[month - 1] + (leap and month == 2)
    if day > length:
        return 0.0, 0
    days = (year - 1970) * 365 + (year - 1969) // 4 + _DAYS[month - 1] + (leap and month > 2) + day - 1
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second
    at += 19
    fraction, scale = 0, 1
    if at < end and (data[at] == 46 or data[at] == 44):
        at += 1
        while is_digit(data, at, end) and scale < 1_000_000:
            fraction, scale = fraction * 10 + (int(data[at]) - 48), scale * 10
            at += 1
        if scale == 1 or is_digit(data, at, end):
            return 0.0, 0
    if at < end and (data[at] | 32) == 122:
        at += 1
    elif at < end and (data[at] == 43 or data[at] == 45):
        hours, minutes = two_digits(data, at + 1, end), two_digits(data, at + 4, end)
        if hours < 0 or hours > 23 or minutes < 0 or minutes > 59 or data[at + 3] != 58:
            return 0.0, 0
        seconds -= (hours * 3600 + minutes * 60) * (-1 if data[at] == 45 else 1)
        at += 6
    if seconds < 0:
        return 0.0, 0
    return (seconds * scale + fraction) / scale, at

"""Text as devices write it: padding around a payload, numbers in quotes, words for one and zero."""

from __future__ import annotations

import math
import re

from lstm_stream.ingest.formats.sample import Options

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PADDING = b" \t\r\n\0"  # NUL: from C programs that send the terminator too
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*", re.ASCII)  # float()'s spaces
_LONGEST = 100  # characters of a number

# 21.5 °C, 45%, 3 m/s2: a number and one word that begins with neither a digit nor what a time or a list would have, and
# whose digits are exponents: not 0x1A, not 01A3FF.
_WITH_UNIT = re.compile(
    r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*[^\W\d_](?:[^\s0-9]|[23](?=[^\w]|\Z)){0,11}\s*|"
    r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))\s*[%‰°€$£\"'][^\s0-9]{0,4}\s*"
)
_WITH_COMMA = re.compile(
    r"\s*([+-]?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+)),([0-9]+)((?:[^0-9.,].*)?)", re.ASCII | re.DOTALL
)
_KINDS = (
    (re.compile(r"\s*<[?!a-zA-Z]"), "it looks like XML; send JSON"),
    (re.compile(r"\s*0[xX][0-9a-fA-F]+\s*\Z"), "it is a hexadecimal number; send it as a decimal one"),
    (re.compile(r"\s*[\w. ]+\s*[=:]\s*[+-]?[0-9.]"), "it looks like keys and values; send JSON, or line protocol"),
    (
        re.compile(r"\s*[+-]?[0-9.]+\s*[,;]\s*[+-]?[0-9.]"),
        "it looks like several numbers, for which send JSON; if it is one, send it without commas",
    ),
)


def trimmed(payload: bytes) -> bytes:
    """The payload without what stands around it by accident."""
    return payload.removeprefix(_BYTE_ORDER_MARK).strip(_PADDING)


def as_number(value: object) -> float | None:
    """The finite number that a value stands for: true is 1, "21.5" is 21.5. None: it stands for none."""
    if isinstance(value, str):
        if len(value) > _LONGEST or not _NUMBER.fullmatch(value):
            return None
    elif not isinstance(value, (float, int)):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer beyond 1e308
        return None
    return number if math.isfinite(number) else None


def as_said(value: object, options: Options) -> float | None:
    """The number that a text stands for by the source's words and units; None: it stands for none."""
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    word = options.words.get(value.strip().lower())
    if word is not None:
        return word
    comma = _WITH_COMMA.fullmatch(value) if options.decimal_comma else None
    if comma:
        value = comma[1].replace(".", "") + "." + comma[2] + comma[3]
        number = as_number(value)
        if number is not None:
            return number
    return _of_unit(value) if options.units else None


def _of_unit(text: str) -> float | None:
    match = _WITH_UNIT.fullmatch(text)
    return as_number(match[1] or match[2]) if match else None


def advice_on(text: str) -> str | None:
    """What would make a number of a text that is none; None where it is not clear what it is."""
    if len(text) > _LONGEST:
        return "send a short number, or JSON"
    if _of_unit(text) is not None:
        return "units: true reads numbers with a unit"
    comma = _WITH_COMMA.fullmatch(text)
    if comma and (not comma[3].strip() or _of_unit("0" + comma[3]) is not None):
        more = " with units: true" if comma[3].strip() else ""
        return f"decimal_comma: true{more} reads it, if it is one number with a decimal comma"
    return next((advice for pattern, advice in _KINDS if pattern.match(text)), None)

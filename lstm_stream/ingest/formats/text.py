"""Text as devices write it: padding around a payload, numbers in quotes, words for one and zero."""

from __future__ import annotations

import math
import re

from lstm_stream.ingest.formats.sample import Options

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PADDING = b" \t\r\n\0"  # NUL: from C programs that send the terminator too
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*", re.ASCII)  # float()'s spaces
_LONGEST = 100  # characters of a number

# 21.5 °C, 45%, 3 m/s2: a number and one word that begins with neither a digit nor what a time or a list would have.
_WITH_UNIT = re.compile(
    r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*[^\W\d_]\S{0,11}\s*|"
    r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))\s*[%‰°€$£\"'][^\s0-9]{0,4}\s*"
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
    if word is not None or not options.units:
        return word
    match = _WITH_UNIT.fullmatch(value)
    return as_number(match[1] or match[2]) if match else None

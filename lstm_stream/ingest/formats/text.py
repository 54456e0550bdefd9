"""Text as devices write it: padding around a payload, numbers in quotes, words for one and zero."""

from __future__ import annotations

import math
import re

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PADDING = b" \t\r\n\0"  # NUL: from C programs that send the terminator too
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
_LONGEST = 100  # characters of a number


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

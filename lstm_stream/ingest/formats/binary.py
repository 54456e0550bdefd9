"""What CBOR and MessagePack have in common: documents as those of JSON, made of what their libraries return."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from lstm_stream.ingest.shown import shown
from lstm_stream.records import Reason, Rejection

_MOST = 100_000  # values in one document: references may repeat a part without end


class MissingError(Exception):
    """The library that reads a format is not installed."""


def parse(payload: bytes, depth: int, name: str, read: Callable[[bytes], Any]) -> Any:
    """The document in a payload as JSON would have it, or a Rejection. `read` may raise anything."""
    try:
        document = read(payload)
    except MissingError:
        detail = f"{name} needs a package that is not installed: pip install 'lstm_stream[formats]'"
        return Rejection(Reason.UNSUPPORTED, detail)
    except RecursionError:
        return Rejection(Reason.TOO_DEEP, f"the {name} is nested too deep; send it flatter")
    except Exception as error:  # of a library, on foreign bytes
        return Rejection(Reason.MALFORMED, f"not {name}: {shown(str(error)) if str(error) else type(error).__name__}")
    try:
        return _Plain(depth).of(document, 0)
    except OverflowError:
        return Rejection(Reason.TOO_DEEP, f"the {name} is nested more than {depth} deep (limits.depth), or endless")


class _Plain:
    """Dictionaries with text keys, lists, text and numbers; anything else becomes None."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._left = _MOST

    def of(self, value: Any, depth: int) -> Any:
        """The value so; OverflowError where it is nested too deep or has too much in it."""
        self._left -= 1
        if self._left < 0:
            raise OverflowError
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, datetime):
            return _unix(value)
        if isinstance(value, (Decimal, Fraction)):
            return _number(value)
        if isinstance(value, (bytes, bytearray, Set)) or hasattr(value, "_fields"):  # MessagePack's extensions
            return None
        if depth >= self._depth and isinstance(value, (Mapping, Sequence)):
            raise OverflowError
        if isinstance(value, Mapping):
            return {_key(key): self.of(item, depth + 1) for key, item in value.items()}
        if isinstance(value, Sequence):
            return [self.of(item, depth + 1) for item in value]
        return None


def _key(key: Any) -> str:
    if isinstance(key, bytes):
        return key[:1000].decode("utf-8", "replace")
    return key if isinstance(key, str) else shown(key)


def _unix(moment: datetime) -> float | None:
    try:
        return moment.timestamp() if moment.tzinfo else None
    except (ValueError, OverflowError, OSError):
        return None


def _number(value: Decimal | Fraction) -> float | None:
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None

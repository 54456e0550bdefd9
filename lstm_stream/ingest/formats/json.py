"""JSON: an object is a sample, an array of objects a window of them.

Nested objects are flattened: {"pump": {"rpm": 5, "axes": [1, 2]}} has the channels pump.rpm, pump.axes.0 and
pump.axes.1. Objects within inner arrays are left out: they are records of something else, not channels.

    number, "21.5", true      a value, if it is finite
    null, NaN, Infinity, 1e999, text      no value: the channel is absent from this sample
    [20.5, 20.7], 20.5      samples of the one channel `value`

Of a key that occurs twice the last one counts. The time is read from the named field (its flattened name), or else
from the first of the usual names at top level that is there; none of them is ever a channel.
"""

from __future__ import annotations

import json
import re
from itertools import accumulate
from typing import Any

import orjson

from lstm_stream.ingest.formats.sample import NO_NAMES, Options, Sample
from lstm_stream.ingest.formats.text import as_number, as_said, trimmed
from lstm_stream.ingest.formats.value import CHANNEL
from lstm_stream.ingest.shown import shown
from lstm_stream.ingest.timestamps import parse_time
from lstm_stream.records import Reason, Rejection

USUAL_TIME_FIELDS = (
    *("timestamp", "@timestamp", "_timestamp", "time_stamp", "ts", "time", "_time", "datetime", "date_time"),
    *("unixtime", "unix_time", "epoch", "tst", "measured_at", "sampled_at", "recorded_at", "received_at"),
    *("last_seen", "date"),
)
"""Keys taken for the time, in this order and in any case."""

_RANK = {name: rank for rank, name in enumerate(USUAL_TIME_FIELDS)}

# A string, also one without end, matches whole from its first quote on: no text makes these take quadratic time.
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)'
_STRINGS = re.compile(_STRING.encode(), re.DOTALL)
_NOT_FINITE = re.compile(rf"(?P<string>{_STRING})|[+-]?\b(?:nan|inf|infinity)\b", re.DOTALL | re.IGNORECASE)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def decode(payload: bytes, options: Options) -> list[Sample | Rejection]:
    """The samples of a JSON payload, in order."""
    document = parse(payload, options.depth)
    return [document] if isinstance(document, Rejection) else from_document(document, options)


def parse(payload: bytes, depth: int) -> Any:
    """The document in a payload, or a Rejection."""
    payload = trimmed(payload)
    if _deeper(payload, depth):
        return Rejection(Reason.TOO_DEEP, f"the JSON is nested more than {depth} deep (limits.depth); send it flatter")
    try:
        return _parsed(payload)
    except ValueError as error:
        return Rejection(Reason.MALFORMED, f"not JSON: {error}")


def from_document(document: Any, options: Options) -> list[Sample | Rejection]:
    """The samples of a document, in order."""
    if isinstance(document, list):
        return [sample(record, options) for record in document]
    return [sample(document, options)]


def _deeper(payload: bytes, depth: int) -> bool:
    """Whether brackets are nested deeper than `depth`; found without recursion, exact for valid JSON."""
    if payload.count(b"[") + payload.count(b"{") <= depth:
        return False
    brackets = _STRINGS.sub(b"", payload).translate(None, _NO_BRACKETS)
    return max(accumulate(1 if bracket in b"[{" else -1 for bracket in brackets), default=0) > depth


def _parsed(payload: bytes) -> Any:
    """The document. What the strict reader refuses is read once more by one that knows NaN, nan, Infinity and 1e999."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(_NOT_FINITE.sub(_as_nan, payload.decode()), parse_int=_integer)
        except ValueError:
            raise error from None


def _as_nan(match: re.Match[str]) -> str:
    return match["string"] or "NaN"


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= 20 else float(text)  # as orjson: no integers beyond 64 bits


def sample(record: Any, options: Options) -> Sample | Rejection:
    """The sample of one object or number."""
    if isinstance(record, list):
        return Rejection(Reason.NO_CHANNELS, "an array within the array; make each sample an object or a number")
    leaves: dict[str, Any] = {}
    if isinstance(record, dict):
        _flatten(record, "", options.separator, leaves)
    else:
        leaves[CHANNEL] = record
    names = _take_names(leaves, options.fields) if options.fields else NO_NAMES
    try:
        field, time = _take_time(leaves, options)
    except ValueError as error:
        return Rejection(Reason.BAD_TIMESTAMP, str(error))
    if options.root is not None:
        below = _below(options.root, leaves, options)
        if isinstance(below, Rejection):
            return below
        leaves = below
    return Sample(time, numbers(leaves, options), field, None, names)


def values_of(record: dict[str, Any], options: Options) -> dict[str, float]:
    """The channels of an object that holds nothing but channels."""
    leaves: dict[str, Any] = {}
    _flatten(record, "", options.separator, leaves)
    return numbers(leaves, options)


def numbers(leaves: dict[str, Any], options: Options) -> dict[str, float]:
    """The leaves that are numbers, or stand for one."""
    found = {name: number for name, value in leaves.items() if (number := as_number(value)) is not None}
    if options.words or options.units:
        said = ((name, as_said(value, options)) for name, value in leaves.items() if name not in found)
        found.update((name, number) for name, number in said if number is not None)
    return found


def _take_names(leaves: dict[str, Any], fields: tuple[str, ...]) -> dict[str, str]:
    """Remove the fields that make names, which are no channels, and return them as text."""
    found = [(name, leaves.pop(name, None)) for name in fields]
    return {name: str(value) for name, value in found if isinstance(value, (str, int, float)) and value != ""}


def _below(roots: str, leaves: dict[str, Any], options: Options) -> dict[str, Any] | Rejection:
    """The leaves below the first root that is there; JSON that is text there counts as what it says."""
    for root in roots.split("|"):
        start = root + options.separator
        found = {name[len(start) :]: value for name, value in leaves.items() if name.startswith(start)}
        if found:
            return found
        text = leaves.get(root)
        if isinstance(text, str) and text.lstrip().startswith("{"):
            inner = parse(text.encode("utf-8", "replace"), options.depth)
            if isinstance(inner, dict):
                _flatten(inner, "", options.separator, found)
                return found
            return inner if isinstance(inner, Rejection) else {}
        if root in leaves:
            return {CHANNEL: text}
    return Rejection(Reason.NO_CHANNELS, f"nothing at {shown(roots)} (the source's root)")


def _flatten(branch: dict[str, Any], prefix: str, separator: str, leaves: dict[str, Any]) -> None:
    """Put what is not an object or array into `leaves` under its path."""
    for key, value in branch.items():
        path = prefix + key
        if isinstance(value, dict):
            _flatten(value, path + separator, separator, leaves)
        elif isinstance(value, list):
            scalars = ((i, item) for i, item in enumerate(value) if not isinstance(item, (dict, list)))
            leaves.update((f"{path}{separator}{i}", item) for i, item in scalars)
        else:
            leaves[path] = value


def _take_time(leaves: dict[str, Any], options: Options) -> tuple[str | None, float | None]:
    """Remove the time from the leaves: the key that held it and unix seconds, or None twice. ValueError: not a time."""
    field = options.time_field
    if field is not None:
        fields = [field]
        if leaves.get(field) is None and options.time_trusted:
            raise ValueError(f"no field {shown(field)} (timestamp.field); the fields are {_names(leaves)}")
    else:
        fields = [name for name in leaves if name.lower() in _RANK]
        if len(fields) > 1:
            fields.sort(key=lambda name: _RANK[name.lower()])
    values = [(name, value) for name in fields if (value := leaves.pop(name, None)) is not None]
    if not values or not options.time_trusted:
        return None, None
    field, value = values[0]
    try:
        return field, parse_time(value, options.time_unit, options.zone)
    except ValueError as error:
        raise ValueError(f"{field}: {error}; if another field holds the time, name it in timestamp.field") from None


def _names(leaves: dict[str, Any]) -> str:
    return ", ".join(map(shown, list(leaves)[:5])) + (", ..." if len(leaves) > 5 else "") if leaves else "none"

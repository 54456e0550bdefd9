"""JSON: an object is a sample, an array of objects a window of them.

Nested objects are flattened: {"pump": {"rpm": 5, "axes": [1, 2]}} has the channels pump.rpm, pump.axes.0 and
pump.axes.1. Objects within inner arrays are left out: they are records of something else, not channels. Where the
source's root is such an array, each of them is a sample. Documents a line are those of an array, and a document that is
text which holds another one is that one.

    number, "21.5", true      a value, if it is finite
    null, NaN, Infinity, 1e999, text      no value: the channel is absent from this sample
    [20.5, 20.7], 20.5      samples of the one channel `value`

Of a key that occurs twice the last one counts. The time is read from the named field (its flattened name), or else
from the first of the usual names at top level that is there; none of them is ever a channel.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import orjson

from lstm_stream.ingest.formats.sample import NO_NAMES, Options, Sample
from lstm_stream.ingest.formats.text import advice_on, as_number, as_said, trimmed
from lstm_stream.ingest.formats.value import CHANNEL
from lstm_stream.ingest.labels import USUAL_TIME_FIELDS
from lstm_stream.ingest.shown import printable, shown
from lstm_stream.ingest.timestamps import device_time
from lstm_stream.records import Reason, Rejection

_RANK = {name: rank for rank, name in enumerate(USUAL_TIME_FIELDS)}

# A string, also one without end, matches whole from its first quote on: no text makes these take quadratic time.
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)'
_STRINGS = re.compile(_STRING.encode(), re.DOTALL)
_NOT_FINITE = re.compile(rf"(?P<string>{_STRING})|[+-]?\b(?:nan|inf|infinity)\b", re.DOTALL | re.IGNORECASE)
_OF_DAY = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?")  # a time without its date
_LONGEST_WORD = 20  # characters
_PYTHON = re.compile(r"[\[{\s]*'")
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
        document = _parsed(payload)
        if isinstance(document, str) and document.lstrip()[:1] in ("{", "["):
            document = _parsed(document.encode())  # written as JSON twice
        return document
    except ValueError as error:
        return Rejection(Reason.MALFORMED, f"not JSON: {error}{_malformed(payload)}")


def from_document(document: Any, options: Options) -> list[Sample | Rejection]:
    """The samples of a document, in order."""
    if isinstance(document, list):
        return [sample(record, options) for record in document]
    rows = _rows(document, options) if options.root is not None and isinstance(document, dict) else None
    if rows is None:
        return [sample(document, options)]
    around = leaves_of(document, options.separator)
    return [_sample_of(row, around, options) for row in rows]


def _rows(document: dict[str, Any], options: Options) -> list[Any] | None:
    """The array of objects at the source's root; None where there is none."""
    for root in (options.root or "").split("|"):
        found: Any = document
        for key in [root] if root in document else root.split(options.separator):
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, list) and any(isinstance(row, dict) for row in found):
            return found
    return None


def _deeper(payload: bytes, depth: int) -> bool:
    """Whether brackets are nested deeper than `depth`; found without recursion, exact for valid JSON."""
    if payload.count(b"[") + payload.count(b"{") <= depth:
        return False
    brackets = _STRINGS.sub(b"", payload).translate(None, _NO_BRACKETS)
    return max(accumulate(1 if bracket in b"[{" else -1 for bracket in brackets), default=0) > depth


def _parsed(payload: bytes) -> Any:
    """The document. What the strict reader refuses is read once more: NaN and 1e999, documents a line."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(_NOT_FINITE.sub(_as_nan, payload.decode()), parse_int=_integer)
        except ValueError:
            pass
        try:
            return _documents(payload)
        except ValueError:
            raise error from None


def _documents(payload: bytes) -> list[Any]:
    """The objects that stand a line each. Raises ValueError."""
    documents = [orjson.loads(line) for line in payload.split(b"\n") if line.strip()]
    if len(documents) < 2 or not all(isinstance(document, dict) for document in documents):
        raise ValueError
    return documents


def _malformed(payload: bytes) -> str:
    """What is likely to be wrong with it."""
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        return f"; byte {error.start + 1}, {payload[error.start]:#04x}, is not UTF-8: send text as UTF-8"
    if _PYTHON.match(text):
        return "; keys and texts stand in double quotes: send json.dumps(...) instead of what Python prints"
    return ""


def _as_nan(match: re.Match[str]) -> str:
    return match["string"] or "NaN"


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= 20 else float(text)  # as orjson: no integers beyond 64 bits


def sample(record: Any, options: Options) -> Sample | Rejection:
    """The sample of one object or number."""
    if isinstance(record, list):
        return Rejection(Reason.NO_CHANNELS, "an array within the array; make each sample an object or a number")
    found = told(record, options)
    return found if isinstance(found, Rejection) or found.values else _nothing(record, options)


def told(record: Any, options: Options) -> Sample | Rejection:
    """The same, though there be no number in it."""
    leaves = leaves_of(record if isinstance(record, dict) else {CHANNEL: record}, options.separator)
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


def _sample_of(row: Any, around: dict[str, Any], options: Options) -> Sample | Rejection:
    """The sample of an object of the root's array; its time and names may stand in the document around it."""
    if not isinstance(row, dict):
        return Rejection(Reason.NO_CHANNELS, f"{shown(row)} among the objects of the source's root")
    leaves = leaves_of(row, options.separator)
    whole = {**around, **leaves}
    names = _take_names(whole, options.fields)
    try:
        field, time = _take_time(whole, options)
    except ValueError as error:
        return Rejection(Reason.BAD_TIMESTAMP, str(error))
    values = numbers({name: value for name, value in leaves.items() if name in whole}, options)
    return Sample(time, values, field, None, names) if values else _nothing(row, options)


def _nothing(record: Any, options: Options) -> Rejection:
    """Why there is no number in an object, and what would make one of what there is."""
    leaves = leaves_of(record if isinstance(record, dict) else {CHANNEL: record}, options.separator)
    texts = [(name, value) for name, value in leaves.items() if isinstance(value, str) and name.lower() not in _RANK]
    detail = "no finite number in it; text, null and NaN count as absent"
    if texts:
        detail += ", such as " + ", ".join(f"{shown(name)}: {shown(value)}" for name, value in texts[:3])
    advice = next((found for _, value in texts if (found := advice_on(value))), None)
    lists = list(lists_of(record, options.separator)) if isinstance(record, dict) and options.root is None else []
    if lists:
        advice = (
            f"what is in the array {shown(lists[0])} is left out; root: {printable(lists[0])[:60]} takes objects in it"
        )
    elif texts and advice is None and None not in leaves.values():
        word = next((value for _, value in texts if value.isalpha() and len(value) <= _LONGEST_WORD), "open")
        advice = f"words: {{{word}: 1}} gives text a value"
    return Rejection(Reason.NO_CHANNELS, detail + (f"; {advice}" if advice else ""))


def lists_of(branch: dict[str, Any], separator: str) -> Iterator[str]:
    """Where arrays of objects are."""
    for key, value in branch.items():
        if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
            yield key
        elif isinstance(value, dict):
            yield from (key + separator + below for below in lists_of(value, separator))


def values_of(record: dict[str, Any], options: Options) -> dict[str, float]:
    """The channels of an object that holds nothing but channels."""
    return numbers(leaves_of(record, options.separator), options)


def numbers(leaves: dict[str, Any], options: Options) -> dict[str, float]:
    """The leaves that are numbers, or stand for one."""
    found = {name: number for name, value in leaves.items() if (number := as_number(value)) is not None}
    if options.says:
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
                return leaves_of(inner, options.separator)
            return inner if isinstance(inner, Rejection) else {}
        if root in leaves:
            return {CHANNEL: text}
    return Rejection(Reason.NO_CHANNELS, f"nothing at {shown(roots)} (root); the fields are {_names(leaves)}")


def leaves_of(document: dict[str, Any], separator: str) -> dict[str, Any]:
    """What is not an object or array, by its path."""
    leaves: dict[str, Any] = {}
    _flatten(document, "", separator, leaves)
    return leaves


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
    if len(values) > 1 and isinstance(value, str) and _OF_DAY.fullmatch(value) and values[-1][0].lower() == "date":
        value = f"{values[-1][1]} {value}"
    try:
        return field, device_time(value, options.time_unit, options.zone)
    except ValueError as error:
        advice = "name the field of the time in timestamp.field, or take the arrival by timestamp: {trust: false}"
        raise ValueError(f"{field}: {error}; {advice}") from None


def time_in(record: dict[str, Any]) -> Any:
    """What an object has under a usual name of the time; None where there is none."""
    return next((value for name, value in record.items() if name.lower() in _RANK and value is not None), None)


def _names(leaves: dict[str, Any]) -> str:
    return ", ".join(map(shown, list(leaves)[:5])) + (", ..." if len(leaves) > 5 else "") if leaves else "none"

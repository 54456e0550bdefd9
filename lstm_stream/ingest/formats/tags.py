"""Tags: values with a name each, as gateways of machines send them: KEPServerEX, Neuron, Industrial Edge, Ubidots.

    {"timestamp": 1700000000500, "values": [{"id": "Line1.Temp", "v": 21.5, "q": true, "t": 1700000000123}]}
    [{"name": "temp", "value": 21.5}, {"name": "humidity", "value": 40}]
    {"temp": {"value": 21.5, "timestamp": 1700000000000}, "humidity": {"value": 40, "timestamp": 1700000000000}}

The channels are the tags. A value of bad quality, or an error instead of one, is absent. What else is in the object is
plain JSON. All tags of a message are one sample, of the latest of their times, except earlier values of a tag that
comes several times: those are samples of their own times.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from lstm_stream.ingest.formats import json
from lstm_stream.ingest.formats.sample import NO_NAMES, NOW, Options, Sample
from lstm_stream.ingest.formats.stamp import Stamp, read_stamp
from lstm_stream.records import Reason, Rejection

_NAMES = ("name", "Name", "tag", "Tag", "tagName", "TagName", "tagname", "DisplayName", "displayName", "key", "NodeId")
_NAMES_INSIDE = (*_NAMES, "id", "Id", "ID", "n")  # in a list of their own these are devices as often
_VALUES = ("value", "Value", "v", "val", "Val")
_TIMES = ("SourceTimestamp", "sourceTimestamp", "timestamp", "Timestamp", "ts", "t", "time", "Time", "ServerTimestamp")
_QUALITIES = ("q", "qc", "quality", "Quality", "StatusCode", "statusCode")
_ERRORS = ("error", "errorCode", "err")
_ABOUT = ("type", "Type", "dataType", "datatype", "status", "Status", "address", "id", "Id", "ID", "index", "UaType")
_KNOWN = frozenset((*_VALUES, *_TIMES, *_QUALITIES, *_ERRORS, *_ABOUT))  # keys that may hold numbers
_DATING = frozenset((*_TIMES, *_QUALITIES))
_TELLING = frozenset((*_VALUES, *_ERRORS))
_BAD = 0x80000000  # the severity of OPC UA's status codes from here on


class Tag(NamedTuple):
    """A value and its name."""

    name: str
    value: Any
    time: Any = None  # as it is written


def fits(document: Any) -> bool:
    """Whether a JSON document is tags without doubt, or an object that holds some."""
    if isinstance(document, list):
        return _are_rows(document, _NAMES)
    return isinstance(document, dict) and any(map(_holds, document.values()))


def _holds(value: Any) -> bool:
    kind = type(value)
    if kind is dict:
        return not _DATING.isdisjoint(value) and is_dated(value)
    return kind is list and _are_rows(value, _NAMES_INSIDE)


def _are_rows(rows: Any, names: tuple[str, ...]) -> bool:
    return isinstance(rows, list) and bool(rows) and all(_is_row(row, names) for row in rows)


def _is_row(row: Any, names: tuple[str, ...]) -> bool:
    if not isinstance(row, dict) or not isinstance(_first(row, names), str):
        return False
    return _is_told(row) and not _TELLING.isdisjoint(row)


def _is_told(item: dict[str, Any]) -> bool:
    """Whether all numbers in it are known not to be further measurements."""
    return all(key in _KNOWN or not isinstance(value, (int, float)) or value is True for key, value in item.items())


def is_dated(item: Any) -> bool:
    """Whether it is one value with its time or quality: {"value": 21.5, "timestamp": 1700000000000}."""
    if not isinstance(item, dict) or not 2 <= len(item) <= 8 or _DATING.isdisjoint(item):
        return False
    value = _first(item, ("value", "Value"))
    return value is not None and not isinstance(value, (dict, list)) and _is_told(item)


def decode(payload: bytes, options: Options) -> list[Sample | Rejection]:
    """The samples of a payload, oldest first."""
    document = json.parse(payload, options.depth)
    return [document] if isinstance(document, Rejection) else from_document(document, options)


def from_document(document: Any, options: Options) -> list[Sample | Rejection]:
    """The samples of a document, oldest first; one without tags is plain JSON."""
    if isinstance(document, list) and _are_rows(document, _NAMES_INSIDE):
        return samples(map(_tag, document), Stamp(), {}, NO_NAMES, options)
    if not fits(document):
        return json.from_document(document, options)
    rest = {key: value for key, value in document.items() if not _holds(value)}
    told = json.told(rest, options)
    if isinstance(told, Rejection):
        return [told]
    tags = (tag for key, value in document.items() if _holds(value) for tag in _tags(key, value))
    return samples(tags, Stamp(told.time, told.time_field), told.values, told.names, options)


def _tags(key: str, held: Any) -> Iterator[Tag]:
    return map(_tag, held) if isinstance(held, list) else iter((dated(key, held),))


def _tag(row: dict[str, Any]) -> Tag:
    name = str(_first(row, _NAMES_INSIDE))
    value = _first(row, _VALUES)
    if isinstance(value, dict):
        return dated(name, value)
    return Tag(name, None if _is_bad(row) else value, _first(row, _TIMES))


def dated(name: str, item: Any) -> Tag:
    """The tag of a value that may have its time and quality beside it."""
    if not isinstance(item, dict):
        return Tag(name, item)
    value = None if _is_bad(item) else _first(item, (*_VALUES, "Body"))
    return Tag(name, value, _first(item, _TIMES))


def _is_bad(item: dict[str, Any]) -> bool:
    quality = _first(item, _QUALITIES)
    if isinstance(quality, dict):  # OPC UA's: {"Code": 2147614720, "Symbol": "BadNotConnected"}
        quality = quality.get("Code", quality.get("Symbol", 0))
        return _is_bad({"StatusCode": quality})
    if isinstance(quality, str):
        return quality.lower().startswith("bad")
    if isinstance(quality, (int, float)):
        return quality >= _BAD or (not quality and "StatusCode" not in item and "statusCode" not in item)
    return False


def samples(
    tags: Iterable[Tag], stamp: Stamp, rest: Mapping[str, float], names: Mapping[str, str], options: Options
) -> list[Sample | Rejection]:
    """The samples of tags, oldest first; with `rest`, other values of the message, which has that time itself."""
    read = list(_read(tags, options))
    refused = next((item for item in read if isinstance(item, Rejection)), None)
    if refused is not None:
        return [refused]
    told = [item for item in reversed(read) if isinstance(item, _Value)]  # of equal times the last one counts
    told = [value if value.stamp.time is not None else value._replace(stamp=stamp) for value in told]
    current, past = dict[str, _Value](), dict[float, dict[str, float]]()
    for value in sorted(told, key=_Value.order, reverse=True):
        latest = current.setdefault(value.name, value)
        if value.stamp.time is not None and value.order() < latest.order():
            past.setdefault(value.stamp.time, {}).setdefault(value.name, value.number)
    values = {**rest, **{value.name: current[value.name].number for value in reversed(told)}}
    if not values:
        return [Rejection(Reason.NO_CHANNELS, _nothing(len(read)))]
    stamps = [stamp] * bool(rest or not told) + [value.stamp for value in told]
    stamp = max((found for found in stamps if found.time is not None), default=Stamp())
    found: list[Sample | Rejection] = [Sample(time, past[time], stamp.place, None, names) for time in sorted(past)]
    return [*found, Sample(stamp.time, values, stamp.place, None, names, NOW)]


class _Value(NamedTuple):
    """A tag, read."""

    name: str
    number: float  # finite
    stamp: Stamp

    def order(self) -> float:
        """What sorts by time."""
        return self.stamp.time or 0.0


def _read(tags: Iterable[Tag], options: Options) -> Iterator[_Value | Rejection | None]:
    """The tags with their numbers and times; None where there is no number."""
    for tag in tags:
        number = json.numbers({tag.name: tag.value}, options).get(tag.name)
        stamp = read_stamp(tag.time, "the tag's time", options) if number is not None else Stamp()
        if isinstance(stamp, Rejection):
            yield stamp
        else:
            yield None if number is None else _Value(tag.name, number, stamp)


def _nothing(count: int) -> str:
    return f"none of the {count} tags has a number of good quality; words says what text stands for"


def _first(item: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((item[key] for key in keys if item.get(key) is not None), None)

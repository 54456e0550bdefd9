"""Sparkplug B payloads: the protobuf of the specification, read without a library, and its JSON form.

Only what makes samples is read: names or aliases, times, types, values. Metadata and properties are passed over. The
members of a template, and the columns of a data set with one row, are metrics named `metric/member`; a data set with
more rows is a table, which is refused. Aliases need the birth certificate, which ingest/sparkplug.py keeps; this file
alone knows names.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lstm_stream.ingest.formats import json, wrapping
from lstm_stream.ingest.formats.sample import Options, Sample
from lstm_stream.ingest.formats.stamp import read_stamp
from lstm_stream.ingest.formats.text import as_number, trimmed
from lstm_stream.ingest.shown import shown
from lstm_stream.records import Reason, Rejection

_CONTROL = ("Node Control/", "Device Control/")  # in the name of what is no channel
_SIGNED = {1: 8, 2: 16, 3: 32, 4: 64}  # data type -> bits of a two's complement
_NUMERIC = frozenset(range(1, 12))  # Int8 ... UInt64, Float, Double, Boolean
_TYPES = (
    *("unknown", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float", "double"),
    *("boolean", "string", "datetime", "text", "uuid", "dataset", "bytes", "file", "template"),
)
_PACKED = b"SPBV1.0_COMPRESSED"  # as uuid
_DEEPEST = 8  # templates within templates
_TYPE_NUMBERS = {name: number for number, name in enumerate(_TYPES)}


@dataclass(slots=True)
class Metric:
    """One value. `value` is as the wire has it; number() applies the type."""

    name: str | None = None
    alias: int | None = None
    time: int | None = None  # ms since 1970
    type: int = 0  # 0: not told here
    historical: bool = False
    value: int | float | bool | None = None
    members: list[Metric] = field(default_factory=list)  # of a template or of a data set's row
    rows: int = 0  # of a data set that is a table

    def number(self, known_type: int = 0) -> float | None:
        """The finite number; None of text, null, times and whatever is more than a number."""
        kind = self.type or known_type
        if self.value is None or (kind and kind not in _NUMERIC):
            return None
        value = self.value
        bits = _SIGNED.get(kind)
        if bits and isinstance(value, int):
            value &= (1 << bits) - 1
            value -= (value >> (bits - 1)) << bits
        return as_number(value)


@dataclass(slots=True)
class Payload:
    """What a message says."""

    time: int | None = None  # ms since 1970
    seq: int | None = None
    metrics: list[Metric] = field(default_factory=list)
    packed: bytes | None = None  # instead of all that, as Tahu compresses payloads


def decode(payload: bytes, options: Options) -> list[Sample | Rejection]:
    """The samples of a payload in which every metric has its name."""
    read = unpacked(payload, options)
    return [read] if isinstance(read, Rejection) else resolved(read, options)


def unpacked(payload: bytes, options: Options) -> Payload | Rejection:
    """What a payload says, or the one that is packed in it."""
    read = parse(payload, options.depth)
    if isinstance(read, Rejection) or read.packed is None:
        return read
    inner = wrapping.inflated(read.packed, options.longest)
    return inner if isinstance(inner, Rejection) else parse(inner.payload, options.depth)


def resolved(read: Payload, options: Options) -> list[Sample | Rejection]:
    """The samples of the metrics that have their names."""
    named = [(name, metric, 0) for metric in read.metrics if metric.name for name, metric in whole(metric.name, metric)]
    nameless = sum(not metric.name for metric in read.metrics)
    result = samples(read, named, options)
    if nameless:
        detail = f"{nameless} metrics have an alias only; their names come with the birth, on topics spBv1.0/..."
        result.append(Rejection(Reason.UNKNOWN_CHANNEL, detail))
    return result


def whole(name: str, metric: Metric) -> Iterator[tuple[str, Metric]]:
    """A metric by its name, or instead of it its members, which share its time unless they have their own."""
    if not metric.members:
        yield name, metric
    for member in metric.members:
        if member.name:
            member.time = metric.time if member.time is None else member.time
            member.historical |= metric.historical
            yield from whole(f"{name}/{member.name}", member)


def samples(payload: Payload, named: list[tuple[str, Metric, int]], options: Options) -> list[Sample | Rejection]:
    """The samples of metrics with their names and types known from the birth, oldest first.

    Metrics of one message are one sample, at the latest of their times, except historical ones and earlier values of
    one that is there several times: those are samples of their own times.
    """
    current: dict[str, float] = {}
    past: dict[int, dict[str, float]] = {}
    times = [time for time in [payload.time] if time is not None and not payload.metrics]
    for name, metric, kind in sorted(named, key=lambda item: item[1].time or 0, reverse=True):
        number = metric.number(kind)
        if number is None or name == "bdSeq" or any(part in name for part in _CONTROL):
            continue
        if metric.time is not None and (metric.historical or name in current):
            past.setdefault(metric.time, {}).setdefault(name, number)
        else:
            current.setdefault(name, number)
            times += [metric.time] if metric.time is not None else []
    found = [_sample(time, past[time], options) for time in sorted(past)]
    if current or not past:
        found.append(_sample(max(times, default=payload.time), current, options))
    tables = [name for name, metric, _ in named if metric.rows]
    if tables:
        detail = f"{shown(tables[0])} is a data set of several rows, a table; send rows one by one, or metrics"
        found.append(Rejection(Reason.UNSUPPORTED, detail))
    return [item for item in found if isinstance(item, Rejection) or item.values or not tables]


def _sample(time: int | None, values: dict[str, float], options: Options) -> Sample | Rejection:
    stamp = read_stamp(time, "timestamp", options, "ms")
    return stamp if isinstance(stamp, Rejection) else Sample(stamp.time, values, stamp.place)


def parse(payload: bytes, depth: int) -> Payload | Rejection:
    """What a payload says, be it protobuf or JSON."""
    if trimmed(payload[:100])[:1] == b"{":  # in protobuf: field 15, which there is none of
        document = json.parse(payload, depth)
        if isinstance(document, Rejection):
            return document
        if fits(document):
            return from_document(document)
        return Rejection(Reason.MALFORMED, "not Sparkplug's JSON; it has timestamp, metrics and seq")
    try:
        return _payload(payload)
    except (ValueError, struct.error) as error:
        return Rejection(Reason.MALFORMED, f"not Sparkplug B: {error}; send its protobuf")


# -- JSON


def fits(document: Any) -> bool:
    """Whether a JSON document is a payload: metrics, each with a name or alias."""
    if not isinstance(document, dict) or not document.keys() <= {"timestamp", "metrics", "seq", "uuid", "body"}:
        return False
    metrics = document.get("metrics")
    return isinstance(metrics, list) and "timestamp" in document and all(map(_is_metric, metrics))


def _is_metric(metric: Any) -> bool:
    return isinstance(metric, dict) and not metric.keys().isdisjoint(("name", "alias"))


def from_document(document: dict[str, Any]) -> Payload:
    """The payload in a document that fits."""
    return Payload(
        _whole(document["timestamp"]), _whole(document.get("seq")), list(map(_metric_of, document["metrics"]))
    )


def _metric_of(said: dict[str, Any]) -> Metric:
    kind = said.get("dataType", said.get("datatype", said.get("type", 0)))
    number = kind if isinstance(kind, int) else _TYPE_NUMBERS.get(str(kind).lower(), 0)
    name, value = said.get("name"), said.get("value")
    members, rows = _members_of(value) if isinstance(value, dict) else ([], 0)
    return Metric(
        name if isinstance(name, str) else None,
        _whole(said.get("alias")),
        _whole(said.get("timestamp")),
        number,
        said.get("isHistorical", said.get("is_historical")) is True,
        value if isinstance(value, (int, float)) else as_number(value) if number in _NUMERIC else None,
        members,
        rows,
    )


def _members_of(value: dict[str, Any]) -> tuple[list[Metric], int]:
    """The members of a template or a data set of one row, or how many rows there are."""
    metrics, columns, rows = value.get("metrics"), value.get("columns"), value.get("rows")
    if isinstance(metrics, list):
        definition = value.get("isDefinition", value.get("is_definition")) is True
        return ([] if definition else [_metric_of(metric) for metric in metrics if isinstance(metric, dict)]), 0
    if not isinstance(columns, list) or not isinstance(rows, list):
        return [], 0
    if len(rows) != 1:
        return [], len(rows)
    row = rows[0].get("elements") if isinstance(rows[0], dict) else rows[0]
    cells = zip(columns, row, strict=False) if isinstance(row, list) else ()
    return [_metric_of({"name": column, "value": cell}) for column, cell in cells], 0


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)  # protobuf's JSON writes 64-bit integers as text
    return value if isinstance(value, int) and not isinstance(value, bool) else None


# -- protobuf


def _payload(data: bytes) -> Payload:
    result, uuid, body = Payload(), b"", b""
    for number, kind, value in _fields(data):
        if (number, kind) == (1, 0):
            result.time = int(value)
        elif (number, kind) == (2, 2):
            result.metrics.append(_metric(value))
        elif (number, kind) == (3, 0):
            result.seq = int(value)
        elif (number, kind) == (4, 2):
            uuid = value
        elif (number, kind) == (5, 2):
            body = value
    result.packed = body if uuid == _PACKED else None
    return result


def _metric(data: bytes, depth: int = 0) -> Metric:
    metric, null = Metric(), False
    for number, kind, value in _fields(data):
        match number, kind:
            case 1, 2:
                metric.name = value.decode()
            case 2, 0:
                metric.alias = value
            case 3, 0:
                metric.time = value
            case 4, 0:
                metric.type = value
            case 5, 0:
                metric.historical = bool(value)
            case 7, 0:
                null = bool(value)
            case ((10 | 11), 0):
                metric.value = value
            case 12, 5:
                metric.value = struct.unpack("<f", value)[0]
            case 13, 1:
                metric.value = struct.unpack("<d", value)[0]
            case 14, 0:
                metric.value = bool(value)
            case 17, 2:
                metric.members, metric.rows = _data_set(value)
            case 18, 2:
                metric.members = _template(value, depth)
    if null:
        metric.value, metric.members, metric.rows = None, [], 0
    return metric


def _template(data: bytes, depth: int) -> list[Metric]:
    """The members of an instance of a template; none of its definition, whose values are not measured."""
    if depth >= _DEEPEST:
        raise ValueError(f"templates nested more than {_DEEPEST} deep")
    members: list[Metric] = []
    for number, kind, value in _fields(data):
        if (number, kind) == (2, 2):
            members.append(_metric(value, depth + 1))
        elif (number, kind) == (5, 0) and value:
            return []
    return members


def _data_set(data: bytes) -> tuple[list[Metric], int]:
    """The columns of a data set of one row, or how many rows there are."""
    columns: list[str] = []
    types: list[int] = []
    rows: list[bytes] = []
    for number, kind, value in _fields(data):
        match number, kind:
            case 2, 2:
                columns.append(value.decode())
            case 3, 0:
                types.append(value)
            case 3, 2:
                types += _packed(value)
            case 4, 2:
                rows.append(value)
    if len(rows) != 1:
        return [], len(rows)
    cells = [_cell(value) for number, kind, value in _fields(rows[0]) if (number, kind) == (1, 2)]
    of_types = types if len(types) == len(columns) else [0] * len(columns)
    return [Metric(*cell) for cell in _columns(columns, of_types, cells)], 0


def _columns(columns: list[str], types: list[int], cells: list[Any]) -> Iterator[tuple[Any, ...]]:
    """What Metric takes, of each column."""
    for name, kind, cell in zip(columns, types, cells, strict=False):
        yield name, None, None, kind, False, cell


def _packed(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _cell(data: bytes) -> int | float | bool | None:
    """The value of a data set's element."""
    found: int | float | bool | None = None
    for number, kind, value in _fields(data):
        match number, kind:
            case ((1 | 2), 0):
                found = value
            case 3, 5:
                found = struct.unpack("<f", value)[0]
            case 4, 1:
                found = struct.unpack("<d", value)[0]
            case 5, 0:
                found = bool(value)
    return found


def _fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """Number, wire type and value of each field; ValueError where the bytes are no message."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if number == 0 or tag >= 2**32:
            raise ValueError(f"a field with the number {number}")
        if kind == 0:
            value: Any
            value, at = _varint(data, at)
        elif kind in (1, 2, 5):
            length, at = (8, at) if kind == 1 else (4, at) if kind == 5 else _varint(data, at)
            if length > end - at:
                raise ValueError("it is cut off")
            value = data[at : at + length]
            at += length
        else:
            raise ValueError(f"a field of the wire type {kind}")
        yield number, kind, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("it is cut off")
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFF_FFFF_FFFF_FFFF, at
    raise ValueError("a number longer than 64 bits")

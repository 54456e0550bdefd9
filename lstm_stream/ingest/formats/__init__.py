"""The formats of payloads, one pure function in one file each, and how to tell them apart.

`auto` goes by the first bytes, and among JSON, CBOR and MessagePack by what the document looks like: an object or
array is SenML, Telegraf's, ThingsBoard's, Sparkplug's, OPC UA's, tags or a notification of a Shelly where all of it is,
else plain, with the channels where a well-known envelope has them. Where the source says where the time or the channels
are (timestamp.field, root), it is plain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

from lstm_stream.ingest.formats import (
    cbor,
    envelopes,
    influx,
    json,
    msgpack,
    opcua,
    senml,
    shelly,
    sparkplug,
    tags,
    telegraf,
    thingsboard,
    value,
)
from lstm_stream.ingest.formats.sample import Format, Options, Sample
from lstm_stream.ingest.formats.text import trimmed
from lstm_stream.records import Rejection

FORMATS: dict[str, Format] = {
    "json": json.decode,
    "value": value.decode,
    "influx": influx.decode,
    "senml": senml.decode,
    "telegraf": telegraf.decode,
    "thingsboard": thingsboard.decode,
    "sparkplug": sparkplug.decode,
    "shelly": shelly.decode,
    "opcua": opcua.decode,
    "tags": tags.decode,
    "cbor": cbor.decode,
    "msgpack": msgpack.decode,
}
"""By the name that a source's `format` gives."""

DESCRIBING = frozenset(("fields", "metrics", "values", "params", "result"))
"""Keys of objects that may be of another format than plain JSON."""

_PARSERS: dict[str, Callable[[bytes, int], Any]] = {"json": json.parse, "cbor": cbor.parse, "msgpack": msgpack.parse}
_OF_DESCRIBING = {"telegraf": telegraf, "thingsboard": thingsboard, "sparkplug": sparkplug, "shelly": shelly}
_OF_OBJECTS = {"opcua": opcua, "tags": tags}
_OF_ARRAYS = {"senml": senml, "thingsboard": thingsboard, "tags": tags}
_NESTING = frozenset((dict, list))
_OPENING, _QUOTE, _XML = b"{[", 0x22, 0x3C
_FLOATS = {(0xF9, 3): "cbor", (0xFA, 5): "cbor", (0xFB, 9): "cbor", (0xCA, 5): "msgpack", (0xCB, 9): "msgpack"}


def decode(payload: bytes, options: Options) -> tuple[str, list[Sample | Rejection]]:
    """The format that `auto` takes a payload for, and what is in it."""
    encoding = recognise(payload)
    if encoding not in _PARSERS:
        return encoding, FORMATS[encoding](payload, options)
    document = _PARSERS[encoding](payload, options.depth)
    if isinstance(document, Rejection):
        return encoding, [document]
    described = options.root is not None or options.time_field is not None  # by the source, so no need to recognise it
    nested = not described and _is_nested(document)
    shape = _shape(document) if nested else "json"
    if nested and shape == "json" and type(document) is dict and (root := envelopes.root_of(document)):
        options = replace(options, root=root)
    if shape == encoding:
        return encoding, json.from_document(document, options)
    name = shape if encoding == "json" else encoding if shape == "json" else f"{shape} ({encoding})"
    return name, _SHAPES[shape](document, options)


def recognise(payload: bytes) -> str:
    """How a payload is encoded: json, cbor, msgpack, sparkplug (protobuf), influx, or else a plain value."""
    first = payload[0] if payload else 0
    if not 0x20 < first < 0x80:
        if first >= 0x80 or first == 0x08:
            found = _recognised_binary(payload)
            if found is not None:
                return found
        first = (trimmed(payload[:100]) or b"\0")[0]
    if first in _OPENING or (first == _QUOTE and trimmed(payload[:100])[1:2] in (b"{", b"[")):
        return "json"
    return "influx" if b"=" in payload and first != _XML and _is_influx(payload) else "value"


def _is_influx(payload: bytes) -> bool:
    return influx.looks_like(trimmed(payload).decode("utf-8", "replace"))


def _recognised_binary(payload: bytes) -> str | None:
    """None where it is text, as far as one can tell."""
    first = payload[0]
    if first == 0x08:  # field 1, the timestamp; as text a backspace
        return "sparkplug" if len(payload) > 2 and not isinstance(sparkplug.parse(payload, 1), Rejection) else None
    if 0xA0 <= first <= 0xBF or payload.startswith(b"\xd9\xd9\xf7"):
        return "cbor"
    if 0x80 <= first <= 0x9F:  # an array of CBOR or a map or array of MessagePack
        return "msgpack" if isinstance(cbor.parse(payload, 100), Rejection) else "cbor"
    if 0xDC <= first <= 0xDF and len(payload) > 1 and not 0x80 <= payload[1] <= 0xBF:  # else UTF-8
        return "msgpack"
    return _FLOATS.get((first, len(payload)))


def _is_nested(document: Any) -> bool:
    """Whether it is an object or array that holds others: all but plain JSON is, and the fast path reads none of it."""
    values = document.values() if type(document) is dict else document if type(document) is list else ()
    return not _NESTING.isdisjoint(map(type, values))


def _shape(document: dict[str, Any] | list[Any]) -> str:
    """What a nested document looks like: the name of the format that reads it."""
    if isinstance(document, list):
        return _first(_OF_ARRAYS, document)
    shape = "json" if DESCRIBING.isdisjoint(document) else _first(_OF_DESCRIBING, document)
    if shape == "json" and type(next(iter(document.values()))) is list and thingsboard.fits(document):
        return "thingsboard"  # of a gateway; of plain objects the first value is hardly ever a list
    return shape if shape != "json" else _first(_OF_OBJECTS, document)


def _first(kinds: dict[str, ModuleType], document: Any) -> str:
    return next((name for name, kind in kinds.items() if kind.fits(document)), "json")


def _sparkplug(document: Any, options: Options) -> list[Sample | Rejection]:
    return sparkplug.resolved(sparkplug.from_document(document), options)


_SHAPES: dict[str, Callable[[Any, Options], list[Sample | Rejection]]] = {
    "json": json.from_document,
    "senml": senml.from_document,
    "telegraf": telegraf.from_document,
    "thingsboard": thingsboard.from_document,
    "sparkplug": _sparkplug,
    "shelly": shelly.from_document,
    "opcua": opcua.from_document,
    "tags": tags.from_document,
}

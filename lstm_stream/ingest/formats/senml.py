"""SenML (RFC 8428), in JSON or CBOR: records with base values, resolved and put in the order of time.

    [{"bn": "urn:dev:ow:10e2:", "bt": 1.276e9, "n": "voltage", "u": "V", "v": 120}, {"n": "current", "t": -5, "v": 1.2}]

The base name is the device and the name the channel. A record without a base name whose name is a URN is a device
with one channel, `value`; any other such name is a channel of the topic's sensor, no name its `value`. Records of one
device and time are one sample. Times below 2**28 are relative to the arrival, and so is no time at all.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from lstm_stream.ingest.formats import json
from lstm_stream.ingest.formats.sample import NO_NAMES, Options, Sample
from lstm_stream.ingest.formats.stamp import read_stamp
from lstm_stream.ingest.formats.text import as_number
from lstm_stream.ingest.formats.value import CHANNEL
from lstm_stream.ingest.shown import shown
from lstm_stream.records import Reason, Rejection

_BASES = {"bn", "bt", "bu", "bv", "bs", "bver"}
_VALUES = {"v", "vs", "vb", "vd", "s"}
_LABELS = _BASES | _VALUES | {"n", "u", "t", "ut"}
_BY_NUMBER = {-1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs", 0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb"}
_BY_NUMBER |= {5: "s", 6: "t", 7: "ut", 8: "vd"}
_NUMBERS = {str(number): label for number, label in _BY_NUMBER.items()}
_RELATIVE = 2**28  # s; times below it count from the arrival
_VERSION = 10


def fits(document: Any) -> bool:
    """Whether a document is a pack of records: a name and a value, and a base name or SenML's labels alone.

    A unit will do for a name, which is then the topic's: [{"u": "Cel", "v": 21.5}].
    """
    if not isinstance(document, list) or not document or not all(isinstance(record, dict) for record in document):
        return False
    records = [_labelled(record) for record in document]
    first = records[0]
    named = not first.keys().isdisjoint(("bn", "n")) or isinstance(first.get("u", first.get("bu")), str)
    valued = any(not record.keys().isdisjoint(_VALUES) for record in records)
    return named and valued and ("bn" in first or all(record.keys() <= _LABELS for record in records))


def _labelled(record: dict[str, Any]) -> dict[str, Any]:
    """The record with the labels of JSON instead of those of CBOR."""
    return {_NUMBERS.get(label, label): value for label, value in record.items()}


def decode(payload: bytes, options: Options) -> list[Sample | Rejection]:
    """The samples of a JSON payload, oldest first."""
    document = json.parse(payload, options.depth)
    return [document] if isinstance(document, Rejection) else from_document(document, options)


class _Record(NamedTuple):
    """A record with its base values applied."""

    device: str | None
    channel: str
    time: float  # s, absolute or relative to the arrival
    value: float | None


def from_document(document: Any, options: Options) -> list[Sample | Rejection]:
    """The samples of a pack, oldest first."""
    if not isinstance(document, list) or not document or not all(isinstance(record, dict) for record in document):
        return [Rejection(Reason.MALFORMED, "not SenML; send an array of records such as {n, u, v, t}")]
    try:
        records = _resolved([_labelled(record) for record in document], options.separator)
        return list(_samples(records, options))
    except ValueError as error:
        return [Rejection(Reason.MALFORMED, f"not SenML: {error}")]


def _resolved(records: list[dict[str, Any]], separator: str) -> list[_Record]:
    base: dict[str, Any] = {}
    nameless: dict[str | None, str | None] = {}  # the unit of a device's first record without a name
    result = []
    for record in records:
        base.update((label, record[label]) for label in _BASES & record.keys())
        _check(record, base)
        if record.keys().isdisjoint(_VALUES) and "bv" not in base and "bs" not in base:
            continue
        device, channel = _whose(_text(base, "bn"), _text(record, "n"))
        if channel == CHANNEL:
            unit = _text(record, "u") or _text(base, "bu") or None
            if nameless.setdefault(device, unit) != unit and unit:
                channel = unit  # RFC 8428, 5.1.4: one name, a position and a humidity
        time = _number(base, "bt") + _number(record, "t")
        result += _measured(record, base, _Record(device, channel, time, None), separator)
    return result


def _measured(record: dict[str, Any], base: dict[str, Any], blank: _Record, separator: str) -> list[_Record]:
    result = []
    if "v" in record or ("bv" in base and record.keys().isdisjoint(_VALUES)):
        result.append(blank._replace(value=as_number(_number(base, "bv") + _number(record, "v"))))
    elif "vb" in record:
        result.append(blank._replace(value=float(record["vb"]) if isinstance(record["vb"], bool) else None))
    if "s" in record:
        total = as_number(_number(base, "bs") + _number(record, "s"))
        result.append(blank._replace(channel=blank.channel + separator + "sum", value=total))
    return result or [blank]


def _check(record: dict[str, Any], base: dict[str, Any]) -> None:
    must = [label for label in record if label.endswith("_")]
    if must:
        raise ValueError(f"the label {shown(must[0])} must be understood, and is not")
    if _number(base, "bver") > _VERSION:
        raise ValueError(f"version {shown(base['bver'])}; versions up to {_VERSION} are known")


def _whose(base: str, name: str) -> tuple[str | None, str]:
    """The device and the channel."""
    if base:
        return base, name or CHANNEL
    return (name, CHANNEL) if name.lower().startswith("urn:") or not name else (None, name)


def _text(record: dict[str, Any], label: str) -> str:
    value = record.get(label, "")
    if not isinstance(value, str):
        raise ValueError(f"{label} is {shown(value)}; it must be text")
    return value


def _number(record: dict[str, Any], label: str) -> float:
    value = record.get(label, 0)
    number = None if isinstance(value, str) else as_number(value)
    if number is None:
        raise ValueError(f"{label} is {shown(value)}; it must be a number")
    return number


def _samples(records: list[_Record], options: Options) -> list[Sample | Rejection]:
    grouped: dict[tuple[str, float], dict[str, float]] = {}
    for record in records:
        values = grouped.setdefault((record.device or "", record.time), {})
        if record.value is not None:
            values[record.channel] = record.value
    ordered = sorted(grouped.items(), key=lambda item: item[0][1])  # stable: devices stay in the order of the pack
    return [_sample(device or None, time, values, options) for (device, time), values in ordered]


def _sample(device: str | None, time: float, values: dict[str, float], options: Options) -> Sample | Rejection:
    names = {"device": device} if device else NO_NAMES
    if abs(time) < _RELATIVE:
        return Sample(None, values, None, device, names, time)
    stamp = read_stamp(time, "bt + t", options, "s")
    return stamp if isinstance(stamp, Rejection) else Sample(stamp.time, values, stamp.place, device, names)

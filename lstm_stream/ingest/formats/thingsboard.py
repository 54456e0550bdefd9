"""ThingsBoard's telemetry, of a device or of a gateway, which names the devices.

{"temperature": 25}                                              now
{"ts": 1451649600512, "values": {"temperature": 25}}             at a time; also an array of such
{"Device A": [{"ts": 1483228800000, "values": {"t": 42}}]}       of a gateway: the device is `Device A`
"""

from __future__ import annotations

from typing import Any

from lstm_stream.ingest.formats import json
from lstm_stream.ingest.formats.sample import NOW, Options, Sample
from lstm_stream.ingest.formats.stamp import read_stamp
from lstm_stream.records import Reason, Rejection


def fits(document: Any) -> bool:
    """Whether a JSON document is this format without doubt: everything in it has its time and its values."""
    if isinstance(document, list):
        return bool(document) and all(map(_is_timed, document))
    if not isinstance(document, dict) or not document:
        return False
    return _is_timed(document) or all(isinstance(rows, list) and fits(rows) for rows in document.values())


def _is_timed(record: Any) -> bool:
    return isinstance(record, dict) and record.keys() == {"ts", "values"} and isinstance(record["values"], dict)


def decode(payload: bytes, options: Options) -> list[Sample | Rejection]:
    """The samples of a payload, in order."""
    document = json.parse(payload, options.depth)
    return [document] if isinstance(document, Rejection) else from_document(document, options)


def from_document(document: Any, options: Options) -> list[Sample | Rejection]:
    """The samples of a device's telemetry, or of a gateway's."""
    if not isinstance(document, (dict, list)):
        return [Rejection(Reason.MALFORMED, "not telemetry of ThingsBoard; send an object, or an array of them")]
    if isinstance(document, dict) and document and all(map(_is_rows, document.values())):
        return [_sample(row, options, device) for device, rows in document.items() for row in rows]
    return [_sample(row, options, None) for row in (document if isinstance(document, list) else [document])]


def _is_rows(rows: Any) -> bool:
    return isinstance(rows, list) and bool(rows) and all(isinstance(row, dict) for row in rows)


def _sample(row: Any, options: Options, device: str | None) -> Sample | Rejection:
    names = {} if device is None else {"device": device}
    if not (isinstance(row, dict) and "ts" in row and isinstance(row.get("values"), dict)):  # or with `metadata`
        plain = json.sample(row, options)
        if isinstance(plain, Rejection):
            return plain
        return plain._replace(device=device, names={**plain.names, **names}, since_arrival=NOW)
    stamp = read_stamp(row["ts"], "ts", options)
    if isinstance(stamp, Rejection):
        return stamp
    return Sample(stamp.time, json.values_of(row["values"], options), stamp.place, device, names)

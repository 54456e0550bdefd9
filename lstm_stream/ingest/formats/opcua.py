"""OPC UA PubSub in JSON (OPC 10000-14, 7.2.5): the messages of data set writers, be they wrapped or alone.

    {"MessageId": "...", "MessageType": "ua-data", "PublisherId": "press", "Messages": [
      {"DataSetWriterId": 7, "Timestamp": "2026-01-31T12:00:00Z", "Payload": {"Temp": {"Value": 21.5}, "Rpm": 900}}]}

The channels are the fields of the payload; those whose status is bad are absent. Where a message is of several writers,
each is a device, publisher/writer. Messages of other types describe or announce something and have no channels.
"""

from __future__ import annotations

from typing import Any

from lstm_stream.ingest.formats import json, tags
from lstm_stream.ingest.formats.sample import Options, Sample
from lstm_stream.ingest.formats.stamp import read_stamp
from lstm_stream.ingest.shown import shown
from lstm_stream.records import Reason, Rejection

_NAMES = ("PublisherId", "WriterGroupName", "DataSetWriterName", "DataSetWriterId")


def fits(document: Any) -> bool:
    """Whether a JSON document is a network message or a single data set message."""
    if not isinstance(document, dict) or ("Payload" not in document and "MessageType" not in document):
        return False
    if str(document.get("MessageType")).startswith("ua-") and "MessageId" in document:
        return True
    return _is_data(document) and not document.keys().isdisjoint(("DataSetWriterId", "DataSetWriterName"))


def _is_data(message: Any) -> bool:
    return isinstance(message, dict) and isinstance(message.get("Payload"), dict)


def decode(payload: bytes, options: Options) -> list[Sample | Rejection]:
    """The samples of a payload, in order."""
    document = json.parse(payload, options.depth)
    return [document] if isinstance(document, Rejection) else from_document(document, options)


def from_document(document: Any, options: Options) -> list[Sample | Rejection]:
    """The samples of a document, in order."""
    if not fits(document):
        return [Rejection(Reason.MALFORMED, "not OPC UA PubSub; an object with MessageType ua-data and Messages is")]
    messages = document.get("Messages", document)
    found = [message for message in (messages if isinstance(messages, list) else [messages]) if _is_data(message)]
    if not found:
        kind = shown(document.get("MessageType"))
        return [Rejection(Reason.NO_CHANNELS, f"a message of the type {kind} without a data set has no values")]
    several = len({_writer(message) for message in found}) > 1
    return [sample for message in found for sample in _samples(document, message, several, options)]


def _samples(
    document: dict[str, Any], message: dict[str, Any], several: bool, options: Options
) -> list[Sample | Rejection]:
    stamp = read_stamp(message.get("Timestamp"), "Timestamp", options)
    if isinstance(stamp, Rejection):
        return [stamp]
    told = {**document, **message}
    names = {name: str(told[name]) for name in _NAMES if isinstance(told.get(name), (str, int))}
    fields = (tags.dated(name, value) for name, value in message["Payload"].items())
    found = tags.samples(fields, stamp, {}, names, options)
    device = "/".join(filter(None, (names.get("PublisherId"), _writer(message)))) if several else None
    return [item if isinstance(item, Rejection) else item._replace(device=device) for item in found]


def _writer(message: dict[str, Any]) -> str:
    return str(message.get("DataSetWriterName", message.get("DataSetWriterId", "")))

"""Envelopes: where the channels are in objects of well-known services, which have much else around them.

{"end_device_ids": {...}, "received_at": "...", "uplink_message": {"decoded_payload": {"temp": 21.5}, ...}}
"""

from __future__ import annotations

from typing import Any

from lstm_stream.ingest.formats import json
from lstm_stream.ingest.formats.text import as_number
from lstm_stream.ingest.labels import is_label

_TTN = "uplink_message.decoded_payload"
_DECODED = ("object", "objectJSON")  # of ChirpStack 4 and 3
_UPLINK = frozenset(
    (
        *("deduplicationId", "time", "deviceInfo", "devAddr", "adr", "dr", "fCnt", "fPort", "confirmed", "data"),
        *("rxInfo", "txInfo", "regionConfigId", "applicationID", "applicationName", "deviceName", "devEUI", "tags"),
        *("deviceProfileID", "deviceProfileName", "confirmedUplink", "publishedAt", "variables", *_DECODED),
    )
)
_SHADOW = frozenset(("state", "metadata", "version", "timestamp", "clientToken"))


def root_of(document: Any) -> str | None:
    """The root, as sources have it, of what is known; None of any other document.

    Known are uplinks of The Things Stack (and Network 2) and ChirpStack, AWS shadows, groups of Neuron, what Tasmota
    answers when asked for its sensors; and one array of objects that have a time each, all different, beside which no
    number might be measured.
    """
    if not isinstance(document, dict) or not any(isinstance(value, (dict, list)) for value in document.values()):
        return None
    keys = document.keys()
    if {"end_device_ids", "uplink_message"} <= keys:
        return _TTN
    if not keys.isdisjoint(("deviceInfo", "devEUI")) and (keys <= _UPLINK or not keys.isdisjoint(_DECODED)):
        return "|".join(_DECODED)
    if keys <= _SHADOW and isinstance(document.get("state"), dict) and "reported" in document["state"]:
        return "state.reported"
    if keys == {"StatusSNS"}:
        return "StatusSNS"
    if {"app_id", "dev_id", "payload_fields"} <= keys:
        return "payload_fields"
    if {"node", "group", "values"} <= keys and isinstance(document["values"], dict):
        return "values"
    return _window(document)


def _window(document: dict[str, Any]) -> str | None:
    """The key of the only array of samples in an object."""
    arrays = [key for key, value in document.items() if isinstance(value, list) and any(map(_is_object, value))]
    if len(arrays) != 1 or not arrays[0].isidentifier():  # a root has its own separators
        return None
    times = [json.time_in(row) if _is_object(row) else None for row in document[arrays[0]]]
    if any(time is None for time in times) or len(set(map(str, times))) < len(times):
        return None
    beside = json.leaves_of({key: value for key, value in document.items() if key != arrays[0]}, ".")
    measured = any(as_number(value) is not None and not is_label(name) for name, value in beside.items())
    return None if measured else arrays[0]


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)

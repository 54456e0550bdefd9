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


def root_of(document: dict[str, Any]) -> str | None:
    """The root, as sources have it, of what is known; None of any other document.

    Known are uplinks of The Things Stack (and Network 2) and ChirpStack, AWS shadows, groups of Neuron, what Tasmota
    answers when asked for its sensors; and one array of objects that have a time each, all different, beside which no
    number might be measured.
    """
    keys = document.keys()
    if "uplink_message" in keys and "end_device_ids" in keys:
        return _TTN
    if ("deviceInfo" in keys or "devEUI" in keys) and (keys <= _UPLINK or not keys.isdisjoint(_DECODED)):
        return "|".join(_DECODED)
    if "state" in keys and keys <= _SHADOW and isinstance(document["state"], dict) and "reported" in document["state"]:
        return "state.reported"
    if "StatusSNS" in keys and len(keys) == 1:
        return "StatusSNS"
    if "payload_fields" in keys and {"app_id", "dev_id"} <= keys:
        return "payload_fields"
    if "values" in keys and {"node", "group"} <= keys and isinstance(document["values"], dict):
        return "values"
    return _window(document)


def _window(document: dict[str, Any]) -> str | None:
    """The key of the only array of samples in an object."""
    arrays = [key for key, value in document.items() if type(value) is list and any(map(_is_object, value))]
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

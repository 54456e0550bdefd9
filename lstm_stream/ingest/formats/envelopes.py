"""Envelopes: where the channels are in objects of well-known services, which have much else around them.

{"end_device_ids": {...}, "received_at": "...", "uplink_message": {"decoded_payload": {"temp": 21.5}, ...}}
"""

from __future__ import annotations

from typing import Any

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
    """The root, as sources have it, of an uplink, an AWS shadow or a group of Neuron; None of any other document."""
    if not isinstance(document, dict) or not any(isinstance(value, (dict, list)) for value in document.values()):
        return None
    keys = document.keys()
    if {"end_device_ids", "uplink_message"} <= keys:
        return _TTN
    if not keys.isdisjoint(("deviceInfo", "devEUI")) and (keys <= _UPLINK or not keys.isdisjoint(_DECODED)):
        return "|".join(_DECODED)
    if keys <= _SHADOW and isinstance(document.get("state"), dict) and "reported" in document["state"]:
        return "state.reported"
    if {"node", "group", "values"} <= keys and isinstance(document["values"], dict):
        return "values"
    return None

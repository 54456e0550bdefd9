"""Devices that say whether they are there: last wills, status topics, births and deaths.

    tele/plug/LWT            Offline
    zigbee2mqtt/door/availability   {"state": "offline"}     -> Presence("door", online=False)
    shellies/plug/online     true

What a message says is taken only where it is certain whose it is and what it says; else there is no presence.
"""

from __future__ import annotations

from typing import Any

from lstm_stream.ingest.formats import json
from lstm_stream.ingest.formats.text import trimmed
from lstm_stream.ingest.routes import Target
from lstm_stream.records import Message, Presence

_ONLINE = frozenset(("online", "on", "true", "1", "connected", "available", "alive", "ready", "up", "awake"))
_OFFLINE = frozenset(
    ("offline", "off", "false", "0", "disconnected", "unavailable", "lost", "sleeping", "asleep", "dead", "down")
)
_KEYS = ("state", "status", "online", "availability", "available", "connected")
_LONGEST = 1000  # bytes
_DEPTH = 4


def told(message: Message, target: Target) -> Presence | None:
    """What a message on an availability topic says of its sensor."""
    online = _said(message.payload)
    return None if online is None else presence(message, target, online)


def presence(message: Message, target: Target, online: bool, below: bool = False) -> Presence | None:
    """That a message's sensor is there, or is not."""
    if target.sensor is None or target.group is None:
        return None
    at = None if message.retain else message.time
    return Presence(target.sensor, target.group, online, at, target.route.source.offline == "mute", below)


def _said(payload: bytes) -> bool | None:
    """Whether a payload says online; None where it says neither."""
    text = trimmed(payload[:_LONGEST])
    if text.startswith(b"{"):
        document = json.parse(text, _DEPTH)
        if not isinstance(document, dict):
            return None
        return next((_meant(document[key]) for key in _KEYS if key in document), None)
    return _meant(text.decode("utf-8", "replace").strip('"'))


def _meant(value: Any) -> bool | None:
    word = str(value).strip().lower()
    return True if word in _ONLINE else False if word in _OFFLINE else None

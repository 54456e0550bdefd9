"""Notifications and answers of Shelly devices of the second generation and later (JSON-RPC).

    {"src": "shellyplus1pm-a8", "method": "NotifyStatus", "params": {"ts": 1631266595.44, "switch:0": {"apower": 8.9}}}

The channels are switch:0.apower and so on; the device is `src`. Other methods tell of events and have no channels.
What a device answers when asked ({"id": 1, "src": "shellyplus1pm-a8", "dst": "me", "result": {"switch:0": {...}}})
is read likewise.
"""

from __future__ import annotations

from typing import Any

from lstm_stream.ingest.formats import json
from lstm_stream.ingest.formats.sample import Options, Sample
from lstm_stream.ingest.formats.stamp import read_stamp
from lstm_stream.ingest.shown import shown
from lstm_stream.records import Reason, Rejection

_STATUS = ("NotifyStatus", "NotifyFullStatus")


def fits(document: Any) -> bool:
    """Whether a JSON document is such a notification."""
    if not isinstance(document, dict):
        return False
    notified = str(document.get("method")).startswith("Notify") and isinstance(document.get("params"), dict)
    return notified or _is_answer(document)


def _is_answer(document: dict[str, Any]) -> bool:
    return {"id", "src", "result"} <= document.keys() <= {"id", "src", "dst", "result"} and isinstance(
        document["result"], dict
    )


def decode(payload: bytes, options: Options) -> list[Sample | Rejection]:
    """The sample of a notification, or of a component's status, which is plain JSON."""
    document = json.parse(payload, options.depth)
    return [document] if isinstance(document, Rejection) else from_document(document, options)


def from_document(document: Any, options: Options) -> list[Sample | Rejection]:
    """The sample of a notification; any other document is read as plain JSON."""
    if not fits(document):
        return json.from_document(document, options)
    answer = _is_answer(document)
    if not answer and document["method"] not in _STATUS:
        return [Rejection(Reason.NO_CHANNELS, f"{shown(document['method'])} tells of an event, not of a status")]
    params = dict(document["result" if answer else "params"])
    stamp = read_stamp(params.pop("ts", None), "params.ts", options)
    if isinstance(stamp, Rejection):
        return [stamp]
    names = {"src": document["src"]} if isinstance(document.get("src"), str) else {}
    return [Sample(stamp.time, json.values_of(params, options), stamp.place, None, names)]

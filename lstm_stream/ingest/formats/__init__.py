"""The formats of payloads, one pure function in one file each, and how to tell them apart."""

from __future__ import annotations

from lstm_stream.ingest.formats import json, value
from lstm_stream.ingest.formats.sample import Format
from lstm_stream.ingest.formats.text import trimmed

FORMATS: dict[str, Format] = {"json": json.decode, "value": value.decode}
"""By the name that a source's `format` gives."""


def recognise(payload: bytes) -> str:
    """The format that `auto` takes a payload for."""
    return "json" if trimmed(payload[:100])[:1] in (b"{", b"[") else "value"

"""What of a message became no channel, and why: for people who ask what becomes of it, not on the way to a verdict."""

from __future__ import annotations

from typing import Any

from lstm_stream.config import Source
from lstm_stream.ingest.channels import Channels
from lstm_stream.ingest.decoder import Explanation
from lstm_stream.ingest.formats import json
from lstm_stream.ingest.formats.text import advice_on, as_number
from lstm_stream.ingest.formats.wrapping import WRAPPED
from lstm_stream.ingest.labels import is_label
from lstm_stream.ingest.shown import printable, shown
from lstm_stream.records import Rejection

_MOST = 12  # that are listed
_LONGEST = 40  # characters of a name
_LABEL = "no measurement by its name (an identifier, version, time, ...); include takes what it names"


def left_out(seen: Explanation, payload: bytes, depth: int) -> dict[str, str]:
    """Why, by name, of what a JSON object holds that is in no sample of the message; of other payloads nothing."""
    source = seen.settings
    if source is None or seen.quiet or not seen.readings or payload.startswith(WRAPPED) or source.root is not None:
        return {}
    document = json.parse(payload, depth) if payload.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{" else None
    if not isinstance(document, dict) or isinstance(document, Rejection):
        return {}
    taken = {name for reading in seen.readings for name in reading.values}
    found: dict[str, str] = {}
    for name, value in json.leaves_of(document, source.separator).items():
        if name != seen.time_source and not _is_taken(name, taken, source.separator):
            found[_named(name)] = _why(name, value, source)
    for name in json.lists_of(document, source.separator):
        if not any(entry.startswith(name) for entry in taken) and seen.format == "json":
            found[_named(name)] = f"an array of objects; root: {_named(name)} makes each of them a sample"
    return dict(list(found.items())[:_MOST])


def _is_taken(name: str, taken: set[str], separator: str) -> bool:
    """Whether a leaf is a channel, perhaps with another beginning."""
    return any(
        channel == name or channel.endswith(separator + name) or name.endswith(separator + channel) for channel in taken
    )


def _named(name: str) -> str:
    return printable(name[:_LONGEST]) + ("..." if len(name) > _LONGEST else "")


def _why(name: str, value: Any, source: Source) -> str:
    if value is None:
        return "null"
    if as_number(value) is None:
        advice = advice_on(value) if isinstance(value, str) else None
        return f"{shown(value)} is no number" + (f"; {advice}" if advice else "")
    if not Channels(source.include, source.exclude).takes(name):
        return "include or exclude leaves it out"
    return _LABEL if is_label(name) else "not of the sample, as its format has it"

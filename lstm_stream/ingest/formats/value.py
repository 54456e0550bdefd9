"""A plain number: `21.5`, `"21.5"`, `ON`, `false`. Its one channel is called `value`."""

from __future__ import annotations

from lstm_stream.ingest.formats.sample import Options, Sample
from lstm_stream.ingest.formats.text import advice_on, as_number, as_said, trimmed
from lstm_stream.ingest.shown import shown
from lstm_stream.records import Reason, Rejection

CHANNEL = "value"
_WORDS = {"on": 1.0, "true": 1.0, "off": 0.0, "false": 0.0}
_ADVICE = "send one, ON, OFF, or JSON, or list what it stands for in the source's words"
_ABSENT = ("unavailable", "unknown", "none", "null", "nan", "n/a", "-", "--")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_AVAILABILITY = ("online", "offline", "connected", "disconnected")


def decode(payload: bytes, options: Options) -> list[Sample | Rejection]:
    """The one sample of a payload that is a number or a word for one."""
    try:
        text = trimmed(payload).decode()
    except UnicodeDecodeError:
        kind = "it is UTF-16" if payload.startswith(_UTF_16) else "it is binary, or in another encoding"
        return [Rejection(Reason.MALFORMED, f"the payload is not text (UTF-8), {kind}; send a number or JSON in UTF-8")]
    if options.time_field is not None and options.time_trusted:
        detail = f"a plain number has no field {shown(options.time_field)}; remove timestamp.field, or send JSON"
        return [Rejection(Reason.BAD_TIMESTAMP, detail)]
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    number = as_number(text)
    if number is None:
        number = as_said(text, options)
    if number is None:
        number = _WORDS.get(text.lower()) if len(text) < 6 else None
    if number is None:
        return [Rejection(Reason.NO_CHANNELS, f"{shown(text)} is not a finite number{_advice(text)}")]
    return [Sample(None, {CHANNEL: number})]


def _advice(text: str) -> str:
    if text.lower() in _AVAILABILITY:
        return "; send one, ON, OFF, or JSON; does it tell whether a device is there? List the topic in availability"
    if text.lower() in _ABSENT:
        return "; it says that there is no value"
    if not text:
        return "; it is empty, which clears a retained message"
    return f"; {advice_on(text) or _ADVICE}"

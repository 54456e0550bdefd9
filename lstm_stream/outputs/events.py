"""Anomaly events as the world reads them: one JSON object each. docs/events.md is the reference.

The payload (UTF-8 JSON, schema 1; consumers must ignore keys they do not know):

    schema          int     1; rises when a key changes its meaning or goes away
    version         str     of lstm_stream
    id              str     derived from the cause: a repeated delivery carries the same id
    sensor, group   str     the sensor's own name, not the sanitised one of the topic
    state           str     opened | closed
    view            str     forecast | burst | level | surprise | shape | clock | drift | range | stuck | silence
    severity        str     info | warning | critical
    reason          str     a sentence for a technician
    opened          str     data time, ISO 8601 UTC with milliseconds: 2026-11-21T06:32:46.120Z
    opened_unix     float   the same in unix seconds
    closed          str     data time; null while the alarm is open
    closed_unix     float   null while the alarm is open
    processed       str     wall clock of the daemon when it made this message
    processed_unix  float
    score           float   -log10 of the tail probability: at opening, and at closing the peak
    threshold       float   the score at which the alarm budget is spent
    generation      int     of the weights that made the forecast
    maintenance     str     name of the maintenance window in which it opened; null: in none
    channels        object  channel name -> {actual, expected, lower, upper, contribution}

JSON knows no NaN and no infinity: what is not a finite number is null.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import orjson

from lstm_stream.config.outlets import Severity
from lstm_stream.iso8601 import stamp
from lstm_stream.outputs.severity import severity_of
from lstm_stream.records import ChannelEvidence, Event

SCHEMA = 1

_USUAL = Severity()

_LEVEL_LENGTH = 100  # characters a name may take of a topic: 65,535 bytes hold as many as a template can name

# Wildcards, the level separator, and what MQTT 1.5.4 forbids or lets a broker refuse: control characters,
# surrogates and non-characters: mosquitto drops who sends one. A first $ belongs to the broker.
_NON_CHARACTERS = "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
_UNFIT = re.compile("^\\$|[+#/\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef" + _NON_CHARACTERS + "]")
_CHANGED = re.compile("~[0-9a-f]{8}$")  # what a changed name ends in


def to_json(
    event: Event, processed: float, version: str, rule: Severity = _USUAL, maintenance: str | None = None
) -> bytes:
    """The payload described above. `processed` is wall-clock unix seconds; `version` that of lstm_stream."""
    return dumps(to_document(event, processed, version, rule, maintenance))


def to_document(
    event: Event, processed: float, version: str, rule: Severity = _USUAL, maintenance: str | None = None
) -> dict[str, Any]:
    """The same before it is JSON; a number may still be NaN."""
    return {
        "schema": SCHEMA,
        "version": version,
        "id": text(event.id),
        "sensor": text(event.sensor),
        "group": text(event.group),
        "state": event.state,
        "view": event.view,
        "severity": severity_of(event, rule),
        "reason": text(event.reason),
        "opened": iso(event.opened),
        "opened_unix": event.opened,
        "closed": iso(event.closed),
        "closed_unix": event.closed,
        "processed": iso(processed),
        "processed_unix": processed,
        "score": event.score,
        "threshold": event.threshold,
        "generation": event.generation,
        "maintenance": None if maintenance is None else text(maintenance),
        "channels": evidence(event),
    }


def evidence(event: Event) -> dict[str, dict[str, float | None]]:
    """What each channel showed."""
    return {text(name): _channel(shown) for name, shown in event.channels.items()}


def dumps(document: object) -> bytes:
    """JSON; what is not a finite number is null."""
    written = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return bytes(memoryview(written))  # a copy: orjson's own keeps 8 KB of memory for as long as it waits


def topic_for(template: str, event: Event) -> str:
    """The topic an event goes to, of a template that config accepts. It can be published whatever the sensor is called.

    What must not stand in a topic, and `/`, becomes `_`; of a name 100 characters are kept: the payload has it whole.
    A name that was changed ends in `~` and eight digits made of the whole name: no two names have one topic.
    """
    return template.format(sensor=level(event.sensor), group=level(event.group))


def level(name: str) -> str:
    """A name as one level of a topic; different names give different levels."""
    fit = _UNFIT.sub("_", name[:_LEVEL_LENGTH])
    if fit == name and name and not _CHANGED.search(name):
        return name
    return f"{fit}~{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _channel(evidence: ChannelEvidence) -> dict[str, float | None]:
    return {
        "actual": evidence.actual,
        "expected": evidence.expected,
        "lower": evidence.lower,
        "upper": evidence.upper,
        "contribution": evidence.contribution,
    }


def iso(seconds: float | None) -> str | None:
    """ISO 8601 UTC with milliseconds; None where there is no time or the calendar has no such day."""
    if seconds is None:
        return None
    try:
        return stamp(seconds)
    except (ValueError, OverflowError, OSError):
        return None


def text(text: str) -> str:
    """Lone surrogates, which no UTF-8 can carry, become `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")

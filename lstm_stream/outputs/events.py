"""Anomaly events as the world reads them: one JSON object on one MQTT topic.

The payload (UTF-8 JSON, schema 1; consumers must ignore keys they do not know):

    schema          int     1; rises when a key changes its meaning or goes away
    version         str     of lstm_stream
    id              str     derived from the cause: a repeated delivery carries the same id
    sensor, group   str     the sensor's own name, not the sanitised one of the topic
    state           str     opened | closed
    view            str     forecast | burst | level | surprise | shape | clock | range | stuck | silence
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
    channels        object  channel name -> {actual, expected, lower, upper, contribution}

JSON knows no NaN and no infinity: what is not a finite number is null.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone

import orjson

from lstm_stream.records import ChannelEvidence, Event

SCHEMA = 1

_LEVEL_LENGTH = 100  # characters a name may take of a topic: 65,535 bytes hold as many as a template can name

# Wildcards, the level separator, and what MQTT 1.5.4 forbids or lets a broker refuse: control characters,
# surrogates and non-characters. mosquitto drops the connection of a client that sends one of them.
_NON_CHARACTERS = "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
_UNFIT = re.compile("[+#/\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef" + _NON_CHARACTERS + "]")


def to_json(event: Event, processed: float, version: str) -> bytes:
    """The payload described above. `processed` is wall-clock unix seconds; `version` that of lstm_stream."""
    document = {
        "schema": SCHEMA,
        "version": version,
        "id": _text(event.id),
        "sensor": _text(event.sensor),
        "group": _text(event.group),
        "state": event.state,
        "view": event.view,
        "reason": _text(event.reason),
        "opened": _iso(event.opened),
        "opened_unix": event.opened,
        "closed": _iso(event.closed),
        "closed_unix": event.closed,
        "processed": _iso(processed),
        "processed_unix": processed,
        "score": event.score,
        "threshold": event.threshold,
        "generation": event.generation,
        "channels": {_text(name): _channel(evidence) for name, evidence in event.channels.items()},
    }
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)  # writes NaN and infinities as null


def topic_for(template: str, event: Event) -> str:
    """The topic an event goes to, of a template that config accepts. It can be published whatever the sensor is called.

    What must not stand in a topic, and `/`, becomes `_`; of a name 100 characters are kept: the payload has it whole.
    """
    topic = template.format(sensor=_level(event.sensor), group=_level(event.group))
    return "_" + topic[1:] if topic.startswith("$") else topic


def _level(name: str) -> str:
    return _UNFIT.sub("_", name[:_LEVEL_LENGTH]) or "_"


def _channel(evidence: ChannelEvidence) -> dict[str, float | None]:
    return {
        "actual": evidence.actual,
        "expected": evidence.expected,
        "lower": evidence.lower,
        "upper": evidence.upper,
        "contribution": evidence.contribution,
    }


def _iso(seconds: float | None) -> str | None:
    """ISO 8601 UTC with milliseconds; None where there is no time or the calendar has no such day."""
    if seconds is None:
        return None
    try:
        moment = datetime.fromtimestamp(seconds, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(text: str) -> str:
    """Lone surrogates, which no UTF-8 can carry, become `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")

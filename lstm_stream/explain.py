"""What would become of one message, told to a person or as JSON. Uses the daemon's own decoder."""

from __future__ import annotations

import json
from typing import Any

from lstm_stream.config import Config
from lstm_stream.ingest.decoder import Decoder, Explanation
from lstm_stream.ingest.leftover import left_out
from lstm_stream.ingest.shown import printable
from lstm_stream.iso8601 import stamp
from lstm_stream.records import Message, Reading

_QUIET = {
    "availability": "nothing to score: it tells whether a device is there",
    "ignored": "nothing to score: the source ignores the topic",
    "description": "nothing to score: a level of the topic that begins with $ describes something and names nothing",
}


def explain(config: Config, topic: str, payload: bytes, now: float) -> Explanation:
    """The fate of a message that arrives at `now` (unix s). Never raises."""
    explanation = Decoder(config.sources, config.limits, config.groups).explain(Message(topic, payload, now))
    explanation.left_out = left_out(explanation, payload, config.limits.depth)
    return explanation


def to_json(explanation: Explanation) -> str:
    """One JSON object: topic, source, sensor, group, format, quiet, online, time_source, readings, left_out, ..."""
    document: dict[str, Any] = {
        "topic": explanation.topic,
        "source": explanation.source,
        "sensor": explanation.sensor,
        "group": explanation.group,
        "format": explanation.format,
        "quiet": explanation.quiet,
        "online": explanation.presence and explanation.presence.online,
        "time_source": explanation.time_source,
        "readings": [
            {
                **_whose(reading, explanation),
                "time": reading.time,
                "time_iso": stamp(reading.time),
                "values": reading.values,
            }
            for reading in explanation.readings
        ],
        "left_out": explanation.left_out,
        "rejections": [
            {"reason": rejection.reason.value, "detail": rejection.detail} for rejection in explanation.rejections
        ],
    }
    return json.dumps(document, indent=2)


def _whose(reading: Reading, explanation: Explanation) -> dict[str, str]:
    """The sensor of a reading, where the message has samples of several."""
    return {} if reading.sensor == explanation.sensor else {"sensor": reading.sensor}


def to_text(explanation: Explanation) -> str:
    """Lines of `what  value`, ending with the outcome."""
    facts = {
        "topic": explanation.topic,
        "source": explanation.source,
        "sensor": explanation.sensor,
        "group": explanation.group,
        "format": explanation.format,
        "time": _time_source(explanation),
    }
    lines = [(name, value) for name, value in facts.items() if value is not None]
    for reading in explanation.readings:
        of = "" if reading.sensor == explanation.sensor else f" of {reading.sensor}"
        lines.append(("sample", stamp(reading.time) + of))
        lines += [("", channel) for channel in _channels(reading)]
    lines += [("left out", f"{name}: {why}") for name, why in explanation.left_out.items()]
    lines += [("rejected", f"{rejection.reason.value}: {rejection.detail}") for rejection in explanation.rejections]
    lines.append(("outcome", _outcome(explanation)))
    return "\n".join(f"{name:<10}{printable(value)}" for name, value in lines)


def _channels(reading: Reading) -> list[str]:
    width = max(map(len, reading.values), default=0)
    return [f"{name:<{width}} = {value!r}" for name, value in reading.values.items()]


def _time_source(explanation: Explanation) -> str | None:
    if explanation.time_source in (None, "arrival"):
        trusted = explanation.settings is None or explanation.settings.timestamp.trust
        why = "the payload has none" if trusted else "that of the payload is not trusted (timestamp.trust)"
        return explanation.time_source and f"of arrival; {why}"
    return f"from {explanation.time_source} in the payload"


def _state(explanation: Explanation) -> str | None:
    """What the device says of itself."""
    if explanation.presence is None:
        return None
    return "is online" if explanation.presence.online else "is offline"


def _outcome(explanation: Explanation) -> str:
    if explanation.quiet is not None:
        return _QUIET[explanation.quiet] + (f", and this one {state}" if (state := _state(explanation)) else "")
    samples, rejections = len(explanation.readings), len(explanation.rejections)
    scored = f"{samples} sample{'s' * (samples != 1)} to score" if samples else "nothing to score"
    return scored + (f", {rejections} rejected" if rejections else "") + _alike(explanation) + _later(explanation)


def _alike(explanation: Explanation) -> str:
    """What becomes of samples that say they are the same one."""
    told = {(reading.group, reading.sensor, reading.time) for reading in explanation.readings}
    if len(told) == len(explanation.readings):
        return ""
    return "; of those of one sensor and time the first counts (name in sensor or channel what tells them apart)"


def _later(explanation: Explanation) -> str:
    """What the source's settings do with the samples, which takes more messages than one."""
    source = explanation.settings
    if source is None or not explanation.readings:
        return ""
    joined = ""
    if source.resample:
        joined = f"; averaged with others of the sensor every {source.resample:g} s (resample)"
    elif source.join:
        joined = f"; joined with others of the sensor within {source.join:g} s (join)"
    return joined + ("; counters become rates" if source.counters else "")

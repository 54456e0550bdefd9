"""What one value in a configuration may look like: durations, alarm budgets, topics, hosts.

An error's text reads `what is wrong; what would be right`. It never repeats a value that may be a secret.
"""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, Strict, WithJsonSchema

WEEK = 7 * 86400.0
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": WEEK}
_PERIODS = {"hour": 3600.0, "day": 86400.0, "week": WEEK, "month": 365.25 * 86400 / 12, "year": 365.25 * 86400}
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_DURATION = rf"\s*({_NUMBER})\s*(ms|s|m|min|h|d|w)\s*"
_BUDGET = rf"\s*({_NUMBER})\s+per\s+sensor\s+per\s+(hour|day|week|month|year)\s*"
_LONGEST = 100 * _PERIODS["year"]  # beyond it the operating system's timers overflow
_TOPIC_BYTES, _TOPIC_LEVELS = 1000, 100  # MQTT allows 65,535 bytes, mosquitto refuses more than 200 levels
_NAME = r"\{([A-Za-z_][A-Za-z0-9_]*)\}"
_LEVEL = r"\{[A-Za-z_][A-Za-z0-9_]*#?\}"
_PAYLOAD = "payload."
EVENT_NAMES = ("sensor", "group")  # what an event topic may contain in braces


def parse_duration(value: object) -> object:
    """Seconds from a number or text such as `90 s`, `5m`, `2 h`, `7d`."""
    match = re.fullmatch(_DURATION, value) if isinstance(value, str) else None
    if match:
        value = float(match[1]) * _UNITS[match[2]]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("is not a duration; write seconds, or a number with ms, s, m, h, d or w, such as 5m")
    if not value <= _LONGEST:
        raise ValueError("is too long a duration; write at most 100 years")
    return value


def format_duration(seconds: float) -> str:
    """Text that parse_duration reads back as the same number of seconds, in the largest unit that makes it whole."""
    for unit, length in (("w", WEEK), ("d", 86400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 1e-3)):
        count = round(seconds / length)
        if count and count * length == seconds:
            return f"{count}{unit}"
    return f"{_plain(seconds)}s"


def parse_budget(value: object) -> object:
    """False alarms per sensor and second from text such as `1 per sensor per week`."""
    match = re.fullmatch(_BUDGET, value) if isinstance(value, str) else None
    rate = float(match[1]) / _PERIODS[match[2]] if match else 0.0
    if not 0 < rate <= 1:  # more than one a second is no alarm
        raise ValueError("is not an alarm budget; write for example: 1 per sensor per week (or hour, day, month, year)")
    return rate


def format_budget(rate: float) -> str:
    """The text of a budget given in false alarms per sensor and second: the period with the smallest whole number."""
    counts = {period: rate * length for period, length in _PERIODS.items()}
    whole = [(round(n), period) for period, n in counts.items() if n > 0.5 and abs(n - round(n)) < 1e-9 * n]
    if whole:
        count, period = min(whole)
        return f"{count} per sensor per {period}"
    return f"{_plain(counts['week'])} per sensor per week"


def topic_levels(pattern: str) -> tuple[str, ...]:
    """The levels of a topic pattern; ValueError says what is wrong with it and what would be right.

    A level is plain text, a name in braces such as {sensor}, `+` (any text) or, the last one, `#` (all that follows).
    One name may end in #, such as {path#}: it takes one level or more.
    """
    _check_topic_text(pattern)
    if pattern.startswith("$share/"):
        raise ValueError("is a shared subscription, which tears a sensor's samples apart; subscribe to disjoint topics")
    levels = tuple(pattern.split("/"))
    for number, level in enumerate(levels, 1):
        if level == "#" and number < len(levels):
            raise ValueError("has levels after #, which stands for all that follows; make # the last level")
        if level not in ("+", "#"):
            _check_level(level)
    names = [name for level in levels if (name := level_name(level))]
    if len(set(names)) < len(names):
        raise ValueError("names two levels alike; give each its own name, or write + for a level that needs none")
    if pattern.count("#") > 1:
        raise ValueError("has two parts of any length (#), which leaves open where one ends; keep one of them")
    return levels


def level_name(level: str) -> str | None:
    """The name of a level such as {sensor} or {path#}; None where it has none."""
    return level[1:-1].removesuffix("#") if level.startswith("{") else None


def _check_level(level: str) -> None:
    if re.fullmatch(_LEVEL, level):
        return
    if "+" in level or "#" in level:
        raise ValueError(f"mixes a wildcard with text in {level!r}; + and # stand alone between slashes")
    if "{" in level or "}" in level:
        raise ValueError(
            f"has the level {level!r}; a name is a whole level of letters, digits and _, such as {{sensor}}"
        )


def _check_topic_text(topic: str) -> None:
    if not topic:
        raise ValueError("is empty; write for example plant/{site}/{sensor}/telemetry")
    if re.search("[\x00-\x1f\x7f-\x9f\ud800-\udfff]", topic):
        raise ValueError("contains a control character; write plain text between slashes")
    if len(topic.encode()) > _TOPIC_BYTES or topic.count("/") >= _TOPIC_LEVELS:
        raise ValueError(f"is too long for MQTT; write at most {_TOPIC_BYTES} bytes in at most {_TOPIC_LEVELS} levels")


def template_names(template: str) -> tuple[str, ...]:
    """The names in braces of a template such as `{site}-{sensor}`; ValueError where a brace stands alone."""
    if re.search(r"[{}]", re.sub(_NAME, "", template)):
        raise ValueError("has a brace that is not part of a name; write names like {sensor}")
    return tuple(re.findall(_NAME, template))


class Part(NamedTuple):
    """A piece of a template: plain text, or a choice of names of which the first that is there counts."""

    text: str = ""
    names: tuple[str, ...] = ()  # a topic's levels, or payload.FIELD


def template_parts(template: str) -> tuple[Part, ...]:
    """The pieces of a template such as `{site}-{payload.id|sensor}`; ValueError says what would be right."""
    pieces = re.split(r"\{([^{}]*)\}", template)
    if any("{" in text or "}" in text for text in pieces[::2]):
        raise ValueError("has a brace that is not part of a name; write names like {sensor} or {payload.id}")
    parts = []
    for text, choice in zip_longest(pieces[::2], pieces[1::2]):
        if text:
            parts.append(Part(text))
        if choice is not None:
            parts.append(Part(names=tuple(map(_template_name, choice.split("|")))))
    return tuple(parts)


def _template_name(name: str) -> str:
    if re.fullmatch(_NAME, f"{{{name}}}") or (name.startswith(_PAYLOAD) and name != _PAYLOAD and name.isprintable()):
        return name
    raise ValueError("has a brace that is not part of a name; write names like {sensor} or {payload.id}")


def _publish_topic(topic: str) -> str:
    _check_topic_text(topic)
    if "+" in topic or "#" in topic:
        raise ValueError("has a wildcard, and nothing can be published to one; write a plain topic")
    if topic.startswith("$"):
        raise ValueError("begins with $, which belongs to the broker; begin with a name of your own")
    return topic


def _event_topic(topic: str) -> str:
    for name in template_names(_publish_topic(topic)):
        if name not in EVENT_NAMES:
            raise ValueError(
                f"has the unknown name {{{name}}}; the names are " + " and ".join(map("{{{}}}".format, EVENT_NAMES))
            )
    return topic


def _status_topic(topic: str) -> str:
    if template_names(_publish_topic(topic)):
        raise ValueError("has a name in braces, but there is one status for all sensors; write a plain topic")
    return topic


def _topic_patterns(value: object) -> object:
    patterns = (value,) if isinstance(value, str) else value
    if not isinstance(patterns, (list, tuple)) or not all(isinstance(pattern, str) for pattern in patterns):
        raise ValueError("is not text; write a topic such as plant/{site}/{sensor}/telemetry, or a list of them")
    if not patterns:
        raise ValueError("is an empty list; write at least one topic, or remove the key")
    for pattern in patterns:
        topic_levels(pattern)
    return value if isinstance(value, str) else tuple(patterns)


def _template(template: str) -> str:
    template_parts(template)
    return template


def _patterns(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        topic_levels(pattern)
    return patterns


def _host(host: str) -> str:
    # The value is not repeated: people paste mqtt://user:password@host here.
    if re.search(r"[/@\[\]]", host) or host.count(":") == 1:
        raise ValueError("is more than a host name; write the name or address alone, port and user have their own keys")
    if not re.fullmatch(r"[^\s\x00-\x1f]{1,255}", host):
        raise ValueError("is not a host name; write a name or an address such as broker.example.com or 192.168.1.5")
    return host


def _environment_name(name: str) -> str:
    # The value is not repeated: people write the password itself here.
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("is not the name of an environment variable; write its name, such as MQTT_PASSWORD")
    return name


def _no_bool(value: object) -> object:
    # Python takes true for 1, a reader of the file does not: as text it fits no number.
    return str(value).lower() if isinstance(value, bool) else value


def _not_empty(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise ValueError("is an empty list; write at least one entry, or remove the key")
    return values


def _protocol(value: object) -> object:
    return str(value) if type(value) is int else value  # YAML reads 5 as a number


def _version(value: object) -> object:
    return str(value) if type(value) is float else value  # YAML reads 1.2 as a number


def _plain(number: float) -> str:
    """The shortest text that reads back as the same number, without an exponent."""
    return f"{Decimal(repr(number)):f}"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": f"^{_DURATION}$"}]}),
]
Budget = Annotated[
    float,
    BeforeValidator(parse_budget),
    PlainSerializer(format_budget, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": f"^{_BUDGET}$", "examples": ["1 per sensor per week"]}),
]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], Strict(False)]
SomeTexts = Annotated[Texts, AfterValidator(_not_empty)]
File = Annotated[Path, Strict(False)]
Number = BeforeValidator(_no_bool)
Host = Annotated[str, AfterValidator(_host)]
EnvironmentName = Annotated[str, AfterValidator(_environment_name)]
TopicPatterns = Annotated[
    str | tuple[str, ...],
    BeforeValidator(_topic_patterns),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
Patterns = Annotated[Texts, AfterValidator(_patterns)]
Template = Annotated[str, Field(min_length=1), AfterValidator(_template)]
EventTopic = Annotated[str, AfterValidator(_event_topic)]
StatusTopic = Annotated[str, AfterValidator(_status_topic)]
Protocol = Annotated[Literal["3.1.1", "5"], BeforeValidator(_protocol), WithJsonSchema({"enum": ["3.1.1", "5", 5]})]
TlsVersion = Annotated[
    Literal["1.2", "1.3"], BeforeValidator(_version), WithJsonSchema({"enum": ["1.2", "1.3", 1.2, 1.3]})
]

"""Topics: which messages a source takes, and whose they are.

    pattern   plant/{site}/{sensor}/telemetry      filter   plant/+/+/telemetry
    topic     plant/oslo/pump-7/telemetry          levels   {"site": "oslo", "sensor": "pump-7"}

`{name}` takes exactly one level that is not empty, `{name#}` one or more (the first of a pattern also takes a slash
before them: /plant/pump), `+` one level that may be empty, a trailing `#` all that follow. As MQTT has it, a pattern
that begins with one of them does not take topics that begin with `$`. What follows a `{name#}` is not subscribed to
alone, but with all that begins as the pattern does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from types import MappingProxyType

from lstm_stream.config import Source, level_name, topic_levels

_NONE: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class Pattern:
    """A topic pattern with named levels."""

    text: str
    filter: str  # what to subscribe to
    _expression: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """The pattern written as `text`; ValueError says what is wrong with it and what would be right."""
        levels = topic_levels(text)
        return cls(text, _filter(levels), re.compile(_expression(levels), re.DOTALL))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its levels, in order."""
        return tuple(self._expression.groupindex)

    def match(self, topic: str) -> dict[str, str] | None:
        """The named levels of a topic; None where the pattern does not take it."""
        match = self._expression.fullmatch(topic)
        return match.groupdict() if match else None


def _filter(levels: tuple[str, ...]) -> str:
    """What MQTT can say of a pattern: at least what the pattern takes."""
    result: list[str] = []
    for level in levels:
        if level.endswith("#}"):
            return "/".join([*result, "#"])
        result.append("+" if level_name(level) else level)
    return "/".join(result)


def _expression(levels: tuple[str, ...]) -> str:
    """The regular expression of a whole topic."""
    tail = levels[-1] == "#"
    expression = "/".join(map(_level_expression, levels[:-1] if tail else levels))
    if levels[0].endswith("#}"):
        expression = expression.replace(">", ">/?", 1)  # /plant/pump: an empty level, then others
    if tail:
        expression += "(?:/.*)?" if len(levels) > 1 else ".*"  # sport/# takes sport as well
    wild = levels[0].startswith(("{", "+", "#"))
    return (r"(?!\$|\Z)" if wild else r"(?!\Z)") + expression


def _level_expression(level: str) -> str:
    if level == "+":
        return "[^/]*"
    name = level_name(level)
    if name is None:
        return re.escape(level)
    return f"(?P<{name}>[^/]+(?:/[^/]+)*)" if level.endswith("#}") else f"(?P<{name}>[^/]+)"


def covers(wide: str, narrow: str) -> bool:
    """Whether the MQTT filter `wide` takes every topic that the filter `narrow` takes."""
    if wide[0] in "+#" and narrow.startswith("$"):
        return False
    levels, others = wide.split("/"), narrow.split("/")
    for level, other in zip_longest(levels, others):
        if level == "#":
            return True
        if other in (None, "#") or level not in ("+", other):
            return False
    return True


def subscriptions(sources: Sequence[Source], further: Mapping[str, int] = _NONE) -> dict[str, int]:
    """The filters to subscribe to and their QoS, with `further` ones.

    A filter within a wider one is left out, and lends that its QoS: where both are subscribed to, brokers deliver a
    message twice (mosquitto with MQTT 5) or with the lower QoS (mosquitto with 3.1.1).
    """
    asked: list[tuple[str, int]] = [
        (Pattern.parse(topic).filter, source.qos)
        for source in sources
        for topic in (*source.topics, *source.availability)
    ]
    asked += further.items()
    wide = [topic for topic, _ in asked if not any(topic != other and covers(other, topic) for other, _ in asked)]
    return {topic: max(qos for other, qos in asked if covers(topic, other)) for topic in wide}

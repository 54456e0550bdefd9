"""Topics: which messages a source takes, and whose they are.

    pattern   plant/{site}/{sensor}/telemetry      filter   plant/+/+/telemetry
    topic     plant/oslo/pump-7/telemetry          levels   {"site": "oslo", "sensor": "pump-7"}
    template  {site}-{sensor}                      sensor   oslo-pump-7

`{name}` takes exactly one level that is not empty, `+` one level that may be, a trailing `#` all that follow.
As MQTT has it, a pattern that begins with one of them does not take topics that begin with `$`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import zip_longest

from lstm_stream.config import template_names, topic_levels
from lstm_stream.ingest.shown import shown

LONGEST_NAME = 256  # characters of a sensor's or a channel's name


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
        mqtt_filter = "/".join("+" if level.startswith("{") else level for level in levels)
        return cls(text, mqtt_filter, re.compile(_expression(levels), re.DOTALL))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its levels, in order."""
        return tuple(self._expression.groupindex)

    def match(self, topic: str) -> dict[str, str] | None:
        """The named levels of a topic; None where the pattern does not take it."""
        match = self._expression.fullmatch(topic)
        return match.groupdict() if match else None


def _expression(levels: tuple[str, ...]) -> str:
    """The regular expression of a whole topic."""
    tail = levels[-1] == "#"
    expression = "/".join(map(_level_expression, levels[:-1] if tail else levels))
    if tail:
        expression += "(?:/.*)?" if len(levels) > 1 else ".*"  # sport/# takes sport as well
    wild = levels[0].startswith(("{", "+", "#"))
    return (r"(?!\$|\Z)" if wild else r"(?!\Z)") + expression


def _level_expression(level: str) -> str:
    if level == "+":
        return "[^/]*"
    return f"(?P<{level[1:-1]}>[^/]+)" if level.startswith("{") else re.escape(level)


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


@dataclass(frozen=True)
class SensorName:
    """A template such as `{site}-{sensor}` that makes a sensor's name of a topic's levels."""

    template: str

    @classmethod
    def parse(cls, template: str, levels: Collection[str]) -> SensorName:
        """The template, which may use the names in `levels`; ValueError says what would be right."""
        for name in template_names(template):
            if name not in levels:
                known = ", ".join(map("{{{}}}".format, levels)) or "no names at all"
                raise ValueError(f"uses {{{name}}}, which the topic does not name; it names {known}")
        return cls(template)

    def render(self, levels: Mapping[str, str]) -> str:
        """The sensor's name; ValueError where it is empty, too long or not printable."""
        return check_name(self.template.format_map(levels))


def check_name(name: str) -> str:
    """A sensor's name as it is; ValueError says why it cannot be one."""
    if not name:
        raise ValueError("the sensor's name is empty; a topic level that makes it must not be")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"the sensor's name {shown(name)} is longer than {LONGEST_NAME} characters")
    if not name.isprintable():
        raise ValueError(f"the sensor's name {shown(name)} has characters that cannot be printed; use plain text")
    return name

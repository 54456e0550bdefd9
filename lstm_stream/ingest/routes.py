"""Which source takes a topic, and whose its messages are.

Rules:
1. Sources are tried in the order of the configuration, their topics in theirs; the first that fits decides, unless its
   source ignores the topic.
2. A topic that tells availability, or that all who take it ignore, has no samples and is no error. Nor has one of
   which a level that begins with $ would name something: those are descriptions, such as Homie's attributes.
3. Where a source has one topic without {channel} that fits and a later one with it, plain values go by the latter.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from lstm_stream.config import Limits, Source
from lstm_stream.ingest.channels import Channels
from lstm_stream.ingest.formats.sample import NO_NAMES, Options
from lstm_stream.ingest.groups import Groups
from lstm_stream.ingest.names import Template, check_name
from lstm_stream.ingest.shown import shown
from lstm_stream.ingest.sparkplug import Address
from lstm_stream.ingest.topics import Pattern
from lstm_stream.records import Reason, Rejection


class Route(NamedTuple):
    """A source, ready for use."""

    source: Source
    format: str
    groups: Groups
    patterns: tuple[Pattern, ...]
    availability: tuple[Pattern, ...]
    ignored: Channels
    sensor: Template
    channel: Template | None
    channels: Channels
    options: Options


class Target(NamedTuple):
    """Where the messages of one topic go."""

    route: Route
    pattern: str
    levels: dict[str, str]
    sensor: str | None = None  # None: the payload tells
    channel: str | None = None  # what names of channels begin with, where the payload does not tell
    edge: Address | None = None  # of Sparkplug
    group: str | None = None  # None: the payload tells
    plain: Target | None = None  # instead of this one, for messages that are a plain value
    quiet: str | None = None  # why its messages are neither samples nor errors: availability, ignored, description


class Routes:
    """The sources, ready for use."""

    def __init__(self, sources: Sequence[Source], limits: Limits, groups: Collection[str] | None = None) -> None:
        self._routes = [_route(source, limits, Groups(source.group, groups)) for source in sources]

    def find(self, topic: str) -> Target | Rejection:
        """Where the messages of a topic go, or why nowhere."""
        ignored: Target | None = None
        for route in self._routes:
            quiet, levels = _first_match(route.availability, topic)
            if quiet is not None:
                return _quiet(route, quiet, levels, "availability")
            pattern, levels = _first_match(route.patterns, topic)
            if route.ignored.takes(topic):
                ignored = ignored or _quiet(route, pattern or route.patterns[0], levels, "ignored")
            elif pattern is not None and any("/$" in f"/{level}" for level in levels.values()):
                return _quiet(route, pattern, levels, "description")
            elif pattern is not None:
                try:
                    return _target(route, pattern, levels, topic)
                except ValueError as error:
                    return Rejection(Reason.BAD_SENSOR, str(error), topic)
        return ignored or Rejection(Reason.UNKNOWN_TOPIC, self._unknown(topic), topic)

    def _unknown(self, topic: str) -> str:
        every = [pattern.text for route in self._routes for pattern in route.patterns]
        patterns, more = ", ".join(every[:5]), ", ..." if len(every) > 5 else ""
        if topic.startswith("/") and len(topic) > 1 and not isinstance(self.find(topic[1:]), Rejection):
            return f"{shown(topic)} begins with an empty level, which a source takes as topic: /... or {{name#}}"
        kept = "a kept session holds subscriptions of earlier configurations until one start with clean_session: true"
        return f"{shown(topic)} matches no source; the sources take {patterns}{more} ({kept})"


def _route(source: Source, limits: Limits, groups: Groups) -> Route:
    sensor = Template.parse(source.sensor or "{sensor}")
    patterns = tuple(map(Pattern.parse, source.topics))
    by_topic = any("channel" in pattern.names for pattern in patterns)
    channel = Template.parse(source.channel or "{channel}") if source.channel or by_topic else None
    stamp = source.timestamp
    options = Options(
        source.separator,
        stamp.field,
        stamp.unit,
        limits.depth,
        stamp.trust,
        source.root,
        (*sensor.fields, *(channel.fields if channel else ()), *groups.fields),
        {word.strip().lower(): number for word, number in source.words.items()},
        stamp.tzinfo,
        source.units,
        source.decimal_comma,
        limits.payload_bytes,
    )
    availability = tuple(map(Pattern.parse, source.availability))
    ignored = Channels(source.ignore, ())
    channels = Channels(source.include, source.exclude)
    return Route(source, source.format, groups, patterns, availability, ignored, sensor, channel, channels, options)


def _first_match(patterns: tuple[Pattern, ...], topic: str) -> tuple[Pattern | None, dict[str, str]]:
    for pattern in patterns:
        levels = pattern.match(topic)
        if levels is not None:
            return pattern, levels
    return None, {}


def _target(route: Route, pattern: Pattern, levels: dict[str, str], topic: str) -> Target:
    """Where the messages of a topic go; ValueError where it makes no name."""
    sensor = None if route.sensor.fields else check_name(route.sensor.render(levels, NO_NAMES))
    channel = None
    if route.channel is not None and not route.channel.fields:
        by_topic = route.source.channel is not None or "channel" in levels
        channel = route.channel.render(levels, NO_NAMES) if by_topic else ""
    edge = Address.parse(topic) if route.format in ("auto", "sparkplug") else None
    plain = None
    if "channel" not in pattern.names:
        others = tuple(other for other in route.patterns if "channel" in other.names)
        other, named = _first_match(others, topic)
        plain = _target(route, other, named, topic) if other is not None else None
    return Target(route, pattern.text, levels, sensor, channel, edge, route.groups.fixed(levels), plain)


def _quiet(route: Route, pattern: Pattern, levels: dict[str, str], why: str) -> Target:
    """A topic without samples, with the sensor it is of, as far as its levels tell."""
    try:
        sensor: str | None = check_name(route.sensor.render(levels, NO_NAMES))
    except ValueError:
        sensor = levels.get("sensor")
    return Target(route, pattern.text, levels, sensor, group=route.groups.fixed(levels), quiet=why)

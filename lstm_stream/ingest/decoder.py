"""From messages to readings, or to reasons why not.

    topic -> source and sensor -> payload format -> samples -> channels watched -> Reading
       \\           \\                 \\            \\             \\-> Rejection

Rules:
1. decode() never raises. Whatever is not understood becomes a Rejection that says what would be right.
2. Sources are tried in the order of the configuration; the first whose pattern takes the topic decides.
3. A sample without a time of its own gets the arrival of its message, except where that would be a lie: a retained
   message is of any age, and samples that share a message did not share an instant. Those are rejected.
4. A number that is not finite never becomes a value: its channel is absent, as if it were null.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from lstm_stream.config import Limits, Source
from lstm_stream.ingest.channels import Channels
from lstm_stream.ingest.formats import FORMATS, recognise
from lstm_stream.ingest.formats.sample import Options, Sample
from lstm_stream.ingest.shown import shown
from lstm_stream.ingest.topics import Pattern, SensorName
from lstm_stream.records import Message, Reading, Reason, Rejection

_log = logging.getLogger(__name__)

_REMEMBERED = 65_536  # topics
_LONGEST_REMEMBERED = 256  # characters: bounds the memory of the line above


@dataclass(slots=True)
class Explanation:
    """What became of a message, step by step. None: it did not come that far."""

    topic: str
    source: str | None = None  # the pattern of the source that takes the topic
    sensor: str | None = None
    group: str | None = None
    format: str | None = None
    time_source: str | None = None  # `arrival`, or the key that held the time of the first sample
    readings: list[Reading] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


class _Route(NamedTuple):
    """A source, ready for use."""

    source: Source
    pattern: Pattern
    name: SensorName
    channels: Channels
    options: Options


class _Target(NamedTuple):
    """Where the messages of one topic go."""

    route: _Route
    sensor: str


class Decoder:
    """Turns messages into readings. Has no state but a memory of topics: equal messages give equal results."""

    def __init__(self, sources: Sequence[Source], limits: Limits) -> None:
        self._limits = limits
        self._routes = [_route(source, limits) for source in sources]
        self._remembered = lru_cache(_REMEMBERED)(self._find)
        self._reported: set[type[Exception]] = set()

    def decode(self, message: Message) -> tuple[list[Reading], list[Rejection]]:
        """The readings of a message, in the payload's order, and what was rejected of it. Never raises."""
        seen = self.explain(message)
        return seen.readings, seen.rejections

    def explain(self, message: Message) -> Explanation:
        """The same, with the steps that led there. Never raises."""
        seen = Explanation(message.topic)
        try:
            self._explain(message, seen)
        except Exception as error:
            seen.readings.clear()
            seen.rejections = [self._internal(error, message)]
        return seen

    def _explain(self, message: Message, seen: Explanation) -> None:
        target = self._target(message.topic)
        if isinstance(target, Rejection):
            seen.rejections.append(target)
            return
        source = target.route.source
        seen.source, seen.sensor, seen.group = source.topic, target.sensor, source.group
        if len(message.payload) > self._limits.payload_bytes:
            seen.rejections.append(_too_large(message, self._limits.payload_bytes))
            return
        seen.format = recognise(message.payload) if source.format == "auto" else source.format
        items = FORMATS[seen.format](message.payload, target.route.options)
        if not items:
            items = [Rejection(Reason.NO_CHANNELS, "an empty array; send at least one sample")]
        for item in items:
            result = self._reading(item, target, message, alone=len(items) == 1)
            if isinstance(result, Rejection):
                seen.rejections.append(result._replace(topic=message.topic))
            else:
                seen.readings.append(result)
        seen.time_source = _time_source(items[0])

    def _reading(
        self, item: Sample | Rejection, target: _Target, message: Message, *, alone: bool
    ) -> Reading | Rejection:
        if isinstance(item, Rejection):
            return item
        values = target.route.channels.pick(item.values)
        if not values:
            return _no_channels(item)
        if len(values) > self._limits.channels:
            detail = f"{len(values)} channels, at most {self._limits.channels} are taken (limits.channels); "
            return Rejection(Reason.TOO_MANY_CHANNELS, detail + "choose with include and exclude")
        time = item.time
        if time is None:
            if message.retain:
                return Rejection(Reason.RETAINED, "a retained message of unknown age; send a timestamp in the payload")
            if not alone:
                detail = "several samples in one message, and this one has no time; give each its own timestamp"
                return Rejection(Reason.BAD_TIMESTAMP, detail)
            time = message.time
        elif time > message.time + self._limits.future:
            # One such sample would make all that follow look old.
            detail = (
                f"{time - message.time:.0f} s ahead of this machine's clock; set the sensor's, or raise limits.future"
            )
            return Rejection(Reason.BAD_TIMESTAMP, detail)
        timed = item.time is not None
        return Reading(target.sensor, target.route.source.group, time, values, timed, message.retain)

    def _target(self, topic: str) -> _Target | Rejection:
        return (self._remembered if len(topic) <= _LONGEST_REMEMBERED else self._find)(topic)

    def _find(self, topic: str) -> _Target | Rejection:
        for route in self._routes:
            levels = route.pattern.match(topic)
            if levels is not None:
                try:
                    return _Target(route, route.name.render(levels))
                except ValueError as error:
                    return Rejection(Reason.BAD_SENSOR, str(error), topic)
        return Rejection(Reason.UNKNOWN_TOPIC, self._unknown(topic), topic)

    def _unknown(self, topic: str) -> str:
        patterns = ", ".join(route.pattern.text for route in self._routes[:5])
        more = ", ..." if len(self._routes) > 5 else ""
        kept = "a kept session holds subscriptions of earlier configurations until one start with clean_session: true"
        return f"{shown(topic)} matches no source; the sources take {patterns}{more} ({kept})"

    def _internal(self, error: Exception, message: Message) -> Rejection:
        if type(error) not in self._reported:  # once a type: a flood of such messages must not flood the log
            self._reported.add(type(error))
            _log.error("a message on %s could not be decoded; please report this", shown(message.topic), exc_info=error)
        return Rejection(Reason.INTERNAL, f"a defect of lstm_stream: {type(error).__name__}", message.topic)


def _route(source: Source, limits: Limits) -> _Route:
    pattern = Pattern.parse(source.topic)
    name = SensorName.parse(source.sensor, pattern.names)
    options = Options(source.separator, source.timestamp.field, source.timestamp.unit, limits.depth)
    return _Route(source, pattern, name, Channels(source.include, source.exclude), options)


def _too_large(message: Message, limit: int) -> Rejection:
    detail = f"{len(message.payload)} bytes, at most {limit} are taken (limits.payload_bytes)"
    return Rejection(Reason.TOO_LARGE, detail, message.topic)


def _no_channels(sample: Sample) -> Rejection:
    if not sample.values:
        return Rejection(Reason.NO_CHANNELS, "no finite number in it; text, null and NaN count as absent")
    names = ", ".join(map(shown, list(sample.values)[:5])) + (", ..." if len(sample.values) > 5 else "")
    return Rejection(Reason.NO_CHANNELS, f"include and exclude leave none of the channels {names}")


def _time_source(item: Sample | Rejection) -> str | None:
    if isinstance(item, Rejection):
        return None
    return "arrival" if item.time_field is None else item.time_field

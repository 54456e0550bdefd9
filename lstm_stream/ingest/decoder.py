"""From messages to readings, or to reasons why not.

    topic -> source -> unwrapped -> payload format -> samples -> sensor, channels watched -> Reading
       \\         \\          \\            \\                 \\-> Rejection
        \\-> availability, or ignored: nothing

Rules:
1. decode() never raises. Whatever is not understood becomes a Rejection that says what would be right.
2. The first source that takes the topic decides (routes.py).
3. A sample without a time of its own gets the arrival of its message, except where that would be a lie: a retained
   message is of any age, and samples that share a message did not share an instant. Those are rejected.
   Samples of one sensor and time in one message are one sample, as long as no channel is in two of them.
4. A number that is not finite never becomes a value: its channel is absent, as if it were null.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from lstm_stream.config import Limits, Source
from lstm_stream.ingest import presence
from lstm_stream.ingest.formats import FORMATS, decode
from lstm_stream.ingest.formats.sample import Sample
from lstm_stream.ingest.formats.value import CHANNEL
from lstm_stream.ingest.formats.wrapping import WRAPPED, unwrapped
from lstm_stream.ingest.labels import is_label
from lstm_stream.ingest.names import check_name
from lstm_stream.ingest.routes import Routes, Target
from lstm_stream.ingest.shown import shown
from lstm_stream.ingest.sparkplug import Address, EdgeNodes
from lstm_stream.records import Message, Presence, Reading, Reason, Rejection

_log = logging.getLogger(__name__)

_NO_NUMBER = "no finite number in it; text, null and NaN count as absent (words and units say what text stands for)"
_NO_TIME = (
    "several samples in one message, and this one has no time; give each its own timestamp, "
    "or name the field that holds it in timestamp.field"
)
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
    quiet: str | None = None  # why it is neither a sample nor an error: availability, ignored or description
    presence: Presence | None = None  # whether the device says that it is there
    time_source: str | None = None  # `arrival`, or the key that held the time of the first sample
    settings: Source | None = None  # the source that takes the topic
    readings: list[Reading] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)  # why, by name; told only to people who ask (leftover.py)


class Decoder:
    """Turns messages into readings. Its only state is a memory of topics and the births of Sparkplug nodes.

    `groups` are the names of those that there are; None: all names are. `edges` is what is remembered of Sparkplug.
    """

    def __init__(self, sources: Sequence[Source], limits: Limits, groups: Collection[str] | None = None) -> None:
        self._limits = limits
        self.find = Routes(sources, limits, groups).find  # where a topic's messages go
        self._remembered = lru_cache(_REMEMBERED)(self.find)
        self.edges = EdgeNodes()
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
        target = self.target(message.topic)
        if isinstance(target, Rejection):
            seen.rejections.append(target)
            return
        route, payload = target.route, message.payload
        seen.source, seen.settings = target.pattern, route.source
        seen.sensor, seen.group = target.sensor, target.group
        if target.quiet is not None:
            seen.quiet = target.quiet
            seen.presence = presence.told(message, target) if target.quiet == "availability" else None
            return
        if len(payload) > self._limits.payload_bytes:
            seen.rejections.append(_too_large(message, self._limits.payload_bytes))
            return
        seen.format, items = self._items(payload, target)
        if target.plain is not None and seen.format == "value":
            target = target.plain
            seen.source, seen.sensor = target.pattern, target.sensor
        if target.edge is not None and seen.format.startswith("sparkplug"):
            seen.presence = self._presence(target, target.edge, message)
            if target.edge.is_death and not items:
                seen.quiet = "availability"
                return
        if not items:
            items = [Rejection(Reason.NO_CHANNELS, "an empty array; send at least one sample")]
        for item in items:
            result = self._reading(item, target, message, alone=len(items) == 1)
            if isinstance(result, Rejection):
                seen.rejections.append(result._replace(topic=message.topic))
            else:
                seen.readings.append(result)
        if len(seen.readings) > 1:
            seen.readings = _merged(seen.readings, self._limits.channels)
        if seen.sensor is None and seen.readings:
            seen.sensor = seen.readings[0].sensor
        if seen.group is None and seen.readings:
            seen.group = seen.readings[0].group
        seen.time_source = _time_source(items[0])

    def _items(self, payload: bytes, target: Target) -> tuple[str, list[Sample | Rejection]]:
        """The name of the format and what is in the payload."""
        route = target.route
        if payload.startswith(WRAPPED):
            inner = unwrapped(payload, self._limits.payload_bytes)
            if isinstance(inner, Rejection):
                return "wrapped", [inner]
            name, items = self._items(inner.payload, target)
            return f"{name} in {inner.wrapping}", items
        if target.edge is not None:
            return "sparkplug", self.edges.decode(target.edge, payload, route.options)
        if route.format == "auto":
            return decode(payload, route.options)
        return route.format, FORMATS[route.format](payload, route.options)

    def _presence(self, target: Target, edge: Address, message: Message) -> Presence | None:
        """What a birth or a death of Sparkplug says, unless it is of an earlier session."""
        alive = self.edges.is_alive(edge)
        if not edge.type.endswith(("BIRTH", "DEATH")) or alive == edge.is_death:
            return None
        return presence.presence(message, target, alive, below=edge.device is None)

    def _reading(
        self, item: Sample | Rejection, target: Target, message: Message, *, alone: bool
    ) -> Reading | Rejection:
        if isinstance(item, Rejection):
            return item
        try:
            sensor = target.sensor if item.device is None and target.sensor else _sensor(item, target)
            named = item.values if target.route.channel is None else _named(item, target)
        except ValueError as error:
            return Rejection(Reason.BAD_SENSOR, str(error))
        values = target.route.channels.pick(named)
        if not values:
            return _no_channels(named)
        if len(values) > self._limits.channels:
            detail = f"{len(values)} channels, at most {self._limits.channels} are taken (limits.channels); "
            return Rejection(Reason.TOO_MANY_CHANNELS, detail + "choose with include and exclude")
        time = item.time
        if time is None:
            if message.retain:
                return Rejection(Reason.RETAINED, "a retained message of unknown age; send a timestamp in the payload")
            if item.since_arrival is None and not alone:
                return Rejection(Reason.BAD_TIMESTAMP, _NO_TIME)
            time = message.time + (item.since_arrival or 0.0)
        if item.time is not None or item.since_arrival:
            ahead = time - message.time
            if ahead > self._limits.future:  # one such sample would make all that follow look old
                detail = f"{ahead:.0f} s ahead of this machine's clock; set the sensor's, or raise limits.future"
                return Rejection(Reason.BAD_TIMESTAMP, detail)
        timed = item.time is not None
        group = target.group or target.route.groups.of(target.levels, item.names)
        return Reading(sensor, group, time, values, timed, message.retain)

    def target(self, topic: str) -> Target | Rejection:
        """Where the messages of a topic go, or why nowhere."""
        return (self._remembered if len(topic) <= _LONGEST_REMEMBERED else self.find)(topic)

    def _internal(self, error: Exception, message: Message) -> Rejection:
        if type(error) not in self._reported:  # once a type: a flood of such messages must not flood the log
            self._reported.add(type(error))
            _log.error("a message on %s could not be decoded; please report this", shown(message.topic), exc_info=error)
        return Rejection(Reason.INTERNAL, f"a defect of lstm_stream: {type(error).__name__}", message.topic)


def _sensor(sample: Sample, target: Target) -> str:
    """Whose a sample is, where the payload has a say in it. Raises ValueError."""
    if target.route.source.sensor is None and sample.device is not None:
        return check_name(sample.device)
    return target.sensor or check_name(target.route.sensor.render(target.levels, sample.names))


def _named(sample: Sample, target: Target) -> dict[str, float]:
    """The values by their channels' whole names. Raises ValueError."""
    template = target.route.channel
    start = target.channel
    if start is None and template is not None:
        start = template.render(target.levels, sample.names)
    if not start:
        return sample.values
    separator = target.route.options.separator
    return {start if name == CHANNEL else start + separator + name: value for name, value in sample.values.items()}


def _merged(readings: list[Reading], most: int) -> list[Reading]:
    """Readings of one sensor and time as one, where no channel is in both and they have `most` channels at most."""
    merged: dict[tuple[str, str, float], Reading] = {}
    result: list[Reading] = []
    for reading in readings:
        key = (reading.group, reading.sensor, reading.time)
        first = merged.get(key)
        if first is None:
            merged[key] = reading
            result.append(reading)
        elif first.values.keys().isdisjoint(reading.values) and len(first.values) + len(reading.values) <= most:
            first.values.update(reading.values)
        else:
            result.append(reading)
    return result


def _too_large(message: Message, limit: int) -> Rejection:
    detail = f"{len(message.payload)} bytes, at most {limit} are taken (limits.payload_bytes)"
    return Rejection(Reason.TOO_LARGE, detail, message.topic)


def _no_channels(values: dict[str, float]) -> Rejection:
    if not values:
        return Rejection(Reason.NO_CHANNELS, _NO_NUMBER)
    names = ", ".join(map(shown, list(values)[:5])) + (", ..." if len(values) > 5 else "")
    if all(map(is_label, values)):
        detail = f"only identifiers, sequence numbers, versions, types or times in it: {names}"
        return Rejection(Reason.NO_CHANNELS, f"{detail}; include takes what it names")
    return Rejection(Reason.NO_CHANNELS, f"include and exclude leave none of the channels {names}")


def _time_source(item: Sample | Rejection) -> str | None:
    if isinstance(item, Rejection):
        return None
    return "arrival" if item.time_field is None else item.time_field

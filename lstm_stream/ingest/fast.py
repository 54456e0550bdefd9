"""The fast path: chunks to rows, without an object a message; what it does not know goes to the decoder, and teaches.

    chunk -> TopicIndex: number of the topic -> its Shape -> scan(): time and values -> Rows
                 ^                                  ^                  \\-> not read: decoder -> learn()
                 └──────────── a message that the decoder has read ───────────────────┘

Rules:
1. What comes out is what the decoder would have made of the message, number by number; else nothing comes out.
2. A topic is known from its first message on that the decoder made one sample of, if its source allows: one that
   neither joins nor resamples nor counts, whose format is auto, json or value, and where the topic names the sensor.
3. A shape counts only if it reads the message that it was learned from as the decoder did. It is tried on new topics of
   its source, where all of them are alike for the decoder; it counts there if every channel is in the first message.
4. A topic whose messages keep looking different is given up, as are topics beyond the limit: those are not slower than
   they would be without all this.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from lstm_stream.config import Limits, Source
from lstm_stream.ingest.decoder import Explanation
from lstm_stream.ingest.formats.text import trimmed
from lstm_stream.ingest.formats.value import CHANNEL
from lstm_stream.ingest.index import TopicIndex
from lstm_stream.ingest.routes import Target
from lstm_stream.ingest.scan import scan
from lstm_stream.ingest.shapes import Shape, of_object, plain, table
from lstm_stream.records import Chunk, Message, Reading, Rejection, Rows

_log = logging.getLogger(__name__)

_TRIES = 8  # messages that a topic has to show what its messages look like, beyond what is known
_MOST_SHAPES = 4096
_LONGEST_TOPIC = 256  # bytes
_TOPICS_A_SENSOR = 4  # that are remembered, on average
_MOST_TOPICS = 2**24
_STRANGE = 65_536  # topics that have no usual shape

U1 = NDArray[np.uint8]
I4 = NDArray[np.int32]
_NONE = np.zeros(0, np.intp)


class _Part(NamedTuple):
    """What was read of one chunk."""

    number: I4  # (N,) of the topics
    shape: I4  # (N,) -1: not read
    time: NDArray[np.float64]
    values: NDArray[np.float64]
    arrival: NDArray[np.float64]
    first: int  # the number of its first message in the batch


class Fast:
    """Reads what it can, and learns. Not thread-safe."""

    def __init__(self, sources: Sequence[Source], limits: Limits, find: Callable[[str], Target | Rejection]) -> None:
        """`find` is where the messages of a topic go."""
        self._limits = limits
        self._find = find
        self._eligible = {id(source) for source in sources if _is_eligible(source)}
        self._sources = sources  # keeps the ids above alive
        self._index = TopicIndex(min(_TOPICS_A_SENSOR * limits.sensors, _MOST_TOPICS))
        self._names: list[str] = []  # of the sensors, by the topic's number
        self._tries = np.zeros(64, np.int8)  # left, by the topic's number
        self._shape_of = np.full(64, -1, np.int32)  # likewise
        self._shapes: list[Shape] = []
        self._numbers: dict[Shape, int] = {}
        self._layouts: dict[tuple[str, tuple[str, ...]], list[int]] = {}  # the numbers of shapes by group and channels
        self._table = table([])
        self._width = 1
        self._parts: list[_Part] = []
        self._new: dict[str, int] = {}  # topics that got their number since the last rows()
        self._usual: dict[int, int] = {}  # the number of the shape learned last, by the id of the source
        self._strange: set[str] = set()  # topics that nothing is usual of
        self._full = False

    @property
    def knows(self) -> bool:
        """Whether it can read anything yet."""
        return bool(self._shapes)

    def read(self, chunk: Chunk, first: int) -> tuple[I4, NDArray[np.intp]]:
        """Read a chunk whose first message is number `first` of the batch, until rows() is called.

        Returns the numbers of its topics (N,), -1 where a topic is not known, and which messages were not read.
        """
        data = np.frombuffer(chunk.data, np.uint8)
        number = self._index.find(data, chunk.table)
        unknown = np.flatnonzero(number < 0) if self._usual else _NONE
        new = self._guess(data, chunk, unknown, number) if len(unknown) else _NONE
        part = self._scan(data, chunk, number, self._shape_of, first)
        if len(new):
            self._confirm(part, new)
        self._parts.append(part)
        return number, np.flatnonzero(part.shape < 0)

    def _scan(self, data: NDArray[np.uint8], chunk: Chunk, number: I4, shape_of: I4, first: int) -> _Part:
        shape, time = np.empty(len(chunk), np.int32), np.empty(len(chunk))
        values = np.empty((len(chunk), self._width))
        future, longest = self._limits.future, self._limits.payload_bytes
        scan(data, chunk.table, chunk.arrivals, future, longest, number, shape_of, *self._table, shape, time, values)
        return _Part(number, shape, time, values, chunk.arrivals, first)

    def rows(self) -> list[Rows]:
        """What was read since the last call, in order of arrival."""
        parts, self._parts = self._parts, []
        self._new.clear()
        if not parts or not self._shapes:
            return []
        places = [np.arange(len(part.number)) + part.first for part in parts]
        width = max(part.values.shape[1] for part in parts)
        number, shape = _joined([part.number for part in parts]), _joined([part.shape for part in parts])
        time, values = _joined([part.time for part in parts]), _joined([_widened(part.values, width) for part in parts])
        arrival, timed = _joined([part.arrival for part in parts]), self._table.timed[shape]
        whole = Rows("", (), self._names, number, _joined(places), time, values, arrival, timed)
        if len(self._layouts) == 1 and (shape >= 0).all():
            return [_of(whole, *layout) for layout in self._layouts]
        here = set(np.unique(shape).tolist())
        layouts = {layout: [k for k in shapes if k in here] for layout, shapes in self._layouts.items()}
        return [_of(whole.only(np.isin(shape, shapes)), *layout) for layout, shapes in layouts.items() if shapes]

    # --- topics that are new

    def _guess(self, data: U1, chunk: Chunk, unknown: NDArray[np.intp], number: I4) -> NDArray[np.intp]:
        """Number the topics of these messages that are like others of their source, and give them its usual shape.

        Returns which messages got a number so.
        """
        guessed, fresh, names, shapes = list[int](), list[int](), list[str](), list[int]()
        first, room = len(self._names), self._index.room
        places = [column.tolist() for column in chunk.table[unknown, :2].T]  # a list a row would be work for gc
        for k, start, length in zip(unknown.tolist(), *places, strict=True):
            topic = _text(chunk.data[start : start + length])
            if topic not in self._new:
                usual = self._usual_of(topic) if length <= _LONGEST_TOPIC and len(names) < room else None
                if usual is None:
                    continue
                self._new[topic] = first + len(names)
                fresh.append(k)
                names.append(usual[0])
                shapes.append(usual[1])
            number[k] = self._new[topic]
            guessed.append(k)
        if fresh:
            self._enter(data, chunk.table[fresh], names, shapes)
        return np.array(guessed, np.intp)

    def _usual_of(self, topic: str) -> tuple[str, int] | None:
        """The sensor and the usual shape of a topic that is new; None where nothing is usual."""
        if topic in self._strange:
            return None
        target = self._find(topic)
        if not isinstance(target, Rejection) and target.sensor is not None and _all_alike(target):
            shape = self._usual.get(id(target.route.source))
            if shape is not None:
                return target.sensor, shape
        if len(self._strange) < _STRANGE:
            self._strange.add(topic)
        return None

    def _confirm(self, part: _Part, new: NDArray[np.intp]) -> None:
        """Take back what was read of new topics that are not like those that their shape is of."""
        shapes = part.shape[new]
        for shape in np.unique(shapes).tolist():
            some = new[shapes == shape]
            if shape >= 0:
                values = part.values[some, : len(self._shapes[shape].channels)]
                some = some[np.isnan(values).any(axis=1)]
            part.shape[some] = self._shape_of[part.number[some]] = -1

    # --- learning

    def learn(self, message: Message, number: int, seen: Explanation) -> None:
        """Take note of what the decoder made of a message whose topic has that number, or -1."""
        if len(seen.readings) != 1 or seen.rejections or message.retain or id(seen.settings) not in self._eligible:
            return
        if number >= 0 and not self._tries[number]:
            return  # given up; the commonest case comes first
        reading = seen.readings[0]
        if number < 0:
            number = self._new.get(message.topic, -1)
        if number < 0:
            number = self._enter_one(message.topic, reading.sensor)
        if number < 0 or not self._tries[number]:
            return
        self._tries[number] -= 1
        target = self._find(message.topic)
        if isinstance(target, Rejection) or reading.sensor != self._names[number]:
            return
        shape = _shape(target, message, seen, reading)
        known = self._shapes[self._shape_of[number]] if self._shape_of[number] >= 0 else None
        if shape is not None and known is not None:
            shape = known.merged(shape)
        if shape is not None and shape != known and self._register(shape) and self._reads(shape, message, reading):
            self._shape_of[number] = self._numbers[shape]
            if _all_alike(target):
                if id(seen.settings) not in self._usual:
                    self._strange.clear()
                self._usual[id(seen.settings)] = self._numbers[shape]

    def _enter_one(self, topic: str, sensor: str) -> int:
        """A number for a topic; -1 where it gets none."""
        text = topic.encode()
        if len(text) > _LONGEST_TOPIC:
            return -1
        if not self._index.room:
            if not self._full:
                self._full = True
                _log.warning("%d topics are remembered; messages of further ones cost more CPU", len(self._index))
            return -1
        self._new[topic] = len(self._names)
        self._enter(np.frombuffer(text, np.uint8), np.array([[0, len(text)]], np.int32), [sensor], [-1])
        return self._new[topic]

    def _enter(self, data: U1, rows: I4, sensors: list[str], shapes: list[int]) -> None:
        """Number topics that are in these rows (M, ..)."""
        first = self._index.add(data, rows)
        self._names += sensors
        stop = len(self._names)
        if stop > len(self._shape_of):
            more = max(stop, 2 * len(self._shape_of)) - len(self._shape_of)
            self._shape_of = np.concatenate((self._shape_of, np.full(more, -1, np.int32)))
            self._tries = np.concatenate((self._tries, np.zeros(more, np.int8)))
        self._shape_of[first:stop], self._tries[first:stop] = shapes, _TRIES

    def _register(self, shape: Shape) -> bool:
        """Give a shape a number."""
        if shape not in self._numbers:
            if len(self._shapes) >= _MOST_SHAPES:
                return False
            self._numbers[shape] = len(self._shapes)
            self._shapes.append(shape)
            self._layouts.setdefault((shape.group, shape.channels), []).append(self._numbers[shape])
            self._table = table(self._shapes)
            self._width = max(self._width, len(shape.channels))
        return True

    def _reads(self, shape: Shape, message: Message, reading: Reading) -> bool:
        """Whether the shape reads the message as the decoder did, bit by bit."""
        place = np.array([[0, 0, 0, len(message.payload), 0, 0]], np.int32)
        chunk = Chunk(message.payload, place, np.array([message.time]))
        only = np.array([self._numbers[shape]], np.int32)
        part = self._scan(np.frombuffer(message.payload, np.uint8), chunk, np.zeros(1, np.int32), only, 0)
        told = [reading.values.get(name, np.nan) for name in shape.channels]
        read = part.values[0, : len(told)]
        return (
            part.shape[0] >= 0
            and part.time[0] == reading.time
            and shape.timed == reading.timed
            and reading.values.keys() <= set(shape.channels)
            and np.array(told, np.float64).tobytes() == read.tobytes()
        )


def _is_eligible(source: Source) -> bool:
    """Whether messages of a source may be read by themselves, and as what they look like."""
    return (
        not source.join
        and not source.resample
        and not source.counters
        and source.root is None
        and source.format in ("auto", "json", "value")
        and source.timestamp.zone == "UTC"
    )


def _all_alike(target: Target) -> bool:
    """Whether the decoder makes the same of a payload on all topics of this source, but for the sensor."""
    route = target.route
    return (
        target.quiet is None
        and target.edge is None
        and target.plain is None
        and route.channel is None
        and not route.options.fields
        and "{" not in route.source.group
    )


def _shape(target: Target, message: Message, seen: Explanation, reading: Reading) -> Shape | None:
    """What a message looks like; None where that is not learned."""
    if target.edge is not None or target.route.options.fields:
        return None
    if seen.format == "value":
        return plain(reading.group, next(iter(reading.values)), strict=False)
    document = _document(message.payload) if seen.format == "json" else None
    if isinstance(document, dict):
        route, time_key = target.route, seen.time_source if reading.timed else None
        guessed = route.format == "auto" and route.options.time_field is None
        return of_object(document, reading.group, time_key, route.options, guessed, partial(_channel, target))
    if isinstance(document, (int, float)) and not isinstance(document, bool):
        return plain(reading.group, next(iter(reading.values)), strict=True)
    return None


def _text(topic: bytes) -> str:
    """A topic; what is none becomes something that no source takes."""
    try:
        return topic.decode()
    except UnicodeDecodeError:
        return ""


def _document(payload: bytes) -> Any:
    """What is in a payload, as the strictest reader has it."""
    try:
        return orjson.loads(trimmed(payload))
    except orjson.JSONDecodeError:
        return None


def _channel(target: Target, key: str) -> str | None:
    """The channel that a number under this key would be; None where it is not watched."""
    route, name = target.route, key
    if route.channel is not None and target.channel:
        name = target.channel if key == CHANNEL else target.channel + route.options.separator + key
    return name if route.channels.pick({name: 0.0}) else None


def _of(rows: Rows, group: str, channels: tuple[str, ...]) -> Rows:
    """The rows, which become those of these channels; the columns beyond them are empty."""
    rows.group, rows.channels = group, channels
    if rows.values.shape[1] > len(channels):
        rows.values = np.ascontiguousarray(rows.values[:, : len(channels)])
    return rows


def _widened(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """The same with that many columns."""
    missing = width - values.shape[1]
    return values if not missing else np.hstack((values, np.full((len(values), missing), np.nan)))


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)

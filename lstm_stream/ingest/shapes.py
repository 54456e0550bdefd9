"""What payloads of a topic look like, once a message has told: the key of a kernel that reads them (scan.py).

A shape is learned from a message that the decoder has read, of what is in it and what the decoder made of it. Only
shapes are learned of which payloads can be read without looking at anything but themselves: a plain number, or a flat
JSON object of known keys, at least one of which is a channel. A payload that has more is read by the decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.ingest.formats import DESCRIBING
from lstm_stream.ingest.formats.sample import Options
from lstm_stream.ingest.labels import USUAL_TIME_FIELDS
from lstm_stream.ingest.numbers import AUTO, ISO, MS, NS, US, S

TEXT, IGNORED, TIME = -1, -2, -3
"""What a key holds that is no channel: text or null where a number would make a channel; anything; the sample's time.

The others hold channels and have the number of their column.
"""
NUMBER, JSON_NUMBER, OBJECT = 0, 1, 2
"""Kinds of shapes: plain text, a number as JSON has it, a JSON object."""

UNITS = {"auto": AUTO, "iso": ISO, "s": S, "ms": MS, "us": US, "ns": NS}
MOST_KEYS = 63
_RANK = {name: rank for rank, name in enumerate(USUAL_TIME_FIELDS)}


class Shape(NamedTuple):
    """What a topic's payloads look like. Topics that are alike share one."""

    group: str
    channels: tuple[str, ...]  # sorted
    kind: int
    keys: tuple[tuple[bytes, int], ...] = ()  # of an object: as it is written, and what it holds
    unit: int = AUTO  # of the time
    said: bool = False  # texts may stand for numbers

    @property
    def timed(self) -> bool:
        """Whether the payload holds the time; else it is the arrival."""
        return any(held == TIME for _, held in self.keys)

    def merged(self, other: Shape) -> Shape | None:
        """One shape for payloads of both; None where there is none."""
        if self.kind != OBJECT or other.kind != OBJECT or self.timed != other.timed:
            return None
        held = {key: _name(self, column) for key, column in self.keys}
        for key, column in other.keys:
            name = _name(other, column)
            before = held.setdefault(key, name)
            if before == TEXT and isinstance(name, str):
                held[key] = name
            elif before != name and not (name == TEXT and isinstance(before, str)):
                return None
        return _shape(self.group, held, self.unit, self.said)


def plain(group: str, channel: str, strict: bool) -> Shape:
    """The shape of a payload that is a number."""
    return Shape(group, (channel,), JSON_NUMBER if strict else NUMBER)


def of_object(
    document: Mapping[str, Any],
    group: str,
    time_key: str | None,
    options: Options,
    guessed: bool,
    channel: Callable[[str], str | None],
) -> Shape | None:
    """The shape of an object, or None where it is not learned.

    `time_key` is the key whose time counted, `guessed` whether the format was, `channel` gives the name of the channel
    of a key, None where none is watched.
    """
    if len(document) > MOST_KEYS or (guessed and not DESCRIBING.isdisjoint(document)):
        return None
    held: dict[bytes, str | int] = {}
    for key, value in document.items():
        if isinstance(value, (dict, list)) or any(c in '"\\' or c < " " for c in key):
            return None
        what = _held(key, value, time_key, options, channel)
        if what is None:
            return None
        held[key.encode()] = what
    return _shape(group, held, UNITS[options.time_unit], options.says)


def _held(
    key: str, value: object, time_key: str | None, options: Options, channel: Callable[[str], str | None]
) -> str | int | None:
    """What a key holds: the name of a channel, TEXT, IGNORED or TIME; None where that is not sure for ever."""
    if key == time_key:
        return TIME
    if options.time_field is None and key.lower() in _RANK:
        if not options.time_trusted:
            return IGNORED
        # Another time field counts as soon as it has a value, or this one has none, unless it comes after it.
        later = time_key is not None and _RANK[key.lower()] > _RANK[time_key.lower()]
        return IGNORED if later else None
    if key == options.time_field:
        return None if options.time_trusted else IGNORED
    name = channel(key)
    if name is None:
        return IGNORED
    return name if isinstance(value, (bool, int, float)) else TEXT


def _name(shape: Shape, column: int) -> str | int:
    return shape.channels[column] if column >= 0 else column


def _shape(group: str, held: Mapping[bytes, str | int], unit: int, said: bool) -> Shape | None:
    channels = tuple(sorted(name for name in held.values() if isinstance(name, str)))
    if not channels or len(set(channels)) < len(channels) or len(held) > MOST_KEYS:
        return None
    keys = ((key, channels.index(what) if isinstance(what, str) else what) for key, what in held.items())
    return Shape(group, channels, OBJECT, tuple(keys), unit, said)


class Table(NamedTuple):
    """Shapes as arrays, for the kernel."""

    shapes: NDArray[np.int32]  # (S + 1, 5): kind, unit, said, timed, the first of its keys
    keys: NDArray[np.int32]  # (K, 3): where it begins in `text`, its length, what it holds
    text: NDArray[np.uint8]

    @property
    def timed(self) -> NDArray[np.bool_]:
        """Which shapes hold the time (S + 1,)."""
        return self.shapes[:, 3] > 0


def table(shapes: list[Shape]) -> Table:
    """These shapes, numbered in order."""
    keys = [key for shape in shapes for key in shape.keys]
    first = np.cumsum([0, *(len(shape.keys) for shape in shapes)])
    start = np.cumsum([0, *(len(text) for text, _ in keys)])
    told = [(shape.kind, shape.unit, shape.said, shape.timed) for shape in shapes]
    return Table(
        np.array([(*what, k) for what, k in zip([*told, (0,) * 4], first, strict=True)], np.int32),
        np.array([(k, len(text), held) for k, (text, held) in zip(start, keys, strict=False)], np.int32).reshape(-1, 3),
        np.frombuffer(b"".join(text for text, _ in keys), np.uint8),
    )

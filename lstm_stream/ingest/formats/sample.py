"""What every format takes and gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from lstm_stream.records import Rejection


class Sample(NamedTuple):
    """One sample as the payload tells it: its channels, all finite, and perhaps its time."""

    time: float | None  # unix s; None where the payload does not say
    values: dict[str, float]  # by channel
    time_field: str | None = None  # the key that held the time


@dataclass(frozen=True, slots=True)
class Options:
    """What a source says about its payloads."""

    separator: str = "."  # joins the keys of nested objects
    time_field: str | None = None  # None: the usual names
    time_unit: str = "auto"  # as parse_time takes it
    depth: int = 16  # deepest nesting


Format = Callable[[bytes, Options], list[Sample | Rejection]]
"""A format: a pure function from a payload to what is in it, in order. It never raises on any bytes."""

"""What every format takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timezone, tzinfo
from types import MappingProxyType
from typing import NamedTuple

from lstm_stream.records import Rejection

NO_NAMES: Mapping[str, str] = MappingProxyType({})


NOW = 0.0  # s since the arrival, where a format says that no time means now


class Sample(NamedTuple):
    """One sample as the payload tells it: its channels, all finite, and perhaps its time and whose it is."""

    time: float | None  # unix s; None where the payload does not say
    values: dict[str, float]  # by channel
    time_field: str | None = None  # the key that held the time
    device: str | None = None  # where the format has a place for it
    names: Mapping[str, str] = NO_NAMES  # fields that templates may use
    since_arrival: float | None = None  # s, mostly negative: a time relative to the message's arrival


@dataclass(frozen=True, slots=True)
class Options:
    """What a source says about its payloads."""

    separator: str = "."  # joins the keys of nested objects
    time_field: str | None = None  # None: the usual names
    time_unit: str = "auto"  # as parse_time takes it
    depth: int = 16  # deepest nesting
    time_trusted: bool = True  # False: the time is taken out of the payload and not used
    root: str | None = None  # the part of a payload that holds the channels
    fields: tuple[str, ...] = ()  # of the payload, that templates use
    words: Mapping[str, float] = field(default_factory=dict)  # in lower case
    zone: tzinfo = timezone.utc  # of times that tell none
    units: bool = False  # "21.5 °C" is a number
    decimal_comma: bool = False  # "21,5" is a number
    longest: int = 262_144  # bytes of what is wrapped

    @property
    def says(self) -> bool:
        """Whether text may stand for numbers."""
        return bool(self.words) or self.units or self.decimal_comma


Format = Callable[[bytes, Options], list[Sample | Rejection]]
"""A format: a pure function from a payload to what is in it, in order. It never raises on any bytes."""

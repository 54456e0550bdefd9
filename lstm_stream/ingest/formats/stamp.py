"""The time of a record in a format that has one place for it."""

from __future__ import annotations

from typing import NamedTuple

from lstm_stream.ingest.formats.sample import Options
from lstm_stream.ingest.timestamps import device_time
from lstm_stream.records import Reason, Rejection


class Stamp(NamedTuple):
    """A time, and what to call the place that held it; twice None where there is none, or it is not trusted."""

    time: float | None = None  # unix s
    place: str | None = None


def read_stamp(value: object, place: str, options: Options, unit: str | None = None) -> Stamp | Rejection:
    """The time written as `value`, in the format's unit if it has one, else in that of the options."""
    if value is None or not options.time_trusted:
        return Stamp()
    try:
        return Stamp(device_time(value, unit or options.time_unit, options.zone), place)
    except ValueError as error:
        return Rejection(Reason.BAD_TIMESTAMP, f"{place}: {error}")

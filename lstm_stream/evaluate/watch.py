"""Streams through the product's own detection, as `replay` and the daemon run it: the same Fleet, the same settings.

Many streams go together, which is faster and changes no score (promise 1): a stream is a sensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Group, Limits
from lstm_stream.detect.fleet import Batch, Fleet
from lstm_stream.detect.trainer import Trainer
from lstm_stream.evaluate.parallel import balanced, each
from lstm_stream.records import Event, Reading
from lstm_stream.replay import Advance, patient

CHUNK = 256  # rows of each stream at a time

F8 = NDArray[np.float64]
Look = Callable[[Batch, NDArray[np.int_]], object]


@dataclass(frozen=True, slots=True)
class Stream:
    """N rows of one sensor; None where a row makes no reading."""

    name: str
    group: str
    readings: Sequence[Reading | None]


class Recorded(Protocol):
    """A file of a benchmark."""

    @property
    def name(self) -> str:
        """Of the sensor."""

    @property
    def readings(self) -> Sequence[Reading | None]:
        """Its rows."""


def streams_of(files: Iterable[Recorded]) -> list[Stream]:
    """What a detector sees of them: a sensor each."""
    return [Stream(file.name, "default", file.readings) for file in files]


@dataclass(frozen=True, slots=True)
class Watched:
    """What the detection said of the N rows of a stream."""

    name: str
    time: F8  # (N,) unix s; NaN where the row was refused
    score: F8  # (N,) 0 where the row was refused
    threshold: F8  # (N,) infinite during the warm-up and where the row was refused
    anomaly: NDArray[np.bool_]  # (N,) an alarm is open after this row
    view: NDArray[np.int8]  # (N,) the leading View
    events: list[Event] = field(default_factory=list)

    @property
    def opened(self) -> list[Event]:
        """The alarms, in order."""
        return [event for event in self.events if event.state == "opened"]

    def openings(self) -> NDArray[np.bool_]:
        """(N,) the rows at which an alarm opened; for a silence the first row after it."""
        time = np.fmax.accumulate(self.time)
        rows = np.searchsorted(np.where(np.isnan(time), -np.inf, time), [event.opened for event in self.opened])
        result = np.zeros(len(time), np.bool_)
        result[rows[rows < len(time)]] = True
        return result


def watch(
    streams: Sequence[Stream],
    group: Group,
    advance: Advance | None = None,
    chunk: int = CHUNK,
    look: Look | None = None,
) -> list[Watched]:
    """Score all rows of the streams; `advance` is told how many are through. No stream's result depends on another's,
    unless the group shares its weights.

    `look` is shown every batch, of `chunk` rows of each stream, with their numbers counted through all streams.
    """
    begin = np.cumsum([0, *(len(stream.readings) for stream in streams)])
    flat = _blank(int(begin[-1]))
    events: dict[str, list[Event]] = {stream.name: [] for stream in streams}
    trainer = Trainer()
    trainer.open()
    try:
        names = {stream.group for stream in streams}
        limits = Limits(channels=10_000, sensors=max(len(streams), 1))
        fleet = Fleet({name: patient(group) for name in names}, limits, trainer)
        for start in range(0, max((len(stream.readings) for stream in streams), default=0), chunk):
            readings, at = _chunk(streams, begin, start, chunk)
            outcome = fleet.process(readings)
            for batch in outcome.batches:
                rows, verdicts = at[batch.which], batch.verdicts
                flat.time[rows], flat.score[rows] = batch.samples.time, verdicts.score
                flat.threshold[rows], flat.view[rows] = verdicts.threshold, verdicts.view
                flat.anomaly[rows] = verdicts.anomaly
                if look:
                    look(batch, rows)
            for event in outcome.events:
                events[event.sensor].append(event)
            if advance:
                advance(len(readings))
    finally:
        trainer.close()
    return [_part(flat, stream.name, begin[k], begin[k + 1], events[stream.name]) for k, stream in enumerate(streams)]


def watch_all(streams: Sequence[Stream], group: Group, jobs: int, label: str) -> list[Watched]:
    """The same in several processes."""
    sizes = [len(stream.readings) for stream in streams]
    parts = balanced(sizes, separable(group, jobs))
    done = each(_work, [([streams[k] for k in part], group) for part in parts], jobs, sum(sizes), label)
    result = {k: watched for part, some in zip(parts, done, strict=True) for k, watched in zip(part, some, strict=True)}
    return [result[k] for k in range(len(streams))]


def separable(group: Group, jobs: int) -> int:
    """In how many parts streams may be run: with shared weights in one, as every stream matters to all."""
    return 1 if group.model.weights == "shared" else jobs


def _work(job: tuple[list[Stream], Group], advance: Advance | None) -> list[Watched]:
    return watch(job[0], job[1], advance)


def _chunk(
    streams: Sequence[Stream], begin: NDArray[np.int_], start: int, size: int
) -> tuple[list[Reading], NDArray[np.int_]]:
    """Some rows of every stream, and each one's place among all rows."""
    readings: list[Reading] = []
    at: list[int] = []
    for stream, first in zip(streams, begin.tolist(), strict=False):
        for row, reading in enumerate(stream.readings[start : start + size], first + start):
            if reading is not None:
                readings.append(reading)
                at.append(row)
    return readings, np.array(at, np.int_)


def _blank(rows: int) -> Watched:
    return Watched(
        "",
        np.full(rows, np.nan),
        np.zeros(rows),
        np.full(rows, np.inf),
        np.zeros(rows, np.bool_),
        np.zeros(rows, np.int8),
    )


def _part(flat: Watched, name: str, first: int, stop: int, events: list[Event]) -> Watched:
    rows = slice(first, stop)
    return Watched(
        name, flat.time[rows], flat.score[rows], flat.threshold[rows], flat.anomaly[rows], flat.view[rows], events
    )

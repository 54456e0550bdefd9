"""The verb `replay`: a recording down the same line as live messages, without broker, clock or disk.

    recording -> rows -> Fleet, in chunks -> Scores (a row each) and events -> CSV, picture, summary

The same recording and configuration give the same bytes: every retraining is waited for, and no result depends on where
the chunks are cut. Of several sources in the configuration the first one says how to read the file.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from math import inf
from pathlib import Path
from typing import TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from lstm_stream import __version__
from lstm_stream.config import Config, Group
from lstm_stream.detect.fleet import Batch, Fleet
from lstm_stream.detect.trainer import Trainer
from lstm_stream.outputs import scores as table
from lstm_stream.outputs.events import to_json
from lstm_stream.outputs.scores import Scores
from lstm_stream.outputs.tracks import Channel, Track
from lstm_stream.recording import Recording, RecordingError, Row, plain, read
from lstm_stream.records import Event, Reading, Rejection, View

CHUNK = 4096  # rows on the line at a time
LONG = 20_000  # rows from which there is a progress bar
PICTURES = (".png", ".svg", ".pdf")

Advance = Callable[[int], object]
Settings = TypeVar("Settings")


@dataclass(slots=True)
class Refused:
    """Rows, or channels of rows, that were left out for one reason."""

    count: int = 0
    line: int = 0  # of the first one
    detail: str = ""


@dataclass(slots=True)
class Result:
    """A whole replay."""

    scores: Scores
    events: list[Event] = field(default_factory=list)  # in the order of their times
    refused: dict[str, Refused] = field(default_factory=dict)  # by Reason
    sensors: int = 0
    warming: list[str] = field(default_factory=list)  # sensors for which no alarm was possible yet
    budgeted: float = 0.0  # false alarms that the budget allows for the time watched

    @property
    def alarms(self) -> int:
        """How many opened."""
        return sum(event.state == "opened" for event in self.events)

    @property
    def scored(self) -> int:
        """How many rows have a score."""
        return int(np.isfinite(self.scores.score).sum())


class UnusableError(Exception):
    """The command cannot be carried out; the message says why and what would be right."""


Work = Callable[[argparse.Namespace, Settings], int]


def said_in_a_line(verb: Work[Settings]) -> Work[Settings]:
    """What makes a verb impossible goes to stderr as a line, and the exit code is 1.

    That is RecordingError, UnusableError, and OSError but for a broken pipe.
    """

    @functools.wraps(verb)
    def run(args: argparse.Namespace, settings: Settings) -> int:
        try:
            return verb(args, settings)
        except (RecordingError, UnusableError) as error:
            told = str(error)
        except BrokenPipeError:  # of standard output: who reads it has seen enough, which is no failure
            raise
        except OSError as error:
            told = f"{error.filename or _written(args)}: {error.strerror}"
        print(f"lstm-stream: {told}", file=sys.stderr)
        return 1

    return run


def _written(args: argparse.Namespace) -> str:
    """All that a verb writes, for an error that does not say what it was."""
    return " or ".join(filter(None, (getattr(args, name, None) for name in ("out", "json", "plot")))) or "stdout"


@said_in_a_line
def run_replay(args: argparse.Namespace, config: Config) -> int:
    """Replay args.file, write args.out and args.plot, print the summary; the exit code is 1 where that cannot be."""
    path = Path(args.file)
    draw = _drawer(path, args.plot) if args.plot else None
    check_target(path, args.out)
    recording = read(path, config.sources[0])
    with progress(len(recording.rows)) as advance:
        result = replay(recording, config, advance)
    if args.out:
        table.write(Path(args.out), result.scores)
    if not result.scored:
        raise UnusableError(f"{path}: no row could be scored; {_left_out(result)[0]}")
    if draw:
        draw(result)
    print(summary_json(path, result) if args.format == "json" else summary_text(path, result, config))
    return 0


# --- the line


def replay(recording: Recording, config: Config, advance: Advance | None = None, chunk: int = CHUNK) -> Result:
    """Score the rows of a recording in their order, `chunk` at a time; `advance` is told how many are through."""
    trainer = Trainer()
    trainer.open()
    try:
        fleet = Fleet({name: patient(group) for name, group in config.groups.items()}, config.limits, trainer)
        result = Result(_blank(recording))
        for start in range(0, len(recording.rows), chunk):
            rows = recording.rows[start : start + chunk]
            _score(fleet, rows, start, result)
            if advance:
                advance(len(rows))
    finally:
        trainer.close()
    result.events += fleet.silences(fleet.latest)  # those that never spoke again
    result.events.sort(key=lambda event: (_time(event), event.sensor))  # stable: of one sensor, as they came
    result.sensors = len(fleet)
    _explain(result)
    _account(result, config.groups[config.sources[0].usual_group])
    return result


def patient(group: Group) -> Group:
    """The same group, waiting for every retraining however long it takes."""
    return group.model_copy(update={"retraining": group.retraining.model_copy(update={"patience": inf})})


def _blank(recording: Recording) -> Scores:
    """The table of a recording, without the columns that hold no number at all."""
    values = np.array([row.values for row in recording.rows], np.float64).reshape(-1, len(recording.channels))
    used = np.flatnonzero(np.isfinite(values).any(axis=0)).tolist()
    channels = tuple(recording.channels[j] for j in used)
    stamps, sensors = [row.stamp for row in recording.rows], [row.sensor for row in recording.rows]
    return table.blank(channels, stamps, sensors, values[:, used])


def _score(fleet: Fleet, rows: Sequence[Row], start: int, result: Result) -> None:
    """Put rows through the line; `start` is the number of the first one in the table."""
    readings: list[Reading] = []
    lines: list[int] = []  # of each reading: its row's number among these
    for k, row in enumerate(rows):
        if isinstance(row.reading, Reading):
            readings.append(row.reading)
            lines.append(k)
        else:
            _refuse(result, rows[k], start + k, row.reading)
    outcome = fleet.process(readings)
    for index, rejection in outcome.rejections:
        _refuse(result, rows[lines[index]], start + lines[index], rejection)
    at = np.array(lines, np.intp) + start
    for batch in outcome.batches:
        _place(result.scores, batch, at[batch.which])
    result.events += outcome.events


def _refuse(result: Result, row: Row, at: int, rejection: Rejection) -> None:
    reason = rejection.reason.value
    refused = result.refused.setdefault(reason, Refused(0, row.line, rejection.detail))
    refused.count += 1
    result.scores.reason[at] = f"not scored, {reason}: {rejection.detail}"


def _place(scores: Scores, batch: Batch, at: NDArray[np.intp]) -> None:
    """Put the verdicts of a batch into rows `at` of the table."""
    v = batch.verdicts
    columns = np.array([scores.channels.index(name) for name in batch.detector.channels])
    cells = np.ix_(at, columns)
    scores.expected[cells], scores.lower[cells], scores.upper[cells] = v.expected, v.lower, v.upper
    scores.time[at], scores.score[at], scores.threshold[at] = batch.samples.time, v.score, v.threshold
    scores.anomaly[at] = v.anomaly
    for row, view, anomaly in zip(at.tolist(), v.view.tolist(), v.anomaly.tolist(), strict=True):
        scores.reason[row] = View(view).name.lower() if anomaly else ""


def _explain(result: Result) -> None:
    """Put the sentences of the events beside the rows that made them."""
    said = {(e.sensor, e.closed): e.reason for e in result.events if e.view == "silence" and e.closed is not None}
    said |= {(e.sensor, e.opened): e.reason for e in result.events if e.state == "opened"}
    s = result.scores
    for row, cause in enumerate(zip(s.sensor, s.time.tolist(), strict=True)):
        if cause in said:
            s.reason[row] = said[cause]


def _account(result: Result, group: Group) -> None:
    """Count what the budget allows for the time in which alarms were possible."""
    scores = result.scores
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for at in np.flatnonzero(np.isfinite(scores.threshold)).tolist():
        first.setdefault(scores.sensor[at], float(scores.time[at]))
        last[scores.sensor[at]] = float(scores.time[at])
    scored = {scores.sensor[at]: None for at in np.flatnonzero(np.isfinite(scores.score)).tolist()}
    result.warming = [name for name in scored if name not in first]
    result.budgeted = sum(last[name] - first[name] for name in first) * group.false_alarms


def _time(event: Event) -> float:
    return event.opened if event.closed is None else event.closed


# --- the picture


def _drawer(path: Path, target: str) -> Callable[[Result], None]:
    """What draws the picture. Found out before the work: whether it can be drawn and written."""
    from lstm_stream.outputs import plot

    if not target.lower().endswith(PICTURES):
        raise UnusableError(f"{target}: a picture ends in {', '.join(PICTURES)}")
    check_target(path, target)
    return lambda result: plot.draw(Path(target), plain(path.name), _tracks(result), result.budgeted)


def check_target(path: Path, target: str | None) -> None:
    """Raise UnusableError where no file can be written to `target`, or where it is `path` itself."""
    if target is None:
        return
    to = Path(target)
    if to.is_dir():
        raise UnusableError(f"{to}: is a folder; give the name of a file")
    if not to.parent.is_dir():
        raise UnusableError(f"{to}: there is no folder {to.parent}; make it first")
    if to.exists() and path.exists() and to.samefile(path):
        raise UnusableError(f"{to}: is the recording itself; give another name")


def _tracks(result: Result) -> list[Track]:
    """The scored samples, sensor by sensor."""
    s = result.scores
    rows: dict[str, list[int]] = {}
    for at in np.flatnonzero(np.isfinite(s.score)).tolist():
        rows.setdefault(s.sensor[at], []).append(at)
    events: dict[str, list[Event]] = {name: [] for name in rows}
    for event in result.events:
        events[event.sensor].append(event)
    return [_track(s, name, np.array(at), events[name]) for name, at in rows.items()]


def _track(s: Scores, sensor: str, at: NDArray[np.intp], events: list[Event]) -> Track:
    present = np.flatnonzero(np.isfinite(s.values[at]).any(axis=0))
    channels = [
        Channel(s.channels[j], s.values[at, j], s.expected[at, j], s.lower[at, j], s.upper[at, j]) for j in present
    ]
    return Track(sensor, s.time[at], channels, s.score[at], s.threshold[at], events)


# --- the summary


def summary_text(path: Path, result: Result, config: Config) -> str:
    """The alarms, line by line, and the totals."""
    lines = [
        f"{_when(event)}  {event.state:<6}  {event.sensor}  {event.view}: {event.reason}" for event in result.events
    ]
    lines.append(
        f"{path}: {counted(len(result.scores), 'row')}, {counted(result.sensors, 'sensor')}, "
        f"{counted(result.alarms, 'alarm')} ({result.budgeted:.1f} false ones budgeted)"
    )
    lines.append(f"{counted(len(result.scores.channels), 'channel')}: {_some(result.scores.channels)}")
    lines += _left_out(result)
    if result.warming:
        warmup = config.groups[config.sources[0].usual_group].warmup_of(len(result.scores.channels))
        lines.append(f"still warming up at the end, which takes {warmup} samples: {_some(result.warming)}")
    return "\n".join(lines)


def _left_out(result: Result) -> list[str]:
    return [
        f"left out, {reason}: {counted(refused.count, 'row')}, the first in line {refused.line}: {refused.detail}"
        for reason, refused in result.refused.items()
    ]


def counted(count: int, what: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{count} {what}{'s' * (count != 1)}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def _when(event: Event) -> str:
    return datetime.fromtimestamp(_time(event), timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def summary_json(path: Path, result: Result) -> str:
    """The same for programs; the alarms as they would be published, but for the time of processing."""
    events = [orjson.loads(to_json(event, 0.0, __version__)) for event in result.events]
    for event in events:
        del event["processed"], event["processed_unix"]
    summary = {
        "file": plain(str(path)),
        "rows": len(result.scores),
        "scored": result.scored,
        "sensors": result.sensors,
        "channels": result.scores.channels,
        "alarms": result.alarms,
        "false_alarms_budgeted": result.budgeted,
        "rejected": {reason: refused.count for reason, refused in result.refused.items()},
        "warming_up": result.warming,
        "events": events,
    }
    return orjson.dumps(summary, option=orjson.OPT_INDENT_2).decode()


@contextmanager
def progress(rows: int, label: str = "scoring") -> Iterator[Advance | None]:
    """A bar on the terminal for many rows, where rich is installed."""
    if rows < LONG or not sys.stderr.isatty():
        yield None
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ModuleNotFoundError:
        yield None
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=rows)
        yield lambda count: bar.advance(task, count)

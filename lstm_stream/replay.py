"""The verb `replay`: a recording down the same line as live messages, without broker, clock or disk."""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import islice
from math import inf, isfinite
from pathlib import Path
from typing import NamedTuple

import orjson

from lstm_stream import __version__
from lstm_stream.config import Config, Group
from lstm_stream.detect.detector import Detector
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.retraining import Trainer
from lstm_stream.outputs.events import to_json
from lstm_stream.recording import RecordingError, Row, read
from lstm_stream.records import Event, Reading, Verdicts, View

CHUNK = 4096  # rows on the line at a time
LONG = 20_000  # rows from which there is a progress bar


class Scored(NamedTuple):
    """A row of the recording with what the line says of it; `verdicts` row `at`, or the reason why there is none."""

    row: Row
    detector: Detector | None
    verdicts: Verdicts | None
    at: int
    rejected: str


@dataclass(slots=True)
class Result:
    """A whole replay."""

    rows: list[Scored] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    sensors: int = 0
    budgeted: float = 0.0  # false alarms that the budget allows for the time watched


def run_replay(args: argparse.Namespace, config: Config) -> int:
    """Replay args.file, write args.out and args.plot, print the summary; the exit code is 1 for an unusable file."""
    path = Path(args.file)
    try:
        rows = list(read(path, config.sources[0]))
    except RecordingError as error:
        print(error, file=sys.stderr)
        return 1
    with _progress(len(rows)) as advance:
        result = replay(rows, config, advance)
    try:
        if args.out:
            write_scores(Path(args.out), result)
        if args.plot:
            from lstm_stream.outputs.plot import plot

            plot(Path(args.plot), result, path.name)
    except OSError as error:
        print(f"lstm-stream: cannot write: {error}", file=sys.stderr)
        return 1
    print(summary_json(path, result) if args.format == "json" else summary_text(path, result))
    return 0


def replay(rows: Sequence[Row], config: Config, advance: object = None) -> Result:
    """Score rows in their order. Waits for every retraining, so that the same rows give the same scores."""
    patient = {name: _patient(group) for name, group in config.groups.items()}
    trainer = Trainer()
    trainer.open()
    try:
        fleet = Fleet(patient, config.limits, trainer)
        result = Result()
        remaining = iter(rows)
        while chunk := list(islice(remaining, CHUNK)):
            _score(fleet, chunk, result)
            if callable(advance):
                advance(len(chunk))
    finally:
        trainer.close()
    result.sensors = len(fleet)
    result.budgeted = _budgeted(result, config)
    return result


def _patient(group: Group) -> Group:
    return group.model_copy(update={"retraining": group.retraining.model_copy(update={"patience": inf})})


def _score(fleet: Fleet, chunk: Sequence[Row], result: Result) -> None:
    readings = [(k, row.reading) for k, row in enumerate(chunk) if isinstance(row.reading, Reading)]
    scored = [Scored(row, None, None, 0, "") for row in chunk]
    for k, row in enumerate(chunk):
        if not isinstance(row.reading, Reading):
            scored[k] = scored[k]._replace(rejected=row.reading.detail)
            result.rejected[row.reading.reason.value] += 1
    outcome = fleet.process([reading for _, reading in readings])
    for index, rejection in outcome.rejections:
        k = readings[index][0]
        scored[k] = scored[k]._replace(rejected=rejection.detail)
        result.rejected[rejection.reason.value] += 1
    for batch in outcome.batches:
        for at, index in enumerate(batch.which):
            k = readings[index][0]
            scored[k] = scored[k]._replace(detector=batch.detector, verdicts=batch.verdicts, at=at)
    result.rows += scored
    result.events += outcome.events


def _budgeted(result: Result, config: Config) -> float:
    """The budget times the time during which alarms were possible."""
    first: dict[str, float] = {}
    total = 0.0
    for row in result.rows:
        reading = row.row.reading
        if row.verdicts is not None and isinstance(reading, Reading) and isfinite(row.verdicts.threshold[row.at]):
            before = first.setdefault(reading.sensor, reading.time)
            total += (reading.time - before) * config.groups[reading.group].false_alarms
            first[reading.sensor] = reading.time
    return total


# --- what is written


def write_scores(path: Path, result: Result) -> None:
    """A row for each row of the recording. Raises OSError where the file cannot be written."""
    channels = channels_of(result.rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns(channels))
        reasons = {(event.sensor, event.opened): event.reason for event in result.events if event.state == "opened"}
        writer.writerows(cells(row, channels, reasons) for row in result.rows)


def channels_of(rows: Iterable[Scored]) -> tuple[str, ...]:
    """All channels of all sensors, in alphabetical order."""
    return tuple(sorted({name for row in rows if row.detector for name in row.detector.channels}))


def columns(channels: Sequence[str]) -> list[str]:
    """The header of the scores; with several channels, each has its own expected, lower and upper."""
    names = [""] if len(channels) == 1 else [f"{name}_" for name in channels]
    bands = [f"{name}{part}" for name in names for part in ("expected", "lower", "upper")]
    return ["timestamp", "sensor", *channels, *bands, "score", "threshold", "anomaly", "reason"]


def cells(scored: Scored, channels: Sequence[str], reasons: dict[tuple[str, float], str]) -> list[str]:
    """One row of the scores. Numbers are written so that reading them gives the same number, bit for bit."""
    reading, v, at = scored.row.reading, scored.verdicts, scored.at
    if v is None or scored.detector is None or not isinstance(reading, Reading):
        sensor = reading.sensor if isinstance(reading, Reading) else ""
        return [scored.row.time, sensor, *[""] * (4 * len(channels) + 2), "0", scored.rejected]
    place = {name: j for j, name in enumerate(scored.detector.channels)}
    values = [_number(reading.values.get(name)) for name in channels]
    bands = [
        _number(float(part[at, place[name]])) if name in place else ""
        for name in channels
        for part in (v.expected, v.lower, v.upper)
    ]
    anomaly = bool(v.anomaly[at])
    reason = reasons.get((reading.sensor, reading.time), View(int(v.view[at])).name.lower()) if anomaly else ""
    decision = [_number(float(v.score[at])), _number(float(v.threshold[at])), str(int(anomaly)), reason]
    return [scored.row.time, reading.sensor, *values, *bands, *decision]


def _number(value: float | None) -> str:
    return "" if value is None or not isfinite(value) else repr(value)


def summary_text(path: Path, result: Result) -> str:
    """The alarms, line by line, and the totals."""
    lines = [f"{_when(e)}  {e.state:<6}  {e.sensor}  {e.view}: {e.reason}" for e in result.events]
    opened = sum(event.state == "opened" for event in result.events)
    lines.append(
        f"{path}: {len(result.rows)} rows, {result.sensors} sensor{'s' * (result.sensors != 1)}, {opened} alarms "
        f"({result.budgeted:.1f} false ones budgeted)"
    )
    lines += [f"not scored, {reason}: {count}" for reason, count in result.rejected.most_common()]
    return "\n".join(lines)


def _when(event: Event) -> str:
    time = event.opened if event.closed is None else event.closed
    return datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def summary_json(path: Path, result: Result) -> str:
    """The same for programs; the alarms as they would be published, but for the time of processing."""
    events = [orjson.loads(to_json(event, 0.0, __version__)) for event in result.events]
    for event in events:
        del event["processed"]
    summary = {
        "file": str(path),
        "rows": len(result.rows),
        "sensors": result.sensors,
        "alarms": sum(event.state == "opened" for event in result.events),
        "false_alarms_budgeted": result.budgeted,
        "rejected": dict(result.rejected),
        "events": events,
    }
    return orjson.dumps(summary, option=orjson.OPT_INDENT_2).decode()


@contextmanager
def _progress(rows: int) -> Iterator[object]:
    """A bar on the terminal for long files, where rich is installed."""
    if rows < LONG or not sys.stderr.isatty():
        yield None
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ModuleNotFoundError:
        yield None
        return
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("scoring", total=rows)
        yield lambda count: progress.advance(task, count)

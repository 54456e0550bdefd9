"""What each part of the detector is worth: everything measured again without it.

    (part, some of the data) -> the detection without the part -> Watched or Tally -> Measures of each part

The data are simulated fleets, always, and the benchmarks that are there. All is run with the settings and the budget
of the group, as the whole detector is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Group
from lstm_stream.evaluate import faults, nab, scorer, skab
from lstm_stream.evaluate.fleets import Fleets
from lstm_stream.evaluate.parallel import each
from lstm_stream.evaluate.parts import Part, parts, without
from lstm_stream.evaluate.watch import Stream, Watched, streams_of, watch
from lstm_stream.replay import Advance

NAN = float("nan")
RULES = {"nab": "default", "nab_onsets": "onset_optimised"}  # of the benchmark's measures

Lost = dict[str, NDArray[np.float64]]  # points that each stream lost, by measure


class Measures(NamedTuple):
    """The figures of one detector; NaN where there were no data."""

    nab: float = NAN  # points of the standard profile at the default threshold
    nab_onsets: float = NAN  # ... of the onsets, with the best threshold
    skab: float = NAN  # F1 at the default threshold
    skab_false: float = NAN  # ... % of the normal rows that are flagged
    found: float = NAN  # % of the simulated faults
    quiet: float = NAN  # alarms per simulated sensor and week without faults


class Column(NamedTuple):
    """How a measure is shown."""

    title: str
    digits: int
    better: int  # 1: more is, -1: less is


COLUMNS = {
    "nab": Column("NAB, default", 1, 1),
    "nab_onsets": Column("NAB, best onsets", 1, 1),
    "skab": Column("SKAB F1", 3, 1),
    "skab_false": Column("SKAB FAR, %", 1, -1),
    "found": Column("faults found, %", 1, 1),
    "quiet": Column("quiet alarms/week", 2, -1),
}


@dataclass(frozen=True, slots=True)
class Data:
    """What is measured on."""

    fleets: Fleets
    files: Sequence[nab.File] = ()
    runs: Sequence[skab.Run] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """The detector without a part."""

    part: Part
    measures: Measures
    difference: Measures  # from the whole detector
    error: Measures  # the difference's standard error, as the streams vary; NaN where it is not known


@dataclass(frozen=True, slots=True)
class Report:
    """All figures."""

    whole: Measures
    rows: list[Row]
    data: Data


class Job(NamedTuple):
    """Some of the data for the detector without a part; None: the whole detector."""

    part: str | None
    group: Group
    streams: list[Stream]
    fleets: Fleets | None = None
    faulty: bool = False


@dataclass(slots=True)
class Results:
    """What the jobs of one detector came to."""

    watched: dict[str, Watched] = field(default_factory=dict)  # by the stream's name
    faulty: faults.Tally = field(default_factory=faults.Tally)
    quiet: faults.Tally = field(default_factory=faults.Tally)


def evaluate(data: Data, group: Group, jobs: int = 1) -> Report:
    """Run the whole detector, and it without each part."""
    known: list[Part | None] = [None, *parts()]
    plan = [job for part in known for job in _jobs(part, data, group)]
    given = sum(len(stream.readings) for stream in streams_of(data.files) + streams_of(data.runs))
    total = (given + 2 * data.fleets.samples * len(data.fleets.seeds)) * len(known)
    results = {part.name if part else None: Results() for part in known}
    for job, done in zip(plan, each(_work, plan, jobs, total, "ablation"), strict=True):
        of = results[job.part]
        if isinstance(done, faults.Tally):
            (of.faulty if job.faulty else of.quiet).add(done)
        else:
            of.watched |= {one.name: one for one in done}
    whole, lost = _measures(data, results[None])
    rows = [_row(part, *_measures(data, results[part.name]), whole, lost) for part in parts()]
    return Report(whole, rows, data)


def _jobs(part: Part | None, data: Data, group: Group) -> list[Job]:
    """Few and large: there are detectors enough for all processes, and streams go faster together."""
    name = part.name if part else None
    group = part.settings(group) if part else group
    fleets = [Job(name, group, [], fleet, faulty) for faulty in (True, False) for fleet in data.fleets.parts(1)]
    files = Job(name, group, streams_of(data.files))
    runs = Job(name, skab.learning(group), streams_of(data.runs))
    return [*(job for job in (files, runs) if job.streams), *fleets]


def _work(job: Job, advance: Advance | None) -> list[Watched] | faults.Tally:
    part = next((part for part in parts() if part.name == job.part), None)
    with without(part):
        if job.fleets is None:
            return watch(job.streams, job.group, advance)
        return faults.measure(faults.Job(job.fleets, "", job.faulty, job.group), advance)


def _measures(data: Data, of: Results) -> tuple[Measures, Lost]:
    standard, lost = scorer.PROFILES[0], {}
    result = Measures(found=100 * of.faulty.over().recall, quiet=of.quiet.rate.per_week)
    if data.files:
        watched = [of.watched[file.name] for file in data.files]
        report = nab.evaluate(data.files, watched, len(data.files))
        result = result._replace(**{name: report.score(rule, standard) for name, rule in RULES.items()})
        for name, rule in RULES.items():
            lost[name] = np.array([one.lost for one in report.results[rule][standard.name]])
    if data.runs:
        counted = skab.evaluate(data.runs, [of.watched[run.name] for run in data.runs]).default
        result = result._replace(skab=counted.f1, skab_false=100 * counted.false_rate)
    return result, lost


def _row(part: Part, measures: Measures, lost: Lost, whole: Measures, lost_by_whole: Lost) -> Row:
    """The whole detector and the one without the part saw the same streams: how their differences vary is the error."""
    more = {name: lost[name] - lost_by_whole[name] for name in lost}
    error = {name: float(np.sqrt(len(by)) * np.std(by, ddof=1)) for name, by in more.items() if len(by) > 1}
    return Row(part, measures, Measures(*np.subtract(measures, whole).tolist()), Measures(**error))


def to_dict(report: Report) -> dict[str, Any]:
    """All figures, for JSON."""
    return {
        "benchmark": "ablation",
        "streams": len(report.data.files),
        "runs": len(report.data.runs),
        "sensor_weeks": report.data.fleets.days / 7 * report.data.fleets.sensors * len(report.data.fleets.seeds),
        "whole": report.whole._asdict(),
        "without": {
            row.part.name: {
                "measures": row.measures._asdict(),
                "difference": row.difference._asdict(),
                "error": row.error._asdict(),
            }
            for row in report.rows
        },
    }

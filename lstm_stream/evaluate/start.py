"""Cold start: what the weights that new sensors start from are worth, beside random ones.

    healthy sensors by kind, NAB's streams -> coldstart.py -> loss of the forecasts of the first samples
    fleets of some days with faults, and without -> faults.py -> Tally: found? how late? false alarms?

Both twice: with the weights of the configuration and with random ones; all else is the same. Faults begin as soon as
the warm-up may be over: it is the first days that are asked about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from lstm_stream.coldstart import ColdStart, Stream, cold_start, stream_of, together
from lstm_stream.config import Group, Model
from lstm_stream.evaluate import faults, nab
from lstm_stream.evaluate.fleets import Fleets
from lstm_stream.evaluate.parallel import each
from lstm_stream.evaluate.watch import separable
from lstm_stream.records import Reading
from lstm_stream.replay import Advance, UnusableError
from lstm_stream.simulate import KINDS, WIDEST

STARTS = "random", "these"
SPANS = (20, 200), (200, 1000)  # samples whose forecasts are compared
FAULT_EVERY = 576  # samples: two days at the usual interval
REAL = "NAB: "


class Job(NamedTuple):
    """Sensors with the same channels."""

    streams: list[Stream]
    group: Group


@dataclass(frozen=True, slots=True)
class Report:
    """All figures, by one of STARTS."""

    weights: str  # of the configuration
    fleets: Fleets
    streams: dict[str, int]  # how many, by what they are: a kind of sensor, or a category of NAB after REAL
    forecasts: dict[str, dict[str, list[ColdStart]]]  # of the same, by SPANS
    faulty: dict[str, faults.Tally]
    quiet: dict[str, faults.Tally]  # fleets without faults

    def over(self, start: str, real: bool) -> list[ColdStart]:
        """Of all simulated sensors together, or of all streams of NAB."""
        chosen = [found for name, found in self.forecasts[start].items() if name.startswith(REAL) == real]
        return [together(of) for of in zip(*chosen, strict=True)]


def evaluate(fleets: Fleets, group: Group, jobs: int = 1, files: Sequence[nab.File] = ()) -> Report:
    """Everything with both weights. Raises UnusableError where the group's are random themselves."""
    if group.model.start_from is None:
        raise UnusableError("model.start_from is null: there are no weights to compare with random ones; name some")
    groups = dict(zip(STARTS, (_at_random(group), group), strict=True))
    early = first_days(fleets, group)
    streams = _simulated(early) | _recorded(files)
    plan = [Job(some, groups[start]) for start in STARTS for some in streams.values()]
    shown = sum(min(len(one.time), SPANS[-1][1]) for some in streams.values() for one in some)
    found = iter(each(_forecast, plan, jobs, len(STARTS) * shown, "forecasts"))
    forecasts = {start: {name: next(found) for name in streams} for start in STARTS}
    tallies = _tallies(early, groups, jobs)
    counts = {name: len(some) for name, some in streams.items()}
    return Report(str(group.model.start_from), early, counts, forecasts, tallies[True], tallies[False])


def first_days(fleets: Fleets, group: Group) -> Fleets:
    """The same with faults as early as they can be found."""
    return replace(fleets, first=group.warmup_of(WIDEST), every=FAULT_EVERY)


def _at_random(group: Group) -> Group:
    model = Model.model_validate({**group.model.model_dump(), "start_from": None})
    return group.model_copy(update={"model": model})


def _simulated(fleets: Fleets) -> dict[str, list[Stream]]:
    healthy = [series for fleet in fleets.simulations(False) for series in fleet.series]
    last = SPANS[-1][1]
    by_kind = {
        kind: [Stream(one.sensor, one.time[:last], one.values[:last]) for one in healthy if one.kind == kind]
        for kind in KINDS
    }
    return {kind: some for kind, some in by_kind.items() if some}


def _recorded(files: Sequence[nab.File]) -> dict[str, list[Stream]]:
    streams: dict[str, list[Stream]] = {}
    for file in files:
        readings = [reading for reading in file.readings if isinstance(reading, Reading)]
        streams.setdefault(f"{REAL}{file.category}", []).append(stream_of(file.name, readings))
    return streams


def _forecast(job: Job, advance: Advance | None) -> list[ColdStart]:
    return cold_start(job.streams, job.group, SPANS, advance)


def _tallies(fleets: Fleets, groups: Mapping[str, Group], jobs: int) -> dict[bool, dict[str, faults.Tally]]:
    """With faults and without."""
    plan = [
        (start, faults.Job(part, "", faulty, group))
        for start, group in groups.items()
        for faulty in (True, False)
        for part in fleets.parts(separable(group, jobs))
    ]
    total = fleets.samples * len(fleets.seeds) * 2 * len(groups)
    result = {faulty: {start: faults.Tally() for start in groups} for faulty in (True, False)}
    done = each(faults.measure, [job for _, job in plan], jobs, total, "faults")
    for (start, job), tally in zip(plan, done, strict=True):
        result[job.faulty][start].add(tally)
    return result


def to_dict(report: Report) -> dict[str, Any]:
    """All figures, for JSON."""
    whole = {start: {"simulated": report.over(start, False), "nab": report.over(start, True)} for start in STARTS}
    return {
        "benchmark": "start",
        "weights": report.weights,
        "streams": report.streams,
        "forecasts": {
            start: {name: _losses(of) for name, of in (report.forecasts[start] | whole[start]).items()}
            for start in STARTS
        },
        "faults": {
            start: {
                kind or "all": _tally(report.faulty[start], report.quiet[start], kind)
                for kind in (*report.quiet[start].rates, None)
            }
            for start in STARTS
        },
    }


def _losses(of: Sequence[ColdStart]) -> dict[str, dict[str, float]]:
    return {f"{first}-{last}": one._asdict() for (first, last), one in zip(SPANS, of, strict=False)}


def _tally(faulty: faults.Tally, quiet: faults.Tally, kind: str | None) -> dict[str, dict[str, float]]:
    found = faulty.over([kind] if kind else tuple(KINDS))
    return {
        "found": faults.cell_dict(found),
        "false_alarms": faults.rate_dict(faulty.rate_of(kind)),
        "quiet": faults.rate_dict(quiet.rate_of(kind)),
    }

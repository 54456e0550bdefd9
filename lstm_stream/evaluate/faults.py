"""The project's own simulated sensors: what share of their faults is found, how late, and is the budget kept?

    (budget, with faults or without, some seeds) -> simulate -> Watched -> Tally; tallies of all jobs -> Report

What counts as found is ruled by simulate/score.py. A rate of false alarms is alarms over the sensor-weeks in which an
alarm would be false; on fleets without faults that is all the time after the warm-up. `real` rates are of the rows of
NAB outside its windows: real life, in which some alarms are not false but unlabelled.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from lstm_stream.config import Group
from lstm_stream.config.values import WEEK, parse_budget
from lstm_stream.evaluate import nab
from lstm_stream.evaluate.fleets import Fleets, watch_fleets
from lstm_stream.evaluate.parallel import each
from lstm_stream.evaluate.watch import Watched, separable
from lstm_stream.records import Event
from lstm_stream.replay import Advance
from lstm_stream.simulate import KINDS, WIDEST, Simulation
from lstm_stream.simulate.score import Alarm, grace_of, score, watched_weeks

CERTAIN = 1.96  # standard deviations: 95 %

FAULTS = tuple(dict.fromkeys(fault for kind in KINDS.values() for fault in kind.faults))


class Job(NamedTuple):
    """Some fleets under one budget."""

    fleets: Fleets
    budget: str
    faulty: bool
    group: Group


class Rate(NamedTuple):
    """False alarms over time."""

    alarms: int = 0
    weeks: float = 0.0

    @property
    def per_week(self) -> float:
        """Of one sensor; NaN where none was watched."""
        return self.alarms / self.weeks if self.weeks else float("nan")

    def bounds(self) -> tuple[float, float]:
        """Between which the true rate per week lies with a certainty of 95 %: Byar's approximation of Poisson's."""
        if not self.weeks:
            return float("nan"), float("nan")
        n, m = self.alarms, self.alarms + 1
        low = n * (1 - 1 / (9 * n) - CERTAIN / (3 * n**0.5)) ** 3 if n else 0.0
        high = m * (1 - 1 / (9 * m) + CERTAIN / (3 * m**0.5)) ** 3
        return low / self.weeks, high / self.weeks


@dataclass(slots=True)
class Cell:
    """One kind of fault on one kind of sensor."""

    injected: int = 0
    delays: list[float] = field(default_factory=list)  # s, of those found

    @property
    def recall(self) -> float:
        """The share found; NaN where there was none."""
        return len(self.delays) / self.injected if self.injected else float("nan")

    @property
    def delay(self) -> float:
        """The median, s; NaN where none was found."""
        return statistics.median(self.delays) if self.delays else float("nan")


@dataclass(slots=True)
class Tally:
    """What was counted under one budget."""

    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)  # by sensor's and fault's kind
    rates: dict[str, Rate] = field(default_factory=dict)  # by sensor's kind, of false alarms

    def add(self, other: Tally) -> None:
        """Count what the other has counted, too."""
        for key, cell in other.cells.items():
            mine = self.cells.setdefault(key, Cell())
            mine.injected += cell.injected
            mine.delays += cell.delays
        for kind, rate in other.rates.items():
            mine_ = self.rates.get(kind, Rate())
            self.rates[kind] = Rate(mine_.alarms + rate.alarms, mine_.weeks + rate.weeks)

    def over(self, kinds: Sequence[str] = tuple(KINDS), faults: Sequence[str] = FAULTS) -> Cell:
        """All cells of these kinds together."""
        chosen = [self.cells[key] for key in product(kinds, faults) if key in self.cells]
        return Cell(sum(cell.injected for cell in chosen), [delay for cell in chosen for delay in cell.delays])

    @property
    def rate(self) -> Rate:
        """Of all kinds of sensors together."""
        return Rate(sum(rate.alarms for rate in self.rates.values()), sum(rate.weeks for rate in self.rates.values()))

    def rate_of(self, kind: str | None) -> Rate:
        """Of a kind of sensors; None: of all together."""
        return self.rate if kind is None else self.rates.get(kind, Rate())


@dataclass(frozen=True, slots=True)
class Report:
    """All figures, by budget as it was written."""

    faulty: dict[str, Tally]
    quiet: dict[str, Tally]  # fleets without faults
    real: dict[str, Tally]  # NAB outside its windows, by category; empty where no checkout was given


def evaluate(
    fleets: Fleets, budgets: Sequence[str], group: Group, jobs: int = 1, files: Sequence[nab.File] = ()
) -> Report:
    """Run everything under each budget. Raises ValueError where one is no budget."""
    groups = {budget: with_budget(group, budget) for budget in budgets}
    plan = [
        Job(part, budget, faulty, groups[budget])
        for budget, faulty, part in product(budgets, (True, False), fleets.parts(separable(group, jobs)))
    ]
    total = fleets.samples * len(fleets.seeds) * 2 * len(budgets)
    faulty, quiet = {budget: Tally() for budget in budgets}, {budget: Tally() for budget in budgets}
    for job, tally in zip(plan, each(measure, plan, jobs, total, "faults"), strict=True):
        (faulty if job.faulty else quiet)[job.budget].add(tally)
    life = {budget: real(files, nab.run(files, groups[budget], jobs)) for budget in budgets} if files else {}
    return Report(faulty, quiet, life)


def with_budget(group: Group, budget: str) -> Group:
    """The same group with another alarm budget. Raises ValueError where it is none."""
    return group.model_copy(update={"false_alarms": parse_budget(budget)})


def measure(job: Job, advance: Advance | None) -> Tally:
    """Simulate some fleets, run the detection on them, count."""
    simulations = job.fleets.simulations(job.faulty)
    result = Tally()
    for simulation, watched in zip(simulations, watch_fleets(simulations, job.group, advance), strict=True):
        result.add(tally(simulation, [one.opened for one in watched], job.group.warmup_of(WIDEST)))
    return result


def tally(simulation: Simulation, opened: Sequence[Sequence[Event]], warmup: int) -> Tally:
    """Count what became of a fleet's faults; `opened` has the alarms of each of its sensors."""
    grace, end = grace_of(simulation.interval), simulation.start + simulation.duration
    kind_of = {series.sensor: series.kind for series in simulation.series}
    alarms = [
        Alarm(series.sensor, event.opened, event.closed, event.view, event.reason, event.score)
        for series, events in zip(simulation.series, opened, strict=True)
        for event in events
    ]
    scored, result = score(simulation.faults, alarms, end, grace), Tally()
    for outcome in scored.outcomes:
        cell = result.cells.setdefault((kind_of[outcome.fault.sensor], outcome.fault.kind), Cell())
        cell.injected += 1
        if outcome.delay is not None:
            cell.delays.append(outcome.delay)
    for kind in KINDS:
        series = [one for one in simulation.series if one.kind == kind]
        false = sum(kind_of[alarm.sensor] == kind for alarm in scored.false_alarms)
        if series:
            weeks = watched_weeks(series, simulation.faults, end, grace, warmup)
            result.rates[kind] = Rate(false, weeks)
    return result


def real(files: Sequence[nab.File], watched: Sequence[Watched]) -> Tally:
    """False alarms outside the windows, after the warm-up, by category."""
    result = Tally()
    for file, one in zip(files, watched, strict=True):
        quiet = np.isfinite(one.threshold)
        for first, last in file.windows:
            quiet[first : last + 1] = False
        both = quiet[1:] & quiet[:-1]
        seconds = np.diff(one.time)[both & np.isfinite(one.time[1:]) & np.isfinite(one.time[:-1])].sum()
        alarms = int((one.openings() & quiet).sum())
        result.add(Tally(rates={file.category: Rate(alarms, float(seconds) / WEEK)}))
    return result


def to_dict(report: Report) -> dict[str, Any]:
    """All figures, for JSON."""
    return {
        "benchmark": "faults",
        "budgets": {
            budget: {
                "per_week": per_week(budget),
                "found": cell_dict(faulty.over()),
                "faults": {name: cell_dict(faulty.over(faults=[name])) for name in FAULTS},
                "sensors": {
                    kind: {
                        "faults": {name: cell_dict(faulty.over([kind], [name])) for name in KINDS[kind].faults},
                        "false_alarms": rate_dict(faulty.rate_of(kind)),
                        "quiet": rate_dict(report.quiet[budget].rate_of(kind)),
                    }
                    for kind in KINDS
                },
                "false_alarms": rate_dict(faulty.rate),
                "quiet": rate_dict(report.quiet[budget].rate),
                "real": {name: rate_dict(rate) for name, rate in report.real[budget].rates.items()}
                if report.real
                else {},
            }
            for budget, faulty in report.faulty.items()
        },
    }


def per_week(budget: str) -> float:
    """Alarms per sensor and week that a budget allows."""
    rate = parse_budget(budget)
    assert isinstance(rate, float)
    return rate * WEEK


def cell_dict(cell: Cell) -> dict[str, float]:
    """Figures of faults, for JSON."""
    return {"injected": cell.injected, "found": len(cell.delays), "recall": cell.recall, "median_delay": cell.delay}


def rate_dict(rate: Rate) -> dict[str, float]:
    """Figures of alarms, for JSON."""
    low, high = rate.bounds()
    return {"alarms": rate.alarms, "sensor_weeks": rate.weeks, "per_week": rate.per_week, "low": low, "high": high}

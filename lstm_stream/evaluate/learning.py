"""Learning never eats a fault: what becomes of changes that last for days, sensor by sensor, round by round.

    healthy sensors -> a drift, a step or a fault of days (simulate/lasting.py) -> the detection, a sample at a time
      -> Outcome: found? how late? did the alarm hold? which rounds were adopted meanwhile? what came after?

A change that stays may be learned once its alarm was open for `accept_after`, visibly: the alarm closes as accepted. A
fault that ends must leave nothing behind. A round that was begun before the alarm opened, at most `lag` samples ago,
may still be adopted: it has seen nothing of what raised the alarm but its first samples.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Group
from lstm_stream.detect.fleet import Batch
from lstm_stream.evaluate.fleets import INTERVAL, stream
from lstm_stream.evaluate.parallel import each
from lstm_stream.evaluate.watch import Watched, watch
from lstm_stream.outputs.tracks import Channel, Track
from lstm_stream.records import Event
from lstm_stream.replay import Advance
from lstm_stream.simulate import DAY, KINDS, simulate
from lstm_stream.simulate.lasting import CHANGES, Lasting, lasting
from lstm_stream.simulate.score import grace_of

BEFORE = 10 * DAY  # until something changes
AFTER = 7 * DAY  # in which alarms are counted when all is over
MARGIN = 5 * DAY  # for the longest change and the grace
NAN = float("nan")

F8 = NDArray[np.float64]


class Job(NamedTuple):
    """Some sensors of a kind, each with every change."""

    kind: str
    sensors: int
    seed: int
    group: Group


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one change."""

    kind: str
    change: str
    delay: float  # s from its start to the first alarm; NaN: not found
    held: float  # share of the time, from the first alarm until it is over or may be accepted, that one was open
    accepted: float  # s that the alarm was open before the change was taken for normal; NaN: it never was
    adopted: int  # rounds begun and adopted while an alarm was open: must be none
    late: int  # rounds adopted while one was open, but begun before it opened
    unnoticed: int  # rounds adopted in that time, or before that alarm, while none was open
    after: int  # alarms in the week after that
    weeks: float  # of that week, how much there was


@dataclass(frozen=True, slots=True)
class Example:
    """One stream as it was seen, for the picture."""

    lasting: Lasting
    track: Track
    rounds: F8  # unix s, of the samples from which new weights forecast


@dataclass(frozen=True, slots=True)
class Report:
    """All outcomes, and an example of each change."""

    outcomes: list[Outcome]
    examples: list[Example]

    def over(self, change: str, kind: str | None = None) -> list[Outcome]:
        """Those of a change, on a kind of sensor or on all."""
        return [one for one in self.outcomes if one.change == change and kind in (None, one.kind)]


@dataclass(slots=True)
class _Seen:
    """Of all rows of some streams: the weights' generation before each, and the first channel's band."""

    generation: NDArray[np.int64]
    band: F8  # (N, 3) expected, lower, upper

    def look(self, batch: Batch, rows: NDArray[np.intp], first: dict[int, int]) -> None:
        """Told of each batch, which holds a sensor once at most."""
        self.generation[rows] = batch.detector.arrays.generation[batch.samples.slot]
        column = first[id(batch.detector)]
        v = batch.verdicts
        self.band[rows] = np.column_stack([v.expected[:, column], v.lower[:, column], v.upper[:, column]])


def evaluate(kinds: Sequence[str], sensors: int, seed: int, group: Group, jobs: int = 1) -> Report:
    """Every change on so many sensors of each kind."""
    plan = [Job(kind, sensors, seed, group) for kind in kinds]
    total = int(len(plan) * sensors * len(CHANGES) * duration(group) / INTERVAL)
    done = each(_work, plan, jobs, total, "learning")
    return Report([one for outcomes, _ in done for one in outcomes], done[0][1])


def duration(group: Group) -> float:
    """Of a stream, s: the longest change, until it is accepted, and the week after."""
    return BEFORE + MARGIN + min(group.accept_after, 30 * DAY) + AFTER


def _work(job: Job, advance: Advance | None) -> tuple[list[Outcome], list[Example]]:
    healthy = simulate(
        job.sensors, duration(job.group), job.seed, interval=INTERVAL, fault_every=None, kinds=[job.kind]
    )
    changed = [
        lasting(change, series, healthy.start + BEFORE, np.random.default_rng([job.seed, k]))
        for change, (k, series) in product(CHANGES, enumerate(healthy.series))
    ]
    streams = [stream(one.series, k) for k, one in enumerate(changed)]
    begin = np.cumsum([0, *(len(one.readings) for one in streams)])
    seen = _Seen(np.zeros(begin[-1], np.int64), np.full((begin[-1], 3), NAN))
    name = KINDS[job.kind].channels[0]
    columns: dict[int, int] = {}

    def look(batch: Batch, rows: NDArray[np.intp]) -> None:
        columns.setdefault(id(batch.detector), batch.detector.channels.index(name))
        seen.look(batch, rows, columns)

    watched = watch(streams, job.group, advance, chunk=1, look=look)
    outcomes, examples = [], []
    for k, (one, of) in enumerate(zip(changed, watched, strict=True)):
        rows = slice(begin[k], begin[k + 1])
        outcomes.append(outcome(one, of, seen.generation[rows], job.group))
        if k % job.sensors == 0:
            examples.append(_example(one, of, seen.generation[rows], seen.band[rows], name))
    return outcomes, examples


def outcome(of: Lasting, watched: Watched, generation: NDArray[np.int64], group: Group) -> Outcome:
    """What became of a change; generation (N,) is that of the weights which forecast each sample."""
    time, last = watched.time, float(np.nanmax(watched.time))
    closing = {(event.view, event.opened): event.closed for event in watched.events if event.state == "closed"}
    owed = last if of.stays else of.end + grace_of(INTERVAL)  # until then an alarm is about the change
    alarms = [event for event in watched.opened if of.start <= event.opened < owed]
    begun = alarms[0].opened if alarms else of.end
    accepted = next((event for event in alarms if _lasted(event, closing) >= group.accept_after), None)
    if accepted is not None:
        settled = max(accepted.opened + _lasted(accepted, closing), of.end)
    else:
        settled = max(begun + group.accept_after, of.end) if of.stays else owed
    until = min(settled, begun + group.accept_after) if of.stays else of.end  # until then the alarm should be open
    during = (time >= begun) & (time < until)
    rounds = [row for row in adoptions(generation) if of.start <= time[row] < max(until, of.end)]
    alarmed = [row for row in rounds if watched.anomaly[row - 1]]
    lag = min(group.retraining.lag, group.retraining.every - 1)
    late = sum(not watched.anomaly[row - lag - 1] for row in alarmed)
    after = [event for event in watched.opened if settled < event.opened <= settled + AFTER]
    return Outcome(
        of.series.kind,
        of.change,
        alarms[0].opened - of.start if alarms else NAN,
        float(watched.anomaly[during].mean()) if alarms and during.any() else NAN,
        NAN if accepted is None else _lasted(accepted, closing),
        len(alarmed) - late,
        late,
        len(rounds) - len(alarmed),
        len(after),
        max(0.0, min(AFTER, last - settled)) / AFTER,
    )


def adoptions(generation: NDArray[np.int64]) -> list[int]:
    """The rows before which new weights were adopted."""
    rows: list[int] = np.flatnonzero(np.diff(generation, prepend=generation[:1]) > 0).tolist()
    return rows


def _lasted(event: Event, closing: dict[tuple[str, float], float | None]) -> float:
    """How long an alarm was open, s; NaN while it still is."""
    closed = closing.get((event.view, event.opened))
    return NAN if closed is None else closed - event.opened


def _example(of: Lasting, watched: Watched, generation: NDArray[np.int64], band: F8, channel: str) -> Example:
    there = np.isfinite(watched.time)
    shown = Channel(channel, of.series.values[there, 0], *band[there].T)
    track = Track(
        of.series.sensor, watched.time[there], [shown], watched.score[there], watched.threshold[there], watched.events
    )
    return Example(of, track, watched.time[adoptions(generation)])


def summary(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """The figures of some outcomes together; NaN where there is nothing to say."""
    found = [one.delay for one in outcomes if one.delay == one.delay]
    held = [one.held for one in outcomes if one.held == one.held]
    accepted = [one.accepted for one in outcomes if one.accepted == one.accepted]
    weeks = sum(one.weeks for one in outcomes)
    return {
        "changes": len(outcomes),
        "found": len(found),
        "median_delay": statistics.median(found) if found else NAN,
        "held": statistics.fmean(held) if held else NAN,
        "accepted": len(accepted),
        "accepted_after": statistics.median(accepted) if accepted else NAN,
        "adopted_in_alarm": sum(one.adopted for one in outcomes),
        "adopted_begun_before": sum(one.late for one in outcomes),
        "adopted_unnoticed": sum(one.unnoticed for one in outcomes),
        "alarms_after_per_week": sum(one.after for one in outcomes) / weeks if weeks else NAN,
    }


def to_dict(report: Report) -> dict[str, Any]:
    """All figures, for JSON."""
    kinds = list(dict.fromkeys(one.kind for one in report.outcomes))
    return {
        "benchmark": "learning",
        "changes": {
            change: {
                "all": summary(report.over(change)),
                "sensors": {kind: summary(report.over(change, kind)) for kind in kinds},
            }
            for change in CHANGES
        },
    }

"""The parts of the detector, and the detector without each: by a setting, or by undoing what the part has done.

Undone is what no user would switch off: around each step of the line (detect/line.py), for as long as `without` lasts,
in this process alone. Nothing of it is in the daemon.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import VIEWS, Group
from lstm_stream.detect import alarm, calibration, history, line
from lstm_stream.detect.scaling import EARLY


class Step(NamedTuple):
    """M samples of distinct sensors on their way through the line; these are what `line.step` is given of that name."""

    s: Any  # the state of all sensors
    rules: line.Rules
    slot: NDArray[np.int32]  # (M,)
    said: line.Said  # what it writes


Around = Callable[[Step], AbstractContextManager[None]]

PLACES = [list(inspect.signature(line.step.py_func).parameters).index(name) for name in Step._fields]  # type: ignore[attr-defined]


class Part(NamedTuple):
    """Something that the detector could do without, perhaps."""

    name: str
    without: str  # what is different then, where the name does not tell
    settings: Callable[[Group], Group] = lambda group: group
    around: Around | None = None


def parts() -> list[Part]:
    """What can be left out: each view, so that it raises no alarm; learning; what keeps normal life and faults apart;
    what keeps alarms few.
    """
    return [
        *(Part(view, "", _blind(view)) for view in VIEWS),
        Part("learning", "the forecast is the last value", _unlearned),
        Part("base weights", "weights begin at random", _unprepared),
        Part("learning gate", "weights are learned from alarms too", around=_greedy),
        Part("robust start", "wild ones among the first values count", around=_plain),
        Part("scale catch-up", "an outlier counts as any other, however many came before", around=_slow),
        Part("seasonal baseline", "the usual level knows no time of day", around=_timeless),
        Part("doubt gate", "scales and levels learn what is nearly an alarm", around=_sure),
        Part("alarm gate", "scales and levels learn from alarms too", around=_open),
        Part("quarantine", "what is usual is learned at once", around=_hurried),
        Part("recent samples apart", "surprise compares with the latest samples too", around=_fresh),
        Part("memory of alarms", "how odd they were is forgotten", around=_oblivious),
        Part("budget steering", "no alarm moves the threshold", around=_steady),
        Part("slow start", "a new sensor's threshold is as low as any", around=_bold),
        Part("level hold", "an alarm closes though the levels are off", around=_hasty),
        Part("refractory", "an alarm may follow another at once", around=_restless),
    ]


@contextmanager
def without(part: Part | None) -> Iterator[None]:
    """The detection as it is without a part, where that takes more than its settings."""
    if part is None or part.around is None:
        yield
        return
    real, around = line.step, part.around

    def step(*given: Any) -> None:
        with around(Step(*(given[place] for place in PLACES))):
            real(*given)

    line.step = step  # type: ignore[assignment]
    try:
        yield
    finally:
        line.step = real


# --- by a setting


def _blind(view: str) -> Callable[[Group], Group]:
    return lambda group: group.model_copy(update={"views": tuple(name for name in group.views if name != view)})


def _unlearned(group: Group) -> Group:
    return group.model_copy(update={"retraining": group.retraining.model_copy(update={"enabled": False})})


def _unprepared(group: Group) -> Group:
    return group.model_copy(update={"model": group.model.model_copy(update={"start_from": None})})


# --- around a step


@contextmanager
def _greedy(now: Step) -> Iterator[None]:
    """Every sample may be learned from."""
    s, slot = now.s, now.slot
    yield
    s.past_context[slot, (s.count[slot] - 1) % s.past_context.shape[1]] |= history.LEARNABLE


@contextmanager
def _plain(now: Step) -> Iterator[None]:
    """Of the first values, all count."""
    s, slot = now.s, now.slot
    yield
    for m, j in np.argwhere((s.seen[slot] > 0) & (s.seen[slot] <= EARLY)):
        row = slot[m]
        values = s.early[row, j, : int(s.seen[row, j])]
        s.mean[row, j], s.variance[row, j] = values.mean(), values.var()


@contextmanager
def _slow(now: Step) -> Iterator[None]:
    """Every outlier is the first in a row."""
    now.s.outliers[now.slot] = 0
    yield


@contextmanager
def _timeless(now: Step) -> Iterator[None]:
    """Of the terms of the baseline, the constant counts."""
    now.s.baseline[now.slot, 1:] = 0.0
    yield


@contextmanager
def _sure(now: Step) -> Iterator[None]:
    """Only an open alarm is doubtful."""
    now.s.doubtful[now.slot] = now.s.open[now.slot]
    yield


@contextmanager
def _open(now: Step) -> Iterator[None]:
    """Nothing is doubtful."""
    now.s.doubtful[now.slot] = False
    yield


@contextmanager
def _hurried(now: Step) -> Iterator[None]:
    """The block that begins to wait is learned instead."""
    s, slot = now.s, now.slot
    yield
    rows = slot[s.blocks[slot] > 0]
    s.maximum[rows], s.block[rows], s.blocks[rows] = s.waiting[rows, 0], calibration.BLOCK - 1, 0
    again = np.zeros((len(rows), s.fit.shape[1])), np.ones(len(rows), np.bool_), np.zeros(len(rows), np.int8)
    warming_up = np.full(len(rows), np.inf)  # when nothing waits
    memory = s.histogram, s.fit, s.maximum, s.block, s.waiting, s.blocks
    calibration.remember(rows, *again, warming_up, *memory)


@contextmanager
def _fresh(now: Step) -> Iterator[None]:
    """All points were there already."""
    s, slot = now.s, now.slot
    s.known[slot] = s.used[slot][..., None]
    yield


@contextmanager
def _oblivious(now: Step) -> Iterator[None]:
    """What a closing alarm adds to the memory is taken out."""
    s, rows = now.s, now.slot[now.s.open[now.slot]]
    histogram, fit = s.histogram[rows], s.fit[rows]
    yield
    over = ~s.open[rows]
    s.histogram[rows[over]], s.fit[rows[over]] = histogram[over], fit[over]


@contextmanager
def _steady(now: Step) -> Iterator[None]:
    """The budget's threshold stays."""
    before = now.s.strictness[now.slot]
    yield
    now.s.strictness[now.slot] = before


@contextmanager
def _bold(now: Step) -> Iterator[None]:
    """The strictness is less by what a new sensor's threshold is more; then it goes on from where it was."""
    s, slot, said = now.s, now.slot, now.said
    before = s.strictness[slot]
    s.strictness[slot] = before - calibration.NOVICE / (1.0 + s.count[slot])
    yield
    s.strictness[slot] = before
    opened, rate = said.transition == alarm.OPENED, (s.interval, now.rules.budget)
    calibration.keep_budget(slot, said.score, said.threshold, opened, *rate, s.strictness, s.paused)


@contextmanager
def _hasty(now: Step) -> Iterator[None]:
    """Whatever the levels are, they have come back most of the way."""
    now.s.crest[now.slot] = np.inf
    yield


@contextmanager
def _restless(now: Step) -> Iterator[None]:
    """No alarm leaves a refractory time behind."""
    s, slot, transition = now.s, now.slot, now.said.transition
    yield
    s.quiet[slot[(transition == alarm.CLOSED) | (transition == alarm.ACCEPTED)]] = 0

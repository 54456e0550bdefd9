"""The parts of the detector, and the detector without each: by a setting, or by undoing what the part has done.

Undone is what no user would switch off: around each step of the line (detect/line.py), for as long as `without` lasts,
in this process alone. Nothing of it is in the daemon.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import VIEWS, Group
from lstm_stream.detect import alarm, history, line

Undo = Callable[[NDArray[np.int8]], None]
Around = Callable[[Any, NDArray[np.int32]], Undo]

ARGUMENTS = tuple(inspect.signature(line.step.py_func).parameters)  # type: ignore[attr-defined]
SLOT, SAID = (ARGUMENTS.index(name) - 1 for name in ("slot", "said"))  # after the state


class Part(NamedTuple):
    """Something that the detector could do without, perhaps."""

    name: str
    without: str  # what is different then, where the name does not tell
    settings: Callable[[Group], Group] = lambda group: group
    around: Around | None = None


def parts() -> list[Part]:
    """What can be left out: each view, so that it raises no alarm, the learning, and what keeps alarms few."""
    return [
        *(Part(view, "", _blind(view)) for view in VIEWS),
        Part("learning", "the forecast is the last value", _unlearned),
        Part("learning gate", "weights are learned from alarms too", around=_greedy),
        Part("budget steering", "no alarm moves the threshold", around=_steady),
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

    def step(s: Any, *rest: Any) -> None:
        slot, said = rest[SLOT], rest[SAID]
        undo = around(s, slot)
        real(s, *rest)
        undo(said.transition)

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


# --- around a step: what is undone when M samples of distinct sensors `slot` (M,) have gone through


def _greedy(s: Any, slot: NDArray[np.int32]) -> Undo:
    """Every sample may be learned from."""

    def undo(transition: NDArray[np.int8]) -> None:  # noqa: ARG001
        s.past_context[slot, (s.count[slot] - 1) % s.past_context.shape[1]] |= history.LEARNABLE

    return undo


def _steady(s: Any, slot: NDArray[np.int32]) -> Undo:
    """The budget's threshold stays."""
    before = s.strictness[slot].copy()

    def undo(transition: NDArray[np.int8]) -> None:  # noqa: ARG001
        s.strictness[slot] = before

    return undo


def _hasty(s: Any, slot: NDArray[np.int32]) -> Undo:
    """Whatever the levels are, they have come back most of the way."""
    s.crest[slot] = np.inf
    return lambda _: None  # the next alarm begins anew


def _restless(s: Any, slot: NDArray[np.int32]) -> Undo:
    """No alarm leaves a refractory time behind."""

    def undo(transition: NDArray[np.int8]) -> None:
        s.quiet[slot[(transition == alarm.CLOSED) | (transition == alarm.ACCEPTED)]] = 0

    return undo

"""The parts of the detector, and the detector without each: by a setting, or with a stand-in for one of its functions.

A stand-in is for what no user would switch off. It is put in place for as long as `without` lasts, in this process
alone; nothing of it is in the daemon. It finds its arguments by the name that the real function gives them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from lstm_stream.config import VIEWS, Group
from lstm_stream.detect import alarm, calibration, history

Function = Callable[..., Any]
LONG_KNOWN = 10**9  # samples


class StandIn(NamedTuple):
    """What is called instead of a function of a module: `make` is given the real one."""

    module: ModuleType
    name: str
    make: Callable[[Function], Function]


class Part(NamedTuple):
    """Something that the detector could do without, perhaps."""

    name: str
    without: str  # what is different then, where the name does not tell
    settings: Callable[[Group], Group] = lambda group: group
    stand_in: StandIn | None = None


def parts() -> list[Part]:
    """What can be left out: each view, so that it raises no alarm, the learning, and what keeps alarms few."""
    return [
        *(Part(view, "", _blind(view)) for view in VIEWS),
        Part("learning", "the forecast is the last value", _unlearned),
        Part("learning gate", "weights are learned from alarms too", stand_in=StandIn(history, "append", _greedy)),
        Part("budget steering", "no alarm moves the threshold", stand_in=StandIn(calibration, "keep_budget", _idle)),
        Part("slow start", "a new sensor's threshold is no higher", stand_in=StandIn(calibration, "thresholds", _bold)),
        Part("refractory", "an alarm may follow another at once", stand_in=StandIn(alarm, "decide", _restless)),
    ]


@contextmanager
def without(part: Part | None) -> Iterator[None]:
    """The stand-in of a part, if it has one, in the place of the real function."""
    if part is None or part.stand_in is None:
        yield
        return
    module, name, make = part.stand_in
    real = getattr(module, name)
    setattr(module, name, make(real))
    try:
        yield
    finally:
        setattr(module, name, real)


# --- by a setting


def _blind(view: str) -> Callable[[Group], Group]:
    return lambda group: group.model_copy(update={"views": tuple(name for name in group.views if name != view)})


def _unlearned(group: Group) -> Group:
    return group.model_copy(update={"retraining": group.retraining.model_copy(update={"enabled": False})})


# --- by a stand-in


def _named(real: Function) -> inspect.Signature:
    return inspect.signature(getattr(real, "py_func", real))


def _changed(real: Function, name: str, change: Callable[[Any], Any]) -> Function:
    """The real function with another value for one of its arguments."""
    signature = _named(real)

    def called(*args: Any) -> Any:
        given = signature.bind(*args)
        given.arguments[name] = change(given.arguments[name])
        return real(*given.args)

    return called


def _greedy(real: Function) -> Function:
    return _changed(real, "learnable", np.ones_like)


def _bold(real: Function) -> Function:
    return _changed(real, "count", lambda count: np.full_like(count, LONG_KNOWN))


def _idle(real: Function) -> Function:  # noqa: ARG001 - it is not called
    return lambda *_: None


def _restless(real: Function) -> Function:
    """No alarm leaves a refractory time behind."""
    signature = _named(real)

    def decide(*args: Any) -> Any:
        transition = real(*args)
        given = signature.bind(*args).arguments
        ended = (transition == alarm.CLOSED) | (transition == alarm.ACCEPTED)
        given["quiet"][given["slot"][ended]] = 0
        return transition

    return decide

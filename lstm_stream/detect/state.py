"""Everything the detector knows of its sensors, as arrays with one row a sensor (slots.py).

The fields are declared once, here; growing, packing to bytes, unpacking and the layout's signature follow from the
declaration, so that a field cannot be forgotten in any of them.
"""

from __future__ import annotations

import collections
from typing import Any, NamedTuple

import numpy as np

from lstm_stream.config import Group
from lstm_stream.detect.alarm import UNARMED
from lstm_stream.detect.calibration import AT_FIRST, BINS, FIT, LEAN, QUARANTINE
from lstm_stream.detect.inputs import TERMS, input_count
from lstm_stream.detect.novelty import COORDINATES, LOOKS, POINTS, RADIUS, RECENT
from lstm_stream.detect.scaling import EARLY
from lstm_stream.detect.slots import FieldSpec, SlotArrays
from lstm_stream.lstm.params import Shape

VERSION = 6  # raise it when a field's meaning changes while its name and shape stay
CALIBRATED = 7  # forecast, burst, level, surprise, shape, clock, drift


class Sizes(NamedTuple):
    """How much of everything a sensor keeps: what tells one profile from another."""

    views: int  # that are calibrated: the first so many
    bins: int  # of a view's histogram
    quarantine: int  # blocks
    terms: int  # of the seasonal baseline: constant, day, half-day, week
    looks: int  # of the novelty memory
    points: int  # of one look
    history: int  # samples to train on at most
    pool: int  # sensors whose windows train shared weights
    excuses: int  # patterns that a person called normal; none: only while their alarm is open


# A lean sensor has no memory of what it has seen, which takes most room and time; its day is a single wave, and its
# histograms end where a lean sensor's statistics hardly ever come.
PROFILES = {
    "full": Sizes(CALIBRATED, BINS, QUARANTINE, TERMS, LOOKS, POINTS, 2**31, 64, 4),
    "lean": Sizes(LEAN, 52, 8, 3, 0, 0, 32, 512, 0),
}


def ring_length(group: Group) -> int:
    """Samples that the history holds: those that a round trains on, and those that come until it is adopted."""
    history = min(group.retraining.history, PROFILES[group.profile].history)
    # A round of shared weights is never started again after a restart: nobody asks for older samples.
    return history if group.profile == "lean" else history + group.retraining.lag


def lstm_shape(channels: int, group: Group) -> Shape:
    """The network of a group with that many channels."""
    return Shape(input_count(channels), group.model.hidden, channels, group.model.cell)


def fields(channels: int, group: Group) -> tuple[FieldSpec, ...]:
    """The arrays of a group with D channels; R is the length of the history ring."""
    d, ring, size = channels, ring_length(group), PROFILES[group.profile]
    network = lstm_shape(d, group)
    drift = d if size.views == CALIBRATED else 0  # channels that it looks at
    own = (_weights(network),) if group.model.weights == "own" else ()
    return (
        FieldSpec("count", "i8"),  # samples processed
        FieldSpec("time", "f8", (), -np.inf),  # of the last sample, unix s
        FieldSpec("interval", "f8"),  # running mean of the time between samples, s
        FieldSpec("gap", "f8"),  # decaying maximum of it, s
        # scaling
        FieldSpec("seen", "f8", (d,)),  # present values
        FieldSpec("mean", "f8", (d,)),
        FieldSpec("variance", "f8", (d,)),
        FieldSpec("early", "f8", (d, EARLY)),  # the first values
        FieldSpec("outliers", "i8", (d,)),  # in a row
        FieldSpec("last", "f8", (d,), np.nan),  # last scaled value
        FieldSpec("raw", "f8", (d,), np.nan),  # last value, for the freeze test
        # LSTM
        FieldSpec("lstm", "f4", (2 * network.width,), meaning=network.cell),  # [h | c]
        FieldSpec("forecast", "f4", (d,), np.nan),  # scaled, awaits its observation
        FieldSpec("generation", "i4"),
        FieldSpec("adopt_at", "i8", (), -1),  # the count at which the round under way is adopted
        *own,
        # views
        FieldSpec("error", "f8", (d,), 1.0),  # running mean square of the forecast error
        FieldSpec("burst", "f8", (d,), 1.0),  # short-term mean of the squared standardised error
        FieldSpec("gram", "f8", (size.terms, size.terms)),  # seasonal baseline: normal equations
        FieldSpec("moment", "f8", (size.terms, d)),
        FieldSpec("baseline", "f8", (size.terms, d)),
        FieldSpec("deviation", "f8", (d,), 1.0),  # running mean square of the baseline's residual
        FieldSpec("level", "f8", (d,)),  # smoothed residual of the baseline
        FieldSpec("covariance", "f8", (d, d)),  # of the level
        FieldSpec("points", "f4", (d, size.points, COORDINATES)),  # what was seen
        FieldSpec("used", "i4", (d, size.looks)),  # how many of them
        FieldSpec("known", "u1", (d, size.looks, RECENT)),  # ... were there at each of the latest samples
        FieldSpec("radius", "f4", (d, size.looks), RADIUS),
        FieldSpec("lowest", "f8", (d,), np.nan),  # value
        FieldSpec("highest", "f8", (d,), np.nan),
        FieldSpec("origin", "f8", (drift,), np.nan),  # of the levels of the drift view: the first value
        FieldSpec("smooth", "f8", (drift,)),  # these levels
        FieldSpec("drift_counts", "f8", (2,)),  # samples in their sums, and in their reference
        FieldSpec("drift_total", "f8", (drift,)),
        FieldSpec("drift_product", "f8", (drift, drift)),
        FieldSpec("drift_mean", "f8", (drift,)),
        FieldSpec("drift_covariance", "f8", (drift, drift)),
        FieldSpec("run", "i8", (d,)),  # identical values in a row
        FieldSpec("longest", "f8", (d,)),  # decaying maximum of it
        FieldSpec("changes", "i8", (d,)),
        # calibration
        FieldSpec("histogram", "f4", (size.views, size.bins)),
        FieldSpec("fit", "f8", (size.views, FIT)),
        FieldSpec("maximum", "f8", (size.views,)),  # of the block under way
        FieldSpec("block", "i4"),  # samples in it
        FieldSpec("waiting", "f8", (size.quarantine, size.views)),  # blocks in quarantine
        FieldSpec("blocks", "i4"),  # how many were put there
        FieldSpec("strictness", "f8", (), AT_FIRST),  # decades added to the threshold to keep the budget
        # alarm
        FieldSpec("open", "?"),
        FieldSpec("doubtful", "?"),  # whether the next sample had better not move what is usual
        FieldSpec("opened", "f8"),  # data time, unix s
        FieldSpec("peak", "f8", (), UNARMED),  # highest score of the alarm, kept for the refractory time
        FieldSpec("crest", "f8", (2 if drift else 0,)),  # largest statistics of level and drift during the alarm
        FieldSpec("quiet", "i4"),  # samples below the threshold in a row
        FieldSpec("leading", "i1"),  # View that opened it
        FieldSpec("silent_since", "f8", (), np.nan),  # data time, unix s; NaN = not silent
        # what persons said
        FieldSpec("paused", "?"),  # nothing is learned
        FieldSpec("acknowledged", "?", (2,)),  # somebody knows of: the open alarm, the silence
        FieldSpec(
            "episode", "f4", (size.views + 4 * d if size.excuses else 0,)
        ),  # the open or latest alarm: see excuses.py
        FieldSpec("excused", "f4", (size.excuses, size.views + 2 * d)),  # the patterns that are normal
        FieldSpec("excuses", "u1"),  # how many there have been
        FieldSpec("allowed_run", "f4", (d,)),  # identical values in a row that are normal
        FieldSpec("frozen_run", "f4", (d if size.excuses else 0,)),  # the latest that raised an alarm
        FieldSpec("allowed_gap", "f4"),  # s without samples that are normal
        FieldSpec("hushed", "?", (2,)),  # they are normal, but not over: the alarm, the silence
        FieldSpec(
            "silence", "f8", (2 if size.excuses else 0,)
        ),  # the latest one that is over: since when, how long without samples
        # history
        FieldSpec("past_value", "f4", (ring, d)),  # scaled
        FieldSpec("past_context", "u4", (ring,)),  # when, how long after the one before, whether it may be learned
    )


def shared_fields(network: Shape) -> tuple[FieldSpec, ...]:
    """What a group with shared weights keeps once for all its sensors."""
    return (
        _weights(network),
        FieldSpec("generation", "i4"),
        FieldSpec("total", "i8"),  # samples of the group
        FieldSpec("rounds", "i8"),  # started
        FieldSpec("next_round", "i8", (), 1),  # the total at which the next round starts; a boundary of batches
        FieldSpec("adopt_at", "i8", (), -1),  # ... and the one under way is adopted
        FieldSpec("paused", "?"),  # no rounds start
        FieldSpec("settled", "i1"),  # whether its outcome is known, and which
        FieldSpec("challenger", "f4", (network.size,)),
    )


def _weights(network: Shape) -> FieldSpec:
    return FieldSpec("weights", "f4", (network.size,), meaning=network.cell)


def sensor_arrays(channels: int, group: Group, sensors: int = 1, most: int = 1) -> SlotArrays:
    """The arrays of a group with D channels: rows for that many sensors, room for `most`."""
    return SlotArrays(fields(channels, group), sensors, most, VERSION)


def shared_arrays(network: Shape) -> SlotArrays:
    """The one row of what a group with shared weights keeps once."""
    return SlotArrays(shared_fields(network), version=VERSION)


# What the line needs not: every array that a kernel is given costs half a microsecond a call.
_ASIDE = {"weights", "generation", "adopt_at", "silent_since", "acknowledged", "allowed_gap", "silence"}
_sensor_names = [spec.name for spec in fields(1, Group()) if spec.name not in _ASIDE]
_namedtuple: Any = collections.namedtuple  # whose fields are known to fields() alone
State = _namedtuple("State", _sensor_names)  # a sensor's arrays as the line takes them


def state_of(arrays: SlotArrays) -> Any:
    """The arrays for the kernels; others after the next `grow`."""
    return State(*(getattr(arrays, name) for name in _sensor_names))

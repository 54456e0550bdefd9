"""Everything the detector knows of its sensors, as arrays with one row a sensor.

The fields are declared once, here; growing, packing to bytes, unpacking and the layout's signature follow from the
declaration, so that a field cannot be forgotten in any of them.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Group
from lstm_stream.detect.alarm import UNARMED
from lstm_stream.detect.calibration import AT_FIRST, BINS, FIT, QUARANTINE
from lstm_stream.detect.inputs import TERMS, input_count
from lstm_stream.detect.novelty import COORDINATES, LOOKS, POINTS, RADIUS, RECENT
from lstm_stream.detect.scaling import EARLY
from lstm_stream.lstm.params import Shape

VERSION = 3  # raise it when a field's meaning changes while its name and shape stay
CALIBRATED = 6  # forecast, burst, level, surprise, shape, clock


class FieldSpec(NamedTuple):
    """One array of the state: `shape` is that of one sensor's row."""

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    fill: float = 0.0
    meaning: str = ""  # what its numbers are, where name and shape do not tell; another meaning is another layout


def lstm_shape(channels: int, group: Group) -> Shape:
    """The network of a group with that many channels."""
    return Shape(input_count(channels), group.model.hidden, channels, group.model.cell)


def fields(channels: int, group: Group) -> tuple[FieldSpec, ...]:
    """The arrays of a group with D channels; R is the length of the history ring."""
    d, ring = channels, group.retraining.history + group.retraining.lag
    network = lstm_shape(d, group)
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
        FieldSpec("gram", "f8", (TERMS, TERMS)),  # seasonal baseline: normal equations
        FieldSpec("moment", "f8", (TERMS, d)),
        FieldSpec("baseline", "f8", (TERMS, d)),
        FieldSpec("deviation", "f8", (d,), 1.0),  # running mean square of the baseline's residual
        FieldSpec("level", "f8", (d,)),  # smoothed residual of the baseline
        FieldSpec("covariance", "f8", (d, d)),  # of the level
        FieldSpec("points", "f4", (d, POINTS, COORDINATES)),  # what was seen
        FieldSpec("used", "i4", (d, LOOKS)),  # how many of them
        FieldSpec("known", "u1", (d, LOOKS, RECENT)),  # ... were there at each of the latest samples
        FieldSpec("radius", "f4", (d, LOOKS), RADIUS),
        FieldSpec("lowest", "f8", (d,), np.nan),  # value
        FieldSpec("highest", "f8", (d,), np.nan),
        FieldSpec("run", "i8", (d,)),  # identical values in a row
        FieldSpec("longest", "f8", (d,)),  # decaying maximum of it
        FieldSpec("changes", "i8", (d,)),
        # calibration
        FieldSpec("histogram", "f4", (CALIBRATED, BINS)),
        FieldSpec("fit", "f8", (CALIBRATED, FIT)),
        FieldSpec("maximum", "f8", (CALIBRATED,)),  # of the block under way
        FieldSpec("block", "i8"),  # samples in it
        FieldSpec("waiting", "f8", (QUARANTINE, CALIBRATED)),  # blocks in quarantine
        FieldSpec("blocks", "i8"),  # how many were put there
        FieldSpec("strictness", "f8", (), AT_FIRST),  # decades added to the threshold to keep the budget
        # alarm
        FieldSpec("open", "?"),
        FieldSpec("doubtful", "?"),  # whether the next sample had better not move what is usual
        FieldSpec("opened", "f8"),  # data time, unix s
        FieldSpec("peak", "f8", (), UNARMED),  # highest score of the alarm, kept for the refractory time
        FieldSpec("quiet", "i8"),  # samples below the threshold in a row
        FieldSpec("leading", "i1"),  # View that opened it
        FieldSpec("silent_since", "f8", (), np.nan),  # data time, unix s; NaN = not silent
        # history
        FieldSpec("past_time", "f4", (ring,)),  # of the week, s
        FieldSpec("past_value", "f4", (ring, d)),  # scaled
        FieldSpec("past_gap", "f4", (ring,)),  # the elapsed-time input
        FieldSpec("learnable", "?", (ring,)),
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
        FieldSpec("settled", "i1"),  # whether its outcome is known, and which
        FieldSpec("challenger", "f4", (network.size,)),
    )


def _weights(network: Shape) -> FieldSpec:
    return FieldSpec("weights", "f4", (network.size,), meaning=network.cell)


class SlotArrays:
    """The arrays of all fields with room for `capacity` sensors; `arrays.count[slot]` is a sensor's sample count."""

    def __init__(self, specs: tuple[FieldSpec, ...], capacity: int = 16) -> None:
        self.specs = specs
        self.capacity = 0
        for spec in specs:
            setattr(self, spec.name, np.zeros((0, *spec.shape), spec.dtype))
        self.grow(capacity)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> NDArray[Any]: ...

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` sensors; views taken before are of the old arrays."""
        if capacity <= self.capacity:
            return
        capacity = max(capacity, 2 * self.capacity)
        for spec in self.specs:
            new = np.full((capacity, *spec.shape), spec.fill, spec.dtype)
            new[: self.capacity] = getattr(self, spec.name)
            setattr(self, spec.name, new)
        self.capacity = capacity

    def reset(self, slot: int) -> None:
        """Forget the sensor in this row."""
        for spec in self.specs:
            getattr(self, spec.name)[slot] = spec.fill

    def pack(self, slot: int) -> bytes:
        """One sensor's state as bytes, to be unpacked by arrays of the same signature anywhere."""
        return b"".join(getattr(self, spec.name)[slot].tobytes() for spec in self.specs)

    def unpack(self, slot: int, data: bytes) -> None:
        """The inverse of `pack`. Raises ValueError if the length does not fit the layout."""
        if len(data) != self.row_bytes:
            raise ValueError(f"a packed sensor of this layout has {self.row_bytes} bytes, not {len(data)}")
        start = 0
        for spec in self.specs:
            row = getattr(self, spec.name)[slot : slot + 1]
            row[:] = np.frombuffer(data, spec.dtype, row.size, start).reshape(row.shape)
            start += row.nbytes

    @property
    def row_bytes(self) -> int:
        """Memory of one sensor."""
        return sum(getattr(self, spec.name)[:1].nbytes for spec in self.specs)

    @property
    def signature(self) -> str:
        """Names the layout: equal signatures mean that packed sensors can be exchanged."""
        text = ";".join(f"{s.name}:{s.dtype}:{s.shape}:{s.meaning}" for s in self.specs)
        return f"v{VERSION}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

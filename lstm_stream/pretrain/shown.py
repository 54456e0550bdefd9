"""What the detection makes of a sensor's samples: the product's own line is run, and asked.

Nothing is computed here a second time, so that weights are trained on what they will be shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.coldstart import Stream, new_sensors, parts, rows
from lstm_stream.config import Group
from lstm_stream.detect.history import sequence
from lstm_stream.detect.trainer import Trainer
from lstm_stream.pretrain.streams import LENGTH

F4 = NDArray[np.float32]


class Windows(NamedTuple):
    """B pieces as the LSTM sees them; those that are shorter are filled up with rows without targets."""

    x: F4  # (B, LENGTH, I)
    target: F4  # (B, LENGTH, D), NaN = no loss


def windows(streams: Sequence[Stream], group: Group) -> Windows:
    """Inputs and targets of pieces of streams, all with the same channels and none longer than LENGTH."""
    quiet = group.model_copy(
        update={
            "warmup": LENGTH + 1,
            "retraining": group.retraining.model_copy(update={"enabled": False, "history": LENGTH}),
        }
    )
    x, target = [], []
    for some in parts(streams):
        detector = new_sensors(some, quiet, Trainer())
        for samples in rows(some, LENGTH):
            detector.process(samples)
        a = detector.arrays
        for slot, stream in enumerate(some):
            seen = sequence(0, len(stream.time), a.past_value[slot], a.past_context[slot])
            left = LENGTH - len(stream.time)
            x.append(np.pad(seen[0], ((0, left), (0, 0))))
            target.append(np.pad(seen[1], ((0, left), (0, 0)), constant_values=np.nan))
    return Windows(np.stack(x), np.stack(target))

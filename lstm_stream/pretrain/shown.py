"""What the detection makes of a sensor's samples: the product's own line is run, and asked.

Nothing is computed here a second time, so that weights are trained on what they will be shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Group
from lstm_stream.detect.detector import Detector
from lstm_stream.detect.history import sequence
from lstm_stream.detect.retraining import Trainer
from lstm_stream.pretrain.streams import LENGTH, Stream
from lstm_stream.records import Samples
from lstm_stream.replay import patient

F4 = NDArray[np.float32]

TOGETHER = 256  # sensors in memory at a time
FROM, TO = 20, 200  # samples that are forecast in a cold start


class Windows(NamedTuple):
    """B pieces as the LSTM sees them; those that are shorter are filled up with rows without targets."""

    x: F4  # (B, LENGTH, I)
    target: F4  # (B, LENGTH, D), NaN = no loss


class ColdStart(NamedTuple):
    """Mean Huber loss of the forecasts of samples FROM to TO, in scaled units."""

    forecast: float
    persistence: float  # of saying that the last value comes again


def windows(streams: Sequence[Stream], group: Group) -> Windows:
    """Inputs and targets of pieces of streams, all with the same channels and none longer than LENGTH."""
    quiet = group.model_copy(
        update={
            "warmup": LENGTH + 1,
            "retraining": group.retraining.model_copy(update={"enabled": False, "history": LENGTH}),
        }
    )
    x, target = [], []
    for some in _parts(streams):
        detector = _detector(some, quiet, Trainer())
        for samples in _rows(some, LENGTH):
            detector.process(samples)
        a = detector.arrays
        for slot, stream in enumerate(some):
            past = a.past_time[slot], a.past_value[slot], a.past_gap[slot], a.learnable[slot]
            seen = sequence(0, len(stream.time), *past)
            left = LENGTH - len(stream.time)
            x.append(np.pad(seen[0], ((0, left), (0, 0))))
            target.append(np.pad(seen[1], ((0, left), (0, 0)), constant_values=np.nan))
    return Windows(np.stack(x), np.stack(target))


def cold_start(streams: Sequence[Stream], group: Group) -> ColdStart:
    """How well the detection with these settings, learning as it goes, forecasts the first samples of new sensors."""
    losses: list[list[F4]] = [[], []]
    for some in _parts(streams):
        trainer = Trainer()
        trainer.open()
        try:
            detector = _detector(some, patient(group), trainer)
            a = detector.arrays
            for row, samples in enumerate(_rows(some, TO)):
                detector.learner.before(samples.slot)  # now rather than in `process`: then this forecast is the one
                forecast, last = a.forecast[samples.slot].copy(), a.last[samples.slot].copy()
                detector.process(samples)
                if row >= FROM:
                    value = a.past_value[samples.slot, row % a.past_value.shape[1]]
                    losses[0].append(_huber(forecast - value))
                    losses[1].append(_huber(last - value))
        finally:
            trainer.close()
    forecast_loss, persistence = (float(np.nanmean(np.concatenate(part))) if part else np.nan for part in losses)
    return ColdStart(forecast_loss, persistence)


def _huber(error: NDArray[np.floating]) -> F4:
    """As in training: the loss with delta 1."""
    size = np.abs(error)
    loss: F4 = np.where(size > 1, size - 0.5, 0.5 * size * size).ravel().astype(np.float32)
    return loss


def _parts(streams: Sequence[Stream]) -> Iterator[Sequence[Stream]]:
    return (streams[k : k + TOGETHER] for k in range(0, len(streams), TOGETHER))


def _detector(streams: Sequence[Stream], group: Group, trainer: Trainer) -> Detector:
    """A detector with a row for each stream."""
    names = tuple(f"{j:02d}" for j in range(streams[0].values.shape[1]))
    detector = Detector("pretrain", names, group, trainer)
    for number in range(len(streams)):
        detector.add(str(number))
    return detector


def _rows(streams: Sequence[Stream], length: int) -> Iterator[Samples]:
    """The first sample of every stream, then the second of those that have one, and so on."""
    longest = min(length, max(len(stream.time) for stream in streams))
    for row in range(longest):
        slots = [slot for slot, stream in enumerate(streams) if row < len(stream.time)]
        time = np.array([streams[slot].time[row] for slot in slots])
        values = np.array([streams[slot].values[row] for slot in slots])
        yield Samples(np.array(slots, np.int32), time, values)

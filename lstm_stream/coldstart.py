"""How well new sensors are forecast: the product's own detection is run on their first samples, and asked.

Nothing is computed here a second time. The weights that are made to start from (pretrain) and the comparison of what
starts from them (evaluate) are judged by the same figure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Group
from lstm_stream.detect.detector import Detector
from lstm_stream.detect.readings import to_samples
from lstm_stream.detect.trainer import Trainer
from lstm_stream.records import Reading, Samples
from lstm_stream.replay import Advance, patient

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]

TOGETHER = 256  # sensors in memory at a time
FROM, TO = 20, 200  # samples that are forecast in a cold start


class Stream(NamedTuple):
    """N samples of one sensor with D channels, times increasing."""

    name: str
    time: F8  # (N,) unix s
    values: F8  # (N, D) NaN = absent


class ColdStart(NamedTuple):
    """Mean Huber loss of the forecasts of some samples, in scaled units; NaN where there was none."""

    forecast: float
    persistence: float  # of saying that the last value comes again
    targets: int  # values that were forecast


def stream_of(name: str, readings: Sequence[Reading]) -> Stream:
    """A sensor with the channels that it ever shows, in the daemon's order: by name. None of it comes too late."""
    latest = np.maximum.accumulate([-np.inf, *(reading.time for reading in readings)])
    kept = [reading for reading, before in zip(readings, latest[:-1], strict=True) if reading.time > before]
    channels = tuple(sorted({channel for reading in kept for channel in reading.values}))
    samples = to_samples(kept, [0] * len(kept), channels)
    return Stream(name, samples.time, samples.values)


def cold_start(
    streams: Sequence[Stream],
    group: Group,
    spans: Sequence[tuple[int, int]] = ((FROM, TO),),
    advance: Advance | None = None,
) -> list[ColdStart]:
    """How well the detection with these settings, learning as it goes, forecasts the samples [first, last) of new
    sensors, all with the same channels; a result for each span, none of which is longer than the history.

    `advance` is told how many samples are through.
    """
    losses: list[list[tuple[F4, F4]]] = [[] for _ in spans]
    longest = max(last for _, last in spans)
    for some in parts(streams):
        trainer = Trainer()
        trainer.open()
        try:
            detector = new_sensors(some, patient(group), trainer)
            a = detector.arrays
            for row, samples in enumerate(rows(some, longest)):
                detector.learner.before(samples.slot)  # now rather than in `process`: then this forecast is the one
                forecast, last = a.forecast[samples.slot].copy(), a.last[samples.slot].copy()
                detector.process(samples)
                value = a.past_value[samples.slot, row % a.past_value.shape[1]]
                for k, span in enumerate(spans):
                    if span[0] <= row < span[1]:
                        losses[k].append((_huber(forecast - value), _huber(last - value)))
                if advance:
                    advance(len(samples))
        finally:
            trainer.close()
    return [_mean(of) for of in losses]


def together(some: Sequence[ColdStart]) -> ColdStart:
    """Of all that some results forecast."""
    known = [one for one in some if one.targets]
    if not known:
        return ColdStart(np.nan, np.nan, 0)
    weights = [one.targets for one in known]
    forecast, persistence = np.average([one[:2] for one in known], axis=0, weights=weights).tolist()
    return ColdStart(forecast, persistence, sum(weights))


def _mean(losses: Sequence[tuple[F4, F4]]) -> ColdStart:
    if not losses:
        return ColdStart(np.nan, np.nan, 0)
    both = np.array([np.concatenate(part) for part in zip(*losses, strict=True)])
    known = both[:, ~np.isnan(both).any(axis=0)]
    if not known.size:
        return ColdStart(np.nan, np.nan, 0)
    forecast, persistence = known.mean(axis=1, dtype=np.float64).tolist()
    return ColdStart(forecast, persistence, known.shape[1])


def _huber(error: NDArray[np.floating]) -> F4:
    """As in training: the loss with delta 1."""
    size = np.abs(error)
    loss: F4 = np.where(size > 1, size - 0.5, 0.5 * size * size).ravel().astype(np.float32)
    return loss


def parts(streams: Sequence[Stream]) -> Iterator[Sequence[Stream]]:
    """As many as are kept in memory at a time."""
    return (streams[k : k + TOGETHER] for k in range(0, len(streams), TOGETHER))


def new_sensors(streams: Sequence[Stream], group: Group, trainer: Trainer) -> Detector:
    """A detector with a row for each stream."""
    names = tuple(f"{j:02d}" for j in range(streams[0].values.shape[1]))
    detector = Detector("cold start", names, group, trainer)
    for number in range(len(streams)):
        detector.add(str(number))
    return detector


def rows(streams: Sequence[Stream], length: int) -> Iterator[Samples]:
    """The first sample of every stream, then the second of those that have one, and so on."""
    longest = min(length, max(len(stream.time) for stream in streams))
    for row in range(longest):
        slots = [slot for slot, stream in enumerate(streams) if row < len(stream.time)]
        time = np.array([streams[slot].time[row] for slot in slots])
        values = np.array([streams[slot].values[row] for slot in slots])
        yield Samples(np.array(slots, np.int32), time, values)

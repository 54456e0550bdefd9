"""One set of weights from many sensors: Adam over shuffled batches of pieces, none of them in a row.

Trained stream by stream weights forget; a batch is drawn from all streams, and within it the state is carried from
segment to segment as it is in the daemon. The best weights on the pieces held back are kept, those at the start too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.coldstart import FROM
from lstm_stream.lstm import training
from lstm_stream.lstm.params import CELLS, Shape, initial
from lstm_stream.pretrain.shown import Windows

F4 = NDArray[np.float32]

BATCH = 32  # pieces at most
BATCHES = 16  # in an epoch at least, if need be smaller ones: few pieces are to be learned from as well
RATE = 4e-3  # of Adam, at the start; it falls to zero along half a cosine
CLIP = 1.0


class Learned(NamedTuple):
    """What came of it."""

    weights: F4  # (P,)
    before: float  # held-back loss
    after: float
    epoch: int  # that the weights are of; 0 = those at the start


def learn(
    shape: Shape, some: Windows, held: Windows, seed: int, epochs: int, advance: Callable[[int], object] | None = None
) -> Learned:
    """Train on `some`, compare on `held`; `advance` is told how many pieces are through."""
    cell = CELLS[shape.cell].code, shape.hidden
    chance = np.random.default_rng(seed)
    weights = initial(shape, seed)
    before = _loss(cell, weights, held)
    best = Learned(weights.copy(), before, before, 0)
    moments, grad = np.zeros((2, len(weights)), np.float32), np.empty_like(weights)
    batches = max(math.ceil(len(some.x) / BATCH), min(BATCHES, len(some.x)))
    updates, step = epochs * batches * math.ceil(some.x.shape[1] / training.SEGMENT), 0
    for epoch in range(1, epochs + 1):
        for chosen in np.array_split(chance.permutation(len(some.x)), batches):
            state = np.zeros((len(chosen), 2 * shape.width), np.float32)
            for start in range(0, some.x.shape[1], training.SEGMENT):
                part = slice(start, start + training.SEGMENT)
                x, target = some.x[chosen, part], some.target[chosen, part]
                training.segment_gradient(*cell, weights, x, target, state, grad)
                rate = 0.5 * RATE * (1 + math.cos(math.pi * step / updates))
                step += 1
                training.adam(weights, grad, moments, step, rate, CLIP)
            if advance:
                advance(len(chosen))
        loss = _loss(cell, weights, held)
        if loss < best.after:
            best = Learned(weights.copy(), before, loss, epoch)
    return best


def _loss(cell: tuple[int, int], weights: F4, held: Windows) -> float:
    """The mean loss once the statistics of the scaling mean something."""
    return float(training.evaluate(*cell, weights, held.x, held.target, FROM - 1))

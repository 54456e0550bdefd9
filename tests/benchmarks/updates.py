"""One update of training, forward, backward, clipping by the norm and Adam: this engine and PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from lstm_stream.lstm import training
from lstm_stream.lstm.interchange import to_tensors
from lstm_stream.lstm.params import CELLS
from tests.benchmarks.rivals import Task, lstm_of

UPDATES = 20  # in one call of the engine, as its rounds of training have them
RATE, CLIP = 0.001, 1.0

Call = Callable[[], object]


def targets(task: Task) -> np.ndarray:
    """(T, B, 1)."""
    return np.random.default_rng(1).standard_normal((*task.x.shape[:2], 1), np.float32)


def engine_updates(task: Task, updates: int = UPDATES) -> Call:
    """That many updates in one call; returns the last one's loss."""
    shape, flat = task.shape, task.flat
    x, target = (np.ascontiguousarray(np.swapaxes(a, 0, 1)) for a in (task.x, targets(task)))
    return lambda: training.train(CELLS[shape.cell].code, shape.hidden, flat, x, target, updates, RATE, CLIP)


class Forecaster(torch.nn.Module):
    """The engine's network in PyTorch."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.lstm = lstm_of(task)
        self.head = torch.nn.Linear(task.shape.hidden, 1)
        self.skip = torch.nn.Linear(task.shape.inputs, 1, bias=False)
        tensors = to_tensors(task.flat, task.shape, prefix="lstm.")
        self.load_state_dict({name: torch.from_numpy(a) for name, a in tensors.items()})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0]) + self.skip(x)


def torch_update(task: Task) -> Call:
    """One update with the fused Adam; returns its loss."""
    network, x, target = Forecaster(task), torch.from_numpy(task.x), torch.from_numpy(targets(task))
    optimizer = torch.optim.Adam(network.parameters(), RATE, (training.BETA1, training.BETA2), fused=True)

    def call() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.huber_loss(network(x), target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        return float(loss.detach())

    return call

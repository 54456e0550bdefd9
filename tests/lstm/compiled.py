"""Compiles the kernels that only tests and `pretrain` call from Python, as they call them."""

from __future__ import annotations

import numpy as np

from lstm_stream.lstm import training
from lstm_stream.lstm.params import Shape, initial


def warm_gradients() -> None:
    """`segment_gradient` for whole arrays and for parts of larger ones, and `adam`."""
    shape = Shape(1, 1, 1)
    flat, state = initial(shape, 1), np.zeros((1, 2 * shape.width), np.float32)
    grad, moments = np.empty_like(flat), np.zeros((2, len(flat)), np.float32)
    for x in (np.zeros((1, 1, 1), np.float32), np.zeros((1, 1, 2), np.float32)[:, :, :-1]):
        training.segment_gradient(0, 1, flat, x, x, state, grad)
    training.adam(flat, grad, moments, 1, 1e-3, 1.0)

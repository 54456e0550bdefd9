"""The weights of sensors that have learned nothing yet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Model
from lstm_stream.lstm import params
from lstm_stream.lstm.params import Shape


def fresh(shape: Shape, model: Model) -> NDArray[np.float32]:
    """(P,): those that the model starts from, where they are of this shape, else random ones."""
    start = model.start(shape.outputs)
    if start is None or start.shape != shape:
        return params.initial(shape, model.seed)
    return np.frombuffer(start.weights, np.float32)


def misfit(shape: Shape, model: Model) -> str | None:
    """Why the weights to start from are of no use to sensors of this shape; None where they are, or none are given."""
    start = model.start(shape.outputs)
    if start is None or start.shape == shape:
        return None
    return f"{model.start_from} was made for {_described(start.shape)}; these sensors have {_described(shape)}"


def _described(shape: Shape) -> str:
    return f"{shape.outputs} channel{'s' * (shape.outputs != 1)} and {shape.inputs} inputs"

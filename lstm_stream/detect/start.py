"""The weights of sensors that have learned nothing yet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Model
from lstm_stream.lstm import params
from lstm_stream.lstm.params import Shape


def fresh(shape: Shape, model: Model) -> tuple[NDArray[np.float32], str | None]:
    """(P,): those that the model starts from, where they are of this shape, else random ones.

    And why those that the model names are of no use; None where they are, or none are named.
    """
    start = model.start(shape.outputs)
    if start is None:
        return params.initial(shape, model.seed), None
    if start.shape == shape:
        return np.frombuffer(start.weights, np.float32), None
    misfit = f"{model.start_from} was made for {_described(start.shape)}; these sensors have {_described(shape)}"
    return params.initial(shape, model.seed), misfit


def _described(shape: Shape) -> str:
    return f"{shape.outputs} channel{'s' * (shape.outputs != 1)} and {shape.inputs} inputs"

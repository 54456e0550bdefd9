"""The same LSTM in this engine, PyTorch, ONNX Runtime and NumPy: each a call that does one step, or one sequence.

All have the same parameters, are given the same inputs and return h (B, H), so that they can be compared. Only the
engine gathers its rows and makes a forecast as well; that is in its times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lstm_stream.lstm import cell as reference
from lstm_stream.lstm import kernels
from lstm_stream.lstm.interchange import to_tensors
from lstm_stream.lstm.params import CELLS, Shape, initial, unpack

try:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
except ImportError:
    onnxruntime = None

F4 = NDArray[np.float32]
Step = Callable[[], F4]


@dataclass
class Task:
    """T steps of B sensors of one shape, from zero states."""

    shape: Shape
    x: F4  # (T, B, I)

    @classmethod
    def of(cls, inputs: int, hidden: int, batch: int, steps: int = 1, cell: str = "standard") -> Task:
        x = np.random.default_rng(0).standard_normal((steps, batch, inputs), np.float32)
        return cls(Shape(inputs, hidden, 1, cell), x)

    @property
    def flat(self) -> F4:
        return initial(self.shape, 0)

    @property
    def batch(self) -> int:
        return self.x.shape[1]

    def zeros(self) -> F4:
        return np.zeros((self.batch, self.shape.hidden), np.float32)


# --- this engine


def engine_step(task: Task, order: NDArray[np.int32] | None = None, own: bool = False) -> Step:
    """One step of every row, in the given order; with `own` weights each."""
    shape, batch = task.shape, task.batch
    weights = np.tile(task.flat, (batch if own else 1, 1))
    slot = np.arange(batch, dtype=np.int32) if order is None else order
    state, y = np.zeros((batch, 2 * shape.width), np.float32), np.zeros((batch, 1), np.float32)
    code, hidden, x = CELLS[shape.cell].code, shape.hidden, task.x[0]

    def call() -> F4:
        kernels.step_rows(code, hidden, slot, weights, x, state, y)
        return state[:, :hidden]

    return call


def engine_sequence(task: Task) -> Step:
    """T steps of one sensor."""
    shape, flat, x = task.shape, task.flat, task.x[:, 0].copy()
    state, y = np.zeros(2 * shape.width, np.float32), np.zeros((len(x), 1), np.float32)
    code, hidden = CELLS[shape.cell].code, shape.hidden

    def call() -> F4:
        kernels.run_sequence(code, hidden, flat, x, state, y)
        return state[None, :hidden]

    return call


# --- PyTorch


def lstm_of(task: Task) -> torch.nn.LSTM:
    """torch.nn.LSTM with the task's parameters."""
    lstm = torch.nn.LSTM(task.shape.inputs, task.shape.hidden)
    tensors = {name: torch.from_numpy(a) for name, a in to_tensors(task.flat, task.shape).items()}
    lstm.load_state_dict({name: tensors[name] for name in lstm.state_dict()})
    return lstm


def torch_cell(task: Task) -> Step:
    """torch.nn.LSTMCell, T times."""
    lstm, cell = lstm_of(task), torch.nn.LSTMCell(task.shape.inputs, task.shape.hidden)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in lstm.state_dict().items()})
    x, state = torch.from_numpy(task.x), (torch.from_numpy(task.zeros()), torch.from_numpy(task.zeros()))

    def call() -> F4:
        nonlocal state
        for step in x:
            state = cell(step, state)
        return state[0].numpy()

    return call


def torch_lstm(task: Task) -> Step:
    """torch.nn.LSTM, all steps and the whole batch in one call."""
    lstm, x = lstm_of(task), torch.from_numpy(task.x)
    state = (torch.from_numpy(task.zeros())[None], torch.from_numpy(task.zeros())[None])

    def call() -> F4:
        nonlocal state
        _, state = lstm(x, state)
        return state[0][0].numpy()

    return call


def gated(z: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The gates of sums z (B, 4H)."""
    i, f, g, o = z.chunk(4, 1)
    c = torch.addcmul(f.sigmoid() * c, i.sigmoid(), g.tanh())
    return o.sigmoid() * c.tanh(), c


def torch_addmm(task: Task, compiled: bool = False) -> Step:
    """One matrix product of [x | h], then the gates one operation at a time, or compiled into one."""
    p = unpack(task.flat, task.shape)
    w, b = torch.from_numpy(np.concatenate((p.wx, p.wh))), torch.from_numpy(p.b)
    x, h, c = torch.from_numpy(task.x[0]), torch.from_numpy(task.zeros()), torch.from_numpy(task.zeros())

    def step(x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return gated(torch.addmm(b, torch.cat((x, h), 1), w), c)

    run = torch.compile(step, dynamic=False) if compiled else step

    def call() -> F4:
        nonlocal h, c
        h, c = run(x, h, c)
        return h.numpy()

    return call


def torch_compile(task: Task) -> Step:
    return torch_addmm(task, compiled=True)


def torch_random_rows(task: Task, order: NDArray[np.int32]) -> Step:
    """Rows of a large state gathered, stepped and written back."""
    lstm, cell = lstm_of(task), torch.nn.LSTMCell(task.shape.inputs, task.shape.hidden)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in lstm.state_dict().items()})
    x, rows = torch.from_numpy(task.x[0]), torch.from_numpy(order.astype(np.int64))
    h, c = torch.from_numpy(task.zeros()), torch.from_numpy(task.zeros())

    def call() -> F4:
        new_h, new_c = cell(x, (h[rows], c[rows]))
        h.index_copy_(0, rows, new_h)
        c.index_copy_(0, rows, new_c)
        return h.numpy()

    return call


def torch_bmm(task: Task) -> Step:
    """Own weights: a batch of matrix products, then the gates."""
    p = unpack(task.flat, task.shape)
    one = np.ascontiguousarray(np.concatenate((p.wx, p.wh)).T)
    w = torch.from_numpy(np.tile(one, (task.batch, 1, 1)))
    b = torch.from_numpy(np.tile(p.b, (task.batch, 1)))[..., None]
    x, h, c = torch.from_numpy(task.x[0]), torch.from_numpy(task.zeros()), torch.from_numpy(task.zeros())

    def call() -> F4:
        nonlocal h, c
        h, c = gated(torch.baddbmm(b, w, torch.cat((x, h), 1)[..., None])[..., 0], c)
        return h.numpy()

    return call


# --- ONNX Runtime


def onnx(task: Task) -> Step:
    """Its LSTM operator, all steps and the whole batch in one call."""
    session = onnxruntime.InferenceSession(_onnx_model(task), _onnx_options(), providers=["CPUExecutionProvider"])
    feed = {"X": task.x, "h0": task.zeros()[None], "c0": task.zeros()[None]}

    def call() -> F4:
        feed["h0"], feed["c0"] = session.run(("h", "c"), feed)
        return feed["h0"][0]

    return call


def _onnx_options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return options


def _onnx_model(task: Task) -> bytes:
    """One LSTM node; its gates are in the order i o f g."""
    i, h, batch = task.shape.inputs, task.shape.hidden, task.batch
    tensors = to_tensors(task.flat, task.shape)
    order = np.concatenate([np.arange(gate * h, (gate + 1) * h) for gate in (0, 3, 1, 2)])
    bias = np.concatenate((tensors["bias_ih_l0"][order], np.zeros(4 * h, np.float32)))
    constants = {"W": tensors["weight_ih_l0"][order], "R": tensors["weight_hh_l0"][order], "B": bias}
    sizes = {"X": (len(task.x), batch, i), "h0": (1, batch, h), "c0": (1, batch, h)}
    node = helper.make_node("LSTM", ["X", "W", "R", "B", "", "h0", "c0"], ["", "h", "c"], hidden_size=h)
    graph = helper.make_graph(
        [node],
        "lstm",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in sizes.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, batch, h)) for name in ("h", "c")],
        [numpy_helper.from_array(value[None], name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    return model.SerializeToString()


# --- NumPy


def numpy_step(task: Task) -> Step:
    """The reference, lstm/cell.py, in float32, T times."""
    shape, p = task.shape, unpack(task.flat, task.shape)
    h, c = task.zeros(), task.zeros()

    def call() -> F4:
        nonlocal h, c
        for x in task.x:
            step = reference.forward(shape.cell, p, x, h, c)
            h, c = step.gates.h, step.gates.c
        return h

    return call

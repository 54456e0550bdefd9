"""Parameters travel to PyTorch and back as safetensors; whatever is wrong with a file is told."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from safetensors.numpy import load as load_elsewhere
from safetensors.numpy import save as save_elsewhere

from lstm_stream.lstm import kernels
from lstm_stream.lstm.interchange import decode, encode, from_tensors, load, save, to_tensors
from lstm_stream.lstm.params import CELLS, Shape, initial, pack, unpack

SHAPES = [Shape(1, 1, 1), Shape(2, 16, 1), Shape(3, 21, 2), Shape(9, 40, 4)]
STEPS = 300


def parameters(shape: Shape) -> np.ndarray:
    """Random ones (P,), zero where the cell has none."""
    rng = np.random.default_rng(1)
    there = unpack(initial(shape, 1), shape)
    p = [part + 0.1 * rng.standard_normal(part.shape).astype(np.float32) for part in there]
    h = shape.hidden
    if shape.cell == "coupled":
        for part in p[:2]:
            part[:, :h] = 0
        p[2][:h] = 0
    if shape.cell == "elysium":
        p[0][:, 2 * h : 3 * h] = 0
    return pack(type(there)(*p), shape)


def run_here(shape: Shape, flat: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Forecasts (T, D) of inputs x (T, I)."""
    forecasts = np.empty((len(x), shape.outputs), np.float32)
    state = np.zeros(2 * shape.width, np.float32)
    kernels.run_sequence(CELLS[shape.cell].code, shape.hidden, flat, x, state, forecasts)
    return forecasts


@pytest.fixture
def inputs() -> Callable[[Shape], np.ndarray]:
    return lambda shape: np.random.default_rng(2).standard_normal((STEPS, shape.inputs)).astype(np.float32)


@pytest.fixture
def torch():
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        return pytest.importorskip("torch")
    import torch  # CI must not skip this

    return torch


@pytest.fixture
def network(torch) -> Callable[[Shape], object]:
    """A module as one writes it in PyTorch."""

    class Forecaster(torch.nn.Module):
        def __init__(self, shape: Shape) -> None:
            super().__init__()
            self.lstm = torch.nn.LSTM(shape.inputs, shape.hidden)
            self.head = torch.nn.Linear(shape.hidden, shape.outputs)
            self.skip = torch.nn.Linear(shape.inputs, shape.outputs, bias=False)

        def forward(self, x):
            return self.head(self.lstm(x)[0]) + self.skip(x)

    torch.manual_seed(3)
    return Forecaster


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_model_of_torch_runs_here(torch, network, inputs, shape) -> None:
    from safetensors.torch import save as save_torch

    model, x = network(shape), inputs(shape)
    found, flat = load(save_torch(model.state_dict()))
    assert found == shape
    with torch.no_grad():
        assert np.abs(run_here(shape, flat, x) - model(torch.from_numpy(x)).numpy()).max() < 1e-6


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_model_of_ours_runs_in_torch(torch, network, inputs, shape) -> None:
    from safetensors.torch import load as load_torch

    model, x, flat = network(shape), inputs(shape), parameters(shape)
    model.load_state_dict(load_torch(save(flat, shape, prefix="lstm.")))
    with torch.no_grad():
        assert np.abs(run_here(shape, flat, x) - model(torch.from_numpy(x)).numpy()).max() < 1e-6


def test_a_model_of_torch_without_biases_and_skip_runs_here(torch, inputs) -> None:
    shape = Shape(2, 5, 1)
    lstm, head = torch.nn.LSTM(2, 5, bias=False), torch.nn.Linear(5, 1, bias=False)
    tensors = {name: value.numpy() for name, value in lstm.state_dict().items()}
    found, flat = from_tensors({**tensors, "head.weight": head.weight.detach().numpy()})
    assert found == shape
    x = inputs(shape)
    with torch.no_grad():
        assert np.abs(run_here(shape, flat, x) - head(lstm(torch.from_numpy(x))[0]).numpy()).max() < 1e-6


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_round_trip_changes_nothing(shape, cell) -> None:
    shape = shape._replace(cell=cell)
    flat = parameters(shape)
    found, again = load(save(flat, shape))
    assert found == shape
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, flat)


def test_names_shapes_and_gate_order() -> None:
    shape = Shape(3, 5, 2)
    flat = parameters(shape)
    tensors = load_elsewhere(save(flat, shape))
    p = unpack(flat, shape)
    assert {name: tensor.shape for name, tensor in tensors.items()} == {
        "weight_ih_l0": (20, 3),
        "weight_hh_l0": (20, 5),
        "bias_ih_l0": (20,),
        "bias_hh_l0": (20,),
        "head.weight": (2, 5),
        "head.bias": (2,),
        "skip.weight": (2, 3),
    }
    np.testing.assert_array_equal(tensors["weight_ih_l0"], p.wx.T)
    assert not tensors["bias_hh_l0"].any()


def test_the_two_biases_are_summed() -> None:
    shape = Shape(1, 2, 1)
    tensors = to_tensors(parameters(shape), shape)
    first, second = np.arange(8, dtype=np.float32), np.full(8, 0.5, np.float32)
    _, flat = from_tensors({**tensors, "bias_ih_l0": first, "bias_hh_l0": second})
    np.testing.assert_array_equal(unpack(flat, shape).b, first + second)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions_are_read(dtype) -> None:
    shape = Shape(2, 3, 1)
    tensors = {name: np.round(tensor, 2).astype(dtype) for name, tensor in to_tensors(parameters(shape), shape).items()}
    _, flat = load(save_elsewhere(tensors))
    np.testing.assert_array_equal(unpack(flat, shape).wh, tensors["weight_hh_l0"].T.astype(np.float32))


def test_bfloat16_is_read(torch) -> None:
    from safetensors.torch import save as save_torch

    there = torch.tensor([[1.5, -2.0, 3.14159]], dtype=torch.bfloat16)
    tensors, _ = decode(save_torch({"w": there}))
    np.testing.assert_array_equal(tensors["w"], there.float().numpy())


# --- what is wrong is told


def changed(**tensors: np.ndarray | None) -> dict[str, np.ndarray]:
    """Good tensors with some replaced or, None, left out; __ stands for a dot."""
    shape = Shape(3, 5, 2)
    good = to_tensors(parameters(shape), shape)
    good.update({name.replace("__", "."): value for name, value in tensors.items()})
    return {name: value for name, value in good.items() if value is not None}


def zeros(*size: int) -> np.ndarray:
    return np.zeros(size, np.float32)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"weight_hh_l0": zeros(20, 4)}, r"weight_hh_l0 is of shape \(20, 4\); it should be \(20, 5\)"),
        ({"weight_hh_l0": zeros(5, 20)}, r"weight_hh_l0 is of shape \(5, 20\); it should be \(20, 5\)"),
        ({"bias_ih_l0": zeros(5)}, r"bias_ih_l0 is of shape \(5,\); it should be \(20,\)"),
        ({"weight_ih_l0": zeros(15, 3)}, r"weight_ih_l0 is of shape \(15, 3\); it should be \(4H, I\)"),
        ({"head__weight": zeros(2, 6)}, r"head.weight is of shape \(2, 6\); it should be \(D, 5\)"),
        ({"skip__weight": zeros(3, 2)}, r"skip.weight is of shape \(3, 2\); it should be \(2, 3\)"),
        ({"weight_hh_l0": None}, r"weight_hh_l0 is missing; it is of shape \(20, 5\)"),
        ({"bias_hh_l0": None}, r"bias_hh_l0 is missing; it is of shape \(20,\)"),
        ({"weight_ih_l0": None}, r"weight_ih_l0 is missing; it is of shape \(4H, I\); there are \['bias_hh_l0'"),
        ({"head__weight": None}, r"head.weight is missing; it is of shape \(D, H\)"),
        ({"weight_ih_l1": zeros(20, 5)}, r"'weight_ih_l1' has no place in a standard cell of one layer"),
        ({"bias_ih_l0": np.full(20, np.nan, np.float32)}, r"not finite"),
        ({"bias_ih_l0": np.full(20, 1e300)}, r"not finite"),
        ({"weight_hh_l0": np.zeros((20, 5), np.int8)}, r"weight_hh_l0 is of type int8; it should be float32"),
    ],
    ids=lambda value: value.split(";")[0] if isinstance(value, str) else "",
)
def test_a_wrong_tensor_is_named_with_what_would_be_right(tensors, message) -> None:
    with pytest.raises(ValueError, match=message):
        from_tensors(changed(**tensors))


@pytest.mark.parametrize("cell", ["coupled", "elysium"])
def test_weights_of_another_cell_are_refused(cell) -> None:
    with pytest.raises(ValueError, match=r"should be 0: .* " + cell):
        from_tensors(changed(), cell)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"lstm_stream.cell": "gru"}, "there is no cell 'gru'; there are standard, peephole"),
        ({"lstm_stream.version": "2"}, "lstm_stream.version is '2'; this program knows 1"),
    ],
)
def test_unknown_metadata_is_refused(metadata, message) -> None:
    with pytest.raises(ValueError, match=message):
        load(encode(changed(), metadata))


# --- files of any kind


def test_a_file_cut_off_anywhere_is_refused() -> None:
    data = save(parameters(Shape(1, 1, 1)), Shape(1, 1, 1))
    for length in range(len(data)):
        with pytest.raises(ValueError, match=r"cut off|header"):
            load(data[:length])


def with_header(header: object, content: bytes = bytes(16)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content


GOOD = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[" * 100_000,
        b"\xff\xfe",
        b"9" * 10_000,
        b'{"a": ' + json.dumps(GOOD).encode() + b', "a": ' + json.dumps(GOOD).encode() + b"}",
        [],
        {"a": None},
        {"a": {**GOOD, "dtype": "I32"}},
        {"a": {**GOOD, "dtype": []}},
        {"a": {**GOOD, "shape": [5]}},
        {"a": {**GOOD, "shape": [-2, -2]}},
        {"a": {**GOOD, "shape": [True, 4]}},
        {"a": {**GOOD, "shape": [1, 1, 4]}},
        {"a": {**GOOD, "shape": [2**62, 2**62]}},
        {"a": {**GOOD, "shape": "4"}},
        {"a": {**GOOD, "data_offsets": [16, 0]}},
        {"a": {**GOOD, "data_offsets": [0, 2**63]}},
        {"a": {**GOOD, "data_offsets": [4, 20]}},
        {"a": {**GOOD, "data_offsets": [0.0, 16.0]}},
        {"a": {**GOOD, "data_offsets": None}},
        {"a": GOOD, "b": GOOD},
        {"a": {**GOOD, "shape": [2], "data_offsets": [0, 8]}},
        {"__metadata__": {"a": 1}},
        {"__metadata__": []},
    ],
    ids=lambda header: str(header)[:40],
)
def test_a_hostile_header_is_refused(header) -> None:
    with pytest.raises(ValueError):
        decode(with_header(header))


def test_a_header_that_claims_to_be_huge_is_refused() -> None:
    with pytest.raises(ValueError, match="no header of 18446744073709551615"):
        decode(b"\xff" * 64)


@hypothesis.given(st.data())
def test_a_damaged_file_is_read_or_refused(data) -> None:
    good = bytearray(save(parameters(Shape(1, 2, 1)), Shape(1, 2, 1)))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        shape, flat = load(bytes(good))
    except ValueError:
        return
    assert flat.shape == (shape.size,)
    assert np.isfinite(flat).all()


@hypothesis.given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data) -> None:
    for content in (data, with_header(data)):
        try:
            tensors, _ = decode(content)
        except ValueError:
            continue
        assert all(tensor.dtype.kind == "f" for tensor in tensors.values())


def test_the_format_is_that_of_its_own_package() -> None:
    tensors = changed()
    ours, _ = decode(save_elsewhere(tensors))
    theirs = load_elsewhere(encode(tensors, {"a": "b"}))
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(ours[name], tensor)
        np.testing.assert_array_equal(theirs[name], tensor)

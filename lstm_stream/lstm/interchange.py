"""Parameters as safetensors, with the names, shapes and gate order of PyTorch: bytes in, bytes out.

The format is eight bytes of length, a JSON header and the numbers, so that no package is needed to read it, and nothing
in a file is ever run. Whatever is wrong with one is a ValueError that says where, and what would be right.

    weight_ih_l0 (4H, I)   weight_hh_l0 (4H, H)   bias_ih_l0, bias_hh_l0 (4H,)     as torch.nn.LSTM has them: i f g o
    head.weight (D, H)     head.bias (D,)         skip.weight (D, I)               as two torch.nn.Linear

The biases and the skip may be absent, and are zero then. The two biases of PyTorch are one here: their sum is read, and
zero is written for the second. What only some cells have, gates in the same order:

    weight_peephole_l0 (4H,)                                      peephole: diagonal; that of g is not used
    weight_modulation_l0 (4H, I)   bias_modulation_l0 (4H,)       ltms: a = bias + weight x
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

from lstm_stream.lstm.params import CELLS, Floats, Parameters, Shape, pack, unpack

Tensors = Mapping[str, NDArray[Any]]

VERSION = 1  # of the metadata and of the extra names
CELL_KEY, VERSION_KEY = "lstm_stream.cell", "lstm_stream.version"
LONGEST_HEADER = 100_000_000  # as in the format's own reader
INPUT = "weight_ih_l0"

# What is in a file -> NumPy's type for it; bfloat16, which NumPy lacks, is the upper half of a float32.
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


# --- parameters


def save(
    flat: NDArray[np.float32], shape: Shape, prefix: str = "", metadata: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    """The content of a .safetensors file with the parameters flat (P,).

    `prefix` goes before the names of the recurrent layer, "lstm." for a module that holds its nn.LSTM as `lstm`;
    `metadata` may say how they were made.
    """
    own = {CELL_KEY: shape.cell, VERSION_KEY: str(VERSION)}
    return encode(to_tensors(flat, shape, prefix), {**metadata, **own})


def load(data: bytes) -> tuple[Shape, NDArray[np.float32]]:
    """Shape and parameters (P,) from the content of a .safetensors file; the cell is standard where it says nothing.

    Raises ValueError.
    """
    tensors, metadata = decode(data)
    cell, version = metadata.get(CELL_KEY, "standard"), metadata.get(VERSION_KEY, str(VERSION))
    if version != str(VERSION):
        raise ValueError(f"metadata: {VERSION_KEY} is {_quoted(version)}; this program knows {VERSION}")
    return from_tensors(tensors, cell)


def to_tensors(flat: NDArray[np.float32], shape: Shape, prefix: str = "") -> dict[str, NDArray[np.float32]]:
    """The parameters flat (P,) under PyTorch's names."""
    p = unpack(flat, shape)
    tensors = {
        prefix + INPUT: p.wx.T,
        prefix + "weight_hh_l0": p.wh.T,
        prefix + "bias_ih_l0": p.b,
        prefix + "bias_hh_l0": np.zeros_like(p.b),
        "head.weight": p.vh.T,
        "head.bias": p.vb,
        "skip.weight": p.vx.T,
    }
    if shape.cell == "peephole":
        tensors[prefix + "weight_peephole_l0"] = p.extra[0]
    if shape.cell == "ltms":
        tensors[prefix + "bias_modulation_l0"] = p.extra[0]
        tensors[prefix + "weight_modulation_l0"] = p.extra[1:].T
    return {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()}


def from_tensors(tensors: Tensors, cell: str = "standard") -> tuple[Shape, NDArray[np.float32]]:
    """The inverse of `to_tensors`; any prefix will do. Raises ValueError."""
    if cell not in CELLS:
        raise ValueError(f"there is no cell {_quoted(cell)}; there are {', '.join(CELLS)}")
    prefix, shape = _shape(tensors, cell)
    i, h, d = shape[:3]
    rest = {name: np.asarray(tensor) for name, tensor in tensors.items()}

    def take(name: str, *size: int, optional: bool = False) -> NDArray[np.float64]:
        if optional and name not in rest:
            return np.zeros(size)
        if name not in rest:
            raise ValueError(f"{name} is missing; it is of shape {size}{_listed(tensors)}")
        return _checked(name, rest.pop(name), size)

    wx, wh = take(prefix + INPUT, 4 * h, i).T, take(prefix + "weight_hh_l0", 4 * h, h).T
    unbiased = prefix + "bias_ih_l0" not in rest and prefix + "bias_hh_l0" not in rest
    b = take(prefix + "bias_ih_l0", 4 * h, optional=unbiased) + take(prefix + "bias_hh_l0", 4 * h, optional=unbiased)
    extra = np.zeros((0, 4 * h))
    if cell == "peephole":
        extra = take(prefix + "weight_peephole_l0", 4 * h)[None]
    if cell == "ltms":
        bias, weight = take(prefix + "bias_modulation_l0", 4 * h), take(prefix + "weight_modulation_l0", 4 * h, i)
        extra = np.concatenate((bias[None], weight.T))
    vh, vb = take("head.weight", d, h).T, take("head.bias", d, optional=True)
    vx = take("skip.weight", d, i, optional=True).T
    if rest:
        raise ValueError(f"{_quoted(next(iter(rest)))} has no place in a {cell} cell of one layer and one direction")
    p = Parameters(wx, wh, b, extra, vh, vx, vb)
    _check_unused(p, shape, prefix)
    return shape, _finite(pack(p, shape))


def _shape(tensors: Tensors, cell: str) -> tuple[str, Shape]:
    """The prefix of the recurrent layer's names, and the shape that two of the tensors tell."""
    found = [name for name in tensors if name.endswith(INPUT)]
    if len(found) != 1:
        raise ValueError(
            f"{INPUT} is {'there twice' if found else 'missing; it is of shape (4H, I)'}{_listed(tensors)}"
        )
    if "head.weight" not in tensors:
        raise ValueError(f"head.weight is missing; it is of shape (D, H){_listed(tensors)}")
    first, head = np.shape(tensors[found[0]]), np.shape(tensors["head.weight"])
    if len(first) != 2 or first[0] % 4 or 0 in first:
        raise ValueError(f"{found[0]} is of shape {first}; it should be (4H, I), four gates for I inputs")
    hidden = first[0] // 4
    if len(head) != 2 or head[1] != hidden or head[0] == 0:
        raise ValueError(f"head.weight is of shape {head}; it should be (D, {hidden}), as {found[0]} is of {first}")
    return found[0].removesuffix(INPUT), Shape(first[1], hidden, head[0], cell)


def _checked(name: str, tensor: NDArray[Any], size: tuple[int, ...]) -> NDArray[np.float64]:
    if tensor.shape != size:
        raise ValueError(f"{name} is of shape {tensor.shape}; it should be {size}")
    if tensor.dtype.kind != "f":
        raise ValueError(f"{name} is of type {tensor.dtype}; it should be float32")
    return tensor.astype(np.float64)


def _check_unused(p: Parameters, shape: Shape, prefix: str) -> None:
    """A cell that holds weights at zero would not be itself with others."""
    h = shape.hidden
    if shape.cell == "coupled" and (p.wx[:, :h].any() or p.wh[:, :h].any() or p.b[:h].any()):
        raise ValueError(
            f"{prefix}weight_ih_l0, weight_hh_l0 and bias_ih_l0 [0:{h}] should be 0: i is 1 - f in coupled"
        )
    if shape.cell == "elysium" and p.wx[:, 2 * h : 3 * h].any():
        raise ValueError(f"{prefix}{INPUT}[{2 * h}:{3 * h}] should be 0: no input reaches elysium's candidate")


def _finite(flat: Floats) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        rounded = flat.astype(np.float32)
    if not np.isfinite(rounded).all():
        raise ValueError("some of the parameters are not finite numbers in float32")
    return rounded


# --- the format


def encode(tensors: Mapping[str, NDArray[np.float32]], metadata: Mapping[str, str]) -> bytes:
    """float32 tensors as safetensors, in the order of their names."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    parts, end = [], 0
    for name, tensor in sorted(tensors.items()):
        parts.append(np.ascontiguousarray(tensor, "<f4").tobytes())
        start, end = end, end + len(parts[-1])
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the numbers are aligned
    return b"".join((len(text).to_bytes(8, "little"), text, *parts))


def decode(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The tensors and the metadata of a .safetensors file's content. Raises ValueError."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, LONGEST_HEADER):
        raise ValueError(f"not a safetensors file, or cut off: {len(data)} bytes hold no header of {length}")
    header = _header(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("header: __metadata__ should be an object of strings")
    content = memoryview(data)[8 + length :]
    entries = {name: _entry(name, entry) for name, entry in header.items()}
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].start):
        if entry.start != end:  # as the format has it; and a small file cannot become many large tensors
            raise ValueError(f"header: {_quoted(name)} begins at byte {entry.start}; it should at {end}")
        end = entry.end
    if end != len(content):
        raise ValueError(f"the file has {len(content)} bytes of numbers, not {end}: it is cut off or damaged")
    return {name: _tensor(entry, content) for name, entry in entries.items()}, metadata


def _header(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode(), object_pairs_hook=_distinct)
    except RecursionError:
        raise ValueError("header: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"header: {error}") from None
    if not isinstance(header, dict):
        raise ValueError("header: not an object")
    return header


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a name stands there twice")
    return result


class _Entry(NamedTuple):
    """Where a tensor is in the file, and what it is."""

    kind: str
    size: list[int]
    start: int
    end: int


def _entry(name: str, entry: Any) -> _Entry:
    where = f"header: {_quoted(name)}"
    if not isinstance(entry, dict):
        raise ValueError(f"{where} should be an object with dtype, shape and data_offsets")
    kind, size, place = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(kind, str) or kind not in TYPES:
        raise ValueError(f"{where} is of type {_quoted(kind)}; it should be one of {', '.join(TYPES)}")
    if not _whole(size) or len(size) > 2 or not _whole(place) or len(place) != 2:
        raise ValueError(f"{where} needs a shape of at most two numbers and two data_offsets")
    start, end = place
    if end - start != math.prod(size) * np.dtype(TYPES[kind]).itemsize:
        raise ValueError(f"{where} is {_quoted(size)} of {kind}, which does not fit its data_offsets {_quoted(place)}")
    return _Entry(kind, size, start, end)


def _tensor(entry: _Entry, content: memoryview) -> NDArray[Any]:
    """One tensor, float; a copy, so that the file's bytes need not be kept."""
    values = np.frombuffer(content[entry.start : entry.end], TYPES[entry.kind])
    if entry.kind == "BF16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.reshape(entry.size).copy()


def _whole(value: Any) -> TypeGuard[list[int]]:
    """Is it a list of whole numbers, none negative?"""
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _quoted(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _listed(tensors: Tensors) -> str:
    """What is there instead, for an error."""
    return f"; there are {_quoted(sorted(tensors))}" if tensors else "; there are no tensors"

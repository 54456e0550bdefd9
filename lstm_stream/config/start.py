"""Weights to start from: read together with the configuration, so that what is wrong with the file is said then.

What is read stays with the configuration, which is all that the detection is given: the daemon, a replay and an
evaluation in other processes start from the same numbers, and none of them reads the file again. The weights that come
with the package are there for some cells, sizes and numbers of channels, and are read when sensors of them turn up.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lstm_stream.lstm.params import Shape

LARGEST = 64 * 1024 * 1024  # bytes: many times what the largest model takes
OTHERS = "give a file that lstm-stream pretrain wrote"
BASE = Path("base")  # instead of a file: what comes with the package


class Start(NamedTuple):
    """The content of a file: parameters and what they are for."""

    shape: Shape
    weights: bytes  # float32 (P,); bytes, so that configurations can be compared


def read_start(path: Path) -> Start:
    """The weights in a .safetensors file. Raises ValueError that says what is wrong; what would be right."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"{str(path)!r} cannot be read: {reason}; {OTHERS}") from None
    if len(content) > LARGEST:
        raise ValueError(f"{str(path)!r} is longer than {LARGEST >> 20} MiB; {OTHERS}")
    try:
        return _start(content)
    except ValueError as error:
        reason = str(error).replace("; ", ", ")  # what comes after a semicolon is advice
        raise ValueError(f"{str(path)!r} holds no weights that can be used: {reason}; {OTHERS}") from None


def shipped(cell: str, hidden: int, channels: int) -> Start | None:
    """The package's own weights for such sensors (docs/pretraining.md says how they were made); None without any."""
    file = files("lstm_stream") / "weights" / f"{cell}-{hidden}-{channels}.safetensors"
    return _start(file.read_bytes()) if file.is_file() else None


def _start(content: bytes) -> Start:
    """What is in a .safetensors file. Raises ValueError."""
    from lstm_stream.lstm.interchange import load

    shape, weights = load(content)
    return Start(shape, weights.tobytes())

"""Sensors in a file, to be taken elsewhere: safetensors, so that any reader of that format can open it.

    8 bytes   length of the header, little-endian
    header    JSON: {"__metadata__": {...}, "0": {"dtype": "U8", "shape": [N], "data_offsets": [start, end]}, "1": ...}
    data      the sensors' states, one after the other

The metadata, all of it text: `format` ("lstm_stream sensors 1"), `version` of the program, `sha256` of `sensors` and
the data, and `sensors`, a JSON list with [group, sensor, channels, signature] of "0", "1", ... An empty sensor is what
a group with shared weights keeps once. Equal signatures mean equal layouts: those of another version, model or history
differ.

Nothing in a file is ever run. Whatever is wrong with one is a ContainerError that says what.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from lstm_stream import __version__
from lstm_stream.records import Packed

FORMAT = "lstm_stream sensors 1"
LONGEST_HEADER = 100_000_000  # bytes, as in the format's own reader
UNKNOWN = "0" * 64  # a hash that is not known yet
BLOCK = 1 << 20  # bytes read at once


class ContainerError(Exception):
    """A file that cannot be taken in; the message says why."""


class Entry(NamedTuple):
    """One sensor in a container, without its state."""

    group: str
    sensor: str
    channels: tuple[str, ...]
    signature: str
    size: int  # bytes


def write(path: Path, entries: Sequence[Entry], states: Iterable[bytes]) -> int:
    """Write sensors and their states, which come in the same order; returns the bytes written.

    Raises OSError where it cannot be written, and ValueError where a state is not as long as its entry says.
    """
    sensors = json.dumps([entry[:4] for entry in entries])
    header = _header(entries, sensors)
    digest = hashlib.sha256(sensors.encode())
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for entry, state in zip(entries, states, strict=True):
            if len(state) != entry.size:
                raise ValueError(f"{entry.sensor!r} has changed while it was written")
            file.write(state)
            digest.update(state)
        file.seek(8 + header.index(UNKNOWN.encode()))
        file.write(digest.hexdigest().encode())
    return path.stat().st_size


def _header(entries: Sequence[Entry], sensors: str) -> bytes:
    tensors: dict[str, Any] = {
        "__metadata__": {
            "format": FORMAT,
            "version": __version__,
            "sha256": UNKNOWN,
            "sensors": sensors,
        }
    }
    start = 0
    for number, entry in enumerate(entries):
        tensors[str(number)] = {
            "dtype": "U8",
            "shape": [entry.size],
            "data_offsets": [start, start + entry.size],
        }
        start += entry.size
    header = json.dumps(tensors).encode()
    return header + b" " * (-len(header) % 8)  # the format wants the data aligned


class Container:
    """An open container: `entries`, and their states. Close it, or use it with `with`."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, or ContainerError where the file is none, is damaged or of another version."""
        self.path = path
        self._file: IO[bytes] = path.open("rb")
        try:
            self.entries = self._read_header()
            self._check_data()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()

    def packed(self) -> Iterator[Packed]:
        """The sensors, one after the other."""
        self._file.seek(self._start)
        for group, sensor, channels, signature, size in self.entries:
            yield Packed(group, sensor, channels, signature, self._file.read(size))

    def _read_header(self) -> list[Entry]:
        length = int.from_bytes(self._file.read(8), "little")
        if not 2 <= length <= LONGEST_HEADER:
            raise self._wrong("it does not begin like an export")
        content = self._file.read(length)
        self._start = 8 + length
        try:
            header = json.loads(content)
            metadata = header["__metadata__"]
            if metadata["format"] != FORMAT:
                raise self._wrong(f"its format is {str(metadata['format'])[:60]!r}; this program knows {FORMAT!r}")
            self._sha256, self._digest = str(metadata["sha256"]), hashlib.sha256(metadata["sensors"].encode())
            return list(_entries(json.loads(metadata["sensors"]), header))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise self._wrong("its header is damaged, or of another kind of file") from None

    def _check_data(self) -> None:
        expected, digest = sum(entry.size for entry in self.entries), self._digest
        size = self.path.stat().st_size - self._start
        if size != expected:
            raise self._wrong(f"it has {size} bytes of data instead of {expected}: was it cut off?")
        while block := self._file.read(BLOCK):
            digest.update(block)
        if digest.hexdigest() != self._sha256:
            raise self._wrong("its content has changed since it was written")

    def _wrong(self, what: str) -> ContainerError:
        return ContainerError(f"{self.path}: {what}; give a file that lstm-stream state export wrote")


def _entries(sensors: Any, header: dict[str, Any]) -> Iterator[Entry]:
    """The entries; raises ValueError, KeyError or TypeError where something is not as it should be."""
    if not isinstance(sensors, list) or len(header) != len(sensors) + 1:
        raise ValueError("another number of sensors")
    at = 0
    for number, (group, sensor, channels, signature) in enumerate(sensors):
        tensor = header[str(number)]
        start, end = tensor["data_offsets"]
        texts = (group, sensor, signature, *channels)
        if not all(isinstance(text, str) for text in texts) or not isinstance(channels, list):
            raise ValueError("a name that is no text")
        if (
            tensor["dtype"] != "U8"
            or tensor["shape"] != [end - start]
            or start != at
            or type(end) is not int
            or end < start
        ):
            raise ValueError("another layout")
        at = end
        yield Entry(group, sensor, tuple(channels), signature, end - start)

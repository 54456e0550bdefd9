"""Events as lines of JSON in a file.

1. Delivered is what is on the disk (fsync). A line that was cut off, as by a full disk, is taken back.
2. A file that would grow beyond its limit is set aside first: path.1 is the latest, path.N the oldest.
3. A file that somebody else moved away, as logrotate does, is let go of and begun anew.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lstm_stream.outputs.outbox import Letter

_MODE = 0o640  # sensors' names and values are not for everybody


class FileSink:
    """Appends to `path`; beyond `rotate` bytes it is set aside, of which `keep` files stay."""

    longest_pause = 60.0

    def __init__(self, name: str, path: Path, rotate: int, keep: int) -> None:
        self.name = name
        self._path = path
        self._rotate = rotate
        self._keep = keep
        self._file: int | None = None

    def send(self, letters: Sequence[Letter]) -> int:
        """Append what fits into this file, all of it or nothing."""
        file = self._open()
        size = os.fstat(file).st_size
        lines = self._fitting(letters, size)
        if not lines:  # not even one
            self._set_aside()
            return self.send(letters)
        content = b"".join(line + b"\n" for line in lines)
        try:
            _write(file, content)
            os.fsync(file)
        except OSError:
            os.ftruncate(file, size)
            raise
        return len(lines)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _fitting(self, letters: Sequence[Letter], size: int) -> list[bytes]:
        """The payloads from the front that fit into a file of `size` bytes; into an empty one at least one."""
        lines: list[bytes] = []
        for letter in letters:
            size += len(letter.payload) + 1
            if size > self._rotate and (lines or size > len(letter.payload) + 1):
                break
            lines.append(letter.payload)
        return lines

    def _open(self) -> int:
        if self._file is not None and not self._is_in_place(self._file):
            self.close()
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        return self._file

    def _is_in_place(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except FileNotFoundError:
            return False

    def _set_aside(self) -> None:
        self.close()
        for number in range(self._keep, 0, -1):
            older, newer = self._aside(number), self._aside(number - 1)
            if newer.exists():
                newer.replace(older)
        if not self._keep:
            self._path.unlink()

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


def _write(file: int, content: bytes) -> None:
    """All of it: a nearly full disk takes a part first."""
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]

"""The inputs since the state was last saved, in files that are only ever appended to.

    <state>.inputs.<position>    magic · record · record · ...      a record: length, checksum, position, entries

Rules:
1. A record is written whole or not at all: what a crash left half written at the end is cut off at the next start. Its
   messages were not acknowledged.
2. After append() with `sync` a record survives a power cut.
3. A new file begins with every save of the state; the files before it go when that save is safe.
4. A record that is damaged before the end ends what can be repeated: its file and those after it are set aside.
"""

from __future__ import annotations

import logging
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from lstm_stream.journal.files import set_aside, sync_folder

_log = logging.getLogger(__name__)

MAGIC = b"lstm_stream inputs 1\n"
RECORD = struct.Struct("<IIq")  # bytes that follow, their checksum, position
PIECES = 512  # that the system takes at once


class Inputs:
    """The files beside `path`, the state file. Positions number records, over restarts. One thread uses it."""

    def __init__(self, path: Path, sync: bool = True) -> None:
        self.position = 0  # of the latest record
        self.size = 0  # bytes in all files
        self._path = path
        self._sync = sync
        self._file: int | None = None
        self._end = 0  # of what is whole in it

    def files(self) -> list[Path]:
        """In order of their positions."""
        prefix = f"{self._path.name}.inputs."
        names = self._path.parent.iterdir() if self._path.parent.is_dir() else ()
        found = [p for p in names if p.name.startswith(prefix) and p.name[len(prefix) :].isdigit()]
        return sorted(found, key=lambda p: int(p.name[len(prefix) :]))

    def read(self, after: int) -> Iterator[tuple[int, bytes]]:
        """The records after that position, in order; to be read to its end once, before anything is appended."""
        self.position = after
        files = self.files()
        for number, path in enumerate(files):
            whole, last = 0, number == len(files) - 1
            for position, record, end in records(path):
                if position > self.position + 1:  # something is missing before it
                    break
                whole = end
                if position > self.position:
                    self.position = position
                    yield position, record
            size = path.stat().st_size
            if whole < size and not (last and self._is_torn(path, whole)):
                self._damaged(files[number:], whole)
                return
            if whole < size:
                os.truncate(path, whole)
            self.size += whole

    def begin(self) -> None:
        """Start a new file, for what comes after the latest position. Raises OSError."""
        path = self._path.with_name(f"{self._path.name}.inputs.{self.position}")
        self.close()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self._end = len(MAGIC)
        _write(self._file, [MAGIC])
        if self._sync:
            os.fsync(self._file)
            sync_folder(path.parent)

    def append(self, parts: Sequence[bytes | memoryview]) -> None:
        """Write a record. Raises OSError, and nothing is written then."""
        if self._file is None:
            raise OSError("the journal is not open")
        size, checksum = 0, 0
        for part in parts:
            size, checksum = size + len(part), zlib.crc32(part, checksum)
        try:
            _write(self._file, [RECORD.pack(size, checksum, self.position + 1), *parts])
            if self._sync:
                os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, self._end)
            raise
        self.position += 1
        self._end += RECORD.size + size
        self.size += RECORD.size + size

    def drop(self, until: int) -> None:
        """Delete the files that hold nothing after that position. Raises OSError."""
        files = self.files()
        starts = [int(path.name.rpartition(".")[2]) for path in files]
        for path, ends in zip(files, starts[1:], strict=False):
            if ends <= until:
                path.unlink()
        self.size = sum(path.stat().st_size for path in self.files())

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _is_torn(self, path: Path, whole: int) -> bool:
        """Whether what is left after so many bytes is one record that was being written."""
        left = path.read_bytes()[whole:]
        if whole == 0:
            return MAGIC.startswith(left[: len(MAGIC)])
        if len(left) < RECORD.size or not any(left[: RECORD.size]):
            return True
        size: int = RECORD.unpack_from(left)[0]
        return RECORD.size + size >= len(left)

    def _damaged(self, files: Sequence[Path], whole: int) -> None:
        for path in files:
            _log.error(
                "%s is damaged after %d bytes, or follows one that is: it is kept as %s, what came in it is lost",
                *(path, whole, set_aside(path)),
            )


def records(path: Path) -> Iterator[tuple[int, bytes, int]]:
    """The whole records of a file: position, content, where it ends."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return
        end = len(MAGIC)
        yield -1, b"", end
        while len(head := file.read(RECORD.size)) == RECORD.size:
            size, checksum, position = RECORD.unpack(head)
            if not position:
                return
            content = file.read(size)
            if len(content) < size or zlib.crc32(content) != checksum:
                return
            end += RECORD.size + size
            yield position, content, end


def _write(file: int, parts: Sequence[bytes | memoryview]) -> None:
    for start in range(0, len(parts), PIECES):
        some = parts[start : start + PIECES]
        wanted = sum(map(len, some))
        written = os.writev(file, some)
        if written < wanted:  # the disk is nearly full, or a signal came
            rest = b"".join(some)[written:]
            while rest:
                rest = rest[os.write(file, rest) :]

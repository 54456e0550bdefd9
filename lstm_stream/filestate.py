"""Whether a file is still what it was: at little cost, or for certain."""

from __future__ import annotations

import hashlib
from pathlib import Path

Stamp = tuple[int, int, int, int]  # device, inode, time of change in ns (of the permissions, too), bytes


def stamp(path: Path) -> Stamp | None:
    """What tells that a file, or the one that it links to, may hold something else; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns, found.st_size


def digest(path: Path) -> bytes:
    """A hash of what it holds; empty where it cannot be read, and whoever needs the content says why."""
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return b""

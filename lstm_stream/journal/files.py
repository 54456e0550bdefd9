"""Files beside the state file: set aside without ever overwriting one, and made to last."""

from __future__ import annotations

import os
from pathlib import Path

SUFFIXES = ("", "-wal", "-shm")  # of an SQLite database


def set_aside(path: Path, word: str = "broken") -> Path:
    """Rename a file, and what SQLite keeps beside it, to a name that is free: .broken, .broken.1, .broken.2 ...

    Returns its new name. Raises OSError.
    """
    target, number = path.with_name(f"{path.name}.{word}"), 0
    while any(target.with_name(target.name + suffix).exists() for suffix in SUFFIXES):
        number += 1
        target = path.with_name(f"{path.name}.{word}.{number}")
    for suffix in SUFFIXES:
        file = path.with_name(path.name + suffix)
        if file.exists():
            file.rename(target.with_name(target.name + suffix))
    return target


def sync_folder(folder: Path) -> None:
    """Make sure that the names in it survive a power cut, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

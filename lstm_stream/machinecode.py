"""The cache of machine code that an image brings along, where it cannot be written to. Loads nothing heavy.

Numba passes over a cache that it cannot add to and compiles for half a minute instead: with a read-only root, or as a
user that the image does not know.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"


@contextmanager
def writable_cache(environment: MutableMapping[str, str]) -> Iterator[None]:
    """Lend Numba, not yet imported, a copy of its cache in a temporary folder, if it needs one and there is room."""
    given = environment.get(VARIABLE, "")
    if not given or not Path(given).is_dir() or _is_writable(Path(given)):
        yield
        return
    with ExitStack() as lent:
        with suppress(OSError):  # no room, or not all of it can be read: then Numba compiles
            folder = lent.enter_context(tempfile.TemporaryDirectory(prefix="lstm_stream-"))
            shutil.copytree(given, Path(folder) / "cache")
            environment[VARIABLE] = str(Path(folder) / "cache")
        yield
        environment[VARIABLE] = given


def _is_writable(folder: Path) -> bool:
    """Whether all of it is: within, Numba has a folder for each module, which may be another user's."""
    try:
        return all(os.access(path, os.W_OK) for path in (folder, *folder.iterdir()))
    except OSError:  # not even to be looked at
        return False

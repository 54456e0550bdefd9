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
    if not given or not Path(given).is_dir() or os.access(given, os.W_OK):
        yield
        return
    with ExitStack() as lent:
        with suppress(OSError):  # no room, or not all of it can be read: then Numba compiles
            folder = lent.enter_context(tempfile.TemporaryDirectory(prefix="lstm_stream-"))
            shutil.copytree(given, Path(folder) / "cache")
            environment[VARIABLE] = str(Path(folder) / "cache")
        yield
        environment[VARIABLE] = given

"""The configuration, read again while the daemon runs: at SIGHUP, and when its file has changed.

    changed? -> read -> valid? -> can all of it change while running? -> apply, or say why not

Rule: all or nothing. Whatever is wrong with the new file, or cannot change, the former configuration stays in force as
a whole, and log and metrics say so. A file is looked at by content, wherever links lead: Kubernetes swaps a link.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from lstm_stream.changes import refusals
from lstm_stream.config import Config
from lstm_stream.config.document import Path as Steps
from lstm_stream.config.document import Place, read
from lstm_stream.config.file import ConfigError, Problem, load
from lstm_stream.config.problems import dotted

log = logging.getLogger(__name__)

PAUSE = 0.5  # s between two looks at whether there was a signal; a changed file must have been the same for as long
ADVICE = "restart the daemon for it, or change it back"

Stamp = tuple[int, int, int, int]  # device, inode, time of change in ns, bytes


class RefusedError(Exception):
    """The configuration cannot be put in force; the message says what of it, and why."""


class Reloader:
    """Watches `path`, whose content was `config` at the start.

    `apply` puts a configuration in force or raises RefusedError, and nothing has changed then; `told` hears whether the
    latest attempt went well, and when it was (unix s).
    """

    def __init__(
        self, path: Path, config: Config, apply: Callable[[Config], None], told: Callable[[bool, float], None]
    ) -> None:
        self._path = path
        self._config = config
        self._apply = apply
        self._told = told
        self._asked = False
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._stamp: Stamp | None = None
        self._content = b""  # hash of what was read last
        self._looked_at = 0.0

    def open(self) -> None:
        """Start watching."""
        self._stamp, self._content = _stamp(self._path), _content(self._path)
        self._looked_at = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="reload", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching; may be called twice, or without open()."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def ask(self) -> None:
        """Read the file again, changed or not. For signal handlers: it takes no lock."""
        self._asked = True

    def reload(self) -> bool:
        """Read the file and put it in force; whether that went well. What is wrong goes to the log."""
        self._stamp, self._content = _stamp(self._path), _content(self._path)
        try:
            config = load(self._path)
            problems = [self._problem(*refusal) for refusal in refusals(self._config, config)]
            if problems:
                raise ConfigError(problems)
            self._apply(config)
        except (ConfigError, RefusedError) as error:
            for line in str(error).splitlines():
                log.error("%s", line)
            log.error("the new configuration is refused; the former one stays in force")
            good = False
        except Exception:
            log.exception("the new configuration could not be put in force")
            good = False
        else:
            log.info("%s was read again and is in force", self._path)
            self._config = config
            good = True
        self._told(good, time.time())
        return good

    def _watch(self) -> None:
        while not self._closing.wait(PAUSE):
            if self._asked:
                self._asked = False
                self.reload()
            elif self._has_changed():
                self.reload()

    def _has_changed(self) -> bool:
        every = self._config.reload.watch
        if not every or time.monotonic() - self._looked_at < every:
            return False
        self._looked_at = time.monotonic()
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return False
        content = _content(self._path)
        if content == self._content:  # touched, or linked elsewhere
            self._stamp = stamp
            return False
        self._closing.wait(PAUSE)
        return content == _content(self._path)  # else somebody is writing it

    def _problem(self, path: Steps, why: str) -> Problem:
        """With the line where it stands."""
        place = _place(self._path, path)
        return Problem(str(self._path), *place, dotted(path), f"cannot change while running, as {why}", ADVICE)


def _place(file: Path, path: Steps) -> Place:
    """Where an option stands in a file, or else the section around it."""
    keys = read(file.read_text("utf-8-sig", "replace")).keys
    while path and path not in keys:
        path = path[:-1]
    return keys.get(path, Place(1, 1))


def _stamp(path: Path) -> Stamp | None:
    """What tells that a file, or the one that it links to, is another; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _content(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return b""

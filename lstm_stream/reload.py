"""The configuration, read again while the daemon runs: at SIGHUP, and when its file has changed.

    changed? -> read -> valid? -> can all of it change while running? -> apply, or say why not
    password or certificates changed? -> renew, with the configuration in force

Rules:
1. All or nothing. Whatever is wrong with the new file, or cannot change, the former configuration stays in force as a
   whole, and log and metrics say so. A configuration that is refused keeps no renewed certificate from being used.
2. A file is looked at by content, wherever links lead: Kubernetes swaps a link.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from lstm_stream.changes import refusals
from lstm_stream.config import Config
from lstm_stream.config.document import Path as Steps
from lstm_stream.config.document import Place, read
from lstm_stream.config.file import ConfigError, Problem, load
from lstm_stream.config.problems import dotted
from lstm_stream.filestate import Stamp, digest, stamp

log = logging.getLogger(__name__)

PAUSE = 0.5  # s between two looks at whether there was a signal; a changed file must have been the same for as long
ADVICE = "restart the daemon for it, or change it back"


class RefusedError(Exception):
    """The configuration cannot be put in force; the message says what of it, and why."""


class Actions(NamedTuple):
    """What is done with what was read. Raising RefusedError means that nothing has changed."""

    apply: Callable[[Config], None]  # puts a configuration in force
    renew: Callable[[Config], None]  # uses the secrets and certificates that its files hold now
    told: Callable[[bool, float], None]  # hears whether the latest attempt to apply went well, and when it was (unix s)
    renewed: Callable[[bool], None]  # hears whether what the files hold is in use


class Reloader:
    """Watches `path`, whose content was `config` at the start, and the files with secrets that it names."""

    def __init__(self, path: Path, config: Config, actions: Actions) -> None:
        self._path = path
        self._config = config
        self._do = actions
        self._asked = False
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._file = Files([path])
        self._secrets = Files(config.broker.files)
        self._missed: Files | None = None  # the secrets of a configuration that was refused
        self._looked_at = 0.0

    def open(self) -> None:
        """Start watching."""
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
        good = _went_well(
            self._put_in_force,
            f"{self._path} was read again and is in force",
            "the new configuration is refused; the former one stays in force",
            "the new configuration could not be put in force",
        )
        if good:
            self._do.renewed(True)
        self._do.told(good, time.time())
        return good

    def _put_in_force(self) -> None:
        """Raises ConfigError or RefusedError; the former configuration stays then."""
        self._file, self._missed = Files([self._path]), None
        config = load(self._path)
        self._missed = secrets = Files(config.broker.files)
        problems = [self._problem(*refusal) for refusal in refusals(self._config, config)]
        if problems:
            raise ConfigError(problems)
        self._do.apply(config)
        self._config, self._secrets, self._missed = config, secrets, None

    def renew(self) -> bool:
        """Use what the files with secrets hold now; whether that went well. What is wrong goes to the log."""
        self._secrets = Files(self._config.broker.files)
        good = _went_well(
            lambda: self._do.renew(self._config),
            "the files of the broker's login were read again",
            "the broker's new login cannot be used; the former one stays in use",
            "the broker's new login could not be used",
        )
        self._do.renewed(good)
        return good

    def _watch(self) -> None:
        while not self._closing.wait(PAUSE):
            if self._asked:
                self._asked = False
                if not self.reload() and self._secrets.differ():
                    self.renew()
            elif self._is_time():
                if self._have_changed(self._file) or (self._missed and self._have_changed(self._missed)):
                    self.reload()
                if self._have_changed(self._secrets):
                    self.renew()

    def _is_time(self) -> bool:
        """Whether to look at the files."""
        every, now = self._config.reload.watch, time.monotonic()
        if not every or now - self._looked_at < every:
            return False
        self._looked_at = now
        return True

    def _have_changed(self, files: Files) -> bool:
        """Whether they hold something else, which nobody is writing just now."""
        if not files.differ():
            return False
        content = files.content()
        self._closing.wait(PAUSE)
        return content == files.content()

    def _problem(self, path: Steps, why: str) -> Problem:
        """With the line where it stands."""
        place = _place(self._path, path)
        return Problem(str(self._path), *place, dotted(path), f"cannot change while running, as {why}", ADVICE)


class Files:
    """Files, as they are now."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._stamps = self.stamps()
        self._content = self.content()

    def differ(self) -> bool:
        """Whether any holds something else than it did."""
        if (stamps := self.stamps()) == self._stamps:
            return False
        if differ := self.content() != self._content:
            return differ
        self._stamps = stamps  # touched, or linked elsewhere
        return False

    def stamps(self) -> list[Stamp | None]:
        """What tells at little cost that a file may hold something else."""
        return [stamp(path) for path in self._paths]

    def content(self) -> list[bytes]:
        """A hash of each."""
        return [digest(path) for path in self._paths]


def _went_well(work: Callable[[], None], done: str, refused: str, failed: str) -> bool:
    """Do it; what came of it goes to the log, in these words after what is wrong."""
    try:
        work()
    except (ConfigError, RefusedError) as error:
        for line in str(error).splitlines():
            log.error("%s", line)
        log.error("%s", refused)
    except Exception:
        log.exception("%s", failed)
    else:
        log.info("%s", done)
        return True
    return False


def _place(file: Path, path: Steps) -> Place:
    """Where an option stands in a file, or else the section around it."""
    keys = read(file.read_text("utf-8-sig", "replace")).keys
    while path and path not in keys:
        path = path[:-1]
    return keys.get(path, Place(1, 1))

"""Tells systemd how the daemon is (Type=notify): a datagram to the socket that it names. Elsewhere nothing happens.

The watchdog is fed from the turns of the scoring loop alone: a process that lives and scores nothing is restarted.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

_OFTEN = 3  # times in the span after which systemd would act


class Notifier:
    """Where `environment` names a socket (NOTIFY_SOCKET), its other end is told."""

    def __init__(
        self, environment: Mapping[str, str] = os.environ, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        ours = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        span = environment.get("WATCHDOG_USEC", "") if ours else ""
        self._span = int(span) / 1e6 / _OFTEN if span.isdigit() else 0.0
        self._monotonic = monotonic
        self._fed = 0.0

    def ready(self) -> None:
        """The start is done."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """The configuration is being read again; ready() is to follow."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The end has begun."""
        self._tell("STOPPING=1")

    def turn(self) -> None:
        """The scoring loop turns."""
        now = self._monotonic()
        if self._span and now - self._fed >= self._span:
            self._fed = now
            self._tell("WATCHDOG=1")

    # -- an observer of the line: a batch is through, a second has passed, the state is saved

    def on_turn(self, *_: Any) -> None:
        """It turns."""
        self.turn()

    def on_upkeep(self, *_: Any) -> None:
        """It turns."""
        self.turn()

    def on_save(self, *_: Any) -> None:
        """It turns."""
        self.turn()

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:  # systemd will notice
            sender.sendto(text.encode(), self._address)

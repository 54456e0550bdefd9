"""Loopback ports for servers that a test starts, stops and starts again."""

from __future__ import annotations

import itertools
import os
import secrets
import socket
from collections.abc import Iterator

_RUNS_OF = 2_500  # ports of each process
_PROCESSES = 4


def _ports() -> Iterator[int]:
    """Below the ephemeral range, other ones in each process of pytest's, and none again for long.

    Linux hands the ports above to outgoing connections: a client that retries while its server is away could
    take the server's port, or even connect to itself.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
    start = secrets.randbelow(_RUNS_OF)  # of two runs at once each begins elsewhere
    return itertools.cycle(20_000 + worker * _RUNS_OF + (start + k) % _RUNS_OF for k in range(_RUNS_OF))


_next = _ports()


def unused_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on."""
    while True:
        port = next(_next)
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port

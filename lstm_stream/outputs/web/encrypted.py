"""One encrypted connection of the web server.

uvicorn's own way, asyncio's, gives a client a minute for its handshake and any number of them: too much for strangers.
"""

from __future__ import annotations

import asyncio
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from typing import Any

from lstm_stream.outputs.web.security import Guard

_HANDSHAKE = 5  # s
_MOST = 256  # connections; of more the oldest is dropped


class Encrypted(SSLProtocol):
    """TLS between a transport and the protocol of HTTP, as the guard's context of this moment says."""

    def __init__(self, loop: asyncio.AbstractEventLoop, inner: asyncio.Protocol, guard: Guard, all_of: list[Any]):
        waiter: Any = None  # nobody waits for the handshake
        super().__init__(loop, inner, guard.context(), waiter, server_side=True, ssl_handshake_timeout=_HANDSHAKE)
        self._all = all_of
        self._wire: asyncio.Transport | None = None

    def connection_made(self, transport: Any) -> None:
        """A client is there."""
        self._wire = transport
        self._all.append(self)
        if len(self._all) > _MOST:
            self._all[0].drop()
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is gone."""
        if self in self._all:
            self._all.remove(self)
        super().connection_lost(exc)

    def drop(self) -> None:
        """Let go of it at once."""
        self._all.remove(self)
        if self._wire is not None:
            self._wire.abort()


def connections(plain: Callable[..., asyncio.Protocol], guard: Guard) -> Callable[..., asyncio.BaseProtocol]:
    """What uvicorn makes a connection with: `plain`, within TLS where the guard encrypts."""
    alive: list[Encrypted] = []

    def make(**options: Any) -> asyncio.BaseProtocol:
        inner = plain(**options)
        return Encrypted(asyncio.get_running_loop(), inner, guard, alive) if guard.encrypts else inner

    return make

"""The web server: /metrics, /-/healthy, /-/ready and an overview, from a thread of its own.

It refuses to change anything: every path only reads. The callables it is given run on its thread and must not block.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterable

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from lstm_stream.config import Web
from lstm_stream.outputs.health import Health, Status
from lstm_stream.outputs.web import page
from lstm_stream.outputs.web.encrypted import connections
from lstm_stream.outputs.web.security import Guard

__all__ = ["Health", "Status", "WebServer"]

_CONNECTIONS = 256
_CLOSE_TIMEOUT = 3.0

# The page has one inline style sheet and one inline icon; nothing else is ever loaded or run.
_STYLE_HASH = base64.b64encode(hashlib.sha256(page.STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class WebServer:
    """`render(accept)` gives the exposition and its content type; `health` and `status` say how the daemon is."""

    def __init__(
        self,
        web: Web,
        render: Callable[[str], tuple[bytes, str]],
        health: Callable[[], Health],
        status: Callable[[], Status] | None = None,
    ) -> None:
        self._web = web
        self._render = render
        self._health = health
        self._status = status
        self._guard = Guard(web.config_file)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.port = web.port

    def open(self) -> None:
        """Listen and return; afterwards `port` is the real one. OSError says what stands in the way of listening."""
        self._guard.open(self._web.host)
        listener = _listen(self._web)
        self.port = listener.getsockname()[1]
        self._server = uvicorn.Server(_server_config(self._application(), self._guard))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="web", daemon=True
        )
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the web server stopped while it started; the log says why")
            time.sleep(0.005)

    def close(self) -> None:
        """Finish the responses under way and stop listening. May be called twice, or without open()."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(_CLOSE_TIMEOUT)
        self._server = self._thread = None

    def _application(self) -> Starlette:
        routes = [
            Route("/", self._overview),
            Route("/metrics", self._metrics),
            Route("/-/healthy", self._healthy),
            Route("/-/ready", self._ready),
        ]
        application = Starlette(routes=routes, exception_handlers={HTTPException: _refusal})
        application.router.redirect_slashes = False  # a redirect would echo the Host header
        return application

    async def _metrics(self, request: Request) -> Response:
        body, content_type = self._render(request.headers.get("accept", ""))
        return Response(body, headers={**_HEADERS, "Content-Type": content_type})

    async def _healthy(self, _: Request) -> Response:
        health = self._health()
        return _verdict("healthy", health.healthy, health)

    async def _ready(self, _: Request) -> Response:
        health = self._health()
        return _verdict("ready", health.ready, health)

    async def _overview(self, _: Request) -> Response:
        status = self._status() if self._status else Status()
        html = page.overview(self._health(), status, time.time())
        return Response(html, media_type="text/html", headers=_HEADERS)


class _Connection(H11Protocol):
    """Lets go of a client that gets no response done in `patience` seconds, and of the oldest of too many.

    uvicorn itself waits for ever for the request of a client that has connected, which costs a file descriptor each.
    """

    patience = 10.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        self._served = False
        self.loop.call_later(self.patience, self._check)
        _evict(self.connections)

    def on_response_complete(self) -> None:
        self._served = True
        super().on_response_complete()

    def _check(self) -> None:
        if not self._served:
            self.transport.abort()
        elif not self.transport.is_closing():
            self._served = False
            self.loop.call_later(self.patience, self._check)


def _evict(connections: Iterable[object]) -> None:
    alive = [c for c in connections if isinstance(c, _Connection) and not c.transport.is_closing()]
    if len(alive) > _CONNECTIONS:
        min(alive, key=lambda connection: connection._since).transport.abort()


def _listen(web: Web) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(web.host, web.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _unable(web, error) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise _unable(web, error) from error
    return listener


def _unable(web: Web, error: OSError) -> OSError:
    reason = error.strerror or str(error)
    advice = "set web.port to a free port (0 takes any) and web.host to an address of this machine"
    return OSError(error.errno, f"web: cannot listen on {web.host}:{web.port}: {reason}; {advice}")


def _server_config(application: Starlette, guard: Guard) -> uvicorn.Config:
    return uvicorn.Config(
        guard.protect(application),
        http=connections(_Connection, guard),  # type: ignore[arg-type]  # any callable does
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="error",  # "Invalid HTTP request received" is for a stranger to say as often as he likes
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )


def _verdict(name: str, good: bool, health: Health) -> Response:
    return JSONResponse({name: good, "checks": dict(health.checks)}, 200 if good else 503, headers=_HEADERS)


async def _refusal(_: Request, error: Exception) -> Response:
    """404 and 405 in plain text, with the headers that Starlette set (Allow)."""
    assert isinstance(error, HTTPException)
    text = f"{error.status_code} {error.detail}; there are /, /metrics, /-/healthy and /-/ready\n"
    return PlainTextResponse(text, error.status_code, headers={**(error.headers or {}), **_HEADERS})

"""The web server: the page, its API, /metrics, /-/healthy and /-/ready, from a thread of its own.

What it is given runs on its thread and must not block.
"""

from __future__ import annotations

import asyncio
import math
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from lstm_stream import __version__
from lstm_stream.config import Web
from lstm_stream.outputs.health import Health
from lstm_stream.outputs.web import files
from lstm_stream.outputs.web.api import HEADERS, ROOT, Api, Desk, json_response, refusal
from lstm_stream.outputs.web.encrypted import connections
from lstm_stream.outputs.web.openapi import describe
from lstm_stream.outputs.web.origin import Origins, is_loopback
from lstm_stream.outputs.web.security import Guard
from lstm_stream.outputs.web.stream import PATH, Hub

_CONNECTIONS = 256
_CLOSE_TIMEOUT = 3.0
_AT_ONCE = 2**17  # bytes of a response


class WebServer:
    """`render(accept)` gives the exposition and its content type; `desk` answers the page, which is nothing without."""

    def __init__(
        self,
        web: Web,
        render: Callable[[str], tuple[bytes, str]],
        health: Callable[[], Health],
        desk: Desk | None = None,
    ) -> None:
        self._web = web
        self._render = render
        self._health = health
        self._desk = desk
        self._guard = Guard(web.config_file)
        self._origins = Origins(web.host, web.names)
        self._hub = Hub(desk.overview, self._origins) if desk is not None else None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.port = web.port

    def open(self) -> None:
        """Listen and return; afterwards `port` is the real one. OSError says what stands in the way of listening."""
        self._guard.open(self._web.host)
        if self._desk is not None and self._hub is not None:
            self._desk.serve(self._takes_commands, self._hub.tell)
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

    @property
    def scheme(self) -> str:
        """`https` where it encrypts; after open()."""
        return "https" if self._guard.encrypts else "http"

    def close(self) -> None:
        """Finish the responses under way and stop listening. May be called twice, or without open()."""
        if self._server is None or self._thread is None:
            return
        if self._hub is not None:
            self._hub.close()
        self._server.should_exit = True
        self._thread.join(_CLOSE_TIMEOUT)
        self._server = self._thread = None

    @property
    def streams(self) -> int:
        """Pages that listen now."""
        return 0 if self._hub is None else self._hub.clients

    def _application(self) -> Starlette:
        routes = [
            Route("/metrics", self._metrics),
            Route("/-/healthy", self._healthy),
            Route("/-/ready", self._ready),
            *self._page(),
        ]
        application = Starlette(routes=routes, exception_handlers={HTTPException: _refusal})
        application.router.redirect_slashes = False  # a redirect would echo the Host header
        return application

    def _page(self) -> list[Route]:
        """The page, the API that feeds it and what describes that."""
        if self._desk is None or self._hub is None:
            return []
        api = Api(self._desk, self._origins, self._takes_commands)

        async def description(_: Request) -> Response:
            return json_response(describe(__version__))

        return [
            *api.routes(),
            Route(PATH, self._hub, methods=["GET"]),
            Route(f"{ROOT}/openapi.json", description),
            *files.routes(files.load()),
        ]

    @property
    def _takes_commands(self) -> bool:
        web = self._web
        return is_loopback(web.host) or self._guard.has_users if web.commands is None else web.commands

    async def _metrics(self, request: Request) -> Response:
        body, content_type = self._render(request.headers.get("accept", ""))
        headers = {**HEADERS, "Content-Type": content_type, "Content-Length": str(len(body))}
        return Response(body, headers=headers) if len(body) <= _AT_ONCE else _sliced(body, headers)

    async def _healthy(self, _: Request) -> Response:
        health = self._health()
        return _verdict("healthy", health.healthy, health)

    async def _ready(self, _: Request) -> Response:
        health = self._health()
        return _verdict("ready", health.ready, health)


class _Connection(H11Protocol):
    """Lets go of a client that gets no response done in `patience` seconds, and of the oldest of too many.

    uvicorn itself waits for ever for the request of a client that has connected, which costs a file descriptor each.
    A stream has no end: its client stays as long as it takes something of what waits for it.
    """

    patience = 10.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        self._served = False
        self._unsent = math.inf  # bytes that waited for a stream's client at the last look
        self.loop.call_later(self.patience, self._check)
        _evict(self.connections)

    def on_response_complete(self) -> None:
        self._served = True
        super().on_response_complete()

    def shutdown(self) -> None:
        """The server ends: who does not take what comes would only be waited for."""
        if self.flow.write_paused:
            self.transport.abort()
        super().shutdown()

    @property
    def streams(self) -> bool:
        """Whether a stream is under way."""
        started = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        return bool(started and self.scope["path"] == PATH)

    def _check(self) -> None:
        if not (self._served or (self.streams and self._goes_on())):
            self.transport.abort()
        elif not self.transport.is_closing():
            self._served = False
            self.loop.call_later(self.patience, self._check)

    def _goes_on(self) -> bool:
        """Whether a stream's client has taken something since the last look, or has all there is."""
        before = self._unsent
        self._unsent = self.transport.get_write_buffer_size() if self.flow.write_paused else math.inf
        return self._unsent < before or not self.flow.write_paused


def _sliced(body: bytes, headers: dict[str, str]) -> StreamingResponse:
    """A long body, handed on as its client takes it: asyncio copies what waits, and holds up all threads for it."""

    async def slices() -> AsyncIterator[bytes]:
        for start in range(0, len(body), _AT_ONCE):
            yield body[start : start + _AT_ONCE]

    return StreamingResponse(slices(), headers=headers)


def _evict(connections: Iterable[object]) -> None:
    alive = [c for c in connections if isinstance(c, _Connection) and not c.transport.is_closing()]
    if len(alive) > _CONNECTIONS:
        min(alive, key=lambda connection: (connection.streams, connection._since)).transport.abort()


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
    return JSONResponse({name: good, "checks": dict(health.checks)}, 200 if good else 503, headers=HEADERS)


async def _refusal(request: Request, error: Exception) -> Response:
    """404 and 405, with the headers that Starlette set (Allow): in JSON below the API, else in plain text."""
    assert isinstance(error, HTTPException)
    there = "there are /, /metrics, /-/healthy, /-/ready and what /api/v1/openapi.json describes"
    if request.url.path.startswith("/api/"):
        response = refusal(error.status_code, error.detail, there)
    else:
        response = PlainTextResponse(f"{error.status_code} {error.detail}; {there}\n", error.status_code, HEADERS)
    response.headers.update(error.headers or {})
    return response

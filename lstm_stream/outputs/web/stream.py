"""The live stream: server-sent events to few pages, from whatever thread something happens on.

Rules:
1. Whoever tells something never waits and does nothing for it: what came is written on the web thread, all of a moment
   at once, and of a storm the latest only.
2. A client that does not keep up is let go; its browser comes back by itself and asks for everything anew.
3. What all clients get every few seconds is made once for all of them, and not at all while there are none.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lstm_stream.outputs.web.api import HEADERS, ROOT, encoded, refusal
from lstm_stream.outputs.web.origin import Origins

log = logging.getLogger(__name__)

PATH = f"{ROOT}/events"
EVERY = 2.0  # s between two overviews
STREAMS = 32  # at once
WAITING = 64  # parts that a client may be behind
AT_ONCE = 200  # alarms and commands in one part


class Hub:
    """The clients of the stream. `overview` makes the document that all of them get every `EVERY` seconds."""

    def __init__(self, overview: Callable[[], Awaitable[object]], origins: Origins) -> None:
        self._overview = overview
        self._origins = origins
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clients: set[asyncio.Queue[bytes | None]] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._told: deque[tuple[str, Callable[[], object]]] = deque(maxlen=AT_ONCE)
        self._due = False  # whether what was told will be written
        self._closed = False

    @property
    def clients(self) -> int:
        """How many there are."""
        return len(self._clients)

    def tell(self, kind: str, document: Callable[[], object]) -> None:
        """Tell all clients; from any thread."""
        if self._clients:
            self._told.append((kind, document))
            if not self._due:
                self._due = True
                self._soon(self._flush)

    def close(self) -> None:
        """End all streams and begin no other; from any thread."""
        self._closed = True
        self._soon(lambda: self._spread(None))

    def _soon(self, work: Callable[[], None]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended since
                self._loop.call_soon_threadsafe(work)

    def _flush(self) -> None:
        self._due = False  # first: what is told from here on is either in this part or due again
        parts = []
        while self._told:
            kind, document = self._told.popleft()
            try:
                parts.append(frame(kind, encoded(document())))
            except Exception as error:  # one that cannot be told keeps none of the others back
                log.warning("a page could not be told of %s: %s", kind, error)
        if parts:
            self._spread(b"".join(parts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One client, as long as it stays."""
        response = self._refusal(Request(scope))
        if response is not None:
            await response(scope, receive, send)
            return
        self._loop = asyncio.get_running_loop()
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()  # _spread bounds it
        self._clients.add(queue)
        if self._ticking is None or self._ticking.done():
            self._ticking = self._loop.create_task(self._tick())
        gone = self._loop.create_task(_gone(receive, queue))
        try:
            await self._serve(queue, send)
        finally:
            self._clients.discard(queue)
            gone.cancel()

    async def _serve(self, queue: asyncio.Queue[bytes | None], send: Send) -> None:
        headers = {**HEADERS, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        await send({"type": "http.response.body", "body": b"retry: 3000\n\n", "more_body": True})
        first = await self._now()
        if first:
            await send({"type": "http.response.body", "body": first, "more_body": True})
        while (part := await queue.get()) is not None:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _refusal(self, request: Request) -> Response | None:
        stranger = self._origins.refuse_reading(request.headers)
        if stranger:
            return refusal(403, *stranger)
        if request.method == "HEAD":
            return Response(headers={**HEADERS, "Content-Type": "text/event-stream"})
        if self._closed or len(self._clients) >= STREAMS:
            return refusal(503, f"there are {STREAMS} streams already", f"close one, or ask {ROOT}/overview for it")
        return None

    def _spread(self, part: bytes | None) -> None:
        for queue in list(self._clients):
            if part is None or queue.qsize() >= WAITING:
                self._clients.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(part)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            if not self._clients:
                return
            part = await self._now()
            if part:
                self._spread(part)

    async def _now(self) -> bytes | None:
        """A frame with the overview; None where there is none in time."""
        try:
            return frame("overview", encoded(await asyncio.wait_for(self._overview(), EVERY)))
        except Exception as error:  # the stream goes on, whatever the overview meets
            log.debug("no overview: %s", error)
            return None


def frame(kind: str, data: bytes) -> bytes:
    """As the protocol has it. JSON has no line ends."""
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


async def _gone(receive: Receive, queue: asyncio.Queue[bytes | None]) -> None:
    """Wait until the client has gone, then end its stream."""
    while (await receive())["type"] != "http.disconnect":
        pass
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(None)

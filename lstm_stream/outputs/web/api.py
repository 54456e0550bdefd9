"""The JSON API below /api/v1/: requests are checked here and answered by a `Desk`.

Nothing is computed here. An answer that does not come in time is 503, a bad request an error that says what is right.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from lstm_stream.outputs.web import documents as d
from lstm_stream.outputs.web import queries as q
from lstm_stream.outputs.web.origin import Origins

log = logging.getLogger(__name__)

ROOT = "/api/v1"
PATIENCE = 5.0  # s that an answer may take
LARGEST = 16_384  # bytes of a command

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


Tell = Callable[[str, Callable[[], object]], None]
"""Tells all pages something of a kind; the document is made only where there are any. From any thread."""


class Desk(Protocol):
    """Who answers, on the web thread. TimeoutError: the line has no time now. None: there is no such thing."""

    def serve(self, commands: bool, tell: Tell) -> None:
        """Pages may come from now on. Whether they may command; who is to hear of alarms and commands."""
        ...

    async def overview(self) -> d.Overview:
        """How the daemon is."""
        ...

    async def sensors(self, query: q.SensorsQuery) -> d.SensorList:
        """The list of sensors."""
        ...

    async def sensor(self, query: q.SensorQuery) -> d.SensorView | None:
        """One sensor."""
        ...

    async def series(self, query: q.SeriesQuery) -> d.Series | None:
        """Its samples."""
        ...

    async def alarms(self, query: q.AlarmsQuery) -> d.AlarmList:
        """Alarms, the latest first."""
        ...

    async def models(self, query: q.ModelsQuery) -> d.Models | None:
        """The history of weights."""
        ...

    async def state(self, query: q.SensorQuery) -> d.Learned | None:
        """What one sensor has learned."""
        ...

    async def problems(self) -> d.Problems:
        """Why it may not be working."""
        ...

    async def commands(self) -> d.CommandList:
        """What was commanded, the latest first."""
        ...

    async def command(self, order: q.Order, by: str) -> d.CommandReply:
        """Do it; `by` is who asks."""
        ...


class Resource(NamedTuple):
    """A path that can be read."""

    path: str  # below ROOT
    query: type[q.Query]
    answer: type[Any]
    summary: str


RESOURCES = (
    Resource("/overview", q.NoQuery, d.Overview, "How the daemon is"),
    Resource("/sensors", q.SensorsQuery, d.SensorList, "The sensors, searched and sorted"),
    Resource("/sensor", q.SensorQuery, d.SensorView, "One sensor"),
    Resource("/series", q.SeriesQuery, d.Series, "A sensor's recorded samples, for charts"),
    Resource("/alarms", q.AlarmsQuery, d.AlarmList, "Alarms, the latest first"),
    Resource("/models", q.ModelsQuery, d.Models, "The history of weights"),
    Resource("/state", q.SensorQuery, d.Learned, "All that a sensor has learned, to be taken elsewhere"),
    Resource("/problems", q.NoQuery, d.Problems, "Why it may not be working"),
    Resource("/commands", q.NoQuery, d.CommandList, "What was commanded, the latest first"),
)


class Api:
    """The routes over a desk. Commands are taken where `commands` is true."""

    def __init__(self, desk: Desk, origins: Origins, commands: bool) -> None:
        self._desk = desk
        self._origins = origins
        self._commands = commands

    def routes(self) -> list[Route]:
        """All of them but for the stream of events."""
        desk = self._desk
        answers: dict[str, Callable[[Any], Awaitable[object]]] = {
            "/overview": lambda _: desk.overview(),
            "/sensors": desk.sensors,
            "/sensor": desk.sensor,
            "/series": desk.series,
            "/alarms": desk.alarms,
            "/models": desk.models,
            "/state": desk.state,
            "/problems": lambda _: desk.problems(),
        }
        listed = {resource.path: resource for resource in RESOURCES}
        routes = [Route(ROOT + path, self._read(listed[path], answer)) for path, answer in answers.items()]
        list_commands = self._read(listed["/commands"], lambda _: desk.commands())

        async def commands(request: Request) -> Response:
            return await (self._command(request) if request.method == "POST" else list_commands(request))

        return [*routes, Route(ROOT + "/commands", commands, methods=["GET", "HEAD", "POST"])]

    def _read(
        self, resource: Resource, answer: Callable[[Any], Awaitable[object]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            stranger = self._origins.refuse_reading(request.headers)
            if stranger:
                return refusal(403, *stranger)
            query = _checked(resource.query, dict(request.query_params))
            return query if isinstance(query, Response) else await _answered(answer(query), resource)

        return endpoint

    async def _command(self, request: Request) -> Response:
        if not self._commands:
            return refusal(403, "commands are off", "set web.commands: true, and users before anybody can reach it")
        stranger = self._origins.refuse_changing(request.headers)
        if stranger:
            return refusal(403, *stranger)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return refusal(415, "a command is JSON", "send it with Content-Type: application/json")
        body = await _body(request)
        if body is None:
            return refusal(413, "the command is too long", f"{LARGEST} bytes are allowed")
        try:
            document = orjson.loads(body)
        except ValueError as error:
            return refusal(400, f"not JSON: {error}", 'such as {"verb": "pause", "group": "default", "sensor": "p1"}')
        if not isinstance(document, dict):
            return refusal(400, "a command is an object", 'such as {"verb": "pause", "group": "default"}')
        order = _checked(q.Order, document)
        if isinstance(order, Response):
            return order
        return await _answered(self._desk.command(order, _who(request)), None)


async def _answered(answer: Awaitable[object], resource: Resource | None) -> Response:
    try:
        document = await asyncio.wait_for(answer, PATIENCE)
    except (TimeoutError, asyncio.TimeoutError):  # two until Python 3.11
        return refusal(503, "the line has no time to answer now", "ask again in a moment; /-/ready says how it is")
    except Exception:
        log.exception("a request could not be answered")
        return refusal(500, "an error of the program", "the log has it; please report it")
    if document is None:
        what = "no such sensor" if resource and resource.path != "/models" else "no such group or sensor"
        return refusal(404, what, f"{ROOT}/sensors lists them; names are case-sensitive")
    return json_response(document)


def _checked(model: type[q.Query], values: dict[str, Any]) -> Any:
    """The query, or the response that says what is wrong with it."""
    try:
        return model.model_validate(values, strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = ".".join(map(str, first["loc"]))[:100]
        known = ", ".join(_names(model)) or "none"
        return refusal(400, f"{name}: {first['msg']}", f"known here: {known}; see {ROOT}/openapi.json")


def _names(model: type[BaseModel]) -> Sequence[str]:
    return list(model.model_fields)


async def _body(request: Request) -> bytes | None:
    """The whole body; None where it is too long or never came."""
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > LARGEST:
                return None
    except ClientDisconnect:
        return None
    return bytes(body)


def _who(request: Request) -> str:
    """The user that security.py let in, or where the request came from."""
    user = request.scope.get("user")
    if isinstance(user, str) and user:
        return user
    return f"web {request.client.host}" if request.client else "web"


def json_response(document: object, status: int = 200) -> Response:
    """A document of ours; NaN and infinities are null."""
    return Response(encoded(document), status, headers={**HEADERS, "Content-Type": "application/json"})


def encoded(document: object) -> bytes:
    """As JSON; NaN and infinities are null, half a surrogate pair is `?`."""
    try:
        return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError:
        return orjson.dumps(_sound(document), option=orjson.OPT_SERIALIZE_NUMPY)


def refusal(status: int, error: str, hint: str) -> Response:
    """An error with a way out."""
    return json_response(d.Refusal(error, hint), status)


def _sound(document: Any) -> Any:
    """The same with every text such as UTF-8 can have."""
    if hasattr(document, "__dataclass_fields__"):
        document = {name: getattr(document, name) for name in document.__dataclass_fields__}
    if isinstance(document, str):
        return document.encode("utf-8", "replace").decode("utf-8")
    if isinstance(document, dict):
        return {_sound(key): _sound(value) for key, value in document.items()}
    return [_sound(one) for one in document] if isinstance(document, list | tuple) else document

"""The API as a page uses it, over real connections: what is answered, refused, described and streamed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bcrypt
import jsonschema
import pytest

from lstm_stream.config import Web
from lstm_stream.outputs.metrics import Metrics
from lstm_stream.outputs.web import api, stream
from lstm_stream.outputs.web import server as web
from lstm_stream.outputs.web.api import RESOURCES, ROOT
from lstm_stream.outputs.web.openapi import describe
from lstm_stream.outputs.web.origin import Origins
from lstm_stream.outputs.web.server import Health, WebServer
from tests.outputs.desk import OVERVIEW, FakeDesk, lose_patience

PATHS = {
    "/overview": "",
    "/sensors": "?search=pump&sort=name&order=asc&limit=5",
    "/sensor": "?group=pumps&sensor=pump-7",
    "/series": "?group=pumps&sensor=pump-7&since=1&until=2",
    "/alarms": "?state=open",
    "/models": "?group=pumps",
    "/state": "?group=pumps&sensor=pump-7",
    "/problems": "",
    "/commands": "",
}
LARGE = "x" * 8_000_000  # more than the system buffers for a client
PAUSE = {"verb": "pause", "group": "pumps", "sensor": "pump-7"}


@pytest.fixture(scope="module")
def house() -> Iterator[tuple[WebServer, FakeDesk]]:
    """A web server with the usual options, and its desk: to start and to end one takes longer than most tests."""
    desk = FakeDesk()
    server = WebServer(Web(port=0), Metrics("1").render, lambda: Health(True, True), desk)
    server.open()
    yield server, desk
    server.close()


@pytest.fixture
def server(house: tuple[WebServer, FakeDesk], wait_until: Callable[..., Any]) -> WebServer:
    wait_until(lambda: house[0].streams == 0, "the streams of the test before to end")
    house[1].forget()
    return house[0]


@pytest.fixture
def desk(house: tuple[WebServer, FakeDesk]) -> FakeDesk:
    """That of `server`, which has heard nothing yet."""
    return house[1]


@pytest.fixture
def other() -> FakeDesk:
    """That of `serve`."""
    return FakeDesk()


@pytest.fixture
def serve(other: FakeDesk) -> Iterator[Callable[..., WebServer]]:
    """`serve(**options)`: a web server of its own with these options of `web`."""
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> WebServer:
            server = WebServer(Web(port=0, **options), Metrics("1").render, lambda: Health(True, True), other)
            server.open()
            stack.callback(server.close)
            return server

        yield make


def ask(server: WebServer, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Status and document; with a body it is a POST of JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        if body is None:
            connection.request("GET", ROOT + path, headers=headers)
        else:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request("POST", ROOT + path, content, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


# --- what is described


def test_every_answer_is_as_the_description_says(server: WebServer) -> None:
    status, description = ask(server, "/openapi.json")
    assert status == 200
    assert set(description["paths"]) == {ROOT + path for path in [*PATHS, "/events", "/openapi.json"]}
    for path, query in PATHS.items():
        status, document = ask(server, path + query)
        assert status == 200, document
        schema = description["paths"][ROOT + path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(document, {**schema, "components": description["components"]})


def test_every_route_is_described_and_the_other_way_round() -> None:
    described = describe("1")["paths"]
    assert {ROOT + resource.path for resource in RESOURCES} <= set(described)
    for resource in RESOURCES:
        named = {parameter["name"] for parameter in described[ROOT + resource.path]["get"]["parameters"]}
        assert named == set(resource.query.model_fields)


def test_the_description_is_one_of_openapi_3_1() -> None:
    description = describe("1.2.3")
    assert description["openapi"] == "3.1.0"
    text = json.dumps(description)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        jsonschema.Draft202012Validator.check_schema(description["components"]["schemas"][name])


def test_a_field_that_nobody_described_would_be_noticed(server: WebServer) -> None:
    description = ask(server, "/openapi.json")[1]
    _, document = ask(server, "/overview")
    del document["checks"]
    schema = {"$ref": "#/components/schemas/Overview", "components": description["components"]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


def test_numbers_that_are_unknown_are_null(server: WebServer) -> None:
    _, document = ask(server, "/sensor?group=pumps&sensor=pump-7")
    assert document["threshold"] is None, "infinite"
    assert document["latest"]["bearing"]["upper"] is None, "NaN"
    assert document["score"] == 7.25


# --- what is refused


@pytest.mark.parametrize(
    ("path", "status", "about"),
    [
        ("/sensors?limit=many", 400, "limit"),
        ("/sensors?limit=100000", 400, "limit"),
        ("/sensors?offset=-1", 400, "offset"),
        ("/sensors?sort=colour", 400, "sort"),
        ("/sensors?serach=x", 400, "serach"),
        ("/series?group=pumps&sensor=pump-7&since=nan", 400, "since"),
        ("/sensor?group=pumps", 400, "sensor"),
        ("/sensor?group=pumps&sensor=nobody", 404, "no such sensor"),
        ("/series?group=pumps&sensor=nobody", 404, "no such sensor"),
        ("/models?group=nowhere", 404, "no such group"),
        ("/nothing", 404, "Not Found"),
    ],
)
def test_what_is_wrong_is_said_with_a_way_out(server: WebServer, path: str, status: int, about: str) -> None:
    answered, document = ask(server, path)
    assert answered == status
    assert about in document["error"]
    assert document["hint"]


def test_a_line_without_time_is_503(server: WebServer, desk: FakeDesk) -> None:
    desk.failure = TimeoutError()
    status, document = ask(server, "/overview")
    assert status == 503
    assert "no time" in document["error"]


def test_an_error_of_the_program_is_logged_and_the_server_goes_on(
    server: WebServer, desk: FakeDesk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.failure = ZeroDivisionError("in the desk")
    status, document = ask(server, "/overview")
    assert (status, document["error"]) == (500, "an error of the program")
    assert "in the desk" in caplog.text
    desk.failure = None
    assert ask(server, "/overview")[0] == 200


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9108", "localhost:9108", "LOCALHOST", "[::1]:9108", "192.168.1.7", "pumps.example.com:443"]
)
def test_a_loopback_page_is_read_under_its_own_names(serve: Callable[..., WebServer], host: str) -> None:
    assert ask(serve(names=["pumps.example.com"]), "/overview", Host=host)[0] == 200


@pytest.mark.parametrize("host", ["evil.example.com", "evil.example.com:9108", "localhost.evil.com", ""])
def test_a_loopback_page_is_not_read_under_a_strangers_name(server: WebServer, host: str) -> None:
    for path in ("/overview", "/events"):
        status, document = ask(server, path, Host=host)
        assert status == 403
        assert "web.names" in document["hint"]


def test_a_page_for_the_network_is_read_under_any_name_and_changed_under_its_own() -> None:
    origins = Origins("0.0.0.0", ["pumps.example.com"])
    assert origins.refuse_reading({"host": "nas.local"}) is None
    assert origins.refuse_changing({"host": "nas.local"}) is not None
    for host in ("pumps.example.com", "10.0.0.7:9108", socket.gethostname()):
        assert origins.refuse_changing({"host": host}) is None


# --- commands


def test_a_command_reaches_the_desk_with_who_gave_it(server: WebServer, desk: FakeDesk) -> None:
    order = {**PAUSE, "comment": "repair"}
    assert ask(server, "/commands", order) == (200, {"ok": True, "text": "done", "id": "c2"})
    ((sent, by),) = desk.orders
    assert (sent.verb, sent.group, sent.sensor, sent.argument, sent.comment) == (
        "pause",
        "pumps",
        "pump-7",
        "",
        "repair",
    )
    assert by == "web 127.0.0.1"


@pytest.mark.parametrize(
    ("body", "headers", "status", "about"),
    [
        (PAUSE, {"Content-Type": "text/plain"}, 415, "JSON"),
        (PAUSE, {"Content-Type": "application/x-www-form-urlencoded"}, 415, "JSON"),
        (PAUSE, {"Origin": "https://evil.example.com"}, 403, "another page"),
        (PAUSE, {"Origin": "null"}, 403, "another page"),
        (PAUSE, {"Sec-Fetch-Site": "cross-site"}, 403, "another page"),
        (PAUSE, {"Host": "evil.example.com", "Origin": "http://evil.example.com"}, 403, "another machine"),
        (b"{", {}, 400, "not JSON"),
        (b"\xff\xfe", {}, 400, "not JSON"),
        (b"[" * 10_000, {}, 400, "not JSON"),
        ([PAUSE], {}, 400, "object"),
        ({**PAUSE, "verb": "explode"}, {}, 400, "verb"),
        ({**PAUSE, "group": 5}, {}, 400, "group"),
        ({**PAUSE, "group": ""}, {}, 400, "group"),
        ({**PAUSE, "by": "root"}, {}, 400, "by"),
        ({**PAUSE, "comment": "x" * 2000}, {}, 400, "comment"),
        ({**PAUSE, "comment": "x" * 20_000}, {}, 413, "too long"),
    ],
)
def test_what_is_no_command_of_ours_is_refused(
    server: WebServer, desk: FakeDesk, body: Any, headers: dict[str, str], status: int, about: str
) -> None:
    answered, document = ask(server, "/commands", body, **headers)
    assert answered == status
    assert about in document["error"]
    assert desk.orders == []


def test_a_page_of_our_own_commands(server: WebServer, desk: FakeDesk) -> None:
    own = f"127.0.0.1:{server.port}"
    headers = {"Host": own, "Origin": f"http://{own}", "Sec-Fetch-Site": "same-origin"}
    assert ask(server, "/commands", PAUSE, **headers)[0] == 200
    assert len(desk.orders) == 1


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ({}, True),
        ({"commands": False}, False),
        ({"host": "0.0.0.0"}, False),
        ({"host": "0.0.0.0", "commands": True}, True),
    ],
)
def test_commands_are_off_where_strangers_reach_the_page_unless_they_are_switched_on(
    serve: Callable[..., WebServer], other: FakeDesk, options: dict[str, Any], allowed: bool
) -> None:
    server = serve(**options)
    assert other.commands_allowed is allowed, "the page is told"
    status, document = ask(server, "/commands", PAUSE)
    assert (status == 200) is allowed, document
    assert len(other.orders) == allowed


def test_users_may_command_from_anywhere_and_are_named(
    serve: Callable[..., WebServer], other: FakeDesk, tmp_path: Path
) -> None:
    path = tmp_path / "web.config.yml"
    path.write_text(f"basic_auth_users: {{ann: '{bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}'}}")
    server = serve(host="0.0.0.0", config_file=path)
    assert other.commands_allowed is True
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", f"{ROOT}/commands", json.dumps(PAUSE), {"Content-Type": "application/json"})
    assert connection.getresponse().status == 401
    connection.close()
    login = "Basic " + base64.b64encode(b"ann:secret").decode()
    assert ask(server, "/commands", PAUSE, Authorization=login)[0] == 200
    assert [by for _, by in other.orders] == ["ann"]


def test_a_name_that_nobody_checked_is_not_believed(server: WebServer, desk: FakeDesk) -> None:
    login = "Basic " + base64.b64encode(b"root:whatever").decode()
    assert ask(server, "/commands", PAUSE, Authorization=login)[0] == 200
    assert [by for _, by in desk.orders] == ["web 127.0.0.1"]


# --- the stream


class Client:
    """A page that listens."""

    def __init__(self, server: WebServer, buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(60)
        self.socket.connect(("127.0.0.1", server.port))
        self.socket.sendall(f"GET {stream.PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.text = b""

    def until(self, text: bytes) -> bytes:
        """All that came, when this has."""
        while text not in self.text:
            part = self.socket.recv(65536)
            assert part, f"the stream ended before {text!r}"
            self.text += part
        return self.text

    def ended(self) -> bool:
        """Read to the end; whether that came properly."""
        with contextlib.suppress(ConnectionResetError):
            while part := self.socket.recv(65536):
                self.text += part
        return self.text.endswith(b"0\r\n\r\n")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Overviews come fast."""
    monkeypatch.setattr(stream, "EVERY", 0.05)


@pytest.mark.usefixtures("quick")
def test_a_page_hears_the_overview_at_once_and_again(server: WebServer) -> None:
    with Client(server) as client:
        text = client.until(b"event: overview")
        assert b"text/event-stream" in text
        while client.text.count(b"event: overview") < 3:
            client.until(b"event: overview\ndata: {")
            client.text += client.socket.recv(65536)
        document = client.text.partition(b"data: ")[2].partition(b"\n\n")[0]
        assert json.loads(document)["version"] == OVERVIEW.version


def test_a_page_hears_of_alarms_and_commands_as_they_happen(server: WebServer, desk: FakeDesk) -> None:
    with Client(server) as client:
        client.until(b"event: overview")
        desk.tell("alarm", lambda: {"id": "a"})
        client.until(b'event: alarm\ndata: {"id":"a"}\n\n')
        desk.tell("command", lambda: {"id": "c"})
        client.until(b'event: command\ndata: {"id":"c"}\n\n')


def test_nothing_is_made_for_nobody(server: WebServer, desk: FakeDesk) -> None:
    made: list[int] = []
    desk.tell("alarm", lambda: made.append(1))
    with Client(server) as client:
        client.until(b"event: overview")
        desk.tell("alarm", lambda: {"id": "a"})
        client.until(b"event: alarm")
    assert made == []


def test_a_document_that_cannot_be_made_keeps_no_other_back(server: WebServer, desk: FakeDesk) -> None:
    def broken() -> object:
        raise ValueError("no such alarm")

    with Client(server) as client:
        client.until(b"event: overview")
        desk.tell("alarm", broken)
        desk.tell("alarm", lambda: {"id": "a"})
        client.until(b'{"id":"a"}')


def test_of_a_storm_the_latest_are_told_and_nobody_is_cut_off(server: WebServer, desk: FakeDesk) -> None:
    with Client(server) as client:
        client.until(b"event: overview")
        for number in range(5_000):
            desk.tell("alarm", lambda number=number: {"id": number})
        client.until(b'{"id":4999}\n\n')


@pytest.mark.usefixtures("quick")
def test_streams_outlive_the_patience_with_other_connections(server: WebServer) -> None:
    with Client(server) as client:
        for _ in range(10):
            client.until(b"event: overview")
            client.text = b""
            lose_patience(server)
        client.until(b"event: overview")


def test_a_stream_is_not_evicted_for_connections_that_do_nothing(
    server: WebServer, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "_CONNECTIONS", 3)
    with Client(server) as client, contextlib.ExitStack() as stack:
        client.until(b"event: overview")
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 60)) for _ in range(4)]
        assert idle[0].recv(1) == b"", "the oldest idle one makes room"
        desk.tell("alarm", lambda: {"id": "a"})
        client.until(b'{"id":"a"}')


def test_of_too_many_streams_the_last_is_told_so(
    serve: Callable[..., WebServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    monkeypatch.setattr(stream, "STREAMS", 2)
    with Client(server) as one, Client(server) as two:
        one.until(b"event: overview")
        two.until(b"event: overview")
        status, document = ask(server, "/events")
        assert status == 503
        assert "2 streams" in document["error"]
        assert ask(server, "/overview")[0] == 200


def test_a_page_that_left_makes_room(
    serve: Callable[..., WebServer], monkeypatch: pytest.MonkeyPatch, wait_until: Any
) -> None:
    server = serve()
    monkeypatch.setattr(stream, "STREAMS", 1)
    with Client(server) as client:
        client.until(b"event: overview")

    def heard() -> bool:
        with Client(server) as again:
            return again.socket.recv(64).startswith(b"HTTP/1.1 200")

    wait_until(heard, "room for the next")


def test_a_page_that_does_not_read_is_let_go_and_the_others_hear_everything(
    server: WebServer, desk: FakeDesk, wait_until: Any
) -> None:
    with Client(server, buffer=4096) as stuck, Client(server) as client:
        stuck.until(b"event: overview")
        client.until(b"event: overview")
        desk.tell("alarm", lambda: {"text": LARGE, "id": "large"})
        client.until(b'"id":"large"')
        wait_until(lambda: lose_patience(server) or server.streams == 1, "the one that does not read to be let go")
        assert not stuck.ended(), "cut off"
        desk.tell("alarm", lambda: {"id": "last"})
        client.until(b'{"id":"last"}')


def test_the_end_comes_at_once_with_open_streams_one_of_them_stuck(
    serve: Callable[..., WebServer], other: FakeDesk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _web_threads()
    server = serve()
    assert server._server is not None
    monkeypatch.setattr(web, "_CLOSE_TIMEOUT", 60.0)
    monkeypatch.setattr(server._server.config, "timeout_graceful_shutdown", 60)
    with Client(server) as client, Client(server, buffer=4096) as stuck:
        client.until(b"event: overview")
        stuck.until(b"event: overview")
        other.tell("alarm", lambda: {"text": LARGE, "id": "large"})
        client.until(b'"id":"large"')
        began = time.monotonic()
        server.close()
        assert time.monotonic() - began < 20
        assert client.ended(), "said goodbye"
    assert _web_threads() == before
    assert not caplog.records


def _web_threads() -> int:
    return sum(thread.name == "web" for thread in threading.enumerate())


def test_an_answer_that_takes_too_long_is_given_up(
    server: WebServer, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never() -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(api, "PATIENCE", 0.05)
    monkeypatch.setattr(desk, "problems", never)
    assert ask(server, "/problems")[0] == 503

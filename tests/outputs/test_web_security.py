"""TLS and users of the web side, over real connections."""

from __future__ import annotations

import asyncio
import base64
import http.client
import logging
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml

from lstm_stream.config import Web
from lstm_stream.outputs.metrics import Metrics
from lstm_stream.outputs.web import encrypted, security
from lstm_stream.outputs.web.server import Health, WebServer
from lstm_stream.outputs.web.webconfig import WebConfigError, load

EXAMPLE = Path(__file__).parents[2] / "config" / "web.config.yml"
PATHS = ("/", "/metrics", "/-/healthy", "/-/ready", "/api/v1/overview", "/no/such/path")


def _hash(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


RIGHT, OTHER = _hash("right"), _hash("other")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., WebServer]]:
    """`serve(basic_auth_users=..., ...)`: the web server with that web.config.yml."""
    servers: list[WebServer] = []

    def make(host: str = "127.0.0.1", **sections: Any) -> WebServer:
        path = tmp_path / "web.config.yml"
        path.write_text(yaml.safe_dump(sections))
        web = Web(port=0, host=host, config_file=path)
        server = WebServer(web, Metrics("1").render, lambda: Health(healthy=True, ready=True))
        servers.append(server)
        server.open()
        return server

    yield make
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with us.crt, us.key for 127.0.0.1, and another pair that it did not sign."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("us", "them"):
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        names = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
        files = ["-keyout", f"{name}.key", "-out", f"{name}.crt"]
        subprocess.run(["openssl", "req", "-x509", *key, *names, *files], cwd=folder, check=True, capture_output=True)
    return folder


def _get(
    server: WebServer, path: str = "/metrics", login: str | None = None, context: ssl.SSLContext | None = None
) -> http.client.HTTPResponse:
    """The answer, read."""
    if context is None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    else:
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=60, context=context)
    try:
        code = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
        connection.request("GET", path, headers=code)
        response = connection.getresponse()
        response.read()
        return response
    finally:
        connection.close()


def test_every_path_wants_a_user(serve: Any) -> None:
    server = serve(basic_auth_users={"anna": RIGHT, "bert": OTHER})
    for path in PATHS:
        refused = _get(server, path)
        assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, 'Basic realm="lstm_stream"')
    assert _get(server, login="anna:right").status == 200
    assert _get(server, login="bert:other").status == 200
    for wrong in ("anna:other", "anna:", "nobody:right", ":right", "anna:right" + "\0", "anna:" + "r" * 100):
        assert _get(server, login=wrong).status == 401


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic YW5uYQ==", "Bearer x", "Basic " + "A" * 3000])
def test_a_login_that_is_none_is_refused(serve: Any, header: str) -> None:
    server = serve(basic_auth_users={"anna": RIGHT})
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/metrics", headers={"Authorization": header})
    assert connection.getresponse().status == 401
    connection.close()


def test_who_is_wrong_too_often_waits_and_who_is_known_does_not(serve: Any, caplog: Any) -> None:
    server = serve(basic_auth_users={"anna": RIGHT})
    assert _get(server, login="anna:right").status == 200
    statuses = [_get(server, login=f"anna:{number}").status for number in range(security._FAILURES + 2)]
    assert statuses == [401] * security._FAILURES + [429] * 2
    assert _get(server, login="anna:right").status == 200
    assert "10 wrong passwords from 127.0.0.1" in caplog.text


def test_an_unknown_user_takes_as_long_as_a_known_one(monkeypatch: Any) -> None:
    checked: list[bytes] = []
    monkeypatch.setattr(bcrypt, "checkpw", lambda _, secret: bool(checked.append(secret)))
    door = security.Door({"cheap": _hash("x"), "dear": RIGHT.replace("$04$", "$12$")}, time.monotonic)

    async def ask(login: bytes) -> int:
        code = base64.b64encode(login)
        refusal = await door.refusal({"type": "http", "headers": [(b"authorization", b"Basic " + code)]})
        assert refusal is not None
        return refusal.status_code

    assert asyncio.run(ask(b"nobody:x")) == 401
    assert [secret[:7] for secret in checked] == [b"$2b$12$"]


def test_users_change_while_it_runs_and_a_wrong_file_changes_nothing(
    serve: Any, tmp_path: Path, caplog: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(security, "_LOOK_EVERY", 0.0)
    caplog.set_level(logging.INFO)
    server = serve(basic_auth_users={"anna": RIGHT})
    assert _get(server, login="anna:right").status == 200
    path = tmp_path / "web.config.yml"
    path.write_text("basic_auth_users: {anna: secret-in-plain-text}")
    assert _get(server, login="anna:right").status == 200
    assert "is no bcrypt hash" in caplog.text
    assert "secret-in-plain-text" not in caplog.text
    path.write_text(yaml.safe_dump({"basic_auth_users": {"anna": OTHER}}))
    assert _get(server, login="anna:right").status == 401
    assert _get(server, login="anna:other").status == 200


def test_encrypted_with_another_certificate_while_it_runs(
    serve: Any, tmp_path: Path, certificates: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(security, "_LOOK_EVERY", 0.0)
    for kind in ("crt", "key"):
        shutil.copy(certificates / f"us.{kind}", tmp_path / f"server.{kind}")
    server = serve(
        tls_server_config={"cert_file": "server.crt", "key_file": "server.key", "min_version": "TLS13"},
        http_server_config={"headers": {"Strict-Transport-Security": "max-age=1"}},
    )
    context = ssl.create_default_context(cafile=certificates / "us.crt")
    answer = _get(server, context=context)
    assert (answer.status, answer.headers["Strict-Transport-Security"]) == (200, "max-age=1")
    old = ssl.create_default_context(cafile=certificates / "us.crt")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _get(server, context=old)
    for kind in ("crt", "key"):
        shutil.copy(certificates / f"them.{kind}", tmp_path / f"server.{kind}")
    with pytest.raises(ssl.SSLCertVerificationError):
        _get(server, context=context)
    assert _get(server, context=ssl.create_default_context(cafile=certificates / "them.crt")).status == 200


def test_clients_show_a_certificate_where_one_is_asked_for(serve: Any, certificates: Path) -> None:
    server = serve(
        tls_server_config={
            "cert_file": str(certificates / "us.crt"),
            "key_file": str(certificates / "us.key"),
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": str(certificates / "us.crt"),
        }
    )
    context = ssl.create_default_context(cafile=certificates / "us.crt")
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        _get(server, context=context)
    context.load_cert_chain(certificates / "us.crt", certificates / "us.key")
    assert _get(server, context=context).status == 200
    context = ssl.create_default_context(cafile=certificates / "us.crt")
    context.load_cert_chain(certificates / "them.crt", certificates / "them.key")
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        _get(server, context=context)


def test_clients_that_never_finish_their_handshake_keep_nobody_out(
    serve: Any, certificates: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(encrypted, "_MOST", 5)
    files = {"cert_file": str(certificates / "us.crt"), "key_file": str(certificates / "us.key")}
    server = serve(tls_server_config=files)
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(12)]
    assert _get(server, context=ssl.create_default_context(cafile=certificates / "us.crt")).status == 200
    assert idle[0].recv(1) == b""  # the oldest had to go
    for one in idle:
        one.close()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("basic_auth_users: {anna: geheim}", "that of 'anna' is no bcrypt hash"),
        ("basic_auth_users: [geheim]", "basic_auth_users: Input should be"),
        ("users: {}", "users: is not supported here"),
        ("- geheim", "is not YAML with keys"),
        ("basic_auth_users: {anna: 'geheim", ":1: found unexpected end of stream"),
        ("tls_server_config: {cert_file: a, key_file: b}", "tls_server_config: cannot use"),
        ("tls_server_config: {cert_file: a}", "tls_server_config.key_file: Field required"),
        ("tls_server_config: {cert_file: us.crt, key_file: us.key, client_ca_file: us.crt}", "needs client_auth_type"),
        (
            "tls_server_config: {cert_file: us.crt, key_file: us.key, client_auth_type: RequireAndVerifyClientCert}",
            "needs client_ca_file",
        ),
        (
            "tls_server_config: {cert_file: us.crt, key_file: us.key, client_allowed_sans: [a]}",
            "client_allowed_sans: is not supported here",
        ),
        (
            "tls_server_config: {cert_file: us.crt, key_file: us.key, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}",
            "'TLS_RSA_WITH_RC4_128_SHA' is not offered here",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_at_the_start_without_its_secrets(
    tmp_path: Path, certificates: Path, text: str, says: str
) -> None:
    path = tmp_path / "web.config.yml"
    path.write_text(text)
    for name in ("us.crt", "us.key"):
        shutil.copy(certificates / name, tmp_path)
    with pytest.raises(WebConfigError, match=re.escape(says)) as caught:
        security.Guard(path).open("127.0.0.1")
    assert str(path) in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_without_the_package_bcrypt_it_says_how_to_get_it(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bcrypt", None)
    path = tmp_path / "web.config.yml"
    path.write_text(yaml.safe_dump({"basic_auth_users": {"anna": RIGHT}}))
    with pytest.raises(WebConfigError, match=r"pip install 'lstm_stream\[web\]'"):
        security.Guard(path).open("127.0.0.1")


@pytest.mark.parametrize(
    ("host", "users", "warns"),
    [
        ("127.0.0.1", False, ""),
        ("localhost", False, ""),
        ("::1", False, ""),
        ("0.0.0.0", False, "whoever reaches it gets in"),
        ("0.0.0.0", True, "passwords cross the network unencrypted"),
        ("metrics.example.com", False, "whoever reaches it gets in"),
    ],
)
def test_a_door_left_open_is_warned_of(tmp_path: Path, caplog: Any, host: str, users: bool, warns: str) -> None:
    path = tmp_path / "web.config.yml"
    path.write_text(yaml.safe_dump({"basic_auth_users": {"anna": RIGHT}}))
    security.Guard(path if users else None).open(host)
    assert (warns in caplog.text) if warns else not caplog.text


def test_the_example_is_right_here_and_for_promtool(program: Any, tmp_path: Path, certificates: Path) -> None:
    shutil.copy(EXAMPLE, tmp_path)
    for kind in ("crt", "key"):
        shutil.copy(certificates / f"us.{kind}", tmp_path / f"server.{kind}")
    path = tmp_path / EXAMPLE.name
    security.Guard(path).open("127.0.0.1")
    assert bcrypt.checkpw(b"change me", load(path).basic_auth_users["prometheus"].encode())
    checked = subprocess.run(
        [program("promtool"), "check", "web-config", path], capture_output=True, text=True, check=False, env=os.environ
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr

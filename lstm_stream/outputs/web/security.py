"""Who gets in: TLS and users of the web side, from exporter-toolkit's web.config.yml.

Rules:
1. With users, every path wants one of them: page, API, metrics and health alike.
2. The file and the certificates it names are read again when they change. A file that is wrong changes nothing.
   Whether there is TLS at all is decided at the start.
3. A password is checked off the event loop, one at a time, for as long for an unknown user as for a known one. A right
   one is remembered (as a keyed hash) until the users change; who is wrong too often waits.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import logging
import secrets
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from starlette.datastructures import Headers as RequestHeaders
from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lstm_stream.filestate import Stamp, stamp
from lstm_stream.outputs.web.webconfig import WebConfig, WebConfigError, context_of, cost, load

_log = logging.getLogger(__name__)

_LOOK_EVERY = 1.0  # s between looks at the files
_REMEMBERED = 100  # right passwords
_FAILURES = 10  # that an address may have in a row
_PAUSE = 60.0  # s that it then waits
_ADDRESSES = 1000  # whose failures are counted
_WAITING = 16  # passwords that wait to be checked
_LONGEST = 72  # bytes of a password: bcrypt looks at no more

_Files = tuple[tuple[Path, Stamp | None], ...]


class Guard:
    """What `path` says about users and encryption; without a file everybody gets in, unencrypted."""

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._config = WebConfig()
        self._context: ssl.SSLContext | None = None
        self._files: _Files = ()
        self._looked = 0.0
        self._is_open = False
        self._door = Door({}, clock)

    def open(self, host: str) -> None:
        """Read the file, and warn of a door left open at `host`. Raises WebConfigError or OSError."""
        if self._path is not None:
            self._take(load(self._path))
        self._is_open = True
        for warning in self._warnings(host):
            _log.warning("%s", warning)

    @property
    def encrypts(self) -> bool:
        """Whether connections are encrypted."""
        return self._context is not None

    @property
    def has_users(self) -> bool:
        """Whether only users get in."""
        return bool(self._config.basic_auth_users)

    def context(self) -> ssl.SSLContext:
        """For the next connection."""
        self._look()
        assert self._context is not None, "asked only where it encrypts"
        return self._context

    def protect(self, inner: ASGIApp) -> ASGIApp:
        """The application behind this door."""

        async def outer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await inner(scope, receive, send)
                return
            self._look()
            refusal = await self._door.refusal(scope)
            scope["user"] = self._door.user(scope)
            await (refusal or inner)(scope, receive, _adding(send, self._config.headers))

        return outer

    def _look(self) -> None:
        """Read the files again where they have changed."""
        now = self._clock()
        if self._path is None or now - self._looked < _LOOK_EVERY:
            return
        self._looked = now
        files = _state_of(self._path, self._config)
        if files == self._files:
            return
        self._files = files
        try:
            self._take(load(self._path))
            _log.info("%s is read again", self._path)
        except (WebConfigError, OSError) as error:
            _log.error("web.config_file: %s; what was read before stays in force", error)

    def _take(self, config: WebConfig) -> None:
        assert self._path is not None
        options = config.tls_server_config
        context = context_of(options, self._path) if options else None
        if self._is_open and (context is None) != (self._context is None):
            raise WebConfigError(f"{self._path}: TLS can be switched on and off at a start only")
        if config.basic_auth_users != self._config.basic_auth_users:
            self._door = Door(config.basic_auth_users, self._clock)
        self._config, self._context = config, context
        self._files = _state_of(self._path, config)
        self._looked = self._clock()

    def _warnings(self, host: str) -> list[str]:
        if _is_loopback(host):
            return []
        warnings = []
        if not self._config.basic_auth_users and not self._verifies_clients:
            warnings.append(f"web.host is {host}: whoever reaches it gets in; name users in web.config_file")
        if self._config.basic_auth_users and not self.encrypts:
            warnings.append(f"web.host is {host}: passwords cross the network unencrypted; set up TLS")
        return warnings

    @property
    def _verifies_clients(self) -> bool:
        return self._context is not None and self._context.verify_mode == ssl.CERT_REQUIRED


class Door:
    """Lets the users in (name -> bcrypt hash), all where there are none. Raises WebConfigError without bcrypt."""

    def __init__(self, users: dict[str, str], clock: Callable[[], float]) -> None:
        self._users = {name.encode(): secret.encode() for name, secret in users.items()}
        # Unknown users are checked against the dearest hash, whose verdict is thrown away.
        self._decoy = max(users.values(), key=cost).encode() if users else b""
        self._check = _checker() if users else None
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()  # by address: how many, the last when
        self._waiting = 0
        self._turn = asyncio.Lock()

    async def refusal(self, scope: Scope) -> PlainTextResponse | None:
        """None for who may pass."""
        if self._check is None:
            return None
        login = _login(RequestHeaders(scope=scope).get("authorization", ""))
        if login is None:
            return _unauthorized()
        token = hmac.digest(self._key, b"%d:%s%s" % (len(login[0]), *login), hashlib.sha256)
        if token in self._known:
            self._known.move_to_end(token)
            return None
        address = _network((scope.get("client") or ("",))[0])
        if self._waiting >= _WAITING or self._is_paused(address):
            return PlainTextResponse(
                "429 Too Many Requests: wait a minute\n", 429, headers={"Retry-After": f"{_PAUSE:.0f}"}
            )
        if await self._is_right(*login):
            self._remember(token, address)
            return None
        self._note_failure(address)
        return _unauthorized()

    def user(self, scope: Scope) -> str:
        """Who was let in; empty where everybody is."""
        login = _login(RequestHeaders(scope=scope).get("authorization", "")) if self._check else None
        return login[0].decode(errors="replace") if login else ""

    async def _is_right(self, user: bytes, password: bytes) -> bool:
        assert self._check is not None
        secret = self._users.get(user, self._decoy)
        self._waiting += 1
        try:
            async with self._turn:
                began = time.perf_counter()
                same = await asyncio.to_thread(self._check, password[:_LONGEST], secret)
                right = same and user in self._users and len(password) <= _LONGEST
                if not right:  # who guesses gets a fifth of one core at most
                    await asyncio.sleep(4 * (time.perf_counter() - began))
        finally:
            self._waiting -= 1
        return right

    def _remember(self, token: bytes, address: str) -> None:
        self._failures.pop(address, None)
        self._known[token] = None
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def _note_failure(self, address: str) -> None:
        count, _ = self._failures.pop(address, (0, 0.0))
        self._failures[address] = count + 1, self._clock()
        if count + 1 == _FAILURES:
            _log.warning("web: %d wrong passwords from %s; it waits for %g s now", _FAILURES, address, _PAUSE)
        while len(self._failures) > _ADDRESSES:
            self._failures.popitem(last=False)

    def _is_paused(self, address: str) -> bool:
        count, last = self._failures.get(address, (0, 0.0))
        if count < _FAILURES:
            return False
        if self._clock() - last < _PAUSE:
            return True
        del self._failures[address]
        return False


def _checker() -> Callable[[bytes, bytes], bool]:
    try:
        import bcrypt
    except ModuleNotFoundError:
        hint = "pip install 'lstm_stream[web]'"
        raise WebConfigError(f"basic_auth_users needs the package bcrypt; install it with {hint}") from None

    def check(password: bytes, secret: bytes) -> bool:
        try:
            return bcrypt.checkpw(password, secret)
        except ValueError:  # of old versions, for a NUL in the password
            return False

    return check


def _login(header: str) -> tuple[bytes, bytes] | None:
    """User and password of an Authorization header; None where it has none."""
    scheme, _, code = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(code, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if colon else None


def _unauthorized() -> PlainTextResponse:
    return PlainTextResponse("401 Unauthorized\n", 401, headers={"WWW-Authenticate": 'Basic realm="lstm_stream"'})


def _network(address: str) -> str:
    """What counts as one client: an IPv4 address, or the network of 2**64 that is given out together."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if known.version == 4 else str(ipaddress.ip_network((int(known), 64), strict=False))


def _adding(send: Send, headers: dict[str, str]) -> Send:
    """Adds the configured headers to an answer, in place of its own."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start" and headers:
            MutableHeaders(scope=message).update(headers)
        await send(message)

    return sent


def _state_of(path: Path, config: WebConfig) -> _Files:
    """What tells that the file, or one it names, is another now."""
    options = config.tls_server_config
    named = (options.cert_file, options.key_file, options.client_ca_file) if options else ()
    return tuple((file, stamp(file)) for file in (path, *named) if file is not None)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

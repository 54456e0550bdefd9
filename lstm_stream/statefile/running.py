"""The running daemon, asked over its API."""

from __future__ import annotations

import base64
import json
import netrc
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from lstm_stream.records import Packed
from lstm_stream.statefile.stopped import StateVerbError

PATIENCE = 30.0  # s
LARGEST = 64 * 2**20  # bytes of an answer
PAGE = 500  # sensors in an answer
PASSWORD = "LSTM_STREAM_PASSWORD"  # the variable's name


class Running:
    """The API at `url`; `user`, where given, with the password of the environment variable LSTM_STREAM_PASSWORD."""

    def __init__(self, url: str, user: str | None = None, cacert: str | None = None) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            raise StateVerbError(
                "--url is not a web address; write one such as http://127.0.0.1:9108, user and all apart"
            )
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._headers = _login(parts.hostname, user)
        try:
            context = ssl.create_default_context(cafile=cacert) if parts.scheme == "https" else None
        except (OSError, ssl.SSLError) as error:
            raise StateVerbError(f"{cacert}: cannot be used as certificates: {error}") from None
        handlers = [urllib.request.HTTPSHandler(context=context)] if context else []
        self._opener = urllib.request.build_opener(_NoRedirect(), *handlers)

    def sensors(self, search: str = "", group: str = "", state: str = "", limit: int = 100) -> dict[str, Any]:
        """The sensors by name, as the API lists them: {total, items}."""
        items: list[Any] = []
        while True:
            size = min(PAGE, limit - len(items))
            which = {"search": search, "group": group, "state": state}
            page = self._get("sensors", **which, sort="name", limit=size, offset=len(items))
            items += page["items"]
            if len(items) >= min(limit, page["total"]) or not page["items"]:
                return {"total": page["total"], "items": items}

    def group_of(self, name: str, group: str = "") -> str:
        """The group of a sensor."""
        if group:
            return group
        found = [item for item in self.sensors(name, limit=PAGE)["items"] if item["sensor"] == name]
        if len(found) > 1:
            both = " and ".join(repr(item["group"]) for item in found)
            raise StateVerbError(f"{name!r} is in the groups {both}; give --group")
        if not found:
            raise StateVerbError(f"there is no sensor {name!r}; `lstm-stream state list` shows all")
        return str(found[0]["group"])

    def sensor(self, name: str, group: str = "") -> dict[str, Any]:
        """Everything known of one sensor, with the history of its weights."""
        where = {"group": self.group_of(name, group), "sensor": name}
        return {**self._get("sensor", **where), "generations": self._get("models", **where)["generations"]}

    def series(self, name: str, group: str) -> dict[str, Any]:
        """A sensor's recorded samples."""
        return self._get("series", group=group, sensor=name)

    def states(self, names: Sequence[str], group: str) -> list[Packed]:
        """What these sensors have learned, and what their groups share."""
        found: dict[tuple[str, str, tuple[str, ...]], Packed] = {}
        for name in names:
            for one in self._get("state", group=self.group_of(name, group), sensor=name)["items"]:
                state = base64.b64decode(one["state"])
                packed = Packed(one["group"], one["sensor"], tuple(one["channels"]), one["signature"], state)
                found[packed[:3]] = packed
        return list(found.values())

    def obey(self, verb: str, group: str, sensor: str, argument: str, comment: str) -> dict[str, Any]:
        """Give a command: {ok, text, id}."""
        order = {"verb": verb, "group": group, "sensor": sensor, "argument": argument, "comment": comment}
        return self._ask("commands", json.dumps(order).encode())

    def _get(self, path: str, **query: str | float) -> dict[str, Any]:
        given = {name: value for name, value in query.items() if value != ""}
        return self._ask(f"{path}?{urlencode(given, quote_via=quote)}" if given else path)

    def _ask(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        headers = {**self._headers, **({} if body is None else {"Content-Type": "application/json"})}
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", body, headers)
        try:
            with self._opener.open(request, timeout=PATIENCE) as response:
                content = response.read(LARGEST)
        except urllib.error.HTTPError as error:
            raise StateVerbError(f"{self.url}: {_reason(error)}") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            advice = "--cacert names what to trust" if isinstance(reason, ssl.SSLError) else "does the daemon run?"
            raise StateVerbError(f"{self.url}: {reason}; {advice} (--url says where it is)") from None
        try:
            document = json.loads(content)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise StateVerbError(f"{self.url}: what answers is not lstm-stream; --url says where it is")
        return document


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A password is for the host that was named."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _reason(error: urllib.error.HTTPError) -> str:
    if error.code == 401:
        return f"wants a user and a password; write them to ~/.netrc, or give --user and {PASSWORD}"
    try:
        document = json.loads(error.read(LARGEST))
        return f"{document['error']}; {document['hint']}"
    except (ValueError, KeyError, TypeError, OSError):
        return f"answers {error.code} {error.reason}"


def _login(host: str, user: str | None) -> dict[str, str]:
    password = os.environ.get(PASSWORD)
    if user is None:
        try:
            found = netrc.netrc().authenticators(host)
        except (OSError, netrc.NetrcParseError):
            found = None
        if found is None:
            return {}
        user, password = found[0], found[2]
    if password is None:
        raise StateVerbError(f"--user needs the password in the environment variable {PASSWORD}")
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}

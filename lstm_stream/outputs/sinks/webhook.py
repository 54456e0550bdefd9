"""Events as HTTP POST requests, one at a time and in order, with what Python brings along.

Delivered is what was answered with 2xx. Of the rest 408, 429 and 5xx are tried again; other answers are refusals: the
same request would be refused again. A redirection is one of them, so that a secret goes nowhere else. Proxies are taken
from the environment (https_proxy, no_proxy). Nothing here shows a secret: not the address beyond its host, no header.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from lstm_stream import __version__, secret
from lstm_stream.config.outlets import Webhook, check_url
from lstm_stream.outputs.outbox import Letter
from lstm_stream.outputs.sinks import RefusalError

_AGAIN = (408, 425, 429)
_SHOWN = 200  # characters of an answer


class WebhookSink:
    """`body` makes what is posted of a letter. Raises ValueError where a secret or a certificate cannot be read."""

    longest_pause = 300.0

    def __init__(self, settings: Webhook, body: Callable[[Letter], bytes]) -> None:
        self.name = settings.name
        self._body = body
        self._timeout = settings.timeout
        self._url = _address(settings)
        self._headers = _headers(settings)
        self._opener = urllib.request.build_opener(_NoRedirect(), urllib.request.HTTPSHandler(context=_tls(settings)))

    def send(self, letters: Sequence[Letter]) -> int:
        """Post the first."""
        request = urllib.request.Request(self._url, self._body(letters[0]), self._headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                response.read(_SHOWN)
        except urllib.error.HTTPError as error:
            with error:
                self._judge(error.code, _shown(error))
        except urllib.error.URLError as error:
            raise OSError(f"cannot reach {host_of(self._url)}: {error.reason}") from None
        except (OSError, http.client.HTTPException) as error:  # in the middle of an answer
            raise OSError(f"{host_of(self._url)}: {type(error).__name__}: {error}") from None
        return 1

    def close(self) -> None:
        """Each request has its own connection."""

    def _judge(self, code: int, answer: str) -> None:
        text = f"{host_of(self._url)} answered {code}{answer}"
        if code in _AGAIN or code >= 500:
            raise OSError(text)
        raise RefusalError(text)


def host_of(url: str) -> str:
    """What may be shown of an address: the rest may be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any) -> None:
        return None


def _shown(error: urllib.error.HTTPError) -> str:
    """The beginning of an answer, on one line."""
    try:
        text = error.read(_SHOWN).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return ""
    shown = "".join(c if c.isprintable() else " " for c in text).strip()
    return f": {shown}" if shown else ""


def _address(settings: Webhook) -> str:
    place = f"events.webhooks ({settings.name})"
    if settings.url_env:
        url = secret.from_environment(settings.url_env, f"{place}.url_env")
    elif settings.url_file:
        url = secret.from_file(settings.url_file, f"{place}.url_file")
    else:
        url = settings.url or ""
    try:
        return check_url(url)
    except ValueError as error:
        raise ValueError(f"{place}: its address {error}") from None


def _headers(settings: Webhook) -> dict[str, str]:
    place = f"events.webhooks ({settings.name})"
    headers = {"Content-Type": "application/json", "User-Agent": f"lstm_stream/{__version__}", **settings.headers}
    for name, path in settings.header_files.items():
        headers[name] = secret.from_file(path, f"{place}.header_files.{name}")
    for name, variable in settings.header_envs.items():
        headers[name] = secret.from_environment(variable, f"{place}.header_envs.{name}")
    for name, value in headers.items():
        if not value.isprintable() or not value.isascii():
            raise ValueError(f"{place}: the header {name} holds what no header may; write plain text on one line")
    return headers


def _tls(settings: Webhook) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        text = f"events.webhooks ({settings.name}).ca_file: cannot use {settings.ca_file}: {error.strerror or error}"
        raise ValueError(text) from None
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context

"""Whether a request comes from a page of ours: against DNS rebinding and requests forged by other pages.

Rules:
1. A name that is not ours in `Host` means that a stranger's name was made to point here. An address is never that.
2. Whoever listens on loopback is asked by nobody else: then even reading needs a Host of our own.
3. What changes something needs a Host of our own, and comes from no other page (Origin, Sec-Fetch-Site).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Mapping

Refused = tuple[str, str]  # error, hint


class Origins:
    """`host` is what the server listens on, `names` those it is known by beyond the machine's own."""

    def __init__(self, host: str, names: Iterable[str] = ()) -> None:
        own = {"localhost", host, socket.gethostname(), *names}
        self._names = {name.lower().rstrip(".") for name in own if name}
        self._loopback = is_loopback(host)

    def refuse_reading(self, headers: Mapping[str, str]) -> Refused | None:
        """Why nothing is told; None where it may be."""
        return self._stranger(headers) if self._loopback else None

    def refuse_changing(self, headers: Mapping[str, str]) -> Refused | None:
        """Why nothing is done; None where it may be."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        own = origin is None or origin.partition("://")[2].lower() == headers.get("host", "").lower()
        if not own or site not in ("none", "same-origin"):
            return "the request comes from another page", "commands are taken from the page of this daemon only"
        return self._stranger(headers)

    def _stranger(self, headers: Mapping[str, str]) -> Refused | None:
        name = _name(headers.get("host", ""))
        if name in self._names or _is_address(name):
            return None
        return "Host names another machine", "use this machine's address or name, or add the name to web.names"


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches what listens on this name or address."""
    if host.lower() == "localhost":
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _name(host: str) -> str:
    """Without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0].lower().rstrip(".") if ":" in host else host.lower().rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

"""What is wrong between us and the broker: in words for the log and the health checks, counted by kind for metrics."""

from __future__ import annotations

import logging
import socket
import ssl

from lstm_stream.config import Broker

_log = logging.getLogger(__name__)

_SHORT = 10.0  # s: a connection that ended sooner was not lost by chance
_SHORT_IN_A_ROW = 3
_LOGIN_REFUSED = ("Bad user name or password", "Not authorized")
_TAKEN_OVER = "Session taken over"


class Troubles:
    """`text` is what is wrong now, "" if nothing is; `failures` counts attempts to connect that led to nothing."""

    def __init__(self, broker: Broker) -> None:
        self.text = "not connected yet"
        self.failures = dict.fromkeys(("unreachable", "name", "timeout", "certificate", "tls", "login", "refused"), 0)
        self._broker = broker
        self._short_lived = 0  # connections in a row

    @property
    def address(self) -> str:
        """Of the broker."""
        return f"{self._broker.host}:{self._broker.port}"

    def tell(self, text: str) -> None:
        """Something is wrong."""
        self.text = text
        _log.warning("%s", text)

    def unreachable(self, error: BaseException | None) -> None:
        """No connection came about."""
        kinds = {
            ssl.SSLCertVerificationError: "certificate",
            ssl.SSLError: "tls",
            socket.gaierror: "name",
            TimeoutError: "timeout",
        }
        kind = next((kind for what, kind in kinds.items() if isinstance(error, what)), "unreachable")
        self.failures[kind] += 1
        self.tell(f"cannot reach {self.address}: {error}")

    def refused(self, reason: str) -> None:
        """The broker does not want us, and says why."""
        login = reason in _LOGIN_REFUSED
        self.failures["login" if login else "refused"] += 1
        hint = "; check broker.username and the password" if login else ""
        self.tell(f"{self.address} refused the connection: {reason}{hint}")

    def denied(self, topics: str) -> None:
        """It does not let us subscribe to these."""
        self.tell(f"{self.address} refused the subscription to {topics}; check its access rules")

    def hung_up(self) -> None:
        """It ended the connection before it had said anything."""
        self.failures["tls"] += 1
        self.tell(f"{self.address} hung up before it answered; is TLS on at one end only?")

    def lost(self, kind: str, reason: str, lasted: float) -> str:
        """A connection ended after so many seconds. Returns the kind: `taken_over` where it looks like that."""
        self._short_lived = self._short_lived + 1 if lasted < _SHORT else 0
        often = self._short_lived >= _SHORT_IN_A_ROW
        text = f"lost the connection to {self.address}{reason}"
        if often:
            text += f"; the last {self._short_lived} connections ended within {_SHORT:g} s of their start"
        if often or reason.endswith(_TAKEN_OVER):
            kind = "taken_over"
            text += f": is there another client with the id {self._broker.client_id!r}? "
            text += "Each needs a broker.client_id of its own"
        self.tell(text)
        return kind

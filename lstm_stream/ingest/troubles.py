"""What is wrong between us and the broker: in words for the log and the health checks, counted by kind for metrics."""

from __future__ import annotations

import logging
import socket
import ssl
import time

from lstm_stream.config import Broker

_log = logging.getLogger(__name__)

_SHORT = 10.0  # s: a connection that ended sooner was not lost by chance
_SHORT_IN_A_ROW = 3
_LOGIN_REFUSED = ("Bad user name or password", "Not authorized")
_TAKEN_OVER = "Session taken over"
_OURS = "; check broker.tls.cert_file and key_file, which it does not take"


class Troubles:
    """`text` is what is wrong now, "" if nothing is; `failures` counts attempts to connect that led to nothing."""

    def __init__(self, broker: Broker) -> None:
        self.text = "not connected yet"
        self.failures = dict.fromkeys(("unreachable", "name", "timeout", "certificate", "tls", "login", "refused"), 0)
        self._broker = broker
        self._short_lived = 0  # connections in a row
        self._renewed = ""  # when the login changed that has not been tried with success yet

    @property
    def address(self) -> str:
        """Of the broker."""
        return f"{self._broker.host}:{self._broker.port}"

    def tell(self, text: str) -> None:
        """Something is wrong."""
        self.text = text
        _log.warning("%s", text)

    def connected(self, kept: bool) -> None:
        """Let in, to a session that was kept or to a new one."""
        self.text, self._renewed = "not subscribed yet", ""
        _log.info("connected to %s (%s session)", self.address, "kept" if kept else "new")

    def renewed(self) -> None:
        """The login has changed: what fails from now on may be because of that."""
        self._renewed = f" (broker's login changed at {time.strftime('%H:%M:%S')})"

    def left(self) -> None:
        """A connection ends on purpose."""
        self.text = f"logging in anew to {self.address}"
        _log.info("%s, whose login has changed", self.text)

    def unreachable(self, error: BaseException | None) -> None:
        """No connection came about."""
        kinds = {
            ssl.SSLCertVerificationError: "certificate",
            ssl.SSLError: "tls",
            socket.gaierror: "name",
            TimeoutError: "timeout",
        }
        kind = next((kind for what, kind in kinds.items() if isinstance(error, what)), "unreachable")
        hint = ""
        if kind == "tls" and _is_about_ours(reason := getattr(error, "reason", None) or ""):
            kind, hint = "certificate", f": {_words(reason)}{_OURS}"
        self.failures[kind] += 1
        self.tell(f"cannot reach {self.address}{hint or f': {error}'}{self._renewed}")

    def refused(self, reason: str) -> None:
        """The broker does not want us, and says why."""
        login = reason in _LOGIN_REFUSED
        self.failures["login" if login else "refused"] += 1
        hint = "; check broker.username and the password" if login else ""
        self.tell(f"{self.address} refused the connection: {reason}{hint}{self._renewed}")

    def denied(self, topics: str) -> None:
        """It does not let us subscribe to these."""
        self.tell(f"{self.address} refused the subscription to {topics}; check its access rules")

    def hung_up(self, alert: str = "") -> None:
        """It ended the connection before it had said anything, but perhaps an alert of TLS."""
        ours = _is_about_ours(alert)
        self.failures["certificate" if ours else "tls"] += 1
        why = f": {_words(alert)}" if alert else ""
        encrypted = "; does it want a certificate of us, or another one (broker.tls.cert_file)?"
        hint = _OURS if ours else encrypted if self._broker.tls.enabled else "; is TLS on at one end only?"
        self.tell(f"{self.address} hung up before it answered{why}{hint}{self._renewed}")

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


def _is_about_ours(alert: str) -> bool:
    """Whether an alert of the broker's TLS is about the certificate that we have shown, or have not."""
    return "ALERT" in alert and ("CERTIFICATE" in alert or "UNKNOWN_CA" in alert)


def _words(reason: str) -> str:
    """OpenSSL's SSLV3_ALERT_CERTIFICATE_EXPIRED: certificate expired."""
    return reason.rpartition("ALERT_")[2].replace("_", " ").lower()

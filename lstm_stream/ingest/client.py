"""paho's client, set up as the configuration says. What to do with it is mqtt.py's business."""

from __future__ import annotations

import logging
import time
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from lstm_stream.config import Broker
from lstm_stream.ingest.login import SetupError, read_password, tls_context

_log = logging.getLogger(__name__)
_paho_log = _log.getChild("paho")

_QUEUED = 10_000  # publishes that wait for the broker to come back


class Client(paho.Client):
    """A client that acknowledges nothing by itself, and whose network thread survives errors of its own.

    Of what paho calls, only OSError is expected to fail; anything else would end the thread, and nobody would notice.
    """

    def __init__(self, broker: Broker) -> None:
        v5 = broker.protocol == "5"
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            clean_session=None if v5 else broker.clean_session,
            protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        self._broker = broker

    def prepare(self) -> None:
        """Login, encryption and back-off; loop_start() then connects. Raises SetupError for what cannot work."""
        broker = self._broker
        try:
            broker.host.encode("idna")
        except UnicodeError as error:
            raise SetupError(f"broker.host: {broker.host!r} is not a host name: {error}") from None
        self.suppress_exceptions = True  # of callbacks: logged instead of ending the network thread
        _paho_log.setLevel(logging.WARNING)  # below it is a line a packet
        _paho_log.addFilter(_worth_a_line)
        self.enable_logger(_paho_log)
        self.reconnect_delay_set(broker.reconnect_min, broker.reconnect_max)  # type: ignore[arg-type]  # takes floats
        self.max_queued_messages_set(_QUEUED)
        password = read_password(broker)
        if broker.username is not None or password is not None:
            self.username_pw_set(broker.username or "", password)
        if broker.tls.enabled:
            self.tls_set_context(tls_context(broker.tls))
        self._aim()

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        """As paho's, which loop_start() runs in a thread; begins anew after an unexpected error."""
        while True:
            try:
                return super().loop_forever(timeout, retry_first_connection)
            except Exception:
                _log.exception("the network thread failed; connecting anew")
                time.sleep(self._broker.reconnect_min)
                self._aim()

    def _aim(self) -> None:
        """Drop the connection, if any, and let the network thread make a new one."""
        broker = self._broker
        v5: dict[str, Any] = {}
        if broker.protocol == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0 if broker.clean_session else int(broker.session_expiry)
            properties.ReceiveMaximum = broker.receive_maximum
            v5 = {"clean_start": broker.clean_session, "properties": properties}
        self.connect_async(broker.host, broker.port, int(broker.keepalive), **v5)


def _worth_a_line(record: logging.LogRecord) -> bool:
    """Not what paho calls an error whenever it is told to disconnect, or waits to connect again."""
    return not record.msg.startswith("Client is not connected")

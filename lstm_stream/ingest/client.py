"""paho's client, set up as the configuration says. What to do with it is mqtt.py's business."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from lstm_stream.config import Broker
from lstm_stream.ingest.login import SetupError, read_password, tls_context
from lstm_stream.ingest.reader import Admits, Deliver, Tap, works

_log = logging.getLogger(__name__)
_paho_log = _log.getChild("paho")

_APART = 0.001  # s between two reads that find little
_QUEUED = 10_000  # publishes that wait for the broker to come back


class Client(paho.Client):
    """A client that acknowledges nothing by itself, and whose network thread survives errors of its own.

    Of what paho calls, only OSError is expected to fail; anything else would end the thread, and nobody would notice.
    With `deliver`, what can be read in bulk goes there and the rest to on_message; without, all goes to on_message.
    """

    def __init__(
        self,
        broker: Broker,
        deliver: Deliver | None = None,
        admits: Admits = lambda: True,
        longest: int = 2**28,
        clock: Callable[[], float] = time.time,
    ) -> None:
        v5 = broker.protocol == "5"
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            clean_session=None if v5 else broker.clean_session,
            protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        self._broker = broker
        self._deliver = deliver
        self._admits = admits
        self._longest = longest
        self._clock = clock
        self._tap: Tap | None = None
        self._pinged = 0.0  # monotonic s
        self.fell_silent = False  # the broker, which is why this connection ends

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
        if self._deliver is not None and not works():
            _log.warning("this version of paho-mqtt cannot be read in bulk: messages will cost more CPU")
            self._deliver = None
        self._aim()

    def acknowledge(self, packet_ids: NDArray[np.integer]) -> None:
        """Send a PUBACK for each of these messages with QoS 1, all with one packet of paho's. From any thread."""
        tap, alone = self._tap, len(packet_ids)
        if tap is not None and alone:
            tap.acknowledge(packet_ids[:-1])
            alone = 1
        for packet_id in packet_ids[len(packet_ids) - alone :].tolist():
            self.ack(packet_id, 1)

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        """As paho's, which loop_start() runs in a thread; begins anew after an unexpected error."""
        while True:
            try:
                return super().loop_forever(timeout, retry_first_connection)
            except Exception:
                _log.exception("the network thread failed; connecting anew")
                time.sleep(self._broker.reconnect_min)
                self._aim()

    def say_last(self, topic: str, payload: bytes, qos: int, timeout: float) -> None:
        """Publish (retained), and wait until the broker has that and all that was published before with this QoS."""
        info = self.publish(topic, payload, qos, retain=True)
        try:
            info.wait_for_publish(timeout)
            if not info.is_published():
                address = f"{self._broker.host}:{self._broker.port}"
                _log.warning("%s did not confirm within %g s all that was published", address, timeout)
        except (RuntimeError, ValueError) as error:
            _log.warning("could not say offline: %s", error)

    def loop_misc(self) -> MQTTErrorCode:
        """The keep-alive. paho's own counts neither what the tap takes, nor that nothing is read while it is held.

        A ping every half keep-alive; the connection ends if nothing is heard for one and a half.
        """
        tap, connection = self._tap, cast(object, self.socket())
        now, keepalive = time.monotonic(), self._broker.keepalive
        if tap is None or connection is not tap:
            return super().loop_misc()
        if self.is_connected() and now - self._pinged >= keepalive / 2:
            self._pinged = now
            tap.ping()
        if not tap.is_held and now - tap.heard >= 1.5 * keepalive:
            self.fell_silent = True
            tap.heard = now  # once is enough
            with suppress(OSError):
                tap.shutdown(socket.SHUT_RDWR)  # read as its end
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _create_socket(self) -> Any:
        """paho's, a private name (works() tries it out), with a tap on it."""
        connection = super()._create_socket()
        self.fell_silent = False
        if self._deliver is not None:
            v5 = self._broker.protocol == "5"
            self._tap = Tap(connection, v5, self._deliver, self._clock, self._admits, self._longest, _APART)
            self._pinged = time.monotonic()
        return connection if self._tap is None else self._tap

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

"""paho's client, set up as the configuration says. What to do with it is mqtt.py's business."""

from __future__ import annotations

import logging
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import numpy as np
import orjson
from numpy.typing import NDArray
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from lstm_stream import __version__
from lstm_stream.config import Broker
from lstm_stream.ingest.login import Encryption, Login, SetupError
from lstm_stream.ingest.reader import Admits, Deliver, Tap, works

_log = logging.getLogger(__name__)
_paho_log = _log.getChild("paho")

_APART = 0.001  # s between two reads that find little
_QUEUED = 10_000  # publishes that wait for the broker to come back
_DISCONNECT = b"\xe0\x00"
_GOODBYE = 2.0  # s to leave in peace, where another connection is to follow


class _LeftError(Exception):
    """Ends paho's loop where a connection was left for another."""


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
        self.on_leave: Callable[[], None] = lambda: None  # called on the network thread before it leaves to renew
        self._encryption = Encryption(ssl.PROTOCOL_TLS_CLIENT)
        self._renewals = deque[tuple[Broker, Login]](maxlen=1)  # what the next connection is to be made with

    def prepare(self, login: Login) -> None:
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
        self.max_queued_messages_set(_QUEUED)
        if login.context is not None:
            self.tls_set_context(self._encryption)
        if self._deliver is not None and not works():
            _log.warning("this version of paho-mqtt cannot be read in bulk: messages will cost more CPU")
            self._deliver = None
        self._use(login)
        self._aim()

    def renew(self, broker: Broker, login: Login) -> None:
        """Connect anew, as these say: the same session at the same broker. From any thread; returns at once."""
        self._renewals.append((broker, login))
        if self.socket() is None:
            super().disconnect()  # ends the pause between two attempts, within a second

    def disconnect(self, *args: Any, **options: Any) -> MQTTErrorCode:
        """As paho's: for good."""
        self._renewals.clear()
        return super().disconnect(*args, **options)

    def reconnect(self) -> MQTTErrorCode:
        """As paho's, with what was to be renewed meanwhile."""
        if self._renewals:
            self._broker, login = self._renewals.pop()
            self._use(login)
            self._aim()
        return super().reconnect()

    def acknowledge(self, packet_ids: NDArray[np.integer]) -> None:
        """Send a PUBACK for each of these messages with QoS 1, all with one packet of paho's. From any thread."""
        tap, alone = self._tap, len(packet_ids)
        if tap is not None and alone:
            tap.acknowledge(packet_ids[:-1])
            alone = 1
        for packet_id in packet_ids[len(packet_ids) - alone :].tolist():
            self.ack(packet_id, 1)

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        """As paho's, which loop_start() runs in a thread; begins anew after an unexpected error, or to renew."""
        while True:
            try:
                ended = super().loop_forever(timeout, retry_first_connection)
                if not self._renewals:
                    return ended
            except _LeftError:
                pass
            except Exception:
                _log.exception("the network thread failed; connecting anew")
                time.sleep(self._broker.reconnect_min)
            self._aim()

    def send(self, topic: str, payload: bytes, qos: int, retain: bool) -> paho.MQTTMessageInfo:
        """Publish; with QoS 1 or 2 it waits while the broker is away.

        Raises ValueError for a topic with wildcards, OSError where too many wait, or with QoS 0 the broker is away.
        """
        receipt = self.publish(topic, payload, qos, retain)
        if receipt.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            raise BlockingIOError(f"too many messages wait for {self._address}")
        if receipt.rc == MQTTErrorCode.MQTT_ERR_NO_CONN and qos:
            receipt.rc = MQTTErrorCode.MQTT_ERR_SUCCESS  # it waits for the next connection
        elif receipt.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise ConnectionError(f"{self._address} is away")
        return receipt

    def say_last(self, topic: str, payload: bytes, qos: int, timeout: float) -> None:
        """Publish (retained), and wait until the broker has that and all that was published before with this QoS."""
        info = self.publish(topic, payload, qos, retain=True)
        try:
            info.wait_for_publish(timeout)
            if not info.is_published():
                _log.warning("%s did not confirm within %g s all that was published", self._address, timeout)
        except (RuntimeError, ValueError) as error:
            _log.warning("could not say offline: %s", error)

    def loop_misc(self) -> MQTTErrorCode:
        """The keep-alive. paho's own counts neither what the tap takes, nor that nothing is read while it is held.

        A ping every half keep-alive; the connection ends if nothing is heard for one and a half, and for a renewal.
        """
        tap, connection = self._tap, cast(object, self.socket())
        if self._renewals and connection is not None:
            self._leave()
            raise _LeftError
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

    @property
    def _address(self) -> str:
        return f"{self._broker.host}:{self._broker.port}"

    @property
    def alert(self) -> str:
        """Why TLS ended, in OpenSSL's words; "" where it did not, or nobody said."""
        return "" if self._tap is None else self._tap.alert

    def _create_socket(self) -> Any:
        """paho's, a private name (works() tries it out), with a tap on it."""
        connection = super()._create_socket()
        self.fell_silent = False
        if self._deliver is not None:
            v5 = self._broker.protocol == "5"
            self._tap = Tap(connection, v5, self._deliver, self._clock, self._admits, self._longest, _APART)
            self._pinged = time.monotonic()
        return connection if self._tap is None else self._tap

    def _leave(self) -> None:
        """End the connection but not the session: say so, and take what the broker had sent before it heard of it.

        Without the goodbye the broker would publish our last will.
        """
        if not self.is_connected():
            return
        self.on_leave()
        deadline = time.monotonic() + _GOODBYE
        with suppress(OSError):
            while self.want_write() and self._can(deadline, write=True):
                self.loop_write()
            if (connection := self.socket()) is not None:
                connection.send(_DISCONNECT)
            while self._can(deadline):
                self.loop_read()

    def _can(self, deadline: float, write: bool = False) -> bool:
        """Wait until more can be read, or written; False at the end of the connection or of patience (monotonic s)."""
        connection, left = cast(Any, self.socket()), deadline - time.monotonic()
        if connection is None or left <= 0:
            return False
        if not write and hasattr(connection, "pending") and connection.pending():
            return True
        either = ([], [connection]) if write else ([connection], [])
        return any(select.select(*either, [], left))

    def _use(self, login: Login) -> None:
        """What the next connection is made with."""
        self.reconnect_delay_set(self._broker.reconnect_min, self._broker.reconnect_max)  # type: ignore[arg-type]  # takes floats
        if login.username is not None or login.password is not None:
            self.username_pw_set(login.username or "", login.password)
        else:
            self.username_pw_set(None)
        if login.context is not None:
            self._encryption.latest = login.context

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


def status(state: str) -> bytes:
    """What the status topic says of us: online or offline."""
    return orjson.dumps({"state": state, "version": __version__})


def _worth_a_line(record: logging.LogRecord) -> bool:
    """Not what paho calls an error whenever it is told to disconnect, or waits to connect again."""
    return not record.msg.startswith("Client is not connected")

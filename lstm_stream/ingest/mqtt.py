"""The MQTT session: connects, subscribes, fills the inbox, acknowledges, publishes, and comes back by itself.

    broker --PUBLISH--> network thread --Inbox--> worker thread --acknowledge()--> PUBACK --> broker

Rules:
1. A message is acknowledged after the work on it, and worked on once, however often a connection is lost meanwhile
   (receipts.py). Only a process that ends without its goodbye gets messages again that it had worked on.
2. Callbacks run on the network thread and never wait: one that does misses the keep-alive.
3. A message that a full inbox drops is counted, and acknowledged all the same: left unacknowledged it would fill the
   broker's window and come again only after a reconnect. With QoS 1 that window (broker.receive_maximum) holds the
   broker back before an inbox larger than it can fill; with limits.overflow `block` nothing is dropped here at all.
4. The session outlives this process (clean_session: false): what arrives meanwhile with QoS 1 is delivered later.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from lstm_stream.config import Broker, Events, Source
from lstm_stream.ingest.aside import Aside
from lstm_stream.ingest.client import Client, status
from lstm_stream.ingest.clock import Clock
from lstm_stream.ingest.inbox import Inbox
from lstm_stream.ingest.login import Login, read_login
from lstm_stream.ingest.own import OwnTopics
from lstm_stream.ingest.receipts import Receipts, content_of
from lstm_stream.ingest.topics import subscriptions
from lstm_stream.ingest.troubles import Troubles
from lstm_stream.records import Chunk, Message

_log = logging.getLogger(__name__)

_PATIENCE = 0.02  # s that reading waits for room in the inbox before it looks after the rest


class Session:
    """One session with one broker. `on_disconnect` is called on the network thread with the kind of an end:
    `hung_up`, `silent`, `sent_away` (MQTT 5), `taken_over` or `given_up`.

    With `bulk` the inbox gets chunks of messages where that is possible (reader.py), else single ones.
    """

    def __init__(
        self,
        broker: Broker,
        sources: Sequence[Source],
        events: Events,
        inbox: Inbox,
        on_disconnect: Callable[[str], None] | None = None,
        bulk: bool = True,
        longest: int = 2**28,
        aside: Aside | None = None,
    ) -> None:
        self.connected = False
        self.subscribed = False  # to every filter
        self.messages_received = 0
        self.losses = {"stopping": 0, "internal": 0}  # messages that came too late for this process, or met a defect
        self.disconnects = 0
        self.renewals = 0  # connections left on purpose, for another login
        self._broker = broker
        self._login: Login | None = None
        self._troubles = Troubles(broker)
        self.failures = self._troubles.failures  # attempts to connect that led to nothing, by why
        self._aside = aside or Aside()
        self._sources = sources
        self._filters = subscriptions(sources, self._aside.filters)
        self._former: set[str] = set()  # filters to unsubscribe from at the next connection
        self._asked: dict[int, list[str]] = {}  # filters by the packet id of the SUBSCRIBE that is not answered yet
        self._refused: dict[str, str] = {}  # filters, and the broker's words
        self._events = events
        self._inbox = inbox
        self._on_disconnect = on_disconnect
        self._bulk = bulk
        self._longest = longest
        self.clock = Clock()
        self._own = OwnTopics(events, self._aside)
        self._client: Client | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()  # guards connected and the receipts; never held for long
        self._receipts = Receipts()
        self._shed = False  # messages, since the last read
        self._since = 0.0  # monotonic time at which the connection began
        self._answered = False  # the broker, to the latest connect
        self._taking, self._closing = True, False

    def open(self) -> None:
        """Start the network thread, which connects and never gives up. Returns at once.

        Raises SetupError where it cannot work: an unreadable password or certificate.
        """
        client = Client(self._broker, self._arrived if self._bulk else None, self._may_read, self._longest, self.clock)
        self._login = read_login(self._broker)
        client.prepare(self._login)
        self.configure(self._sources, self._events)  # by now all listen who want to
        client.will_set(self._events.status_topic, status("offline"), qos=1, retain=True)
        client.on_pre_connect = self._before_connect
        client.on_connect = self._connected
        client.on_connect_fail = self._connect_failed
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._subscribed
        client.on_message = self._received
        client.on_leave = self._left
        self._client = client
        client.loop_start()

    def configure(self, sources: Sequence[Source], events: Events) -> None:
        """Subscribe to what these sources ask for and no longer to the rest, on the session as it is.

        From any thread. `events` may differ in all but the status topic.
        """
        filters = subscriptions(sources, self._aside.filters)
        with self._lock:
            former, self._filters = self._filters, filters
            self._events, self._own = events, OwnTopics(events, self._aside)
            self._former = (self._former | former.keys()) - filters.keys()
            self._refused = {topic: why for topic, why in self._refused.items() if topic in filters}
            client = self._client if self.connected else None
        if client is not None:
            self._subscribe(client, {topic: qos for topic, qos in filters.items() if former.get(topic) != qos})
            self._judge()

    def renew(self, broker: Broker, login: Login) -> None:
        """Connect anew on the same session where these say anything new. From any thread; returns at once.

        `broker` may differ in all but what makes the session another: changes.py has it.
        """
        if (broker, login) == (self._broker, self._login) or (client := self._client) is None:
            return
        self._broker, self._login = broker, login
        self._troubles.renewed()
        client.renew(broker, login)

    def _subscribe(self, client: paho.Client, filters: dict[str, int]) -> None:
        """Leave the former filters and ask for these."""
        with self._lock:  # no answer comes before it is known what was asked
            if self._former and client.unsubscribe(sorted(self._former))[0] == MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._former = set()
            if filters:
                _, packet_id = client.subscribe(list(filters.items()))
                if packet_id is not None:
                    self._asked[packet_id] = list(filters)

    @property
    def problem(self) -> str:
        """What is wrong, in words; "" if nothing is."""
        return self._troubles.text

    def stop_intake(self) -> None:
        """Take no more messages: what comes from now on stays unacknowledged, and comes again next time (QoS 1)."""
        self._taking = False

    def acknowledge(self, messages: Sequence[Message | Chunk]) -> None:
        """Tell the broker that the work on these messages is done. From any thread."""
        with self._lock:  # no other connection begins between the question and the answer
            client = self._client
            due = [packet_ids for item in messages if len(packet_ids := self._finish(item))]
            if due and self.connected and client is not None:
                client.acknowledge(np.concatenate(due))

    def recall(self, messages: Sequence[Message | Chunk]) -> None:
        """The work on these was done by a process before this one: should they come again, they are acknowledged."""
        with self._lock:
            for item in messages:
                if isinstance(item, Chunk):
                    self._receipts.recall(item)

    def memory(self) -> bytes:
        """Which messages the broker may deliver again though the work is done, for a process after this one."""
        with self._lock:
            return self._receipts.memory()

    def remember(self, memory: bytes) -> None:
        """Take up what memory() said before the start. What cannot be read is told, and forgotten."""
        try:
            with self._lock:
                self._receipts.remember(memory)
        except (ValueError, IndexError) as error:
            _log.warning("which messages came last before the start cannot be read: %r", error)

    def _finish(self, item: Message | Chunk) -> NDArray[np.integer]:
        """The packet ids for which a PUBACK is due. The lock is held."""
        if isinstance(item, Chunk):
            packet_ids: NDArray[np.integer] = item.table[item.is_acknowledged, 5]
            return packet_ids[self._receipts.finish_all(item.session, packet_ids)]
        due = item.qos > 0 and self._receipts.finish(item.mid)
        if item.qos == 2 and due and self.connected and self._client is not None:
            self._client.ack(item.mid & 0xFFFF, 2)  # of a broker that gives more than was asked for
            due = False
        return np.array([item.mid & 0xFFFF] if due else [], np.int32)

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> paho.MQTTMessageInfo:
        """Send a message; with QoS 1 or 2 it waits while the broker is away. From any thread.

        The receipt tells when the broker has it. Raises ValueError for a topic with wildcards, OSError where it cannot
        be sent: the session is not open, too many wait already, or with QoS 0 the broker is away.
        """
        client = self._client
        if client is None:
            raise ConnectionError("the session is not open")
        return client.send(topic, payload, qos, retain)

    def close(self, timeout: float) -> None:
        """Deliver what was published, say offline, disconnect; give up after `timeout` seconds. May be called twice."""
        client, self._client = self._client, None
        if client is None:
            return
        deadline = time.monotonic() + timeout
        if self.connected:
            qos = max(1, self._events.qos)  # that of the events: the broker confirms each kind in order
            client.say_last(self._events.status_topic, status("offline"), qos, timeout)
        if lost := self.losses["stopping"]:
            _log.warning("%d messages of QoS 0 came while stopping and are lost; with QoS 1 they come again", lost)
        self._closing = True
        client.disconnect()
        if self._thread is not None:
            self._thread.join(max(0.1, deadline - time.monotonic()))
            if self._thread.is_alive():
                _log.warning("the broker did not answer within %g s; leaving without its consent", timeout)
        self.connected = self.subscribed = False
        self._troubles.text = "closed"

    # -- callbacks, on the network thread

    def _before_connect(self, _client: paho.Client, _userdata: Any) -> None:
        self._thread = threading.current_thread()
        self._answered = False
        self._lost("given_up")  # where paho gave it up without a word

    def _connect_failed(self, _client: paho.Client, _userdata: Any) -> None:
        self._troubles.unreachable(sys.exc_info()[1])  # paho calls this from its except clause, without the error

    def _connected(
        self, client: paho.Client, _userdata: Any, flags: paho.ConnectFlags, reason: ReasonCode, _properties: Any
    ) -> None:
        self._answered = True
        if self._closing:  # close() came while this connection was being made
            client.disconnect()
        elif reason.is_failure:
            self._troubles.refused(str(reason))
        else:
            self._begin(client, flags.session_present)

    def _begin(self, client: paho.Client, kept: bool) -> None:
        with self._lock:
            self._receipts.begin(kept)
            self.connected = True
        self._since = time.monotonic()
        self._troubles.connected(kept)
        self._asked.clear()
        self._refused.clear()
        self._subscribe(client, self._filters)
        client.publish(self._events.status_topic, status("online"), qos=1, retain=True)

    def _subscribed(
        self, _client: paho.Client, _userdata: Any, packet_id: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        with self._lock:
            topics = self._asked.pop(packet_id, [])
            refused = {t: str(code) for t, code in zip(topics, reasons, strict=False) if code.is_failure}
            self._refused |= {topic: why for topic, why in refused.items() if topic not in self._aside.filters}
        for topic in refused.keys() & self._aside.filters.keys():  # the line works without
            _log.info("%s refused the subscription to %s", self._troubles.address, topic)
        self._judge()

    def _judge(self) -> None:
        """Whether every subscription holds."""
        with self._lock:
            refused = [f"{topic} ({why})" for topic, why in self._refused.items()]
            self.subscribed = not refused and not self._asked
            self._troubles.text = "" if self.subscribed or refused else "not subscribed yet"
        if refused:
            self._troubles.denied(", ".join(refused))

    def _arrived(self, chunk: Chunk) -> None:
        """Messages read in bulk. Whatever goes wrong is logged, as paho does with what is wrong in a callback."""
        try:
            if self._taking:
                self._sift(chunk)
            else:
                own = self._own.among(chunk)
                self.losses["stopping"] += int((~chunk.is_acknowledged & (True if own is None else ~own)).sum())
        except Exception:
            self.losses["internal"] += len(chunk)
            _log.exception("%d messages were lost", len(chunk))

    def _sift(self, chunk: Chunk) -> None:
        """Put what is new and foreign into the inbox."""
        own = self._own.among(chunk)
        if own is not None:
            self._set_aside(chunk.only(own))
            chunk = chunk.only(~own)
        with self._lock:
            chunk.session = self._receipts.session
            if chunk.is_acknowledged.any():
                repeated, finished = self._receipts.are_repeated(chunk)
                if repeated.any():
                    self._confirm(chunk.only(finished))
                    chunk = chunk.only(~repeated)
        self.messages_received += len(chunk)
        if dropped := self._inbox.put(chunk):
            self.acknowledge(dropped)
            self._shed = True

    def _set_aside(self, chunk: Chunk) -> None:
        """What is no sample: acknowledged, and told to those who listen."""
        with self._lock:
            self._confirm(chunk.only(chunk.is_acknowledged))
        self._aside.hear_all(chunk.messages())

    def _may_read(self) -> bool:
        """Whether there is room for more, or will be in a moment; at the end all is read, for the answers in it."""
        if self._shed:  # to read more, only to throw it away, would take the interpreter from the worker
            self._shed = False
            time.sleep(_PATIENCE)
        return not self._taking or self._inbox.admits(_PATIENCE)

    def _confirm(self, chunk: Chunk) -> None:
        """Acknowledge what needs no work. The lock is held."""
        if len(chunk) and self._client is not None:
            self._client.acknowledge(chunk.table[:, 5])

    def _received(self, client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        if not self._taking:
            self.losses["stopping"] += message.qos == 0
            return
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # goes down the line and is rejected there
        if self._own.match(topic):
            client.ack(message.mid, message.qos)
            self._aside.hear(Message(topic, bytes(message.payload), self.clock(), message.retain, message.qos))
        elif message.qos == 0 or self._is_new(client, topic, message):
            self.messages_received += 1
            number = self._receipts.number(message.mid) if message.qos else 0
            arrived = Message(topic, bytes(message.payload), self.clock(), message.retain, message.qos, number)
            if dropped := self._inbox.put(arrived):
                self.acknowledge(dropped)

    def _is_new(self, client: paho.Client, topic: str, message: paho.MQTTMessage) -> bool:
        """Whether a message with QoS 1 did not come before."""
        content = content_of(topic.encode(), bytes(message.payload))
        with self._lock:
            if not self._receipts.is_repeated(message.mid, message.dup, content):
                return True
            if self._receipts.is_done(message.mid):
                client.ack(message.mid, message.qos)
        return False

    def _disconnected(
        self, _client: paho.Client, _userdata: Any, flags: paho.DisconnectFlags, reason: ReasonCode, _properties: Any
    ) -> None:
        if flags.is_disconnect_packet_from_server:  # else the reason is a guess of paho's
            self._lost("sent_away", f": {reason}")
        elif self._client is not None and self._client.fell_silent:
            self._lost("silent", f": nothing was heard from it for {1.5 * self._broker.keepalive:g} s")
        else:
            self._lost("hung_up")
        if not self._answered and not self._closing:
            self._troubles.hung_up(self._client.alert if self._client else "")

    def _lost(self, kind: str, reason: str = "") -> None:
        """The connection is gone. Does nothing where there was none."""
        with self._lock:
            if not self.connected:
                return
            self.connected = self.subscribed = False
            unanswered = bool(self._asked)
        if self._closing:
            return
        if unanswered:
            self._ask_less()
        self.disconnects += 1
        kind = self._troubles.lost(kind, reason, time.monotonic() - self._since)
        if self._on_disconnect is not None:
            self._on_disconnect(kind)

    def _left(self) -> None:
        """The connection ends on purpose; what is unacknowledged comes again over the next one, and is known."""
        with self._lock:
            self.connected = self.subscribed = False
        self.renewals += 1
        self._troubles.left()

    def _ask_less(self) -> None:
        """The broker may have hung up because of a subscription: do without those that are not needed."""
        for topic in self._aside.give_up():
            self._filters.pop(topic, None)
            _log.warning("%s hung up when asked for %s; this is not asked for any more", self._troubles.address, topic)

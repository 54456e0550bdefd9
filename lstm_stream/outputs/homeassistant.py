"""Keeps Home Assistant in the picture: announces sensors, publishes their states, takes back what is gone.

Rules:
1. All of it is retained: Home Assistant may start at any time, before or after.
2. A state is published when it changed and `every` seconds are over; a sensor that alarms, or no longer does, at once.
3. What is announced is found again after a restart by listening to our own topics, so nothing has to be remembered.
   What we no longer want, be it forgotten, left out or over the limit, is taken back; but what is not there yet after
   a start has a while to come.
4. When Home Assistant says that it is online, or the broker was away, all is published again.
5. The line is asked for a few sensors at a time, and not waited for while the broker is away.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from lstm_stream.config.homeassistant import HomeAssistant
from lstm_stream.outputs.discovery import DAEMON, Discovery, Facts
from lstm_stream.outputs.events import dumps
from lstm_stream.outputs.sinks.mqtt import Receipt
from lstm_stream.records import Event, Message

_log = logging.getLogger(__name__)

AT_ONCE = 8  # sensors that the line is asked for at once: some milliseconds
CONFIRMED = 100  # publishes, after which the broker has to keep up
GRACE = 600.0  # s that a sensor which was announced before the start has to come
AWAY = 1.0  # s between looks whether the broker is back
PATIENCE = 10.0  # s for an answer of the line or the broker

Key = tuple[str, str]  # group, sensor


class Line(Protocol):
    """What is asked of the daemon. Both may raise, and then it is tried again later."""

    def names(self) -> Iterable[Key]:
        """All sensors, those known longest first."""
        ...

    def facts(self, keys: Sequence[Key]) -> Sequence[Facts | None]:
        """Of some sensors; None for those that are gone."""
        ...


class Announcer:
    """`publish` sends topic and payload, retained; `connection` is the number of that with the broker, None while away.

    `open` starts its thread, `close` ends it. Not enabled, it takes back what was announced before.
    """

    def __init__(
        self,
        settings: HomeAssistant,
        discovery: Discovery,
        line: Line,
        publish: Callable[[str, bytes], Receipt],
        connection: Callable[[], int | None],
        grace: float = GRACE,
    ) -> None:
        self._settings = settings
        self._discovery = discovery
        self._line = line
        self._publish = publish
        self._connection = connection
        self._last_connection: int | None = None
        self._grace = grace
        self._published: dict[str, bytes] = {}  # by topic
        self._objects: dict[str, Key | None] = {}  # announced by this process
        self._found: set[str] = set()  # announced by a process before
        self._urgent: set[Key] = set()
        self._again = False
        self._since = 0
        self._lock = threading.Lock()  # guards the last four
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="homeassistant", daemon=True)

    def open(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, timeout: float) -> None:
        """End the thread. What is announced stays: the status topic says that it is not available."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    # --- what others tell

    def hear_status(self, message: Message) -> None:
        """Home Assistant comes or goes."""
        if message.payload == b"online":
            with self._lock:
                self._again = True
            self._wake.set()

    def hear_config(self, message: Message) -> None:
        """A device of ours that the broker keeps."""
        if message.retain and message.payload:
            with self._lock:
                self._found.add(message.topic.split("/")[-2])
            self._wake.set()

    def hear_events(self, events: Iterable[Event]) -> None:
        """Alarms that opened or closed."""
        wanted = {(e.group, e.sensor) for e in events if self._discovery.wants(e.group, e.sensor)}
        if wanted and self._settings.enabled:
            with self._lock:
                self._urgent |= wanted
            self._wake.set()

    # --- the thread

    def _run(self) -> None:
        next_round = time.monotonic()
        while not self._stopping.is_set():
            self._wake.wait(max(0.0, next_round - time.monotonic()))
            self._wake.clear()
            if self._stopping.is_set():
                return
            try:
                with self._lock:
                    due = self._again or time.monotonic() >= next_round
                is_told = self.turn(whole=due)
                if due:
                    next_round = time.monotonic() + (self._settings.every if is_told else AWAY)
            except Exception as error:
                next_round = time.monotonic() + self._settings.every
                _log.warning("Home Assistant could not be told, and will be later: %s", error)

    def turn(self, *, whole: bool) -> bool:
        """Publish what is new: of all sensors, or only of those that are urgent. Whether the broker is there."""
        connection = self._connection()
        if connection is None:
            return False
        with self._lock:
            urgent, self._urgent = self._urgent, set()
            again, self._again = self._again, False
        if again or connection != self._last_connection:  # brokers forget, some of them
            self._last_connection = connection
            self._published.clear()
            again = True
        if not self._settings.enabled:
            self._take_back(set())
        elif whole or again:
            self._tell_all()
        else:
            self._tell([key for key in urgent if self._discovery.object_of(*key) in self._objects])
        return True

    def _tell_all(self) -> None:
        d = self._discovery
        self._send(d.config_topic(DAEMON), d.daemon())
        self._objects[DAEMON] = None
        wanted = [key for key in self._line.names() if d.wants(*key)][: self._settings.limit]
        alarms = self._tell(wanted)
        self._send(d.state_topic(DAEMON), d.daemon_state(len(wanted), alarms))
        self._take_back({DAEMON, *(d.object_of(*key) for key in wanted)})

    def _tell(self, keys: Sequence[Key]) -> int:
        """Announce sensors and publish their states; how many of them have an open alarm."""
        alarms = 0
        for start in range(0, len(keys), AT_ONCE):
            for facts in self._line.facts(keys[start : start + AT_ONCE]):
                if facts is not None and not self._stopping.is_set():
                    self._tell_one(facts)
                    alarms += facts["alarm"] is not None
        return alarms

    def _tell_one(self, facts: Facts) -> None:
        d = self._discovery
        name = d.object_of(facts["group"], facts["sensor"])
        self._objects[name] = (facts["group"], facts["sensor"])
        self._send(d.config_topic(name), d.sensor(facts))
        self._send(d.state_topic(name), d.state(facts))

    def _take_back(self, wanted: set[str]) -> None:
        """What is announced and not wanted."""
        with self._lock:
            found = set(self._found)
        gone = self._objects.keys() - wanted
        if not self._settings.enabled or time.monotonic() - self._began >= self._grace:
            gone |= found - wanted
        for name in sorted(gone):
            for topic in (self._discovery.config_topic(name), self._discovery.state_topic(name)):
                self._confirm(self._publish(topic, b""))
                self._published.pop(topic, None)
            self._objects.pop(name, None)
            with self._lock:
                self._found.discard(name)
        if gone:
            _log.info("%d sensors are no longer announced to Home Assistant", len(gone - {DAEMON}))

    def _send(self, topic: str, document: dict[str, object]) -> None:
        payload = dumps(document)
        if self._published.get(topic) != payload:
            self._confirm(self._publish(topic, payload))
            self._published[topic] = payload

    def _confirm(self, receipt: Receipt) -> None:
        """Now and then wait for the broker: what is sent ahead is bounded."""
        self._since += 1
        if self._since >= CONFIRMED:
            self._since = 0
            receipt.wait_for_publish(PATIENCE)
            if not receipt.is_published():
                raise TimeoutError("the broker does not keep up")

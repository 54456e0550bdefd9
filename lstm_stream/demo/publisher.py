"""The sensors' side of the demo: publishes a simulation over MQTT, faster than the clock.

It runs ahead of the daemon by no more than `ahead` messages: then it waits, and the speed is what the machine can do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from lstm_stream.simulate import Publication

_TURN = 0.01  # s between two looks at what is due
_CHUNK = 256  # messages between two looks at whether the daemon keeps up
_PATIENCE = 10.0  # s to reach the broker, and to hand over the last messages


class Publisher:
    """Publishes `publications`, in time order, `speed` simulated seconds per second, from data time `start` on.

    `waiting()` says how many messages the daemon has not worked through yet, given the number published.
    """

    def __init__(
        self,
        host: str,
        port: int,
        publications: Iterable[Publication],
        start: float,
        speed: float,
        waiting: Callable[[int], int],
        ahead: int = 5000,
    ) -> None:
        self.published = 0
        self.time = start  # data time reached
        self.seconds = 0.0  # wall time it took
        self.error: str | None = None
        self._host = host
        self._port = port
        self._publications = publications
        self._start = start
        self._speed = speed
        self._waiting = waiting
        self._ahead = ahead
        self._stop = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="")
        self._thread = threading.Thread(target=self._run, name="demo-publisher", daemon=True)

    @property
    def done(self) -> bool:
        """Whether it has ended: everything published, stopped, or failed."""
        return not self._thread.is_alive()

    def open(self) -> None:
        """Connects and starts to publish. Raises OSError where there is no broker."""
        self._client.connect(self._host, self._port)
        deadline = time.monotonic() + _PATIENCE
        while not self._client.is_connected():
            if self._client.loop(_TURN) != MQTTErrorCode.MQTT_ERR_SUCCESS or time.monotonic() > deadline:
                raise OSError(f"the broker at {self._host}:{self._port} does not let the simulator in")
        self._thread.start()

    def close(self) -> None:
        """Stops publishing; what was published has left when it returns."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        try:
            self._publish(iter(self._publications), began)
            self._hand_over()
        except OSError as error:
            self.error = f"lost the connection to the broker at {self._host}:{self._port}: {error}"
        self.seconds = time.monotonic() - began

    def _publish(self, publications: Iterator[Publication], began: float) -> None:
        """All of them, each when it is due; no network thread, this one serves the connection."""
        for one in publications:
            while one.time > self._due(began) or self._must_wait():
                if self._stop.is_set():
                    return
                self.seconds = time.monotonic() - began
                self._serve(_TURN)
            self._client.publish(one.topic, one.payload, qos=0)
            self.published += 1
            self.time = one.time

    def _due(self, began: float) -> float:
        return self._start + (time.monotonic() - began) * self._speed

    def _must_wait(self) -> bool:
        return self._stop.is_set() or (self.published % _CHUNK == 0 and self._waiting(self.published) > self._ahead)

    def _hand_over(self) -> None:
        """Leaves when the broker has everything: it answers in order, so an answer to what came last will do.

        Without that, an unread answer to a ping makes TCP throw away what the broker has not read yet.
        """
        answered = threading.Event()
        self._client.on_unsubscribe = lambda *_: answered.set()
        self._client.unsubscribe("demo")
        deadline = time.monotonic() + _PATIENCE
        while not answered.is_set() and time.monotonic() < deadline:
            self._serve(_TURN)
        self._client.disconnect()

    def _serve(self, timeout: float) -> None:
        code = self._client.loop(timeout)
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise OSError(mqtt.error_string(code))

"""Other consumers: paho with an empty callback, gmqtt, and a bare socket as the floor."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.load.packets import TIME, TOPICS
from tests.benchmarks.load.pump import HOST, Done
from tests.benchmarks.load.task import Latencies, Snapshot, Task

EVERY = 64  # messages of which a callback looks at one's time
TELL = 0.005  # s between two notes of the count
STAMP = slice(len(b'{"timestamp":'), len(b'{"timestamp":') + len(TIME))


class Rival:
    """A client library with a callback that does nothing but count."""

    def __init__(self, task: Task, done: Done) -> None:
        self._task = task
        self._done = done
        self._messages = 0
        self._latencies = Latencies()

    def snapshot(self) -> Snapshot:
        """What it has done."""
        return {"messages": self._messages, "histogram": self._latencies.counts.tolist()}

    def run(self) -> None:
        """For ever."""
        threading.Thread(target=self._tell, daemon=True).start()
        {"paho": self._paho, "gmqtt": lambda: asyncio.run(self._gmqtt()), "bare": self._bare}[self._task.kind]()

    def _tell(self) -> None:
        while True:
            time.sleep(TELL)
            self._done.set(self._messages)

    def _callback(self, payload: Callable[..., bytes]) -> Callable[..., int]:
        """Counts; where latencies are asked for, it looks at the time in some payloads."""
        look = self._task.latency and self._task.timed

        def count(*_: Any) -> int:
            self._messages += 1
            return 0

        def count_and_look(*arguments: Any) -> int:
            self._messages += 1
            if not self._messages % EVERY:
                self._latencies.add(np.array([float(payload(*arguments)[STAMP])]))
            return 0

        return count_and_look if look else count

    def _paho(self) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        client = Client(CallbackAPIVersion.VERSION2, client_id="load-paho")
        client.on_connect = lambda client, *_: client.subscribe(TOPICS, self._task.qos)
        client.on_message = self._callback(lambda _client, _data, message: message.payload)
        client.connect(HOST, self._task.port)
        client.loop_forever()

    async def _gmqtt(self) -> None:
        from gmqtt import Client
        from gmqtt.mqtt.constants import MQTTv311

        client = Client("load-gmqtt")
        client.on_connect = lambda client, *_: client.subscribe(TOPICS, qos=self._task.qos)
        client.on_message = self._callback(lambda _client, _topic, payload, _qos, _properties: payload)
        await client.connect(HOST, self._task.port, version=MQTTv311)
        await asyncio.Event().wait()

    def _bare(self) -> None:
        """Asks for the messages and throws away what comes; it acknowledges nothing."""
        connection = socket.create_connection((HOST, self._task.port))
        topic, name = TOPICS.encode(), b"load-bare"
        connect = b"\0\4MQTT\4\2\0\0\0" + bytes([len(name)]) + name
        subscribe = b"\0\1\0" + bytes([len(topic)]) + topic + b"\0"
        connection.sendall(bytes([0x10, len(connect)]) + connect + bytes([0x82, len(subscribe)]) + subscribe)
        room = bytearray(1 << 20)
        while connection.recv_into(room):
            pass

"""What is around the daemon: a broker that is restarted, a network that is cut, who publishes and who listens."""

from __future__ import annotations

import asyncio
import json
import math
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.ports import unused_port

HOST = "127.0.0.1"
PATIENCE = 60.0  # s for whatever must happen


def wait_until(condition: Any, what: str, timeout: float = PATIENCE) -> None:
    """Raises TimeoutError where it does not come true."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout:g} s")
        time.sleep(0.02)


class Broker:
    """A mosquitto that keeps everything, over its restarts too."""

    def __init__(self, folder: Path) -> None:
        self.port = unused_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise FileNotFoundError("mosquitto is not installed")
        self._program = program
        (folder / "mosquitto.conf").write_text(
            f"listener {self.port} {HOST}\nallow_anonymous true\npersistence true\n"
            f"persistence_location {folder}/\nmax_queued_messages 0\nautosave_interval 1\nuser root\n"
        )

    def start(self) -> None:
        """Returns when it listens."""
        with (self._folder / "mosquitto.log").open("ab") as log:
            command = [self._program, "-c", str(self._folder / "mosquitto.conf")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex((HOST, self.port)) == 0

        wait_until(listens, "mosquitto")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; with SIGTERM it saves everything first."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None


class Network:
    """The way between daemon and broker, which can be cut: a TCP proxy in a thread of its own."""

    def __init__(self, target: int) -> None:
        self.port = unused_port()
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = True
        self._flowing: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Returns when it listens."""
        ready = threading.Event()
        self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._serve(ready)))
        self._thread.start()
        ready.wait(PATIENCE)

    def cut(self) -> None:
        """Every connection breaks, and none can be made."""
        self._loop.call_soon_threadsafe(self._cut)

    def hold(self) -> None:
        """Nothing gets through any more, and nobody is told: half-open connections."""
        self._loop.call_soon_threadsafe(self._hold, True)

    def mend(self) -> None:
        """As before."""
        self._loop.call_soon_threadsafe(self._mend)

    def close(self) -> None:
        """End it."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _serve(self, ready: threading.Event) -> None:
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server = await asyncio.start_server(self._connected, HOST, self.port)
        ready.set()

    async def _end(self) -> None:
        self._server.close()
        self._cut()
        self._hold(False)
        here = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not here]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        try:
            other, onward = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, onward}
        await asyncio.gather(self._pass(reader, onward), self._pass(other, writer))
        self._writers -= {writer, onward}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._flowing is not None
        try:
            while data := await reader.read(65536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    def _cut(self) -> None:
        self._open = False
        for writer in self._writers:
            writer.transport.abort()

    def _hold(self, on: bool) -> None:
        assert self._flowing is not None
        if on:
            self._flowing.clear()
        else:
            self._flowing.set()

    def _mend(self) -> None:
        self._open = True
        self._hold(False)


class Publisher:
    """Publishes the load at a steady rate, one message after the other has been confirmed.

    It rests while the broker restarts: what a publisher repeats, because it heard of no PUBACK, is another message to
    the broker, and QoS 2 does not help: over a restart mosquitto 2.0.11 loses one now and then.
    """

    def __init__(self, port: int, source: Iterator[tuple[str, bytes]], rate: float) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self._source = source
        self._rate = rate
        self._stopping = threading.Event()
        self._may_send = threading.Lock()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "chaos-publisher", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.connect(HOST, port)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns when the broker has everything."""
        self._stopping.set()
        self._thread.join(PATIENCE)
        self._client.disconnect()
        self._client.loop_stop()

    def rest(self) -> None:
        """Send nothing until `go_on`; returns when the broker has confirmed everything."""
        self._may_send.acquire()

    def go_on(self) -> None:
        """The end of the rest."""
        self._may_send.release()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopping.is_set():
            topic, payload = next(self._source)
            with self._may_send:
                wait_until(self._client.is_connected, "the publisher's connection")
                self.sent.append((topic, payload))
                self._client.publish(topic, payload, qos=1).wait_for_publish(PATIENCE)
            due = max(due + 1 / self._rate, time.monotonic() - 0.5)
            self._stopping.wait(max(0.0, due - time.monotonic()))


class Listener:
    """Hears every event, in a kept session of its own."""

    def __init__(self, port: int) -> None:
        self.ids: Counter[str] = Counter()
        self._over = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "chaos-listener", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_message = self._heard
        self._client.on_connect = lambda client, *_: client.subscribe("lstm_stream/#", 1)
        self._client.connect(HOST, port)
        self._client.loop_start()

    def settle(self) -> None:
        """Returns when it has heard all that the broker has had until now."""
        self._client.publish("lstm_stream/over", b"", qos=1)
        self._over.wait(PATIENCE)

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()

    def _heard(self, _client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        if message.topic.endswith("/over"):
            self._over.set()
        elif message.topic.endswith("/anomaly"):
            number = json.loads(message.payload)["id"]
            if not (message.dup and number in self.ids):  # the broker's own repetition is not ours
                self.ids[number] += 1


class Daemons:
    """Daemons of one configuration, one after the other."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder = folder
        self.pid = 0
        self.web = config["web"]["port"]
        self._config, self._log = folder / "config.yaml", folder / "log"
        self._config.write_text(yaml.safe_dump(config))
        self._cold: subprocess.Popen[bytes] | None = None
        self._nursery = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer()

    def start(self, cold: bool = False) -> None:
        """Start one; `cold`: with a Python of its own, as a user does. Returns at once."""
        if cold:
            with self._log.open("ab") as log:
                command = [sys.executable, "-m", "lstm_stream", "run", str(self._config)]
                self._cold = subprocess.Popen(command, stdout=log, stderr=log)
            self.pid = self._cold.pid
            return
        assert self._nursery.stdin is not None
        print(self._config, self._log, file=self._nursery.stdin, flush=True)
        self.pid = int(self._answer())

    def end(self, how: signal.Signals) -> None:
        """Send it a signal; returns when it is gone."""
        with_it = self.alive
        if with_it:
            os.kill(self.pid, how)
        wait_until(lambda: not self.alive, f"the end of the daemon by {how.name}")
        self._cold = None

    def limit(self, size: int) -> None:
        """Let it write no further than so many bytes into any file (-1: as far as it likes): a full disk."""
        hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size if size >= 0 else hard, hard))

    def metric(self, name: str) -> float:
        """A series of the daemon that runs, without labels; NaN while it does not listen."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.web}/metrics", timeout=30) as response:
                lines = response.read().decode().splitlines()
        except OSError:
            return math.nan
        return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), math.nan)

    @property
    def log(self) -> str:
        """What they have said."""
        return self._log.read_text() if self._log.exists() else ""

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        if self._cold is not None:
            return self._cold.poll() is None
        return Path(f"/proc/{self.pid}").exists()

    def close(self) -> None:
        """End the nursery."""
        self._nursery.communicate(timeout=60)

    def _answer(self) -> str:
        assert self._nursery.stdout is not None
        return self._nursery.stdout.readline().strip()


class Keeper:
    """Keeps every file of the journal's inputs, which the daemon deletes: a second name for each."""

    def __init__(self, state: Path) -> None:
        self.folder = state.parent / "kept"
        self.folder.mkdir()
        self._state = state
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Keep what is there now, and end."""
        self._stopping.set()
        self._thread.join(PATIENCE)
        self._look()

    def _run(self) -> None:
        while not self._stopping.wait(0.01):
            self._look()

    def _look(self) -> None:
        for path in self._state.parent.glob(f"{self._state.name}.inputs.*"):
            try:
                target = self.folder / f"{path.name.rpartition('.')[2]}-{path.stat().st_ino}"
                if not target.exists():
                    os.link(path, target)
            except FileNotFoundError:
                continue

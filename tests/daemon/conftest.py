"""The whole daemon as a process of its own, as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml


@dataclass
class Daemon:
    """`lstm-stream run` with a configuration; `events` are what an independent subscriber received."""

    folder: Path
    config: dict[str, Any]
    port: int
    process: subprocess.Popen[bytes] | None = None
    options: list[str] = field(default_factory=list)

    def start(self, *options: str) -> None:
        """Start it; returns at once."""
        path = self._written()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lstm_stream", "run", str(path), *options], stderr=log, stdout=log
            )

    def reload(self) -> None:
        """SIGHUP, with what the configuration is by now."""
        assert self.process is not None
        self._written()
        self.process.send_signal(signal.SIGHUP)

    def _written(self) -> Path:
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(self.config))
        return path

    def stop(self, timeout: float = 60.0) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(timeout)
        self.process = None
        return code

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.folder / "log").read_text()

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a GET; (0, "") while it does not listen."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, series: str) -> float:
        """The value of a series, written as in the exposition; 0 if it is not there (yet)."""
        lines = self.get("/metrics")[1].splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(series + " ")), 0.0)

    def checks(self) -> dict[str, str]:
        """The readiness checks."""
        checks: dict[str, str] = json.loads(self.get("/-/ready")[1])["checks"]
        return checks


@pytest.fixture
def daemon_factory(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Callable[..., Daemon]]:
    """`daemon_factory(broker, **sections)`: a daemon that is not started yet, for any sensor below plant/."""
    daemons: list[Daemon] = []

    def make(broker: Any, **sections: Any) -> Daemon:
        folder, port = tmp_path_factory.mktemp("daemon"), free_port()
        config = {
            "broker": {"host": broker.host, "port": broker.port, "reconnect_min": "0.2s", "reconnect_max": "1s"},
            "sources": [{"topic": "plant/{sensor}"}],
            "web": {"port": port},
            "state": {"path": str(folder / "state.db")},
            **sections,
        }
        daemons.append(Daemon(folder, config, port))
        return daemons[-1]

    yield make
    for daemon in daemons:
        if daemon.process is not None:
            daemon.process.kill()
            daemon.process.wait()


@pytest.fixture
def publish(program: Callable[[str], str]) -> Callable[..., None]:
    """`publish(broker, topic, payloads, qos=1)` with Debian's own client, a line each."""

    def send(broker: Any, topic: str, payloads: list[str], qos: int = 1) -> None:
        command = [program("mosquitto_pub"), "-h", broker.host, "-p", str(broker.port), "-t", topic, "-q", str(qos)]
        subprocess.run([*command, "-l"], input="\n".join(payloads).encode() + b"\n", check=True, timeout=60)

    return send


@dataclass
class Subscriber:
    """Debian's own client, listening on lstm_stream/#."""

    path: Path

    @property
    def events(self) -> list[dict[str, Any]]:
        """The anomaly events so far, without the two fields that tell when they were made."""
        whole = self.path.read_text().rpartition("\n")[0]  # the last one may be half written
        lines = [line.partition(" ") for line in whole.splitlines()]
        events = [json.loads(payload) for topic, _, payload in lines if topic.endswith("/anomaly")]
        return [{k: v for k, v in event.items() if not k.startswith("processed")} for event in events]


@pytest.fixture
def subscribe(
    program: Callable[[str], str], tmp_path: Path, wait_until: Callable[..., Any]
) -> Iterator[Callable[[Any], Subscriber]]:
    """`subscribe(broker)`: an independent client that hears what the daemon publishes."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(broker: Any) -> Subscriber:
        path = tmp_path / f"heard-{len(processes)}"
        with path.open("wb") as out:
            command = [program("mosquitto_sub"), "-h", broker.host, "-p", str(broker.port)]
            processes.append(
                subprocess.Popen([*command, "-t", "lstm_stream/#", "-t", "here", "-v"], stdout=out, bufsize=0)
            )

        def heard() -> bool:
            subprocess.run([program("mosquitto_pub"), *command[1:], "-t", "here", "-m", "?"], check=True, timeout=60)
            return path.stat().st_size > 0

        wait_until(heard, "the subscriber to be there")
        return Subscriber(path)

    yield start
    for process in processes:
        process.kill()
        process.wait()

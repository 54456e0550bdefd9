"""The daemon under a flood: how much it can carry, twice that for long, then little; what became of all of it."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.soak.flood import Flood

KEEPALIVE = 10.0  # s
STARTS = 180.0  # s that a start may take: kernels may have to be compiled
DRAINS = 60.0


@dataclass
class Look:
    """The daemon at one instant; `at` in s since the flood began, memory in MiB."""

    at: float
    phase: str
    sent: int
    received: float
    scored: float
    dropped: float
    waiting: float
    memory: float


@dataclass
class Soak:
    """What was seen; `carried` is the rate (messages/s) at which nothing was shed."""

    policy: str
    looks: list[Look] = field(default_factory=list)
    carried: float = 0.0
    recovery: float = 0.0  # s from the end of the flood to an empty queue
    drops: dict[str, float] = field(default_factory=dict)
    unaccounted: float = 0.0  # messages sent that neither were scored, nor rejected, nor dropped
    connections: int = 0
    longest_gap: float = 0.0  # s that the broker heard nothing of the daemon
    disconnects: float = 0.0

    def memory(self, phase: str) -> list[float]:
        """MiB, look by look."""
        return [look.memory for look in self.looks if look.phase == phase]

    def rate(self, phase: str, what: str) -> float:
        """Messages a second of a phase that were sent, received, scored or dropped."""
        looks = [look for look in self.looks if look.phase == phase]
        if len(looks) < 2:
            return 0.0
        return float((getattr(looks[-1], what) - getattr(looks[0], what)) / (looks[-1].at - looks[0].at))


class Daemon:
    """A process of its own, asked over HTTP."""

    def __init__(self, folder: Path, flood: Flood, policy: str, inbox: int) -> None:
        config = {
            "broker": {"host": flood.host, "port": flood.port, "keepalive": KEEPALIVE},
            "sources": [{"topic": "plant/{sensor}", "qos": 0}],
            "groups": {"default": {"model": {"weights": "shared"}}},
            "limits": {"overflow": policy, "inbox": inbox},
            "web": {"port": 0},
            "state": {"path": str(folder / "state.db")},
            "log": {"level": "info"},
        }
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "lstm_stream", "run", str(path)], stderr=log)
        self._address = ""

    def metrics(self) -> dict[str, float]:
        """Every series; empty while it does not answer."""
        if not self._address:
            lines = [line for line in self.log.read_text().splitlines() if "http://" in line]
            self._address = "http://" + lines[0].split("http://")[1].split()[0] if lines else ""
        with suppress(OSError):
            if self._address:
                with urllib.request.urlopen(self._address.rstrip("/") + "/metrics", timeout=30) as response:
                    lines = response.read().decode().splitlines()
                return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[:1] != "#"}
        return {}

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(60)


@contextmanager
def running(folder: Path, policy: str, sensors: int, inbox: int) -> Iterator[tuple[Flood, Daemon]]:
    """Both ends, connected."""
    flood = Flood(sensors)
    daemon = Daemon(folder, flood, policy, inbox)
    try:
        await_(lambda: daemon.metrics().get("lstm_stream_mqtt_connected") == 1, STARTS, daemon)
        yield flood, daemon
    finally:
        if daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()
        flood.close()


def soak(
    folder: Path, policy: str, minutes: float, *, sensors: int = 1000, inbox: int = 100_000, every: float = 5.0
) -> Soak:
    """Run it, with a look every so many seconds."""
    result = Soak(policy)
    with running(folder, policy, sensors, inbox) as (flood, daemon):
        began = time.monotonic()

        def look(phase: str) -> Look:
            m = daemon.metrics()
            result.looks.append(
                Look(
                    time.monotonic() - began,
                    phase,
                    flood.sent,
                    m.get("lstm_stream_messages_received_total", 0.0),
                    m.get("lstm_stream_samples_processed_total", 0.0),
                    sum(drops(m).values()),
                    m.get("lstm_stream_queue_length", 0.0),
                    m.get("process_resident_memory_bytes", 0.0) / 2**20,
                )
            )
            return result.looks[-1]

        def phase(name: str, seconds: float) -> None:
            until = time.monotonic() + seconds
            look(name)
            while time.monotonic() < until:
                time.sleep(min(every, max(0.1, until - time.monotonic())))
                look(name)

        flood.rate = 1e9  # as fast as it goes: what is scored meanwhile is what it can carry
        phase("calibration", min(30.0, 12 * minutes))
        result.carried = result.rate("calibration", "scored")
        flood.rate = max(2 * result.carried, 1000.0)
        phase("twice", 60 * minutes)
        flood.rate, ended = 0.2 * result.carried, time.monotonic()
        await_(lambda: look("after").waiting < inbox / 100, DRAINS, daemon)
        result.recovery = time.monotonic() - ended
        phase("a fifth", min(30.0, 12 * minutes))
        flood.rest()
        settle(flood, daemon, result)
        result.connections, result.longest_gap = flood.connections, max(flood.gaps, default=0.0)
    return result


def settle(flood: Flood, daemon: Daemon, result: Soak) -> None:
    """The flood rests: wait until nothing moves any more, and count."""

    def known() -> tuple[float, dict[str, float]]:
        m = daemon.metrics()
        rejected = sum(value for name, value in m.items() if name.startswith("lstm_stream_samples_rejected_total"))
        return m["lstm_stream_samples_processed_total"] + rejected + sum(drops(m).values()), m

    until = time.monotonic() + DRAINS
    while known()[0] < flood.sent and time.monotonic() < until:
        time.sleep(0.1)
    done, m = known()
    result.drops, result.unaccounted = drops(m), flood.sent - done
    lost = "lstm_stream_mqtt_disconnects_total"
    result.disconnects = sum(value for name, value in m.items() if name.startswith(lost))


def drops(metrics: dict[str, float]) -> dict[str, float]:
    """Messages by why they were never scored."""
    name = "lstm_stream_messages_dropped_total{reason="
    return {key.removeprefix(name)[1:-2]: value for key, value in metrics.items() if key.startswith(name)}


def await_(condition: Callable[[], bool], seconds: float, daemon: Daemon) -> None:
    """Until it comes to it. Raises RuntimeError with the daemon's log where it does not in time, or the daemon ends."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until or daemon.process.poll() is not None:
            raise RuntimeError(f"it did not come to it:\n{daemon.log.read_text()[-2000:]}")
        time.sleep(0.1)

"""The processes beside the sender: the consumer under test, and a real broker."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.load.packets import TOPICS
from tests.benchmarks.load.pump import HOST
from tests.benchmarks.load.task import Snapshot, Task

CONSUMERS = ("daemon", "paho", "gmqtt", "mosquitto_sub", "bare")
SILENT = ("mosquitto_sub", "bare")  # they do not tell what they got
REPOSITORY = Path(__file__).parents[3]
PATIENCE = 300.0  # s; kernels may have to be compiled first
COMPLAINTS = 5  # lines of errors to show
TICKS = os.sysconf("SC_CLK_TCK")
SETTINGS = """
allow_anonymous true
max_queued_messages 0
max_inflight_messages {inflight}
persistence false
log_dest stderr
log_type error
log_type warning
log_type subscribe
"""


class Usage(NamedTuple):
    """What a process has used: CPU in seconds, user and system, memory in bytes."""

    cpu: float
    rss: int
    peak: int


def usage(pid: int) -> Usage:
    """Of a running process, as Linux tells it (CPU to 10 ms)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    rss, peak = (int(status[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return Usage((int(fields[11]) + int(fields[12])) / TICKS, rss, peak)


class Consumer:
    """One process that receives; a context manager."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.silent = task.kind in SILENT

    def __enter__(self) -> Consumer:
        command = [sys.executable, "-m", "tests.benchmarks.load.child", json.dumps(self.task._asdict())]
        out: int = subprocess.PIPE
        if self.task.kind == "mosquitto_sub":
            command = ["mosquitto_sub", "-h", HOST, "-p", str(self.task.port), "-t", TOPICS, "-q", str(self.task.qos)]
            out = subprocess.DEVNULL
        self._log = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=out, stderr=self._log, text=True, cwd=REPOSITORY
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    @property
    def complaints(self) -> list[str]:
        """The first lines that it has printed as errors."""
        self._log.seek(0)
        return self._log.read(100_000).splitlines()[:COMPLAINTS]

    def usage(self) -> Usage:
        """What it has used. Raises RuntimeError where it has ended."""
        if self._process.poll() is not None:
            said = " | ".join(self.complaints)
            raise RuntimeError(f"{self.task.kind} ended with {self._process.returncode}: {said or 'not a word'}")
        return usage(self._process.pid)

    def snapshot(self) -> Snapshot:
        """What it has done, as far as it tells."""
        if self.silent:
            return {}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(file=self._process.stdin, flush=True)
        snapshot: Snapshot = json.loads(self._process.stdout.readline())
        return snapshot


class Broker(NamedTuple):
    """A running mosquitto."""

    pid: int
    port: int
    log: Path

    def wait_for_subscriber(self) -> None:
        """Until somebody has subscribed to the fleet. Raises RuntimeError after a long while."""
        deadline = time.monotonic() + PATIENCE
        while not any(
            line.rstrip().endswith("load/#") or "load/+" in line for line in self.log.read_text().splitlines()
        ):
            if time.monotonic() > deadline:
                raise RuntimeError("the consumer does not subscribe")
            time.sleep(0.05)


@contextmanager
def mosquitto(inflight: int) -> Iterator[Broker]:
    """A broker that drops nothing in silence, as config/mosquitto.conf has it; without persistence."""
    program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if program is None:
        raise RuntimeError("mosquitto is not installed; use --via raw")
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        port, log = _free_port(), Path(folder, "log")
        config = Path(folder, "mosquitto.conf")
        config.write_text(f"listener {port} {HOST}\n{SETTINGS.format(inflight=inflight)}")
        with log.open("wb") as out:
            process = subprocess.Popen([program, "-c", config], stderr=out)
        try:
            _wait_for(port)
            yield Broker(process.pid, port, log)
        finally:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if not probe.connect_ex((HOST, port)):
                return
        time.sleep(0.02)
    raise RuntimeError("mosquitto does not start")

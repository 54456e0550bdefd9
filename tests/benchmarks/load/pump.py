"""The sender: pump.c, compiled when it is first needed, run as a process of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.load.packets import Packets

HOST = "127.0.0.1"
SOURCE = Path(__file__).with_name("pump.c")
CHUNK = 256  # messages in one send; never one sensor twice
ANY_PORT = 0
TO_A_BROKER = 20_000  # unacknowledged messages of QoS 1 that a real broker is sent


def compiled(folder: Path) -> Path:
    """The program. Raises RuntimeError without a C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise RuntimeError("the load command needs gcc (or cc) for its sender; on Debian: apt install gcc libc6-dev")
    program = folder / "pump"
    subprocess.run([compiler, "-O2", "-o", program, SOURCE, "-lm"], check=True)
    return program


class Done:
    """A number that the consumer raises and the sender reads: messages it has finished."""

    def __init__(self, path: Path, create: bool = False) -> None:
        self.path = path
        if create:
            path.write_bytes(bytes(8))
        self._number: NDArray[np.uint64] = np.memmap(path, np.uint64, "r+", shape=(1,))

    def get(self) -> int:
        """How many so far."""
        return int(self._number[0])

    def set(self, number: int) -> None:
        """So many by now."""
        self._number[0] = number


class Pump:
    """Listens as a raw socket that speaks MQTT, or publishes to a broker at `port`; a context manager.

    `inflight` bounds the messages of QoS 1 that wait for their acknowledgement.
    """

    def __init__(self, packets: Packets, qos: int, inflight: int, port: int = ANY_PORT) -> None:
        self._packets = packets
        self._qos = qos
        self._listens = port == ANY_PORT
        self._inflight = inflight if self._listens else TO_A_BROKER
        self.port = port

    def __enter__(self) -> Pump:
        self._folder = tempfile.TemporaryDirectory(prefix="load-")
        folder = Path(self._folder.name)
        self.done = Done(folder / "done", create=True)
        chunk = min(CHUNK, self._packets.sensors)
        self._process = subprocess.Popen(
            [
                *(compiled(folder), "listen" if self._listens else "connect", HOST, str(self.port)),
                *self._packets.save(folder),
                *(self.done.path, str(self._qos), str(self._inflight), str(chunk)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        hello = self.answer()
        self.port = hello.get("port", self.port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def answer(self) -> dict[str, Any]:
        """The next line that it prints. Raises RuntimeError where that is an error or the end."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "it ended"}
        if "error" in answer:
            raise RuntimeError(f"the sender: {answer['error']}")
        return answer

    def start(
        self,
        count: int = 0,
        seconds: float = 0,
        rate: float = 0,
        window: int = 0,
        origin: float = 0,
        step: float = 0,
    ) -> None:
        """Begin to send; 0: no limit, as fast as they are taken, whatever the consumer has finished.

        Without a rate messages bear times from `origin` on (unix s), `step` seconds apart.
        """
        assert self._process.stdin is not None
        print("send", count, seconds, rate, window, origin, step, file=self._process.stdin, flush=True)

    def finished(self) -> dict[str, Any]:
        """Wait until all is sent; what was, and how late. Further subscriptions on the way are skipped."""
        while "sent" not in (answer := self.answer()):
            pass
        return answer

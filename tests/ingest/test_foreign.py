"""Publishers that others wrote: what they put on the wire arrives and is understood.

mosquitto_pub, Node's `mqtt` and a Sparkplug B library from PyPI, the latter two installed for the test into a folder of
their own: the library needs other versions of what this project's tests use.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lstm_stream.config import Broker, Events, Limits, Source
from lstm_stream.ingest.assembly import Assembly
from lstm_stream.ingest.inbox import Inbox
from lstm_stream.ingest.mqtt import Session
from lstm_stream.records import Decoded

IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")

NODE = """
const mqtt = require("mqtt");
const [url, version] = process.argv.slice(2);
const will = {topic: "node/pump/lwt", payload: "offline", qos: 1};
const client = mqtt.connect(url, {protocolVersion: Number(version), will, reconnectPeriod: 0});
client.on("error", (error) => { console.error(error); process.exit(1); });
client.on("connect", async () => {
  const json = JSON.stringify({ts: 1700000000000, temp: 21.5, ok: true, none: null, note: "größer"});
  await client.publishAsync("node/pump", json, {qos: 2});
  await client.publishAsync("node/valve", "-4.25", {qos: 1, retain: false});
  const cbor = Buffer.from([0xbf, 0x61, 0x74, 0xf9, 0x4d, 0x60, 0xff]);
  const properties = version === "5" ? {contentType: "application/cbor", userProperties: {site: "x"}} : undefined;
  await client.publishAsync("node/boiler", cbor, {qos: 1, properties});
  client.stream.destroy();
  setTimeout(() => process.exit(0), 100);
});
"""

SPARKPLUG = """
import os, sys, time
from pysparkplug import DataType, Device, EdgeNode, Metric

def metric(name, kind, value, **more):
    return Metric(timestamp=1700000000000, name=name, datatype=kind, value=value, **more)

node = EdgeNode("Plant", "Gateway", [metric("Supply", DataType.FLOAT, 24.5)])
node.connect("127.0.0.1", port=int(sys.argv[1]))
while not node._connected:
    time.sleep(0.01)
time.sleep(0.3)
pump = [
    metric("Temp", DataType.DOUBLE, 21.5),
    metric("Offset", DataType.INT16, -7),
    metric("Total", DataType.UINT64, 2**63),
    metric("Running", DataType.BOOLEAN, True),
    metric("State", DataType.STRING, "idle"),
    metric("Lost", DataType.INT32, None, is_null=True),
]
node.register(Device("Pump", pump))
node.update_device("Pump", [metric("Temp", DataType.DOUBLE, 22.25), metric("Offset", DataType.INT16, -300)])
node.deregister("Pump")
while node._client._client.want_write():
    time.sleep(0.01)
time.sleep(0.3)
os._exit(0)  # without a goodbye: its last will is published
"""


class Line:
    """A session and its decoder."""

    def __init__(self, broker: Broker, sources: list[Source], wait: Callable[..., Any]) -> None:
        self._inbox, self._wait = Inbox(1000), wait
        self._assembly = Assembly(sources, Limits())
        self.session = Session(broker, sources, Events(status_topic=broker.client_id), self._inbox)
        self.session.open()
        self.values: dict[str, list[dict[str, float]]] = {}
        self.times: dict[str, float] = {}
        self.online: dict[str, bool] = {}
        self.rejected: list[str] = []
        wait(lambda: self.session.subscribed, "a subscription")

    def until(self, condition: Callable[[], Any]) -> None:
        """Read what comes until it is so."""

        def read() -> Any:
            items = self._inbox.take(100, 0.05)
            self._hear(self._assembly.decode_all(items))
            self.session.acknowledge(items)
            return condition()

        self._wait(read, "messages")

    def _hear(self, decoded: Decoded) -> None:
        readings = [*decoded.readings, *(rows.reading(k) for rows in decoded.rows for k in range(len(rows)))]
        for reading in readings:
            self.values.setdefault(reading.sensor, []).append(reading.values)
            self.times[reading.sensor] = reading.time
        self.online.update((one.sensor, one.online) for one in decoded.presences)
        self.rejected += [rejection.detail for rejection in decoded.rejections]


@pytest.fixture
def listen(mosquitto: Any, wait_until: Callable[..., Any]) -> Iterator[Callable[..., Line]]:
    """`listen(*sources, protocol="5")`: a session that has subscribed."""
    lines: list[Line] = []

    def make(*sources: dict[str, Any], protocol: str = "3.1.1") -> Line:
        settings = {"host": mosquitto.host, "port": mosquitto.port, "client_id": f"l{protocol}", "protocol": protocol}
        broker = Broker.model_validate(settings)
        lines.append(Line(broker, [Source.model_validate(source) for source in sources], wait_until))
        return lines[-1]

    yield make
    for line in lines:
        line.session.close(5)


def _installed(command: list[str], what: str, must: bool) -> None:
    """Run an installer; where it cannot reach its registry the test is skipped, or fails if it must not be."""
    for _ in range(3 if must else 1):  # a registry may be out of reach for a moment
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            problem = done.stderr.strip()[-300:] if done.returncode else ""
        except (OSError, subprocess.TimeoutExpired) as error:
            problem = str(error)
        if not problem:
            return
    (pytest.fail if must else pytest.skip)(f"{what} cannot be installed: {problem}")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Node's `mqtt` and the script that uses it."""
    folder = tmp_path_factory.mktemp("node")
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node and npm are not installed")
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", "--silent"]
    _installed([npm, "install", *quiet, "--prefix", str(folder), "mqtt@5"], "Node's mqtt", must=IN_CI)
    (folder / "publish.js").write_text(NODE)
    return folder


@pytest.fixture(scope="module")
def sparkplug(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Sparkplug B library and what it needs."""
    folder = tmp_path_factory.mktemp("sparkplug")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--target",
        str(folder),
        "pysparkplug==0.3.2",
        "paho-mqtt<2",
    ]
    _installed(command, "pysparkplug", must=IN_CI)
    return folder


def test_mosquitto_pub(mosquitto: Any, listen: Callable[..., Line], program: Any, tmp_path: Path) -> None:
    line = listen({"topic": "home/{sensor}/#", "availability": ["home/{sensor}/lwt"]})
    (tmp_path / "lines.gz").write_bytes(gzip.compress(b"m,room=a t=1.5,n=3i 1700000000\n"))
    base = [program("mosquitto_pub"), "-h", mosquitto.host, "-p", str(mosquitto.port)]
    sent = [
        ["-t", "home/plain", "-m", "21.5"],
        ["-t", "home/json", "-q", "1", "-m", '{"time": "2023-11-14T22:13:20Z", "t": 20.25}'],
        ["-t", "home/kept", "-q", "1", "-r", "-m", '{"time": 1700000000, "t": 1}'],
        ["-t", "home/packed", "-q", "2", "-f", str(tmp_path / "lines.gz")],
        ["-t", "home/five", "-V", "5", "-q", "1", "-D", "publish", "content-type", "text/plain", "-m", "5"],
        ["-t", "home/old", "-V", "mqttv31", "-q", "1", "-m", "ON"],
        ["-t", "home/empty", "-n"],
        ["-t", "home/gone/lwt", "-r", "-m", "offline"],
    ]
    for arguments in sent:
        subprocess.run([*base, *arguments], check=True, timeout=60)
    line.until(lambda: line.online and len(line.values) == 6 and line.rejected)
    assert line.values == {
        "plain": [{"value": 21.5}],
        "json": [{"t": 20.25}],
        "kept": [{"t": 1.0}],
        "packed": [{"t": 1.5, "n": 3.0}],
        "five": [{"value": 5.0}],
        "old": [{"value": 1.0}],
    }
    assert line.times["json"] == line.times["packed"] == 1_700_000_000
    assert (line.online, len(line.rejected)) == ({"gone": False}, 1)


@pytest.mark.parametrize(("publisher", "listener"), [("4", "5"), ("5", "3.1.1")])
def test_node(mosquitto: Any, listen: Callable[..., Line], node: Path, publisher: str, listener: str) -> None:
    line = listen({"topic": "node/{sensor}", "availability": ["node/{sensor}/lwt"]}, protocol=listener)
    url = f"mqtt://{mosquitto.host}:{mosquitto.port}"
    subprocess.run(["node", "publish.js", url, publisher], cwd=node, check=True, timeout=60)
    line.until(lambda: len(line.values) == 3 and line.online)
    assert line.values == {"pump": [{"temp": 21.5, "ok": 1.0}], "valve": [{"value": -4.25}], "boiler": [{"t": 21.5}]}
    assert (line.times["pump"], line.online, line.rejected) == (1_700_000_000, {"pump": False}, [])


def test_a_sparkplug_library(mosquitto: Any, listen: Callable[..., Line], sparkplug: Path) -> None:
    line = listen({"preset": "sparkplug"})
    environment = {**os.environ, "PYTHONPATH": str(sparkplug), "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, "-c", SPARKPLUG, str(mosquitto.port)], env=environment, check=True, timeout=60)
    line.until(lambda: line.online.get("Plant/Gateway") is False)
    assert line.values["Plant/Gateway"] == [{"Supply": 24.5}]
    assert line.values["Plant/Gateway/Pump"] == [
        {"Temp": 21.5, "Offset": -7.0, "Total": 2.0**63, "Running": 1.0},
        {"Temp": 22.25, "Offset": -300.0},
    ]
    assert line.times["Plant/Gateway/Pump"] == 1_700_000_000
    assert (line.online["Plant/Gateway/Pump"], line.rejected) == (False, [])

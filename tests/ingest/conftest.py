"""Sessions with a broker on a loopback port, closed after the test; a publisher and a listener from outside."""

from __future__ import annotations

import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lstm_stream.config import Broker, Events, Source
from lstm_stream.ingest.aside import Aside
from lstm_stream.ingest.inbox import Inbox
from lstm_stream.ingest.mqtt import Session
from lstm_stream.records import Chunk, Message

Wait = Callable[..., Any]

_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]


def singly(items: Iterable[Message | Chunk]) -> list[Message]:
    """What an inbox gave, message by message."""
    return [message for item in items for message in (item.messages() if isinstance(item, Chunk) else [item])]


@dataclass
class Line:
    """A session, its inbox and what it told of lost connections."""

    session: Session
    inbox: Inbox
    lost: list[str]
    wait: Wait

    def subscribed(self) -> Line:
        """Itself, once the subscriptions stand."""
        self.wait(lambda: self.session.subscribed, f"a subscription ({self.session.problem})")
        return self

    def take(self, count: int, acknowledge: bool = False) -> list[Message]:
        """The next `count` messages."""
        messages: list[Message] = []

        def enough() -> bool:
            new = self.inbox.take(count - len(messages), 0.05)
            messages.extend(singly(new))
            if acknowledge:
                self.session.acknowledge(new)
            return len(messages) == count

        self.wait(enough, f"{count} messages")
        return messages


@pytest.fixture
def one_by_one() -> Callable[[Iterable[Message | Chunk]], list[Message]]:
    """`one_by_one(inbox.take(...))`: the messages, however they came."""
    return singly


@pytest.fixture
def open_line(wait_until: Wait) -> Iterator[Callable[..., Line]]:
    """`open_line(server, topic=..., capacity=1000, bulk=True, **options of the broker section)`: it is open."""
    lines: list[Line] = []

    def make(
        server: Any,
        *,
        topic: str = "sensors/{sensor}",
        qos: int = 1,
        capacity: int = 1000,
        events: Any = None,
        bulk: bool = True,
        aside: Aside | None = None,
        inbox: Inbox | None = None,
        keepalive: float | None = None,
        **options: Any,
    ) -> Line:
        source = Source.model_validate({"topic": topic, "qos": qos, "sensor": "x" if "{" not in topic else "{sensor}"})
        settings = {"host": server.host, "port": server.port, "reconnect_min": 0.2, "reconnect_max": 0.5, **options}
        inbox, lost = Inbox(capacity) if inbox is None else inbox, list[str]()
        broker = Broker.model_validate(settings)
        if keepalive is not None:  # shorter than one may configure
            broker = broker.model_copy(update={"keepalive": keepalive})
        said = Events.model_validate(events or {})
        session = Session(broker, [source], said, inbox, lost.append, bulk, aside=aside)
        line = Line(session, inbox, lost, wait_until)
        lines.append(line)
        session.open()
        return line

    yield make
    for line in lines:
        line.session.close(5)


@pytest.fixture
def publish(program: Callable[[str], str]) -> Callable[..., None]:
    """`publish(server, topic, *payloads, qos=1, retain=False)`: messages from a client of its own, in order."""

    def run(server: Any, topic: str, *payloads: str, qos: int = 1, retain: bool = False) -> None:
        command = [
            program("mosquitto_pub"),
            "-h",
            server.host,
            "-p",
            str(server.port),
            "-q",
            str(qos),
            "-t",
            topic,
            "-l",
        ]
        text = "".join(f"{payload}\n" for payload in payloads)
        subprocess.run(command + ["-r"] * retain, input=text, text=True, check=True, timeout=60, capture_output=True)

    return run


@pytest.fixture
def retained(program: Callable[[str], str]) -> Callable[[Any, str], str]:
    """`retained(server, topic)`: the message that the broker keeps for a topic."""

    def run(server: Any, topic: str) -> str:
        command = [
            program("mosquitto_sub"),
            "-h",
            server.host,
            "-p",
            str(server.port),
            "-t",
            topic,
            "-C",
            "1",
            "-W",
            "60",
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout.strip()

    return run


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate authority of our own, and what it signed: broker, elsewhere, client, expired."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", *_KEY, "-nodes", "-days", "2", "-subj", "/CN=us", "-keyout", "ca.key", "-out", "ca.crt")
    hosts = {"elsewhere": "DNS:elsewhere.example", "client": "DNS:client"}
    for name in ("broker", "elsewhere", "client", "expired"):
        openssl("req", *_KEY, "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (folder / "names").write_text(f"subjectAltName={hosts.get(name, 'IP:127.0.0.1')}\n")
        days = "-1" if name == "expired" else "2"
        signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", days, "-extfile", "names"]
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.crt")
    openssl("ec", "-in", "client.key", "-aes128", "-passout", "pass:secret", "-out", "encrypted.key")
    (folder / "empty").write_text("")
    return folder


@pytest.fixture
def encrypted(mosquitto_factory: Callable[..., Any], certificates: Path) -> Callable[..., Any]:
    """`encrypted("broker", client=False)`: a broker that shows that certificate and perhaps asks for one."""

    def make(name: str, client: bool = False) -> Any:
        files = [
            f"cafile {certificates}/ca.crt",
            f"certfile {certificates}/{name}.crt",
            f"keyfile {certificates}/{name}.key",
        ]
        return mosquitto_factory(extra=[*files, f"require_certificate {'true' if client else 'false'}"])

    return make


class Peer:
    """The broker's end of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._stream = connection.makefile("rb")

    def read(self) -> bytes:
        """The next packet; b"" at the end."""
        header = self._stream.read(2)
        if len(header) < 2:
            return b""
        length = header[1]
        if length & 0x80:
            length += (self._stream.read(1)[0] - 1) * 128
        return header + self._stream.read(length)

    def send(self, packet: bytes) -> None:
        self._connection.sendall(packet)

    def accept(self, code: int = 1) -> None:
        """Let it in and answer its SUBSCRIBE."""
        self.read()
        self.send(b"\x20\x02\x00\x00")
        subscribe = self.read()
        self.send(b"\x90\x03" + subscribe[2:4] + bytes([code]))

    def publish(self, topic: bytes, payload: bytes, repeated: bool = False) -> None:
        """Send with QoS 1, packet id 7."""
        body = struct.pack("!H", len(topic)) + topic + b"\x00\x07" + payload
        self.send(bytes([0x3A if repeated else 0x32, len(body)]) + body)

    def serve(self) -> list[bytes]:
        """Acknowledge what it publishes until it goes; everything it sent."""
        packets = []
        while packet := self.read():
            packets.append(packet)
            if packet[0] & 0xF6 == 0x32:
                (length,) = struct.unpack_from("!H", packet, 2)
                self.send(b"\x40\x02" + packet[4 + length : 6 + length])
        return packets

    def close(self) -> None:
        self._stream.close()
        self._connection.close()


class FakeBroker:
    """Listens, and hands each connection to a script: script(peer, number of the connection)."""

    def __init__(self, port: int, script: Callable[[Peer, int], None]) -> None:
        self.host, self.port = "127.0.0.1", port
        self._script = script
        self._stopping = False
        self._listener = socket.create_server((self.host, port))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        number = 0
        while True:
            connection, _ = self._listener.accept()
            if self._stopping:
                connection.close()
                return
            peer = Peer(connection)
            with suppress(OSError):
                self._script(peer, number)
            peer.close()
            number += 1

    def stop(self) -> None:
        self._stopping = True
        socket.create_connection((self.host, self.port)).close()
        self._thread.join(60)
        self._listener.close()


@pytest.fixture
def fake_broker(free_port: Callable[[], int]) -> Iterator[Callable[..., FakeBroker]]:
    """`fake_broker(script)`; ask for it before open_line, so that the session is closed first."""
    brokers: list[FakeBroker] = []

    def make(script: Callable[[Peer, int], None]) -> FakeBroker:
        brokers.append(FakeBroker(free_port(), script))
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.stop()

"""Sessions with a broker on a loopback port, closed after the test; a publisher and a listener from outside."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lstm_stream.config import Broker, Events, Source
from lstm_stream.ingest.inbox import Inbox
from lstm_stream.ingest.mqtt import Session
from lstm_stream.records import Chunk, Message

Wait = Callable[..., Any]


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
    """`open_line(server, topic="sensors/{sensor}", capacity=1000, **options of the broker section)`: it is open."""
    lines: list[Line] = []

    def make(
        server: Any,
        *,
        topic: str = "sensors/{sensor}",
        qos: int = 1,
        capacity: int = 1000,
        events: Any = None,
        **options: Any,
    ) -> Line:
        source = Source.model_validate({"topic": topic, "qos": qos, "sensor": "x" if "{" not in topic else "{sensor}"})
        settings = {"host": server.host, "port": server.port, "reconnect_min": 0.2, "reconnect_max": 0.5, **options}
        inbox, lost = Inbox(capacity), list[str]()
        session = Session(
            Broker.model_validate(settings), [source], Events.model_validate(events or {}), inbox, lost.append
        )
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
        subprocess.run(command + ["-r"] * retain, input=text, text=True, check=True, timeout=30, capture_output=True)

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
            "10",
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout.strip()

    return run

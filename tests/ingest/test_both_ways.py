"""From a real broker to verdicts, in bulk and message by message: the same verdicts. And the session under a flood."""

from __future__ import annotations

import json
import math
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from lstm_stream.config import Broker, Events, Group, Limits, Source
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.trainer import Trainer
from lstm_stream.ingest.assembly import Assembly
from lstm_stream.ingest.inbox import Inbox
from lstm_stream.ingest.mqtt import Session
from lstm_stream.journal.journal import Journal
from lstm_stream.outputs.outbox import Outbox
from lstm_stream.records import Adoption
from lstm_stream.service import Service, Turn

START = 1_795_255_200
GROUP = Group.model_validate(
    {"model": {"hidden": 2}, "warmup": 64, "retraining": {"enabled": False, "history": 128, "lag": 1}}
)


@dataclass
class Daemon:
    """The line from session to verdicts, in a thread of its own, and what it said."""

    broker: Broker
    source: Source
    bulk: bool
    verdicts: dict[tuple[str, float], bytes] = field(default_factory=dict)
    rejections: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    done: int = 0  # messages

    def __post_init__(self) -> None:
        limits, inbox = Limits(), Inbox(100_000)
        fleet = Fleet({"default": GROUP}, limits, Trainer())
        events = Events(status_topic=self.broker.client_id)
        self.session = Session(self.broker, [self.source], events, inbox, None, self.bulk)
        decoder = Assembly([self.source], limits)
        journal = Journal(None, Outbox([], lambda _event: ("", b"")))
        self.service = Service(inbox, decoder, fleet, self.session, journal, None, math.inf, 512, (self,))
        self._thread = threading.Thread(target=self.service.run)

    def open(self) -> None:
        self.session.open()
        self._thread.start()

    def close(self) -> None:
        self.service.stop()
        self._thread.join(60)
        self.session.close(5)

    def on_turn(self, turn: Turn) -> None:
        self.rows += sum(map(len, turn.decoded.rows))
        self.rejections.update(rejection.reason.value for rejection in turn.rejections)
        sensors = [reading.sensor for reading in turn.decoded.readings]
        sensors += [rows.names[number] for rows in turn.decoded.rows for number in rows.number]
        for batch in turn.outcome.batches:
            samples, said = batch.samples, batch.verdicts
            for k, which in enumerate(batch.which.tolist()):
                key = (sensors[which], float(samples.time[k]))
                numbers = [samples.values[k], said.expected[k], [said.score[k], said.threshold[k]]]
                self.verdicts[key] = np.concatenate(numbers).tobytes()
        self.done += turn.size  # last: then all of them is told

    def on_upkeep(self, sensors: dict[str, int], rounds: Sequence[Adoption]) -> None:
        pass

    def on_save(self, seconds: float, error: str | None) -> None:
        pass


def payloads() -> Iterator[tuple[str, bytes]]:
    """Five sensors, whose messages are mostly as one would expect them."""
    rng = np.random.default_rng(1)
    for k in range(1500):
        sensor, step = k % 5, k // 5
        at, value = START - 86_400 + 60 * step, round(float(rng.normal(20, 1)), 3)
        odd = {70: b"not one", 80: b'{"ts":%d,"t":1,"x":[1]}' % at, 90: b'{"ts":5,"t":1}', 91: b""}.get(step)
        if odd is not None:
            yield f"plant/{sensor}", odd
        elif sensor == 0:
            yield "plant/0", json.dumps({"ts": at * 1000, "t": value, "unit": "°C"}, ensure_ascii=False).encode()
        elif sensor == 1:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at - at % 180))  # two of three are duplicates
            yield "plant/1", json.dumps({"time": stamp, "t": value, "h": step}).encode()
        elif sensor == 2:
            yield "plant/2", f'{{"ts":{at},"t":{value / 3!r}}}'.encode()  # with more digits than are read fast
        else:
            late = 7 * 60 if step % 50 == 0 else 0
            yield f"plant/{sensor}", f'{{"ts":{at - late},"t":{value},"p":{"null" if step % 9 else step}}}'.encode()


@pytest.fixture
def daemons() -> Iterator[Callable[..., list[Daemon]]]:
    """`daemons(server, qos, **options of the broker section)`: one that reads in bulk, one that does not."""
    opened: list[Daemon] = []

    def make(server: Any, qos: int, **options: Any) -> list[Daemon]:
        source = Source.model_validate({"topic": "plant/{sensor}", "qos": qos})
        for bulk in (True, False):
            settings = {"host": server.host, "port": server.port, "client_id": f"bulk-{bulk}", **options}
            opened.append(Daemon(Broker.model_validate(settings), source, bulk))
            opened[-1].open()
        return opened

    yield make
    for daemon in opened:
        daemon.close()


def publish_all(server: Any, qos: int, tls: Path | None = None) -> None:
    """Publish all payloads over one connection, as fast as it goes."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(500)
    if tls is not None:
        client.tls_set(str(tls), cert_reqs=ssl.CERT_REQUIRED)
    client.connect(server.host, server.port)
    client.loop_start()
    sent = [client.publish(topic, payload, qos) for topic, payload in payloads()]
    for info in sent:
        info.wait_for_publish(60)
    client.disconnect()
    client.loop_stop()


def assert_alike(opened: list[Daemon], wait_until: Callable[..., Any]) -> None:
    for daemon in opened:
        wait_until(lambda daemon=daemon: daemon.done >= 1500, f"1500 messages at {daemon.broker.client_id}")
    bulk, singly = opened
    assert bulk.verdicts == singly.verdicts
    assert bulk.rejections == singly.rejections
    assert bulk.rejections.keys() >= {"duplicate", "out_of_order", "no_channels", "bad_timestamp"}
    assert singly.rows == 0
    assert bulk.rows > 900


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_both_ways_come_to_the_same_verdicts(
    mosquitto: Any, daemons: Any, wait_until: Any, protocol: str, qos: int
) -> None:
    opened = daemons(mosquitto, qos, protocol=protocol)
    wait_until(lambda: all(daemon.session.subscribed for daemon in opened), "the subscriptions")
    publish_all(mosquitto, qos)
    assert_alike(opened, wait_until)


def test_both_ways_come_to_the_same_verdicts_through_tls(
    encrypted: Any, certificates: Path, daemons: Any, wait_until: Any
) -> None:
    broker = encrypted("broker")
    opened = daemons(broker, 1, tls={"enabled": True, "ca_file": certificates / "ca.crt"})
    wait_until(lambda: all(daemon.session.subscribed for daemon in opened), "the subscriptions")
    publish_all(broker, 1, certificates / "ca.crt")
    assert_alike(opened, wait_until)


def test_acknowledgements_of_a_batch_reach_the_broker(mosquitto: Any, daemons: Any, wait_until: Any) -> None:
    """What was acknowledged does not come again to the same session."""
    first, _ = daemons(mosquitto, 1)
    wait_until(lambda: first.session.subscribed, "the subscription")
    publish_all(mosquitto, 1)
    wait_until(lambda: first.done >= 1500, "the messages")
    first.close()
    again = Daemon(first.broker, first.source, bulk=True)
    again.open()
    try:
        wait_until(lambda: again.session.subscribed, "the subscription")
        time.sleep(0.2)
        assert again.session.messages_received == 0
    finally:
        again.close()


# --- a flood


def test_the_keep_alive_survives_a_flood(fake_broker: Any, wait_until: Any) -> None:
    """For several times the keep-alive there is always more to read, and the answer to a ping is behind a backlog."""
    body = struct.pack("!H", 9) + b"sensors/a" + b"1"
    flood = (b"\x30" + bytes([len(body)]) + body) * 2000
    pings, sent, over = list[float](), [0], threading.Event()

    def script(peer: Any, _number: int) -> None:
        peer.accept(code=0)
        listener = threading.Thread(target=listen, args=(peer,))
        listener.start()
        end, answered = time.monotonic() + 3.5, 0
        while time.monotonic() < end or sent[0] < 100_000 or len(pings) < 2:
            while answered < len(pings):
                peer.send(b"\xd0\x00")
                answered += 1
            peer.send(flood)
            sent[0] += 2000
        over.set()
        listener.join(60)

    def listen(peer: Any) -> None:
        while packet := peer.read():
            if packet == b"\xc0\x00":
                pings.append(time.monotonic())

    server, inbox = fake_broker(script), Inbox(10)
    broker = Broker(host=server.host, port=server.port).model_copy(update={"keepalive": 1.0})
    session = Session(broker, [Source.model_validate({"topic": "sensors/{sensor}", "qos": 0})], Events(), inbox)
    session.open()
    try:
        assert over.wait(60)
        assert (session.connected, session.disconnects) == (True, 0)
        wait_until(lambda: session.messages_received == inbox.dropped + len(inbox) == sent[0], "all of it")
    finally:
        session.close(1)

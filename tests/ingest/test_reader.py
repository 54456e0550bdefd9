"""The tap between paho and its socket: what is for whom, in which order, wherever the bytes are cut."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_stream.ingest import client as clients
from lstm_stream.ingest.reader import BUFFER, Tap, works
from lstm_stream.records import Chunk

CONNACK, SUBACK, PINGRESP = b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x01", b"\xd0\x00"
PUBACKS = b"\x40\x02\x00\x07\x40\x02\x01\x01"


def publish(payload: bytes, first: int = 0x30) -> bytes:
    """A PUBLISH on topic t."""
    body = b"\x00\x01t" + (b"\x00\x07" if first & 6 else b"") + payload
    length, header = len(body), bytearray([first])
    while length >= 128:
        header.append(length & 127 | 128)
        length >>= 7
    return bytes([*header, length]) + body


@dataclass
class Wire:
    """A socket whose other end is a script: what each recv_into gives at most, and what each send takes."""

    script: list[bytes]
    room: list[int] = field(default_factory=list)  # of each send; 0 is none, beyond the script it is plenty
    sent: bytearray = field(default_factory=bytearray)
    reads: int = 0

    def recv_into(self, room: memoryview) -> int:
        self.reads += 1
        if not self.script:
            raise BlockingIOError
        data = self.script.pop(0)
        if len(data) > len(room):
            data, rest = data[: len(room)], data[len(room) :]
            self.script.insert(0, rest)
        room[: len(data)] = data
        return len(data)

    def send(self, data: bytes) -> int:
        taken = self.room.pop(0) if self.room else len(data)
        if not taken:
            raise BlockingIOError
        self.sent += data[:taken]
        return min(taken, len(data))


class SecureWire(Wire):
    """The same with TLS, where several records may be read before one has to wait."""

    def pending(self) -> int:
        return 3


def read(tap: Tap, wire: Wire, size: int = 1) -> list[bytes]:
    """What comes of the whole script, in order: payloads as they are delivered, and b"!" + packets for paho."""
    told: list[bytes] = []

    def deliver(chunk: Chunk) -> None:
        told.extend(message.payload for message in chunk.messages())

    tap._deliver = deliver
    packet = b""
    while wire.script or tap.pending() > (3 if isinstance(wire, SecureWire) else 0):
        try:
            packet += tap.recv(size)
        except BlockingIOError:
            continue
        if len(packet) > 1 and len(packet) == packet[1] + 2:  # all have short lengths
            told.append(b"!" + packet)
            packet = b""
    return told


def tap_on(wire: Any, v5: bool = False, **options: Any) -> Tap:
    return Tap(wire, v5, lambda _: None, lambda: 1.0, **options)


_STREAM = [
    *(CONNACK, publish(b"1"), publish(b"2", 0x32), SUBACK, publish(b"3", 0x34), publish(b"4"), PINGRESP, PINGRESP),
    *(publish(b"5"), publish(b"6" * 200)),
]
_TOLD = [
    *(b"!" + CONNACK, b"1", b"2", b"!" + SUBACK, b"!" + publish(b"3", 0x34), b"4", b"!" + PINGRESP, b"!" + PINGRESP),
    *(b"5", b"6" * 200),
]


@pytest.mark.parametrize(("payload", "qos", "pauses"), [(b"1", 0, 4), (b"1" * 20_000, 0, 0), (b"1", 1, 0)])
def test_reads_that_find_little_do_not_follow_each_other_at_once(
    payload: bytes, qos: int, pauses: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, slept = 0.0, list[float]()

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        slept.append(seconds)

    monkeypatch.setattr("lstm_stream.ingest.reader.time.monotonic", lambda: now)
    monkeypatch.setattr("lstm_stream.ingest.reader.time.sleep", sleep)
    wire = Wire([CONNACK, *[publish(payload, 0x30 | qos << 1)] * 4])
    tap = tap_on(wire, apart=0.001)
    assert len(read(tap, wire)) == 5
    assert slept == pytest.approx([0.001] * max(pauses, 1)), "after the CONNACK at least, which is little"
    now += 1.0
    wire.script.append(publish(b"2"))
    before = len(slept)
    read(tap, wire)
    assert len(slept) == before, "what comes alone is read at once"


@pytest.mark.parametrize("kind", [Wire, SecureWire])
@pytest.mark.parametrize("step", [1, 2, 3, 7, 50, 1000])
def test_everybody_gets_his_packets_in_order(kind: type[Wire], step: int) -> None:
    whole = b"".join(_STREAM)
    wire = kind([whole[k : k + step] for k in range(0, len(whole), step)])
    assert read(tap_on(wire), wire, 4) == _TOLD


@given(st.lists(st.integers(1, 40), max_size=60), st.integers(1, 9))
def test_wherever_the_bytes_are_cut(steps: Sequence[int], size: int) -> None:
    whole, parts = b"".join(_STREAM), list[bytes]()
    for step in steps:
        parts, whole = [*parts, whole[:step]] if whole else parts, whole[step:]
    wire = Wire([*parts, *([whole] if whole else [])])
    assert read(tap_on(wire), wire, size) == _TOLD


def test_the_first_packet_is_the_sessions_whatever_it_is() -> None:
    wire = Wire([publish(b"early") + publish(b"late")])
    assert read(tap_on(wire), wire) == [b"!" + publish(b"early"), b"late"]


def test_however_much_waits_one_call_reads_once() -> None:
    flood = publish(b"x" * 100) * 1000
    wire = Wire([CONNACK, flood, flood, flood])
    tap = tap_on(wire)
    assert tap.recv(4) == CONNACK
    for reads in (2, 3, 4):
        with pytest.raises(BlockingIOError):
            tap.recv(1)
        assert wire.reads == reads


def test_a_packet_larger_than_the_buffer_is_the_sessions() -> None:
    large = publish(bytes(2 * BUFFER))
    wire = Wire([CONNACK + publish(b"1") + large + publish(b"2")])
    tap, payloads = tap_on(wire), list[bytes]()
    tap._deliver = lambda chunk: payloads.extend(message.payload for message in chunk.messages())
    assert tap.recv(4) == CONNACK
    received = b""
    while len(received) < len(large):
        received += tap.recv(len(large))
    assert (received, payloads) == (large, [b"1"])
    with pytest.raises(BlockingIOError):
        tap.recv(1)
    assert payloads == [b"1", b"2"]


def test_a_packet_as_large_as_the_buffer_is_delivered() -> None:
    large = publish(bytes(BUFFER - 7))
    assert len(large) == BUFFER
    wire = Wire([CONNACK, publish(b"1") + large[:9], large[9:] + publish(b"2")])
    assert read(tap_on(wire), wire) == [b"!" + CONNACK, b"1", bytes(BUFFER - 7), b"2"]


@pytest.mark.parametrize(
    "packet",
    [
        b"\x30\xff\xff\xff\xff\xff",  # no length
        b"\x34\xff\xff\xff\x7f" + bytes(100),  # 256 MiB with QoS 2, which nobody asked for
        b"\x90\xff\xff\xff\x7f" + bytes(100),  # a SUBACK of 256 MiB
        b"\x30\xff\xff\xff\x7f" + bytes(2**18),  # no topic
    ],
)
def test_a_packet_that_would_fill_the_memory_ends_the_connection(packet: bytes) -> None:
    wire = Wire([CONNACK, packet])
    tap = tap_on(wire, longest=1000)
    assert tap.recv(4) == CONNACK
    with pytest.raises(ConnectionAbortedError):
        read(tap, wire)


@pytest.mark.parametrize("first", [0x30, 0x32])
def test_a_payload_that_is_too_long_is_thrown_away_but_for_one_byte_too_many(first: int) -> None:
    long = publish(b"7" * 5_000_000, first)
    wire = Wire(
        [CONNACK + publish(b"1"), *(long[at : at + 99_999] for at in range(0, len(long), 99_999)), publish(b"2")]
    )
    tap, chunks = tap_on(wire, longest=1000), list[Chunk]()
    tap._deliver = chunks.append
    while wire.script:
        with suppress(BlockingIOError):
            tap.recv(4)
    messages = [message for chunk in chunks for message in chunk.messages()]
    assert [(message.topic, len(message.payload)) for message in messages] == [("t", 1), ("t", 1001), ("t", 1)]
    assert messages[1].mid == (7 if first & 6 else 0)
    assert sum(len(chunk.data) for chunk in chunks) < 10_000


def test_nothing_is_read_while_it_is_held_but_pings_go_out() -> None:
    wire, open_again = Wire([CONNACK, publish(b"1")]), [True, False, False, True]
    tap = tap_on(wire, admits=lambda: open_again.pop(0))
    assert tap.recv(4) == CONNACK
    for _ in range(2):
        with pytest.raises(BlockingIOError):
            tap.recv(1)
        assert (tap.is_held, wire.reads) == (True, 1)
    tap.ping()
    tap.ping()
    assert bytes(wire.sent) == b"\xc0\x00" * 2
    with pytest.raises(BlockingIOError):
        tap.recv(1)
    assert (tap.is_held, wire.reads) == (False, 2)


def test_a_ping_waits_for_the_end_of_a_packet_and_for_room_and_does_not_pile_up() -> None:
    wire = Wire([], room=[2, 3, 0])
    tap = tap_on(wire)
    assert tap.send(b"abcde") == 2
    tap.ping()
    assert tap.send(b"cde") == 3
    tap.ping()
    tap.ping()
    assert tap.send(b"fg") == 2
    assert bytes(wire.sent) == b"abcde" + b"\xc0\x00" + b"fg"


def test_the_end_is_told() -> None:
    wire = Wire([CONNACK, publish(b"1")[:3], b""])
    tap = tap_on(wire)
    assert tap.recv(4) == CONNACK
    with pytest.raises(BlockingIOError):
        tap.recv(1)
    assert tap.recv(1) == b""


def test_what_was_left_in_the_buffer_does_not_wait_for_more() -> None:
    wire = Wire([CONNACK + publish(b"1")[:-1], publish(b"1")[-1:] + SUBACK + SUBACK])
    tap = tap_on(wire)
    assert tap.recv(4) == CONNACK
    assert tap.pending() > 0
    assert tap.recv(9) == SUBACK
    assert tap.pending() == len(SUBACK)
    assert tap.recv(9) == SUBACK
    assert tap.pending() == 0


# --- acknowledgements


@pytest.mark.parametrize("room", [[], [3, 4, 1], [0, 8], [5, 0, 100, 1, 1, 1]])
def test_acknowledgements_go_out_before_a_packet_and_never_within_one(room: list[int]) -> None:
    wire = Wire([], room)
    tap, packets = tap_on(wire), [b"\xc0\x00", b"\xe0\x00"]
    tap.acknowledge(np.array([7, 257]))
    while packets:
        try:
            packets[0] = packets[0][tap.send(packets[0]) :]
        except BlockingIOError:
            continue
        packets = packets if packets[0] else packets[1:]
    assert wire.sent == PUBACKS + b"\xc0\x00\xe0\x00"


def test_an_acknowledgement_that_comes_within_a_packet_waits_for_its_end() -> None:
    wire = Wire([], [1])
    tap = tap_on(wire)
    assert tap.send(b"\xc0\x00") == 1
    tap.acknowledge(np.array([7, 257]))
    assert tap.send(b"\x00") == 1
    assert tap.send(b"\xe0\x00") == 2
    assert wire.sent == b"\xc0\x00" + PUBACKS + b"\xe0\x00"


# --- with paho


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two sockets that are connected."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_this_paho_can_be_tapped() -> None:
    assert works()


def test_where_paho_cannot_be_tapped_all_goes_its_way(
    mosquitto: Any, open_line: Any, publish: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(clients, "works", lambda: False)
    line = open_line(mosquitto).subscribed()
    publish(mosquitto, "sensors/a", "1", "2")
    messages = line.take(2, acknowledge=True)
    assert [message.payload for message in messages] == [b"1", b"2"]
    assert "cannot be read in bulk" in caplog.text


def test_a_tap_is_a_socket_in_all_else(pair: tuple[socket.socket, socket.socket]) -> None:
    tap = tap_on(pair[0])
    tap.setblocking(False)
    assert tap.fileno() == pair[0].fileno()
    tap.close()
    assert tap.fileno() == -1

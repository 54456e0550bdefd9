"""A broker that floods its one subscriber over a raw socket, and watches whether he keeps his keep-alive."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from contextlib import suppress

_BLOCK = 500  # messages in one send
_BLOCKS = 40  # that differ
_BEHIND = 0.5  # s of a rate that are made up for; more is not


class Flood:
    """Sends with QoS 0 what `rate` says, messages a second (0: nothing), as far as they are taken.

    `sent` counts messages, `connections` those that the subscriber made, `gaps` the longest time (s) that he said
    nothing in each.
    """

    def __init__(self, sensors: int, seed: int = 1) -> None:
        self.sent = self.connections = 0
        self.rate = 0.0
        self.gaps: list[float] = []
        self._blocks = _packets(sensors, seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = "127.0.0.1", int(self._listener.getsockname()[1])
        self._subscribed = threading.Event()
        self._resting = threading.Event()
        self._closing = False
        self._heard = 0.0
        self._lock = threading.Lock()  # one packet at a time
        self._connection: socket.socket | None = None
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._serve, self._send)]
        for thread in self._threads:
            thread.start()

    def rest(self) -> None:
        """Send nothing any more; returns when all that was being sent is."""
        self._resting.clear()
        self.rate = 0.0
        self._resting.wait()

    def close(self) -> None:
        """Hang up and stop."""
        self._closing = True
        with suppress(OSError):
            socket.create_connection((self.host, self.port)).close()
        with suppress(OSError):
            if self._connection is not None:
                self._connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._closing:
                connection.close()
                return
            self.connections += 1
            self.gaps.append(0.0)
            self._heard = time.monotonic()
            self._connection = connection
            with suppress(OSError), connection:
                self._answer(connection)
            self._subscribed.clear()

    def _answer(self, connection: socket.socket) -> None:
        """Whatever he says, until he goes."""
        stream = connection.makefile("rb")
        while packet := _packet(stream):
            now = time.monotonic()
            self.gaps[-1], self._heard = max(self.gaps[-1], now - self._heard), now
            answer = _answer(packet)
            if answer:
                with self._lock:
                    connection.sendall(answer)
            if packet[0] >> 4 == 8:
                self._subscribed.set()

    def _send(self) -> None:
        due, number = time.monotonic(), 0
        while not self._closing:
            rate = self.rate
            if not rate:
                self._resting.set()
            if not rate or not self._subscribed.wait(0.05):
                time.sleep(0.01)
                due = time.monotonic()
                continue
            due = max(due + _BLOCK / rate, time.monotonic() - _BEHIND)
            time.sleep(max(0.0, due - time.monotonic()))
            with suppress(OSError, AttributeError), self._lock:
                assert self._connection is not None
                self._connection.sendall(self._blocks[number % _BLOCKS])
                self.sent += _BLOCK
                number += 1


def _packets(sensors: int, seed: int) -> list[bytes]:
    pick, blocks = random.Random(seed), []
    for block in range(_BLOCKS):
        packets = []
        for number in range(_BLOCK):
            topic = b"plant/s%06d" % ((block * _BLOCK + number) % sensors)
            body = struct.pack("!H", len(topic)) + topic + b'{"t": %.3f}' % pick.gauss(20, 1)
            packets.append(bytes([0x30, len(body)]) + body)
        blocks.append(b"".join(packets))
    return blocks


def _packet(stream: object) -> bytes:
    """The next packet; b"" at the end."""
    read = stream.read  # type: ignore[attr-defined]
    head: bytes = read(1)
    length = shift = 0
    while head:
        byte = read(1)
        if not byte:
            return b""
        head += byte
        length |= (byte[0] & 127) << shift
        shift += 7
        if byte[0] < 128:
            return head + bytes(read(length))
    return b""


def _answer(packet: bytes) -> bytes:
    kind, flags = packet[0] >> 4, packet[0] & 15
    if kind == 1:
        return b"\x20\x02\x00\x00"
    if kind == 8:
        return b"\x90\x03" + packet[2:4] + b"\x00"
    if kind == 12:
        return b"\xd0\x00"
    if kind == 3 and flags & 6:  # its lengths are short: events are below 16 KiB
        start = 2 if packet[1] < 128 else 3
        (length,) = struct.unpack_from("!H", packet, start)
        return b"\x40\x02" + packet[start + 2 + length : start + 4 + length]
    return b""

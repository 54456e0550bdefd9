"""Broken packets: thrown at the splitter and the tap alone, and at a session as a whole by a hostile broker."""

from __future__ import annotations

import logging
import random
import socket
import struct
import threading
import time
import tracemalloc
from contextlib import suppress

import numpy as np

from lstm_stream.config import Broker, Events, Source
from lstm_stream.ingest.inbox import Inbox
from lstm_stream.ingest.mqtt import Session
from lstm_stream.ingest.reader import BUFFER, Tap
from lstm_stream.ingest.splitter import COLUMNS, FULL, INCOMPLETE, split, split_by_hand
from lstm_stream.records import Chunk

LONGEST = 2000  # bytes of payload
SLOWEST = 30.0  # s for one connection
MOST_MEMORY = 64 * 2**20
_LOOKS = 10  # connections between two looks at the session
_STREAMS = 20  # in a round


def packet(pick: random.Random, v5: bool) -> bytes:
    """Something a broker may say, mostly a PUBLISH."""
    kind = pick.random()
    if kind < 0.75:
        topic = pick.choice((b"sensors/a", b"sensors/b", b"s", b"", b"\xff\xfe", b"lstm_stream/a/anomaly", b"$SYS/x"))
        qos = pick.choice((0, 0, 1, 1, 2, 3))
        body = struct.pack("!H", len(topic)) + topic + (pick.randbytes(2) if qos else b"") + (b"\x00" if v5 else b"")
        body += pick.choice((b"1.5", b'{"t": 2}', b"", pick.randbytes(pick.randrange(300)), bytes(LONGEST + 9)))
        return bytes([0x30 | pick.choice((0, 8)) | qos << 1 | pick.randrange(2)]) + _length(len(body)) + body
    first = pick.choice((0x20, 0x40, 0x50, 0x62, 0x70, 0x90, 0xB0, 0xD0, 0xE0, 0xF0, 0x00, 0x10, pick.randrange(256)))
    body = pick.choice((b"", b"\x00\x01", b"\x00\x01\x80", pick.randbytes(pick.randrange(12))))
    return bytes([first]) + _length(len(body)) + body


def stream(pick: random.Random, v5: bool) -> bytes:
    """Several of them, broken here and there."""
    data = bytearray(b"".join(packet(pick, v5) for _ in range(pick.randrange(1, 30))))
    for _ in range(pick.choice((0, 0, 1, 1, 2, 5))):
        at = pick.randrange(len(data) + 1)
        match pick.randrange(5):
            case 0:
                data[at : at + pick.randrange(5)] = b""
            case 1:
                data[at:at] = pick.choice((b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff\xff", b"\x00", pick.randbytes(3)))
            case 2 if at < len(data):
                data[at] ^= 1 << pick.randrange(8)
            case 3:
                del data[at:]
            case _:
                data[at:at] = bytes([pick.choice((0x30, 0x32, 0x90))]) + b"\xff\xff\xff\x7f"
    return bytes(data)


def _length(number: int) -> bytes:
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


class Splitting:
    """The splitter against its reference, and the tap wherever the bytes are cut; `cases` so far."""

    def __init__(self, seed: int) -> None:
        self.cases = 0
        self.defects: list[str] = []
        self._pick = random.Random(seed)

    def round(self) -> None:
        """Some streams."""
        for _ in range(_STREAMS):
            v5 = self._pick.random() < 0.5
            data = stream(self._pick, v5)
            self.cases += 1
            try:
                self._split(data, v5)
                self._tap(data, v5)
            except Exception as error:
                self.defects.append(f"{type(error).__name__}: {error}\n  v5={v5} {data.hex()}")

    def _split(self, data: bytes, v5: bool) -> None:
        table = np.empty((1000, COLUMNS), np.int32)
        rows, at, why, _ = split(np.frombuffer(data, np.uint8), 0, len(data), v5, table)
        expected = split_by_hand(data, v5)
        found = [tuple(row) for row in table[:rows].tolist()], at, why
        assert why == FULL or found == expected, f"split {found}, by hand {expected}"

    def _tap(self, data: bytes, v5: bool) -> None:
        chunks, wire = list[Chunk](), _Wire(b"\x20\x02\x00\x00" + data, self._pick)
        tap = Tap(wire, v5, chunks.append, lambda: 1.0, longest=LONGEST)
        with suppress(ConnectionAbortedError):
            while _read(tap, self._pick.randrange(1, 5000)) or wire.left:
                pass
        for message in (message for chunk in chunks for message in chunk.messages()):
            assert len(message.payload) <= max(BUFFER, LONGEST + 1), "a payload beyond the bound"
        rows, _, why = split_by_hand(data, v5)
        if why == INCOMPLETE and all(row[3] < BUFFER for row in rows):
            assert sum(map(len, chunks)) >= len(rows), "messages are missing"


def _read(tap: Tap, size: int) -> bool:
    """Whether there may be more."""
    try:
        return bool(tap.recv(size))
    except BlockingIOError:
        return True


class _Wire:
    """A socket that gives its bytes in pieces, and then hangs up."""

    def __init__(self, data: bytes, pick: random.Random) -> None:
        self.left = data
        self._pick = pick

    def recv_into(self, room: memoryview) -> int:
        count = min(len(self.left), len(room), self._pick.choice((1, 4, 50, 5000)))
        room[:count], self.left = self.left[:count], self.left[count:]
        return count


class Hostile:
    """A broker that says such things to a real session, a connection each; `cases` so far."""

    def __init__(self, seed: int) -> None:
        self.cases = 0
        self.defects: list[str] = []
        self._pick = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = int(self._listener.getsockname()[1])
        self._v5 = self._pick.random() < 0.5
        broker = Broker(
            host="127.0.0.1", port=port, protocol="5" if self._v5 else "3.1.1", reconnect_min=0.001, reconnect_max=0.002
        )
        self._inbox = Inbox(1000)
        self._session = Session(broker, [Source()], Events(), self._inbox, longest=LONGEST)
        self._log = _Defects()
        logger = logging.getLogger("lstm_stream.ingest")
        logger.addHandler(self._log)
        logger.propagate = False
        self._session.open()
        tracemalloc.start()

    def close(self) -> None:
        """The end."""
        threading.Thread(target=self._session.close, args=(1.0,)).start()
        self._listener.settimeout(1.0)
        with suppress(OSError):
            while True:
                self._listener.accept()[0].close()
        self._listener.close()
        tracemalloc.stop()
        logger = logging.getLogger("lstm_stream.ingest")
        logger.removeHandler(self._log)
        logger.propagate = True

    def round(self) -> None:
        """Some connections, and a look at how the session is."""
        for _ in range(_LOOKS):
            began, data = time.monotonic(), stream(self._pick, self._v5)
            self._listener.settimeout(SLOWEST)
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                self.defects.append("it does not connect any more")
                return
            with connection, suppress(OSError):
                self._speak(connection, data)
            self.cases += 1
            if time.monotonic() - began > SLOWEST:
                self.defects.append(f"a connection took {time.monotonic() - began:.1f} s\n  {data.hex()}")
            if self._log.found:
                self.defects += [f"{text}\n  v5={self._v5} {data.hex()}" for text in self._log.found]
                self._log.found.clear()
            self._session.acknowledge(self._inbox.take(10_000, 0))
        if (used := tracemalloc.get_traced_memory()[0]) > MOST_MEMORY:
            self.defects.append(f"{used} bytes are in use")

    def _speak(self, connection: socket.socket, data: bytes) -> None:
        connection.settimeout(1.0)
        connection.recv(1000)
        if self._pick.random() < 0.9:
            connection.sendall(b"\x20\x03\x00\x00\x00" if self._v5 else b"\x20\x02\x00\x00")
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


class _Defects(logging.Handler):
    """Log records that only a defect makes: with a traceback, or of level error."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """One of them."""
        if record.levelno >= logging.ERROR and record.name != "lstm_stream.ingest.client.paho":
            self.found.append(record.getMessage() + (f": {record.exc_info[1]!r}" if record.exc_info else ""))

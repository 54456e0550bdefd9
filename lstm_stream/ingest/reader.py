"""The tap: between paho and its socket, it takes PUBLISH packets out of large reads and leaves paho the rest.

    socket --recv 256 KiB--> Tap --chunks of PUBLISHes--> deliver()
                              └──any other packet, byte by byte as paho asks──> paho: the session

paho reads a packet with three calls and makes a dozen objects of it; so read, a message costs fifty times as much.

Rules:
1. Packets keep their order: before a packet is given to paho, what came before it is delivered.
2. The first packet is paho's, whatever it is: nothing is delivered before the session has begun.
3. One read a call; then paho gets its BlockingIOError, and looks after the keep-alive, however much is waiting.
4. A packet that is none of ours, malformed, or larger than the buffer is paho's, with all its consequences; one that
   is beyond `longest` ends the connection, as paho would collect it in memory.
5. Acknowledgements and pings go out between two packets of paho's, never within one.
6. While `admits()` says no, nothing is read: TCP then holds the broker back. Pings go out all the same.
7. Reads that find little come no sooner than `apart` s after one another: a read costs as much as a hundred messages.
   Where the broker waits for acknowledgements before it sends more, they come at once.
8. A PUBLISH beyond `longest` is not collected in memory either: it is delivered with a payload of zeros, one byte
   longer than allowed, for the decoder to reject, and its bytes are thrown away as they come.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from lstm_stream.ingest.splitter import COLUMNS, FULL, INCOMPLETE, OTHER, length_by_hand, publish_by_hand, split
from lstm_stream.records import APART, Chunk

BUFFER = 2**18  # bytes
_ROWS = 8192  # of a chunk
_APART = np.arange(_ROWS) * APART
_AROUND = 2**17  # bytes of a PUBLISH beside its payload: above any topic
_MUCH = 2**14  # bytes in one read after which more may be there at once
_RECORDS = 256  # of TLS, read in one call; brokers make one of each message

Deliver = Callable[[Chunk], None]
Admits = Callable[[], bool]

_QOS = 6  # bits of a PUBLISH's first byte
_PINGREQ = b"\xc0\x00"


class Tap:
    """A socket, as far as paho uses one. `deliver` is called on the thread that reads and must not raise.

    `heard` is when bytes last came (monotonic s), `is_held` whether reading is held back, `alert` why TLS ended.
    """

    def __init__(
        self,
        connection: Any,
        v5: bool,
        deliver: Deliver,
        clock: Callable[[], float] = time.time,
        admits: Admits = lambda: True,
        longest: int = 2**28,
        apart: float = 0.0,
    ) -> None:
        self.heard = time.monotonic()
        self.is_held = False
        self.alert = ""
        self._admits = admits
        self._apart = apart
        self._found = _MUCH  # bytes, by the latest read
        self._longest = longest  # payload that is delivered as it is
        self._skipping = 0  # bytes of a packet under way that nobody wants
        self._socket = connection
        self._secure = hasattr(connection, "pending")
        self._v5 = v5
        self._deliver = deliver
        self._clock = clock
        self._buffer = memoryview(bytearray(BUFFER))
        self._bytes = np.frombuffer(self._buffer, np.uint8)
        self._table = np.empty((_ROWS, COLUMNS), np.int32)
        self._start = self._stop = 0  # of what is in the buffer
        self._time = 0.0  # no message arrives before
        self._begun = False  # the first packet has been paho's
        self._passing = 0  # bytes of a packet under way that are paho's
        self._unread = False  # there are bytes in the buffer that nobody has looked at
        self._lock = threading.Lock()  # guards the acknowledgements
        self._acknowledgements = bytearray()
        self._within = False  # a packet that paho is sending

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def fileno(self) -> int:
        """For select()."""
        number: int = self._socket.fileno()
        return number

    def pending(self) -> int:
        """Bytes for which no select() need wait."""
        here = self._stop - self._start if self._passing or self._unread else 0
        return here + (self._socket.pending() if self._secure else 0)

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes of a packet that is paho's; BlockingIOError where there are none now."""
        ready = False
        while True:
            if not self._passing:
                self._siphon()
            if self._passing and self._start < self._stop:
                return self._pass(size)
            if ready:
                raise BlockingIOError
            self.is_held = not self._admits()
            if self.is_held:
                raise BlockingIOError
            if not self._fill():
                return b""
            self.heard = time.monotonic()
            ready = True

    def send(self, data: bytes) -> int:
        """Send what paho has, after the acknowledgements that wait."""
        if not self._within:
            self._flush()
        self._within = True
        sent: int = self._socket.send(data)
        self._within = sent < len(data)
        return sent

    def acknowledge(self, packet_ids: NDArray[np.integer]) -> None:
        """Send a PUBACK for each of these (N) before the next packet of paho's. From any thread."""
        packets = np.empty((len(packet_ids), 4), np.uint8)
        packets[:, 0], packets[:, 1] = 0x40, 2
        packets[:, 2], packets[:, 3] = packet_ids >> 8, packet_ids & 0xFF
        with self._lock:
            self._acknowledgements += packets.tobytes()

    def ping(self) -> None:
        """Tell the broker that we are here, now or as soon as something can be sent. On the thread that sends."""
        with self._lock:
            if _PINGREQ not in self._acknowledgements[-2:]:
                self._acknowledgements += _PINGREQ
        if not self._within:
            with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self._flush()

    def _flush(self) -> None:
        """Send the acknowledgements; BlockingIOError where not all can be sent now."""
        with self._lock:
            if self._acknowledgements:
                del self._acknowledgements[: self._socket.send(self._acknowledgements)]
            if self._acknowledgements:
                raise BlockingIOError

    def _pass(self, size: int) -> bytes:
        """Bytes of the packet under way, for paho."""
        start = self._start
        self._start += min(size, self._passing, self._stop - start)
        self._passing -= self._start - start
        self._unread = not self._passing and self._start < self._stop
        return bytes(self._buffer[start : self._start])

    def _fill(self) -> bool:
        """Read once. False: the broker has hung up. Raises BlockingIOError or ssl's like where nothing is there."""
        if self._found < _MUCH and (early := self.heard + self._apart - time.monotonic()) > 0:
            time.sleep(early)
        self._buffer[: self._stop - self._start] = self._buffer[self._start : self._stop]
        self._start, self._stop = 0, self._stop - self._start
        held = self._stop
        received = self._receive(held)
        self._stop += received
        if self._secure:
            for _ in range(_RECORDS):
                try:
                    more = self._socket.recv_into(self._buffer[self._stop :]) if self._stop < BUFFER else 0
                except OSError:  # no more for now; anything worse comes again at the next read
                    break
                self._stop += more
                if not more:
                    break
        self._found = self._stop - held
        return bool(received)

    def _receive(self, at: int) -> int:
        """Read into the buffer; remember what the broker says of our TLS before it hangs up."""
        try:
            return int(self._socket.recv_into(self._buffer[at:]))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self.alert = error.reason or ""
            raise

    def _siphon(self) -> None:
        """Deliver the PUBLISHes at the front of the buffer, up to a packet that is paho's or not complete."""
        self._unread = False
        while True:
            self._skip()
            limit = _ROWS if self._begun else 0
            rows, at, why, length = split(self._bytes, self._start, self._stop, self._v5, self._table[:limit])
            if rows:
                data, table = bytes(self._buffer[self._start : at]), self._table[:rows].copy()
                self._start = at
                if self._found < _MUCH and (table[:, 4] & _QOS).any():
                    self._found = _MUCH
                arrivals = np.add(max(self._clock(), self._time), _APART[:rows], dtype=np.float64)
                self._time = float(arrivals[-1]) + APART
                self._deliver(Chunk(data, table, arrivals))
            if length > max(BUFFER, self._longest + _AROUND):
                if why != INCOMPLETE or not self._begun:
                    raise ConnectionAbortedError("the broker sent a malformed packet, or one of an endless length")
                self._shorten(length)
            elif why == OTHER or length > BUFFER or (length and not self._begun):
                self._begun, self._passing = True, length
            if why != FULL or self._passing:
                return

    def _skip(self) -> None:
        """Throw away what is here of a packet that is too long."""
        skipped = min(self._skipping, self._stop - self._start)
        self._start += skipped
        self._skipping -= skipped

    def _shorten(self, length: int) -> None:
        """Deliver a PUBLISH that is too long without its payload, as soon as its head is here, and skip the rest."""
        data = bytes(self._buffer[self._start : self._stop])
        if len(data) < _AROUND:
            return
        _, taken = length_by_hand(data[1:5]) or (0, 0)
        row = publish_by_hand(data[0], data[1 + taken :], 1 + taken, self._v5)
        if row is None:
            raise ConnectionAbortedError("the broker sent a malformed packet")
        payload = row[2]
        table = np.array([(*row[:3], self._longest + 1, *row[4:])], np.int32)
        self._skipping = length
        self._skip()
        content = data[:payload] + bytes(self._longest + 1)
        self._deliver(Chunk(content, table, np.array([max(self._clock(), self._time)])))


class _Trial(paho.Client):
    """A client whose broker is the other end of a pair of sockets."""

    def __init__(self, connection: socket.socket, deliver: Deliver) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, client_id="trial", manual_ack=True)
        self.tap = Tap(connection, False, deliver)

    def _create_socket(self) -> Any:
        return self.tap


def works() -> bool:
    """Whether this version of paho reads and writes through a tap as it should: its hook for that is a private one."""
    ours, theirs = socket.socketpair()
    chunks: list[Chunk] = []
    answers: list[str] = []
    with ours, theirs:
        theirs.setblocking(False)
        try:
            client = _Trial(ours, chunks.append)
            client.on_connect = lambda *_: answers.append("connected")
            client.on_subscribe = lambda *_: answers.append("subscribed")
            client.connect("localhost")
            asked = theirs.recv(100)
            theirs.sendall(b"\x20\x02\x00\x00" + b"\x32\x06\x00\x01t\x00\x071" + b"\x90\x03\x00\x01\x01")
            for _ in range(4):
                client.loop_read()
            client.tap.acknowledge(np.array([7, 8]))
            client.ack(9, 1)
            client.loop_write()
            said = theirs.recv(100)
        except Exception:
            return False
    told = [message for chunk in chunks for message in chunk.messages()]
    return (
        (asked[:1], answers) == (b"\x10", ["connected", "subscribed"])
        and [(message.topic, message.payload) for message in told] == [("t", b"1")]
        and said == b"\x40\x02\x00\x07\x40\x02\x00\x08\x40\x02\x00\x09"
    )

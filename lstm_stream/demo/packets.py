"""The packets of MQTT 3.1.1 and its topic filters, as far as the demo's broker needs them: bytes in, values out."""

from __future__ import annotations

import struct

CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = 8, 9, 10, 11
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14

_LARGEST = 1 << 20  # bytes of a packet


class ProtocolError(Exception):
    """What came is not MQTT 3.1.1 as spoken here; the connection is closed."""


def packet(topic: str, payload: bytes, qos: int = 0, number: int = 0, *, retain: bool = False) -> bytes:
    """A PUBLISH packet."""
    name = topic.encode()
    head = struct.pack("!H", len(name)) + name + (struct.pack("!H", number) if qos else b"")
    return bytes([PUBLISH << 4 | qos << 1 | retain]) + length(len(head) + len(payload)) + head + payload


def length(value: int) -> bytes:
    """The remaining length of a packet in MQTT's variable bytes."""
    digits = bytearray()
    while True:
        value, digit = divmod(value, 128)
        digits.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(digits)


def next_packet(buffer: bytearray, at: int) -> tuple[int, int] | None:
    """(where the body begins, where the packet ends) of the packet at `at`; None while it is incomplete."""
    size, shift, where = 0, 0, at + 1
    while where < len(buffer):
        digit = buffer[where]
        size |= (digit & 0x7F) << shift
        where, shift = where + 1, shift + 7
        if size > _LARGEST or shift > 28:
            raise ProtocolError("packet too large")
        if digit < 0x80:
            return (where, where + size) if where + size <= len(buffer) else None
    return None


def field(body: bytes, at: int) -> tuple[bytes, int]:
    """(bytes with their length in front, where they end)."""
    (size,) = struct.unpack_from("!H", body, at)
    if at + 2 + size > len(body):
        raise ProtocolError("a field longer than its packet")
    return body[at + 2 : at + 2 + size], at + 2 + size


def text(body: bytes, at: int) -> tuple[str, int]:
    """(a string with its length in front, where it ends)."""
    value, end = field(body, at)
    return value.decode(), end


def is_filter(wanted: str) -> bool:
    """Whether a topic filter is one: + alone in its level, # alone in the last."""
    levels = wanted.split("/")
    plain = all(level in ("+", "#") or not set("+#\0") & set(level) for level in levels)
    return bool(wanted) and plain and "#" not in levels[:-1]


def matches(wanted: str, topic: str) -> bool:
    """Whether a topic filter takes a topic; wildcards leave topics that begin with $ alone."""
    filters, levels = wanted.split("/"), topic.split("/")
    if topic.startswith("$") and filters[0] in ("+", "#"):
        return False
    for index, level in enumerate(filters):
        if level == "#":
            return True
        if index >= len(levels) or level not in ("+", levels[index]):
            return False
    return len(filters) == len(levels)

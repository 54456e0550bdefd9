"""PUBLISH packets are found in received bytes wherever these are cut, and no length that they claim is believed."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_stream.ingest.splitter import COLUMNS, FULL, INCOMPLETE, OTHER, split, split_by_hand


def _length(value: int) -> bytes:
    result = bytearray()
    while True:
        value, low = divmod(value, 128)
        result.append(low | (128 if value else 0))
        if not value:
            return bytes(result)


def publish(
    topic: bytes, payload: bytes, first: int = 0x30, packet_id: int = 7, properties: bytes | None = None
) -> bytes:
    """A PUBLISH; with properties one of MQTT 5."""
    body = struct.pack("!H", len(topic)) + topic
    body += struct.pack("!H", packet_id) if first & 6 else b""
    body += b"" if properties is None else _length(len(properties)) + properties
    body += payload
    return bytes([first]) + _length(len(body)) + body


def run(data: bytes, v5: bool = False, start: int = 0, rows: int = 1000) -> tuple[list[tuple[int, ...]], int, int, int]:
    """The kernel's answer, as that of split_by_hand, with the length of the packet at which it stopped."""
    table = np.full((rows, COLUMNS), -1, np.int32)
    count, at, why, length = split(np.frombuffer(data, np.uint8), start, len(data), v5, table)
    return [tuple(row) for row in table[:count].tolist()], at, why, length


_FIRST = st.sampled_from([0x30, 0x31, 0x32, 0x33, 0x38, 0x3A, 0x3B])
_OTHERS = [
    b"\xd0\x00",  # PINGRESP
    b"\x90\x03\x00\x01\x01",  # SUBACK
    publish(b"t", b"2", 0x34),  # QoS 2
    publish(b"", b"1"),  # no topic
    b"\x30\x02\xff\xff",  # the topic is longer than the packet
    b"\x30\x00",
    b"\x32\x03\x00\x01a",  # no packet id
    b"\xff" * 6,  # an endless length
]


@st.composite
def _streams(draw: st.DrawFn) -> tuple[bytes, bool]:
    v5 = draw(st.booleans())
    packets = st.builds(
        publish,
        st.binary(min_size=1, max_size=200),
        st.binary(max_size=300),
        _FIRST,
        st.integers(0, 65535),
        st.binary(max_size=150) if v5 else st.none(),
    )
    parts = draw(st.lists(packets | st.sampled_from(_OTHERS) | st.binary(max_size=9), max_size=6))
    return b"".join(parts), v5


@given(_streams())
def test_the_kernel_says_what_the_reference_says(stream: tuple[bytes, bool]) -> None:
    data, v5 = stream
    assert run(data, v5)[:3] == split_by_hand(data, v5)


@given(_streams(), st.data())
def test_wherever_the_bytes_are_cut_the_packets_are_the_same(stream: tuple[bytes, bool], data: st.DataObject) -> None:
    """What comes first stops at an incomplete packet or before; from there on the rest is as if it had come at once."""
    received, v5 = stream
    whole, end, why, _ = run(received, v5)
    cut = data.draw(st.integers(0, len(received)))
    first, at, _, _ = run(received[:cut], v5)
    assert at <= cut
    rest, last, ended, _ = run(received, v5, start=at)
    moved = [(row[0] + at, row[1], row[2] + at, *row[3:]) for row in rest]
    assert (first + moved, last, ended) == (whole, end, why)


@given(st.binary(max_size=60), st.booleans())
def test_no_bytes_make_it_read_or_point_outside(data: bytes, v5: bool) -> None:
    rows, at, _, _ = run(data, v5)
    assert 0 <= at <= len(data)
    for topic, length, payload, size, *_ in rows:
        assert 0 <= topic < topic + length <= payload <= payload + size <= at


@pytest.mark.parametrize("first", [0x30, 0x33, 0x3A])
@pytest.mark.parametrize("properties", [None, b"", b"\x01\x00", bytes(200)])
def test_a_packet_is_found_and_told(first: int, properties: bytes | None) -> None:
    packet = publish(b"plant/a", b"21.5", first, 513, properties)
    [row], at, why, length = run(packet, properties is not None)
    assert (packet[row[0] : row[0] + row[1]], packet[row[2] : row[2] + row[3]]) == (b"plant/a", b"21.5")
    assert row[4:] == (first, 513 if first & 6 else 0)
    assert (at, why, length) == (len(packet), INCOMPLETE, 0)


@pytest.mark.parametrize("other", _OTHERS)
def test_it_stops_at_what_is_not_its_own(other: bytes) -> None:
    before = publish(b"a", b"1")
    rows, at, why, length = run(before + other + before)
    assert (len(rows), at, why) == (1, len(before), OTHER)
    assert length == len(other) or other == b"\xff" * 6


def test_the_length_of_a_packet_is_known_from_its_header() -> None:
    packet = publish(b"a", bytes(100_000))
    assert run(packet[:4]) == ([], 0, INCOMPLETE, len(packet))
    assert run(packet[:3]) == ([], 0, INCOMPLETE, 0)


def test_a_full_table_is_no_end() -> None:
    packets = [publish(b"a", b"%d" % k) for k in range(5)]
    rows, at, why, _ = run(b"".join(packets), rows=3)
    assert (len(rows), at, why) == (3, sum(map(len, packets[:3])), FULL)

"""The fast path says what the slow path says, number by number, of every payload, and takes what it should take."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lstm_stream.config import Limits, Source
from lstm_stream.ingest.assembly import Assembly
from lstm_stream.ingest.index import TopicIndex
from lstm_stream.ingest.numbers import read_iso, read_number
from lstm_stream.ingest.timestamps import parse_time
from lstm_stream.jit import kernel
from lstm_stream.records import APART, Chunk, Decoded, Message, Reading

NOW = 1_795_255_200.0  # 2026-11-21T10:00:00Z


def chunk(messages: Sequence[tuple[str, bytes]], time: float = NOW, first: int = 0x30) -> Chunk:
    """Messages as the reader gives them."""
    data, rows = b"", []
    for topic, payload in messages:
        name = topic.encode()
        rows.append((len(data), len(name), len(data) + len(name), len(payload), first, 0))
        data += name + payload
    return Chunk(data, np.array(rows, np.int32).reshape(-1, 6), time + np.arange(len(rows)) * APART)


def exact(reading: Reading) -> tuple[Any, ...]:
    """A reading, to be compared bit by bit."""
    values = {name: struct.pack("d", value) for name, value in reading.values.items()}
    return reading.sensor, reading.group, struct.pack("d", reading.time), values, reading.timed, reading.retain


def told(decoded: Decoded) -> dict[int, list[tuple[Any, ...]]]:
    """The samples by the number of their message, whichever way they came."""
    result: dict[int, list[tuple[Any, ...]]] = {}
    for at, arrival, reading in zip(decoded.at, decoded.arrivals, decoded.readings, strict=True):
        result.setdefault(at, []).append((*exact(reading), arrival))
    for rows in decoded.rows:
        for k in range(len(rows)):
            result.setdefault(int(rows.at[k]), []).append((*exact(rows.reading(k)), float(rows.arrival[k])))
    return result


def assert_the_same(source: dict[str, Any], chunks: Iterable[Chunk], limits: Limits | None = None) -> int:
    """Feed both ways; how many samples came as rows."""
    settings = Source.model_validate({"topic": "plant/{sensor}", **source})
    fast, slow = Assembly([settings], limits or Limits()), Assembly([settings], limits or Limits())
    rows = 0
    for one in chunks:
        found, expected = fast.decode_all([one]), slow.decode_all(one.messages())
        assert told(found) == told(expected)
        assert found.rejections == expected.rejections
        rows += sum(map(len, found.rows))
    return rows


# --- topics by number


def test_every_topic_keeps_its_number_however_many_there_are() -> None:
    index, known = TopicIndex(20_000), list[bytes]()
    rng = np.random.default_rng(0)
    while len(known) < 20_000:
        many = min(int(rng.integers(1, 900)), 20_000 - len(known))
        topics = [b"plant/%d/%s" % (len(known) + k, b"x" * int(rng.integers(0, 120))) for k in range(many)]
        new = chunk([(topic.decode(), b"") for topic in topics])
        data = np.frombuffer(new.data, np.uint8)
        assert (index.find(data, new.table) == -1).all()
        assert index.add(data, new.table) == len(known)
        known += topics
    every = chunk([(topic.decode(), b"") for topic in known])
    assert index.find(np.frombuffer(every.data, np.uint8), every.table).tolist() == list(range(20_000))
    assert (len(index), index.room) == (20_000, 0)


# --- what it takes

_TAKEN = {
    "plain": [b"21.5", b"-3", b"1e3\n", b"+0.25", b"007", b"5.", b"-0"],
    "flat": [b'{"t":21.5,"h":40}', b'{ "t" : 1 , "h" : -2.5e-3 }\r\n', b'{"h":0,"t":-0}'],
    "a channel that comes and goes": [b'{"t":1,"h":2}', b'{"t":1}', b'{"h":3}', b'{"h":null,"t":1}'],
    "text": [b'{"id":"pump 7","t":1,"unit":"\xc2\xb0C","n":null}', b'{"id":"\xe2\x82\xac","t":2,"unit":"","n":null}'],
    "switches": [b'{"on":true,"t":1}', b'{"on":false,"t":1}'],
    "iso": [b'{"time":"2026-11-21T10:00:00Z","t":1}', b'{"time":"2026-11-21 09:59:59.123456+02:30","t":1}'],
    "epoch": [b'{"ts":1795255200,"t":1}', b'{"ts":1795255200123,"t":1}', b'{"ts":1795255200.25,"t":1}'],
    "microseconds": [b'{"ts":1795255200123456,"t":1}'],
    "time after another": [b'{"time":"x","timestamp":1795255200,"t":1}'],
}


@pytest.mark.parametrize("payloads", _TAKEN.values(), ids=_TAKEN)
def test_payloads_that_are_read_fast(payloads: list[bytes]) -> None:
    chunks = [chunk([("plant/a", payload)]) for payload in payloads * 3]
    assert assert_the_same({}, chunks) >= len(payloads) * 2


def test_from_its_second_message_on_a_topic_is_fast() -> None:
    chunks = [chunk([(f"plant/{k}", b'{"t":%d}' % n) for k in range(10)]) for n in range(3)]
    assert assert_the_same({}, chunks) == 20


def test_the_first_messages_of_a_chunk_make_the_others_fast() -> None:
    messages = [(f"plant/{k}", b'{"t":%d}' % k) for k in range(100)]
    assert assert_the_same({}, [chunk(messages), chunk(messages)]) == 100 - 16 + 100


def test_a_topic_like_others_of_its_source_is_fast_from_its_first_message_on() -> None:
    first = [("plant/a", b'{"t":1,"h":2}'), ("plant/a", b'{"t":3,"h":4}'), ("plant/b", b'{"t":1,"h":2}')]
    others = [(f"plant/{k}", b'{"h":%d,"t":1}' % k) for k in range(10)]
    unlike = [("plant/less", b'{"t":1}'), ("plant/more", b'{"t":1,"h":2,"x":3}'), ("plant/plain", b"1")]
    chunks = [chunk(first), chunk(others + others), chunk(unlike), chunk(unlike), chunk([("plant/less", b'{"t":2}')])]
    assert assert_the_same({}, chunks) == 20 + 3 + 1
    by_topic = {"topic": "plant/{sensor}/{channel}"}
    assert assert_the_same(by_topic, [chunk([("plant/a/x", b"1")]), chunk([("plant/a/y", b"1")])]) == 0


def test_a_topic_that_is_no_text_stays_one() -> None:
    odd = chunk([("plant/a", b"1"), ("plant/b", b"2"), ("plant/c", b"3")])
    odd = Chunk(odd.data.replace(b"plant/c", b"plant/\xff"), odd.table, odd.arrivals)
    assert assert_the_same({}, [chunk([("plant/a", b"1")]), odd, odd]) == 4


def test_a_batch_of_several_chunks_and_messages_keeps_its_numbers() -> None:
    source = [Source.model_validate({"topic": "plant/{sensor}"})]
    fast = Assembly(source, Limits())
    fast.decode_all([chunk([("plant/a", b"1"), ("plant/b", b'{"t":1}')])])
    single = Message("plant/c", b"5", NOW + 1)
    found = fast.decode_all(
        [
            chunk([("plant/a", b"1"), ("plant/b", b"x")]),
            single,
            chunk([("plant/b", b'{"t":2}'), ("plant/a", b"3")], NOW + 2),
        ]
    )
    assert found.at == [2]
    assert {rows.channels: rows.at.tolist() for rows in found.rows} == {("value",): [0, 4], ("t",): [3]}
    assert {rows.channels: rows.arrival.tolist() for rows in found.rows} == {
        ("value",): [NOW, NOW + 2 + APART],
        ("t",): [NOW + 2],
    }


# --- what it must not take

_SOURCES: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "json": {"format": "json"},
    "values": {"format": "value"},
    "chosen channels": {"include": ["t*", "a"], "exclude": ["temp"]},
    "words": {"words": {"open": 1, "closed": 0}},
    "units": {"units": True},
    "time named": {"timestamp": {"field": "at", "unit": "ms"}},
    "time in ms": {"timestamp": {"unit": "ms"}},
    "time as text": {"timestamp": {"unit": "iso"}},
    "time not trusted": {"timestamp": {"trust": False}},
    "named time not trusted": {"timestamp": {"field": "at", "trust": False}},
    "channel in the topic": {"topic": "plant/{sensor}/{channel}"},
    "channel or not": {"topic": ["plant/{sensor}", "plant/{sensor}/{channel}"]},
    "channel by template": {"channel": "x", "topic": "plant/{sensor}"},
    "sensor in the payload": {"sensor": "{payload.id}"},
    "sensor perhaps in the payload": {"sensor": "{payload.id|sensor}"},
    "channel in the payload": {"channel": "{payload.id}"},
    "below a root": {"root": "t"},
    "joined": {"join": "1s"},
    "resampled": {"resample": "1s"},
    "counted": {"counters": ["a"]},
}
_KEYS = ["t", "a", "temp", "b", "ts", "time", "timestamp", "Time", "at", "id", "value", "values", "fields", "\u00e9"]
_WRITTEN = """
0 -0 -0.0 1 -1 21.5 0.1 1e5 1E-3 3.4e38 1e39 1e400 -1e-400 01 1. .5 +1 12 1e - 1_0 0x1 NaN Infinity
9007199254740991 9007199254740992 9007199254740993 18446744073709551616 1e22 1e23 0.30000000000000004
1795255200 1795255200123 1795255200123456 1795255200123456789 1795255200.123 1895255200
123456789012345.6 1234567890123456.7 0.000000000000000000000001
"""
_NUMBERS = _WRITTEN.split()
_SAID = """pump|21.5| 21|open||\u00b0C|21 \u00b0C|NaN|on|1795255200|a\nb|a"b|\\|null|2026-11-21|2026-11-21T10:00Z
2026-11-21T10:00:00Z|2026-11-21T10:00:00|2026-11-21T10:00:00.5+01:00|2026-02-29T10:00:00Z|2026-11-21T24:00:00Z
2024-02-29 23:59:59.123456789Z|1969-12-31T23:59:59Z|2026-13-01T00:00:00Z"""
_TEXTS = _SAID.replace("Z\n", "Z|").split("|")
_SCALAR = (
    st.sampled_from(_NUMBERS) | st.sampled_from(_TEXTS).map(json.dumps) | st.sampled_from(["true", "false", "null"])
)
_SCALAR |= st.sampled_from(_TEXTS).map(lambda text: json.dumps(text, ensure_ascii=False))
_SCALAR |= st.floats(allow_nan=False).map(repr) | st.integers(-(10**20), 10**20).map(str)
_SCALAR |= st.decimals(-1000, 1000, places=2).map(str)
_NESTED = st.sampled_from(['{"x":1}', "[1,2]", "[]", "{}"])
_SPACE = st.sampled_from(["", "", "", " ", "\n\t", "\r\n"])


@st.composite
def _objects(draw: st.DrawFn) -> bytes:
    items = draw(st.lists(st.tuples(st.sampled_from(_KEYS), _SCALAR | _SCALAR | _SCALAR | _NESTED), max_size=5))
    space = draw(_SPACE)
    body = ",".join(
        f"{space}{json.dumps(key, ensure_ascii=False)}{space}:{space}{value}{space}" for key, value in items
    )
    return ("{" + body + "}" + draw(_SPACE)).encode()


_PLAIN = st.sampled_from([*_NUMBERS, *_TEXTS, "ON", '"21.5"', "21.5\0", "t=1", " 21", "21 ", "\ufeff1"]).map(str.encode)


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    payload = bytearray(draw(_objects()))
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(payload)))
        payload[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(payload)


_PAYLOAD = _objects() | _objects() | _PLAIN | _damaged() | st.binary(max_size=9)
_TOPIC = st.sampled_from(["plant/a", "plant/b", "plant/a/t", "plant/a/b", "other"])
_BATCH = st.lists(st.tuples(_TOPIC, _PAYLOAD), min_size=1, max_size=8)
_STREAM = st.lists(st.tuples(_BATCH, st.sampled_from([0x30, 0x30, 0x30, 0x31])), min_size=1, max_size=4)


@settings(max_examples=100)
@given(st.sampled_from(sorted(_SOURCES)), _STREAM, st.integers(1, 3))
def test_both_ways_say_the_same(name: str, stream: list[tuple[list[tuple[str, bytes]], int]], repeats: int) -> None:
    """Each batch comes several times, so that what was learned of it is used on it, and on others of its topics."""
    chunks = [chunk(batch, NOW + k, first) for k, (batch, first) in enumerate(stream) for _ in range(repeats)]
    assert_the_same(_SOURCES[name], chunks)


_KINDS = [
    st.decimals(-1000, 1000, places=2).map(str),
    st.floats(allow_nan=False, allow_infinity=False, width=16).map(repr),
    st.sampled_from(_NUMBERS),
    st.sampled_from(["true", "false", "null"]),
    st.sampled_from(_TEXTS).map(json.dumps),
    st.integers(1_795_255_000, 1_795_255_300).map(str),
    st.integers(1_795_255_000_000, 1_795_255_300_000).map(str),
    st.datetimes(datetime(2026, 11, 20), datetime(2026, 11, 21)).map(lambda moment: f'"{moment.isoformat()}Z"'),
    _SCALAR | _NESTED,
]


@st.composite
def _alike(draw: st.DrawFn) -> list[tuple[str, bytes]]:
    """Messages whose keys are mostly the same, and whose values mostly of one kind a key."""
    keys = draw(st.lists(st.sampled_from(["t", "a", "temp", "b", "id", "value", "\u00e9"]), min_size=1, max_size=4))
    kinds = {key: draw(st.sampled_from(_KINDS)) for key in keys}
    if draw(st.booleans()):
        kinds[draw(st.sampled_from(["ts", "timestamp", "Time", "at"]))] = draw(st.sampled_from(_KINDS[-4:-1]))
    topic = st.sampled_from(["plant/a", "plant/a", "plant/b", draw(_TOPIC)])
    messages = []
    for _ in range(draw(st.integers(2, 12))):
        items = [(key, draw(kind if draw(st.integers(0, 15)) else _SCALAR)) for key, kind in kinds.items()]
        items = draw(st.permutations(items)) if draw(st.booleans()) else items
        items = items if draw(st.integers(0, 5)) else items[: draw(st.integers(1, 4))]
        body = ",".join(f"{json.dumps(key, ensure_ascii=False)}:{value}" for key, value in items)
        messages.append((draw(topic), b"{" + body.encode() + b"}"))
    return messages


@settings(max_examples=150)
@given(st.sampled_from([*_SOURCES, *["as it comes"] * 9]), _alike())
def test_both_ways_say_the_same_of_messages_that_are_alike(name: str, messages: list[tuple[str, bytes]]) -> None:
    assert_the_same(_SOURCES[name], [chunk([message], NOW + k) for k, message in enumerate(messages)])


@settings(max_examples=100)
@given(
    _objects(),
    st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=2), st.integers(0, 2)), min_size=1, max_size=6),
)
@example(b'{"t":1,"a":2}', [(3, b"", 0)])
def test_payloads_that_are_almost_as_learned(payload: bytes, changes: list[tuple[int, bytes, int]]) -> None:
    damaged = []
    for at, with_what, size in changes:
        at %= len(payload) + 1
        damaged.append(chunk([("plant/a", payload[:at] + with_what + payload[at + size :])]))
    assert_the_same({}, [chunk([("plant/a", payload)]), *damaged])


def test_what_lies_behind_a_payload_is_not_read() -> None:
    """Payloads cut off at every byte, with what would complete them right behind."""
    whole = b'{"time":"2026-11-21T10:00:00.25+01:00","t":-12.5e1,"on":true,"id":"\xc2\xb0"}'
    for source in ({}, {"format": "json"}):
        first = chunk([("plant/a", whole)])
        lengths = np.arange(len(whole))
        cut = Chunk(first.data, np.repeat(first.table, len(whole), axis=0), NOW + lengths * APART)
        cut.table[:, 3] = lengths
        assert_the_same(source, [first, cut])


def test_retained_too_long_and_too_far_ahead_go_the_slow_way() -> None:
    good = chunk([("plant/a", b'{"ts":1795255200,"t":1}')])
    ahead = chunk([("plant/a", b'{"ts":1795259999,"t":1}')])
    long = chunk([("plant/a", b'{"ts":1795255200,"t":1' + b" " * 80 + b"}")])
    retained = chunk([("plant/a", b'{"ts":1795255200,"t":1}'), ("plant/a", b"1")], first=0x31)
    limits = Limits(future="1h", payload_bytes=100)
    assert assert_the_same({}, [good, good, ahead, long, retained, good], limits) == 2


_TRAPS = {
    "the last of a key that occurs twice counts, also if it is null": [b'{"t":1,"h":2}', b'{"t":1,"h":2,"t":null}'],
    "a better time field has no value at first": [b'{"ts":1795255200,"timestamp":null,"t":1}'] * 2
    + [b'{"ts":1795255200,"timestamp":1795255100,"t":1}'],
    "the time field has no value later": [b'{"time":"x","timestamp":1795255200,"t":1}', b'{"timestamp":null,"t":1}'],
    "two time fields of one name": [b'{"Time":1795255200,"time":1795255100,"t":1}', b'{"time":1795255100,"t":1}'],
    "a text becomes a number": [b'{"t":1,"mode":"auto"}', b'{"t":1,"mode":"7"}', b'{"t":1,"mode":7}'],
}


@pytest.mark.parametrize("payloads", _TRAPS.values(), ids=_TRAPS)
def test_traps(payloads: list[bytes]) -> None:
    assert_the_same({}, [chunk([("plant/a", payload)]) for payload in payloads])


def test_the_memory_of_topics_has_a_limit(caplog: pytest.LogCaptureFixture) -> None:
    chunks = [chunk([(f"plant/{k}", b"1") for k in range(20)]) for _ in range(3)]
    assert assert_the_same({}, chunks, Limits(sensors=3)) == 24
    assert caplog.text.count("topics are remembered") == 1


# --- its parts


@kernel
def _number(data: Any, strict: bool) -> tuple[float, int]:
    return read_number(data, 0, len(data), strict)


@kernel
def _iso(data: Any) -> tuple[float, int]:
    return read_iso(data, 0, len(data))


@settings(max_examples=200)
@example("7236830840615796.5", True)  # 17 digits that two roundings get wrong
@example("74187060.866652760", False)
@given(st.from_regex(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,19})?([eE][+-]?[0-9]{1,3})?", fullmatch=True), st.booleans())
def test_a_number_is_the_one_that_python_reads(text: str, strict: bool) -> None:
    value, end = _number(np.frombuffer(text.encode(), np.uint8), strict)
    if end:
        assert end == len(text)
        assert struct.pack("d", value) == struct.pack("d", float(json.loads(text) if strict else text))
    digits = len(text.lower().partition("e")[0].strip("-").replace(".", ""))
    assert end or digits > 15 or "e" in text.lower()


@settings(max_examples=100)
@given(
    st.datetimes(datetime(1990, 1, 2), datetime(2099, 12, 30)),
    st.sampled_from(["T", " ", "t"]),
    st.sampled_from(["", "Z", "z", "+00:00", "-11:30", "+05:45"]),
    st.sampled_from(["auto", "milliseconds", "seconds", "microseconds"]),
)
def test_a_time_is_the_one_that_the_decoder_reads(moment: Any, between: str, zone: str, precision: str) -> None:
    text = moment.isoformat(between, precision) + zone
    value, end = _iso(np.frombuffer(text.encode(), np.uint8))
    assert (value, end) == (parse_time(text), len(text))

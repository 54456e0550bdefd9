"""Every format on anything at all, and what they have in common; the golden cases are in cases/."""

from __future__ import annotations

import builtins
import gzip
import json
import math
import tracemalloc
from typing import Any

import cbor2
import msgpack
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from lstm_stream.config import Limits, Source
from lstm_stream.ingest.decoder import Decoder
from lstm_stream.ingest.formats import FORMATS, influx, recognise
from lstm_stream.ingest.formats.sample import Options
from lstm_stream.records import Message, Reading, Reason, Rejection

ARRIVAL = 1_790_000_000.5


def _decoder(**source: Any) -> Decoder:
    return Decoder([Source(**{"topic": "{sensor}", **source})], Limits(payload_bytes=4000, depth=6, channels=50))


def _decode(payload: bytes | str, **source: Any) -> tuple[list[Reading], list[Rejection]]:
    data = payload.encode() if isinstance(payload, str) else payload
    return _decoder(**source).decode(Message("gw", data, ARRIVAL))


# -- anything at all

_ALL = {name: _decoder(format=name) for name in ("auto", *FORMATS)}
_BUSY = {
    name: _decoder(
        format=name,
        sensor="{payload.n|payload.device|sensor}",
        channel="{payload.kind|sensor}",
        root="a",
        words={"on": 1},
        units=True,
        timestamp={"field": "t", "unit": "ms"},
    )
    for name in ("auto", *FORMATS)
}
_WORDS = st.sampled_from(
    [
        *("n", "bn", "v", "t", "bt", "u", "vs", "vb", "s", "bver", "ts", "values", "fields", "tags", "name", "metrics"),
        *("timestamp", "seq", "alias", "value", "method", "params", "host", "source", "a", "kind", "device", "far_"),
    ]
)
_SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=6)
    | st.sampled_from([1.7e9, 1_700_000_000_000, "21.5 °C", "urn:dev:x", "NotifyStatus", -3])
)  # fmt: skip
_DOCUMENTS = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS | st.text(max_size=3), inner, max_size=5),
    max_leaves=12,
)


def _sound(payload: bytes) -> None:
    for decoder in (*_ALL.values(), *_BUSY.values()):
        for retain in (False, True):
            seen = decoder.explain(Message("gw", payload, ARRIVAL, retain))
            assert seen.readings or seen.rejections
            for reading in seen.readings:
                assert reading.values
                assert all(type(value) is float and math.isfinite(value) for value in reading.values.values())
                assert math.isfinite(reading.time)
                assert reading.sensor.isprintable()
            for rejection in seen.rejections:
                assert rejection.reason is not Reason.INTERNAL, (rejection, payload)
                assert rejection.detail.isprintable()
                assert len(rejection.detail) < 600


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    _sound(payload)


@given(st.text('abn,= "\\1.5e-+iutf\n#\t-é', max_size=50))
def test_almost_line_protocol_is_read_or_refused(text: str) -> None:
    _sound(text.encode())


@given(_DOCUMENTS)
def test_any_document_is_read_or_refused_in_json_cbor_and_msgpack(document: Any) -> None:
    _sound(json.dumps(document).encode())
    _sound(cbor2.dumps(document))
    _sound(msgpack.packb(document))


@given(_DOCUMENTS, st.integers(0, 60), st.integers(0, 255))
def test_a_damaged_document_is_read_or_refused(document: Any, at: int, byte: int) -> None:
    for payload in (cbor2.dumps(document), msgpack.packb(document), gzip.compress(json.dumps(document).encode())):
        at %= len(payload)
        _sound(payload[:at] + bytes([byte]) + payload[at + 1 :])
        _sound(payload[:at])


@pytest.mark.parametrize(
    "payload",
    [
        b"\x1c0",  # a space for some, not for float()
        b"\x81" * 3000,
        b"\x91" * 3000,
        b"\xa1\x61a" * 1000,
        b"\x9f" * 3000,
        b"\xd8\x1c" * 1500 + b"\x80",  # shared values of CBOR
        b"\xd8\x1c\x82\xd8\x1d\x00\xd8\x1d\x00",  # a list that holds itself
        b"\xd8\x1c\x81" + b"\xd8\x1c\x82\xd8\x1d\x00\xd8\x1d\x00" * 30,
        b"\xc4\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x01",  # 1e9223372036854775807
        b"\xc5\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\xd8\x1e\x82\x01\x00",  # one by nothing
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",  # an array of 2**64 items
        b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"m " + b"a=1," * 900,
        b"m," + b"a=b," * 900,
        b"m " + b'a="' * 1200,
        b"\\" * 3000 + b"=1 1",
        b"m" + b"\\ " * 1500 + b"=",
        b"#\n" * 1900 + b"a=",
        b"\x12\x00" * 1900,
        b"\x08" + b"\xff" * 3000,
    ],
    ids=lambda payload: payload[:12].hex(),
)
def test_hostile_payloads_are_refused_quickly(payload: bytes) -> None:
    _sound(payload)


# -- what formats have in common

_NUMBERS = st.dictionaries(st.text("abc .", min_size=1, max_size=4), st.floats(-1e9, 1e9), min_size=1, max_size=5)


@given(_NUMBERS)
def test_an_object_says_the_same_in_json_cbor_and_msgpack(values: dict[str, float]) -> None:
    document = {"ts": 1_700_000_000, **values}
    [expected], [] = _decode(json.dumps(document))
    for payload in (cbor2.dumps(document), msgpack.packb(document)):
        assert _decode(payload) == ([expected], [])


@given(st.floats(-1e9, 1e9), st.text("ab:", min_size=1, max_size=6))
def test_senml_says_the_same_in_json_and_cbor(value: float, name: str) -> None:
    labels = {"bn": -2, "bt": -3, "n": 0, "v": 2, "t": 6}
    pack = [{"bn": "urn:dev:x:", "bt": 1_700_000_000, "n": name, "v": value}, {"n": name, "t": -5, "v": 1.0}]
    binary = cbor2.dumps([{labels[key]: item for key, item in record.items()} for record in pack])
    expected = _decode(json.dumps(pack))
    assert len(expected[0]) == 2
    assert _decode(binary) == expected


@pytest.mark.parametrize(
    "name", ["telegraf-single", "telegraf-batch", "thingsboard-gateway", "senml-device-and-channels"]
)
def test_auto_reads_what_the_named_format_reads(name: str, pytestconfig: pytest.Config) -> None:
    text = (pytestconfig.rootpath / f"tests/ingest/cases/{name}/message.json").read_text()
    payload = json.loads(text)["payload"].encode()
    expected = _decode(payload, format=name.split("-")[0])
    assert expected[0]
    for wrapped in (payload, b" \r\n" + payload, gzip.compress(payload), zstandard.ZstdCompressor().compress(payload)):
        assert _decode(wrapped) == expected


_KEYS = st.text("ab ,=é\\#.", min_size=1, max_size=5).filter(lambda text: not text.endswith("\\") and text[0] != "#")


def _escaped(key: str) -> str:
    for char in ",= ":
        key = key.replace(char, "\\" + char)
    return key


def _not_confusable(key: str) -> bool:
    """Not with a backslash before what is escaped, of which the protocol cannot tell."""
    return not any("\\" + char in key for char in ",= ")


@given(
    _KEYS.filter(_not_confusable),
    st.dictionaries(_KEYS.filter(_not_confusable), _KEYS.filter(_not_confusable), max_size=3),
    st.dictionaries(_KEYS.filter(_not_confusable), st.floats(-1e9, 1e9), min_size=1, max_size=4),
    st.integers(1_000_000_000, 1_700_000_000),
)
def test_line_protocol_reads_back(measurement: str, tags: dict[str, str], values: dict[str, float], time: int) -> None:
    head = "".join(f",{_escaped(key)}={_escaped(tag)}" for key, tag in tags.items())
    fields = ",".join(f"{_escaped(key)}={value!r}" for key, value in values.items())
    line = f'{_escaped(measurement)}{head} {fields},text="a \\"b\\", c=1\nd" {time}'
    assert influx.looks_like(line)
    assert influx.lines(line.encode(), Options()) == [influx.Line(measurement, tags, values, float(time))]


@pytest.mark.parametrize(
    ("payload", "encoding"),
    [
        (b'{"a": 1}', "json"),
        (b"\xef\xbb\xbf\n[1]", "json"),
        (b"21.5", "value"),
        (b"temp=21.5", "value"),
        ("Ünterwegs".encode(), "value"),
        (b"", "value"),
        (b"\0\0", "value"),
        (b"weather temp=21.5", "influx"),
        (b"# c\nweather,at=x temp=21.5 1", "influx"),
        ("größe,ort=x wert=1".encode(), "influx"),
        (cbor2.dumps({"a": 1}), "cbor"),
        (cbor2.dumps([{"a": 1}]), "cbor"),
        (cbor2.dumps({str(key): 1 for key in range(30)}), "cbor"),
        (b"\xd9\xd9\xf7" + cbor2.dumps({"a": 1}), "cbor"),
        (msgpack.packb({"a": 1}), "msgpack"),
        (msgpack.packb([{"a": 1}]), "msgpack"),
        (msgpack.packb({str(key): 1 for key in range(30)}), "msgpack"),
    ],
)
def test_how_a_payload_is_encoded(payload: bytes, encoding: str) -> None:
    assert recognise(payload) == encoding


# -- wrapped


def test_what_is_wrapped_is_never_unpacked_beyond_the_limit() -> None:
    bombs = [gzip.compress(bytes(50_000_000)), zstandard.ZstdCompressor().compress(bytes(50_000_000))[:4000]]
    bombs[0] = bombs[0][:4000]
    tracemalloc.start()
    for bomb in bombs:
        [], [rejection] = _decode(bomb)
        assert rejection.reason is Reason.TOO_LARGE
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_gzip_members_follow_each_other_and_wrapping_twice_is_refused() -> None:
    [reading], [] = _decode(gzip.compress(b'{"a"') + gzip.compress(b": 1}"))
    assert reading.values == {"a": 1}
    [], [rejection] = _decode(gzip.compress(gzip.compress(b"1")))
    assert (rejection.reason, "twice" in rejection.detail) == (Reason.MALFORMED, True)


@pytest.mark.parametrize(
    ("payload", "package"),
    [
        (cbor2.dumps({"a": 1}), "cbor2"),
        (msgpack.packb({"a": 1}), "msgpack"),
        (zstandard.ZstdCompressor().compress(b"1"), "zstandard"),
    ],
    ids=["cbor", "msgpack", "zstd"],
)
def test_without_its_package_a_payload_is_rejected_with_what_to_install(
    payload: bytes, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.split(".")[0] == package:
            raise ImportError(name)
        return original(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    [], [rejection] = _decode(payload)
    assert rejection.reason is Reason.UNSUPPORTED
    assert "lstm_stream[formats]" in rejection.detail

"""What becomes of a message: golden cases as folders, the rules of the decoder, and anything at all thrown at it.

A case is a folder in cases/ with message.json (topic, payload as text or hex, and what differs from the defaults)
and expected.json (what explain() says; of a rejection its reason and a part of its detail).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lstm_stream.config import Limits, Source
from lstm_stream.ingest.decoder import Decoder
from lstm_stream.ingest.formats import FORMATS
from lstm_stream.ingest.labels import USUAL_TIME_FIELDS
from lstm_stream.records import Message, Reading, Reason, Rejection

CASES = sorted(path.parent for path in Path(__file__).parent.glob("cases/*/message.json"))
ARRIVAL = 1_790_000_000.5


def _decoder(*sources: dict[str, Any], **limits: int) -> Decoder:
    return Decoder([Source(**source) for source in sources or ({"topic": "{sensor}"},)], Limits(**limits))


def _message(payload: bytes | str, topic: str = "pump", retain: bool = False) -> Message:
    return Message(topic, payload.encode() if isinstance(payload, str) else payload, ARRIVAL, retain)


def _values(payload: bytes | str, **source: Any) -> dict[str, float]:
    [reading], [] = _decoder({"topic": "{sensor}", **source}).decode(_message(payload))
    return reading.values


def _rejected(payload: bytes | str, retain: bool = False, **limits: int) -> Rejection:
    [], [rejection] = _decoder(**limits).decode(_message(payload, retain=retain))
    return rejection


def _told(reading: Reading) -> dict[str, Any]:
    return {**reading._asdict(), "values": dict(reading.values)}


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_golden(case: Path) -> None:
    given_, expected = (json.loads((case / name).read_text()) for name in ("message.json", "expected.json"))
    payload = bytes.fromhex(given_["hex"]) if "hex" in given_ else given_["payload"].encode()
    sources = given_.get("sources", [{"topic": "{sensor}"}])
    decoder = _decoder(*sources, **given_.get("limits", {}))
    seen = decoder.explain(Message(given_["topic"], payload, ARRIVAL, given_.get("retain", False)))
    for key in ("source", "sensor", "group", "format", "quiet", "time_source"):
        if key in expected:
            assert getattr(seen, key) == expected[key], key
    defaults = {"group": "default", "time": ARRIVAL, "timed": False, "retain": given_.get("retain", False)}
    readings = [{**defaults, "sensor": expected.get("sensor"), **reading} for reading in expected.get("readings", [])]
    assert [_told(reading) for reading in seen.readings] == readings
    rejections = expected.get("rejections", [])
    assert [rejection.reason.value for rejection in seen.rejections] == [item["reason"] for item in rejections]
    for rejection, item in zip(seen.rejections, rejections, strict=True):
        assert item["detail"] in rejection.detail
        assert rejection.topic == given_["topic"]


def test_there_are_golden_cases_and_each_has_its_expectation() -> None:
    assert len(CASES) > 20
    assert all((case / "expected.json").is_file() for case in CASES)


# -- values


@pytest.mark.parametrize("token", ["NaN", "nan", "-nan", "Infinity", "-Infinity", "inf", "-inf", "1e999", "9" * 400])
def test_a_number_that_is_not_finite_leaves_its_channel_absent(token: str) -> None:
    assert _values(f'{{"a": 1, "b": {token}, "c nan": 2, "d": "a nan \\" inf"}}') == {"a": 1, "c nan": 2}
    assert _rejected(f'{{"b": {token}}}').reason is Reason.NO_CHANNELS
    assert _rejected(token).reason is Reason.NO_CHANNELS


@pytest.mark.parametrize("token", ["nanx", "infinit", "NaN1", "- nan", "nan nan"])
def test_what_only_looks_like_nan_is_malformed(token: str) -> None:
    assert _rejected(f'{{"a": {token}}}').reason is Reason.MALFORMED


@pytest.mark.parametrize(
    ("text", "value"), [("42", 42), (" -4.5e1 ", -45), ("+.5", 0.5), ("7.", 7), ("٤٢", None), ("1_0", None), ("", None)]
)
def test_text_is_a_number_where_all_of_it_is_one(text: str, value: float | None) -> None:
    expected = {"x": 1.0} if value is None else {"x": 1.0, "t": value}
    assert _values(json.dumps({"x": 1, "t": text})) == expected


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        ("21.5", 21.5),
        ('"21.5"', 21.5),
        (" -3\r\n", -3),
        ("1e3\0", 1000),
        ("ON", 1),
        ("off", 0),
        ('"true"', 1),
        ("False", 0),
    ],
)
def test_a_plain_value(payload: str, value: float) -> None:
    assert _values(payload) == {"value": value}


@pytest.mark.parametrize("payload", ["", '"', '""', "Offline", "21,5", "21.5 °C", "null", "0x10", "--1", "1" * 5000])
def test_text_that_is_no_value_has_no_channels(payload: str) -> None:
    assert _rejected(payload).reason is Reason.NO_CHANNELS


def test_a_byte_order_mark_and_padding_do_no_harm() -> None:
    assert _values(b'\xef\xbb\xbf {"a": 1}\r\n\0') == {"a": 1}


def test_globs_choose_channels_by_their_flattened_name() -> None:
    payload = '{"env": {"temp": 1, "tempo": 2, "hum": 3}, "temp": 4, "[x]": 5}'
    assert _values(payload, include=("env.*",), exclude=("*.tempo",)) == {"env.temp": 1, "env.hum": 3}
    assert _values(payload, include=("temp", "env.h?m")) == {"temp": 4, "env.hum": 3}
    assert _values(payload, include=("[[]x]",)) == {"[x]": 5}
    [], [rejection] = _decoder({"topic": "{sensor}", "include": ("Temp",)}).decode(_message(payload))
    assert rejection.reason is Reason.NO_CHANNELS
    assert "'env.temp'" in rejection.detail


def test_a_channel_whose_name_cannot_be_shown_is_left_out() -> None:
    assert _values(json.dumps({"a": 1, "b\n": 2, "\x1b[31m": 3, "": 4, "x" * 257: 5})) == {"a": 1}
    assert _values(b'{"a": 1, "\\ud800": 2, "c": NaN}') == {"a": 1}


# -- time


@pytest.mark.parametrize("name", USUAL_TIME_FIELDS)
def test_a_usual_name_in_any_case_holds_the_time_and_is_no_channel(name: str) -> None:
    for key in (name, name.upper(), name.title()):
        [reading], [] = _decoder().decode(_message(json.dumps({key: 1372896000250, "a": 1})))
        assert (reading.time, reading.timed, reading.values) == (1372896000.25, True, {"a": 1})


def test_the_first_of_the_usual_names_counts_and_the_others_are_no_channels_either() -> None:
    [reading], [] = _decoder().decode(
        _message('{"date": "2013-01-01", "a": 1, "time": null, "ts": 1372896000, "t": 2}')
    )
    assert (reading.time, reading.values) == (1372896000, {"a": 1, "t": 2})


def test_a_named_field_is_found_by_its_flattened_name_and_the_usual_ones_are_then_nothing() -> None:
    source = {"topic": "{sensor}", "timestamp": {"field": "sys.at", "unit": "ms"}}
    seen = _decoder(source).explain(_message('{"sys": {"at": 1372896000250, "up": 7}, "ts": 5}'))
    assert seen.time_source == "sys.at"
    assert [(reading.time, reading.values) for reading in seen.readings] == [(1372896000.25, {"sys.up": 7})]


@pytest.mark.parametrize("payload", ['{"ts": 1372896000, "a": 1}', '{"at": null, "a": 1}', "21.5", "[1]"])
def test_a_named_field_that_is_missing_is_not_replaced_by_the_arrival(payload: str) -> None:
    [], [rejection] = _decoder({"topic": "{sensor}", "timestamp": {"field": "at"}}).decode(_message(payload))
    assert rejection.reason is Reason.BAD_TIMESTAMP
    assert "'at'" in rejection.detail


def test_a_retained_message_needs_a_time_of_its_own() -> None:
    assert _rejected('{"a": 1}', retain=True).reason is Reason.RETAINED
    [reading], [] = _decoder().decode(_message('{"ts": 1372896000, "a": 1}', retain=True))
    assert (reading.time, reading.retain) == (1372896000, True)


def test_samples_that_share_a_message_need_times_of_their_own() -> None:
    readings, rejections = _decoder().decode(_message('[{"ts": 1372896000, "a": 1}, {"a": 2}]'))
    assert [(reading.time, reading.values) for reading in readings] == [(1372896000, {"a": 1})]
    assert [rejection.reason for rejection in rejections] == [Reason.BAD_TIMESTAMP]
    [reading], [] = _decoder().decode(_message('[{"a": 1}]'))
    assert (reading.time, reading.timed) == (ARRIVAL, False)


# -- limits


def test_limits_are_exact() -> None:
    assert _rejected('{"a":%s1}' % (" " * 11), payload_bytes=16).reason is Reason.TOO_LARGE
    assert len(_decoder(payload_bytes=16).decode(_message('{"a":%s1}' % (" " * 9)))[0]) == 1
    assert _rejected('{"a":1,"b":2,"c":3}', channels=2).reason is Reason.TOO_MANY_CHANNELS
    assert len(_decoder(channels=2).decode(_message('{"a":1,"b":2,"c":null}'))[0]) == 1
    deep = '{"a":{"b":{"c":1}}}'
    assert _rejected(deep, depth=2).reason is Reason.TOO_DEEP
    assert len(_decoder(depth=3).decode(_message(deep))[0]) == 1


def test_brackets_beside_each_other_or_in_text_are_not_deep() -> None:
    [reading], [] = _decoder(depth=2).decode(_message('{"a": {"x": 1}, "b": {"x": 2}, "t": "[[[[\\"{{{{", "c": [3]}'))
    assert reading.values == {"a.x": 1, "b.x": 2, "c.0": 3}


@pytest.mark.parametrize("payload", [b"[" * 100_000, b'{"a":' * 50_000, b"[" * 100_000 + b"]" * 100_000])
def test_absurdly_deep_json_is_refused(payload: bytes) -> None:
    assert _rejected(payload).reason is Reason.TOO_DEEP


@pytest.mark.parametrize("payload", [b'{"' + b'\\"' * 120_000, b'{"' * 80_000, b"[nan" * 60_000, b'"[' * 120_000])
def test_hostile_payloads_are_refused_without_taking_long(payload: bytes) -> None:
    assert _rejected(payload[:260_000]).reason in (Reason.MALFORMED, Reason.TOO_DEEP, Reason.NO_CHANNELS)


# -- sources


def test_the_first_source_that_takes_the_topic_decides() -> None:
    first = {"topic": "plant/{sensor}", "include": ("a",)}
    second = {"topic": "plant/#", "sensor": "rest"}
    decoder = _decoder(first, second)
    assert decoder.decode(_message('{"a": 1}', "plant/p"))[0][0].sensor == "p"
    assert decoder.decode(_message('{"a": 1}', "plant/p/q"))[0][0].sensor == "rest"
    assert decoder.decode(_message('{"b": 1}', "plant/p"))[1][0].reason is Reason.NO_CHANNELS


def test_an_unknown_topic_is_told_with_the_sources_there_are() -> None:
    [], [rejection] = _decoder({"topic": "plant/{sensor}"}).decode(_message("1", "other/\x1b"))
    assert rejection.reason is Reason.UNKNOWN_TOPIC
    assert "plant/{sensor}" in rejection.detail
    assert rejection.detail.isprintable()


def test_explain_and_decode_agree() -> None:
    decoder, message = _decoder(), _message('[{"ts": 1372896000, "a": 1}, 5]')
    seen = decoder.explain(message)
    assert (seen.readings, seen.rejections) == decoder.decode(message)
    assert (seen.source, seen.sensor, seen.group, seen.format) == ("{sensor}", "pump", "default", "json")


def test_a_defect_is_a_rejection_and_is_logged_once_a_type(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> Any:
        raise ZeroDivisionError("oops")

    monkeypatch.setitem(FORMATS, "value", broken)
    decoder = _decoder()
    for _ in range(3):
        [], [rejection] = decoder.decode(_message("1"))
        assert rejection.reason is Reason.INTERNAL
        assert "ZeroDivisionError" in rejection.detail
    assert [record.exc_info is not None for record in caplog.records] == [True]


# -- anything at all

_DEFECTS = {Reason.INTERNAL}
_KEYS = st.text("abcä1 ", min_size=1, max_size=4)
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_JSON = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner))
_EVERYTHING = _decoder(
    {"topic": "json/{sensor}", "format": "json"},
    {"topic": "value/{sensor}", "format": "value"},
    {"topic": "named/{sensor}", "timestamp": {"field": "a", "unit": "ms"}, "include": ("a*", "*b"), "exclude": ("ab",)},
    {"topic": "{sensor}/#"},
    depth=4,
    payload_bytes=2000,
    channels=4,
)


def _sound(message: Message) -> None:
    readings, rejections = _EVERYTHING.decode(message)
    for reading in readings:
        assert 1 <= len(reading.values) <= 4
        assert all(type(value) is float and math.isfinite(value) for value in reading.values.values())
        assert math.isfinite(reading.time)
        assert reading.sensor.isprintable()
    for rejection in rejections:
        assert rejection.reason not in _DEFECTS, rejection
        assert rejection.topic == message.topic
        assert rejection.detail.isprintable()
    assert readings or rejections


@given(st.text(max_size=20), st.binary(max_size=200), st.booleans())
@example("json/a", b"\xff{", False)
@example("$SYS/a", b"1", False)
@example("", b"", True)
def test_any_topic_and_any_bytes_are_read_or_refused(topic: str, payload: bytes, retain: bool) -> None:
    for prefix in ("", "json/", "value/", "named/"):
        _sound(Message(prefix + topic, payload, ARRIVAL, retain))


@given(st.text('{}[]",:\\ntrue0123456789.eE+-NaIfiy \n', max_size=60))
def test_almost_json_is_read_or_refused(text: str) -> None:
    for prefix in ("json/s", "named/s", "auto"):
        _sound(_message(text, prefix))


@given(_JSON)
def test_any_json_is_read_or_refused(document: Any) -> None:
    for prefix in ("json/s", "named/s", "auto"):
        _sound(_message(json.dumps(document), prefix))


def _nested(leaves: dict[tuple[str, ...], float]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path, value in leaves.items():
        branch = root
        for key in path[:-1]:
            branch = branch.setdefault(key, {})
        branch[path[-1]] = value
    return root


def _prefix_free(leaves: dict[tuple[str, ...], float]) -> bool:
    return not any(a != b and b[: len(a)] == a for a in leaves for b in leaves)


@given(
    st.dictionaries(
        st.lists(_KEYS, min_size=1, max_size=4).map(tuple), st.floats(allow_nan=False, allow_infinity=False), min_size=1
    ).filter(_prefix_free),
    st.sampled_from([".", "/", "::"]),
)
def test_every_leaf_becomes_the_channel_of_its_path(leaves: dict[tuple[str, ...], float], separator: str) -> None:
    decoder = Decoder([Source(topic="{sensor}", separator=separator)], Limits(channels=1000))
    [reading], [] = decoder.decode(_message(json.dumps(_nested(leaves))))
    assert reading.values == {separator.join(path): value for path, value in leaves.items()}


@given(st.lists(st.tuples(st.integers(10**9, int(ARRIVAL)), st.floats(-1e9, 1e9)), min_size=1, max_size=20))
def test_a_window_is_its_samples_in_order(samples: list[tuple[int, float]]) -> None:
    payload = json.dumps([{"ts": time, "value": value} for time, value in samples])
    readings, rejections = _decoder().decode(_message(payload))
    assert [(reading.time, reading.values["value"]) for reading in readings] == samples
    assert rejections == []


def test_formats_have_the_names_that_the_configuration_offers() -> None:
    offered = set(Source.model_json_schema()["properties"]["format"]["enum"])
    assert offered == {"auto", *FORMATS}


def test_a_sample_from_the_future_does_not_make_what_follows_look_old() -> None:
    decoder = Decoder([Source(topic="plant/{sensor}")], Limits())
    ahead = decoder.decode(Message("plant/a", b'{"timestamp": 1767760000, "value": 1}', 1767571200.0))
    assert [r.reason for r in ahead[1]] == [Reason.BAD_TIMESTAMP]
    assert "limits.future" in ahead[1][0].detail
    close = decoder.decode(Message("plant/a", b'{"timestamp": 1767600000, "value": 1}', 1767571200.0))
    assert len(close[0]) == 1

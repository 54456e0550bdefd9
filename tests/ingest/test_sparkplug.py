"""Sparkplug B: the wire against Google's protobuf, and what is remembered of edge nodes."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from lstm_stream.config import Limits, Source
from lstm_stream.ingest.decoder import Decoder, Explanation
from lstm_stream.ingest.formats import recognise, sparkplug
from lstm_stream.ingest.sparkplug import Address
from lstm_stream.records import Message, Reason, Rejection

# -- the messages as Google's protobuf knows them, from the field numbers of the specification

_F = descriptor_pb2.FieldDescriptorProto
_METRIC = {
    "name": (1, _F.TYPE_STRING),
    "alias": (2, _F.TYPE_UINT64),
    "timestamp": (3, _F.TYPE_UINT64),
    "datatype": (4, _F.TYPE_UINT32),
    "is_historical": (5, _F.TYPE_BOOL),
    "is_transient": (6, _F.TYPE_BOOL),
    "is_null": (7, _F.TYPE_BOOL),
    "int_value": (10, _F.TYPE_UINT32),
    "long_value": (11, _F.TYPE_UINT64),
    "float_value": (12, _F.TYPE_FLOAT),
    "double_value": (13, _F.TYPE_DOUBLE),
    "boolean_value": (14, _F.TYPE_BOOL),
    "string_value": (15, _F.TYPE_STRING),
    "bytes_value": (16, _F.TYPE_BYTES),
    "dataset_value": (17, _F.TYPE_BYTES),  # messages, which are bytes on the wire
    "template_value": (18, _F.TYPE_BYTES),
}


def _classes() -> tuple[Any, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", package="spb", syntax="proto2")
    metric = file.message_type.add(name="Metric")
    for name, (number, kind) in _METRIC.items():
        metric.field.add(name=name, number=number, type=kind, label=_F.LABEL_OPTIONAL)
    payload = file.message_type.add(name="Payload")
    payload.field.add(name="timestamp", number=1, type=_F.TYPE_UINT64, label=_F.LABEL_OPTIONAL)
    payload.field.add(name="metrics", number=2, type=_F.TYPE_MESSAGE, type_name=".spb.Metric", label=_F.LABEL_REPEATED)
    payload.field.add(name="seq", number=3, type=_F.TYPE_UINT64, label=_F.LABEL_OPTIONAL)
    payload.field.add(name="uuid", number=4, type=_F.TYPE_STRING, label=_F.LABEL_OPTIONAL)
    payload.field.add(name="body", number=5, type=_F.TYPE_BYTES, label=_F.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = [
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"spb.{name}")) for name in ("Metric", "Payload")
    ]
    return found[0], found[1]


Metric, Payload = _classes()


def encoded(*metrics: dict[str, Any], **fields: Any) -> bytes:
    """A payload on the wire: fields of the payload by keyword, its metrics as dictionaries."""
    payload = Payload(**fields)
    for metric in metrics:
        payload.metrics.add(**metric)
    return bytes(payload.SerializeToString())


# -- the wire

_TEXT = st.text(max_size=8)
_METRICS = st.fixed_dictionaries(
    {},
    optional={
        "name": _TEXT,
        "alias": st.integers(0, 2**64 - 1),
        "timestamp": st.integers(0, 2**63),
        "datatype": st.integers(0, 34),
        "is_historical": st.booleans(),
        "is_transient": st.booleans(),
        "is_null": st.booleans(),
        "int_value": st.integers(0, 2**32 - 1),
        "long_value": st.integers(0, 2**64 - 1),
        "float_value": st.floats(width=32),
        "double_value": st.floats(),
        "boolean_value": st.booleans(),
        "string_value": _TEXT,
        "bytes_value": st.binary(max_size=8),
    },
)
_VALUES = ("int_value", "long_value", "float_value", "double_value", "boolean_value")


def _expected_value(metric: Any) -> Any:
    if metric.is_null:
        return None
    there = [name for name in _VALUES if metric.HasField(name)]  # on the wire in the order of their numbers
    return getattr(metric, there[-1]) if there else None


@given(st.lists(_METRICS, max_size=4), st.integers(0, 2**63), st.integers(0, 255), st.binary(max_size=8))
def test_the_wire_is_read_as_protobuf_reads_it(metrics: list[dict[str, Any]], time: int, seq: int, body: bytes) -> None:
    data = encoded(*metrics, timestamp=time, seq=seq, uuid="u", body=body)
    read = sparkplug.parse(data, 16)
    oracle = Payload.FromString(data)
    assert isinstance(read, sparkplug.Payload)
    assert (read.time, read.seq, len(read.metrics)) == (time, seq, len(metrics))
    for mine, theirs in zip(read.metrics, oracle.metrics, strict=True):
        assert mine.name == (theirs.name if theirs.HasField("name") else None)
        assert mine.alias == (theirs.alias if theirs.HasField("alias") else None)
        assert mine.time == (theirs.timestamp if theirs.HasField("timestamp") else None)
        assert (mine.type, mine.historical) == (theirs.datatype, theirs.is_historical)
        value = _expected_value(theirs)
        assert mine.value == value or (math.isnan(mine.value) and math.isnan(value))


@given(st.binary(max_size=100))
def test_what_is_read_protobuf_reads_too(data: bytes) -> None:
    read = sparkplug.parse(data, 16)
    if isinstance(read, sparkplug.Payload) and not data.lstrip().startswith(b"{"):
        Payload.FromString(data)  # raises where it cannot


@given(st.lists(_METRICS, max_size=4), st.integers(10**12, 2 * 10**12), st.integers(1, 40))
def test_a_message_cut_off_is_refused_or_shorter(metrics: list[dict[str, Any]], time: int, cut: int) -> None:
    data = encoded(*metrics, timestamp=time, seq=1)
    read = sparkplug.parse(data[:-cut], 16)
    assert isinstance(read, Rejection) or len(read.metrics) <= len(metrics)


@pytest.mark.parametrize(
    ("kind", "value", "number"),
    [
        (1, {"int_value": 0xFFFFFFFE}, -2),
        (1, {"int_value": 0xFE}, -2),
        (2, {"int_value": 0xFFFF}, -1),
        (3, {"int_value": 2**31}, -(2**31)),
        (4, {"long_value": 2**64 - 5}, -5),
        (5, {"int_value": 200}, 200),
        (8, {"long_value": 2**64 - 1024 * 2}, float(2**64 - 2048)),
        (9, {"float_value": 1.5}, 1.5),
        (10, {"double_value": math.inf}, None),
        (11, {"boolean_value": True}, 1),
        (12, {"string_value": "7"}, None),
        (13, {"long_value": 1_700_000_000_000}, None),
        (0, {"int_value": 7}, 7),
    ],
)
def test_a_number_is_of_its_type(kind: int, value: dict[str, Any], number: float | None) -> None:
    read = sparkplug.parse(encoded({"name": "x", "datatype": kind, **value}, timestamp=1), 16)
    assert isinstance(read, sparkplug.Payload)
    assert read.metrics[0].number() == number


def test_auto_recognises_it_without_its_topic() -> None:
    data = encoded({"name": "Temp", "datatype": 9, "float_value": 1.5}, timestamp=1_700_000_000_250, seq=3)
    assert recognise(data) == "sparkplug"
    [reading], [] = Decoder([Source(topic="{sensor}")], Limits()).decode(Message("any", data, 1_790_000_000.0))
    assert (reading.time, reading.values) == (1_700_000_000.25, {"Temp": 1.5})


# -- edge nodes


class _Plant:
    """A decoder and messages of the node n of the group g, in which times count up by a second."""

    def __init__(self) -> None:
        self.decoder = Decoder([Source(preset="sparkplug")], Limits())
        self.time = 1_700_000_000_000

    def send(
        self, kind: str, *metrics: dict[str, Any], seq: int | None = 0, device: str = "", node: str = "n"
    ) -> Explanation:
        self.time += 1000
        fields = {} if seq is None else {"seq": seq}
        topic = "/".join(filter(None, ("spBv1.0", "g", kind, node, device)))
        return self.decoder.explain(Message(topic, encoded(*metrics, timestamp=self.time, **fields), 1_790_000_000.0))


_BIRTH = (
    {"name": "bdSeq", "datatype": 4, "long_value": 3},
    {"name": "Temp", "alias": 1, "datatype": 9, "float_value": 20.5},
    {"name": "Level", "alias": 2, "datatype": 3, "int_value": 2**32 - 4},
)


def _values(seen: Explanation) -> list[dict[str, float]]:
    return [reading.values for reading in seen.readings]


def _reasons(seen: Explanation) -> list[Reason]:
    return [rejection.reason for rejection in seen.rejections]


def test_a_birth_explains_aliases_and_types() -> None:
    plant = _Plant()
    born = plant.send("NBIRTH", *_BIRTH)
    assert (born.sensor, _values(born), _reasons(born)) == ("g/n", [{"Temp": 20.5, "Level": -4}], [])
    data = plant.send("NDATA", {"alias": 2, "int_value": 2**32 - 7}, seq=1)
    assert (_values(data), _reasons(data)) == ([{"Level": -7}], [])
    assert data.readings[0].time == plant.time / 1000


def test_a_device_has_aliases_of_its_own() -> None:
    plant = _Plant()
    plant.send("NBIRTH", *_BIRTH)
    born = plant.send("DBIRTH", {"name": "Flow", "alias": 1, "datatype": 10, "double_value": 1.0}, seq=1, device="pump")
    assert (born.sensor, _values(born)) == ("g/n/pump", [{"Flow": 1.0}])
    assert _values(plant.send("DDATA", {"alias": 1, "double_value": 2.0}, seq=2, device="pump")) == [{"Flow": 2.0}]
    assert _values(plant.send("NDATA", {"alias": 1, "float_value": 21.0}, seq=3)) == [{"Temp": 21.0}]


def test_an_unknown_alias_is_rejected_with_advice_and_the_others_are_read() -> None:
    plant = _Plant()
    plant.send("NBIRTH", *_BIRTH)
    seen = plant.send("NDATA", {"alias": 1, "float_value": 1.0}, {"alias": 9, "float_value": 2.0}, seq=1)
    assert (_values(seen), _reasons(seen)) == ([{"Temp": 1.0}], [Reason.UNKNOWN_CHANNEL])
    assert "request a rebirth" in seen.rejections[0].detail
    assert "spBv1.0/g/NCMD/n" in seen.rejections[0].detail


def test_data_before_any_birth_is_read_as_far_as_it_has_names() -> None:
    plant = _Plant()
    assert _reasons(plant.send("NDATA", {"alias": 1, "float_value": 1.0}, seq=7)) == [Reason.UNKNOWN_CHANNEL]
    assert _values(plant.send("NDATA", {"name": "Temp", "datatype": 9, "float_value": 1.0}, seq=8)) == [{"Temp": 1.0}]


def test_a_gap_is_counted_and_what_follows_is_read() -> None:
    plant = _Plant()
    plant.send("NBIRTH", *_BIRTH)
    seen = plant.send("NDATA", {"alias": 1, "float_value": 1.0}, seq=4)
    assert (_values(seen), _reasons(seen)) == ([{"Temp": 1.0}], [Reason.SEQUENCE_GAP])
    assert "3 messages of 'g/n' lost" in seen.rejections[0].detail
    assert _reasons(plant.send("NDATA", {"alias": 1, "float_value": 1.0}, seq=5)) == []


def test_numbers_wrap_after_255_and_are_shared_by_a_node_and_its_devices() -> None:
    plant = _Plant()
    plant.send("NBIRTH", *_BIRTH)
    for number in range(1, 600):
        kind, device = ("DDATA", "pump") if number % 3 else ("NDATA", "")
        seen = plant.send(kind, {"name": "x", "double_value": 1.0}, seq=number % 256, device=device)
        assert _reasons(seen) == []
    assert _reasons(plant.send("NBIRTH", *_BIRTH, seq=0)) == []


def test_a_node_that_died_must_be_born_again() -> None:
    plant = _Plant()
    plant.send("NBIRTH", *_BIRTH)
    plant.send("DBIRTH", {"name": "Flow", "alias": 5, "double_value": 1.0}, seq=1, device="pump")
    late = plant.send("NDEATH", {"name": "bdSeq", "long_value": 2}, seq=None)
    assert late.quiet == "availability"
    assert _values(plant.send("NDATA", {"alias": 1, "float_value": 1.0}, seq=2)) == [{"Temp": 1.0}]
    dead = plant.send("NDEATH", {"name": "bdSeq", "long_value": 3}, seq=None)
    assert (dead.quiet, dead.readings, dead.rejections) == ("availability", [], [])
    assert _reasons(plant.send("NDATA", {"alias": 1, "float_value": 1.0}, seq=3)) == [Reason.UNKNOWN_CHANNEL]
    assert _reasons(plant.send("DDATA", {"alias": 5, "float_value": 1.0}, seq=4, device="pump")) == [
        Reason.UNKNOWN_CHANNEL
    ]


def test_a_device_that_died_must_be_born_again_and_its_node_lives_on() -> None:
    plant = _Plant()
    plant.send("NBIRTH", *_BIRTH)
    plant.send("DBIRTH", {"name": "Flow", "alias": 5, "double_value": 1.0}, seq=1, device="pump")
    assert plant.send("DDEATH", seq=2, device="pump").quiet == "availability"
    assert _reasons(plant.send("DDATA", {"alias": 5, "double_value": 1.0}, seq=3, device="pump")) == [
        Reason.UNKNOWN_CHANNEL
    ]
    assert _values(plant.send("NDATA", {"alias": 1, "float_value": 2.0}, seq=4)) == [{"Temp": 2.0}]


def test_null_metrics_and_controls_are_no_channels() -> None:
    seen = _Plant().send(
        "NBIRTH",
        *_BIRTH,
        {"name": "Node Control/Rebirth", "datatype": 11, "boolean_value": False},
        {"name": "Gone", "datatype": 9, "is_null": True},
        {"name": "Label", "datatype": 12, "string_value": "5"},
    )
    assert _values(seen) == [{"Temp": 20.5, "Level": -4}]


def test_history_and_repeated_metrics_are_samples_of_their_own_times_oldest_first() -> None:
    plant, base = _Plant(), 1_700_000_500_000
    seen = plant.send(
        "NDATA",
        {"name": "a", "timestamp": base + 2000, "double_value": 3.0},
        {"name": "a", "timestamp": base, "double_value": 1.0, "is_historical": True},
        {"name": "a", "timestamp": base + 1000, "double_value": 2.0},
        {"name": "b", "timestamp": base + 1900, "double_value": 9.0},
    )
    times = [(reading.time * 1000 - base, reading.values) for reading in seen.readings]
    assert times == [(0, {"a": 1.0}), (1000, {"a": 2.0}), (2000, {"a": 3.0, "b": 9.0})]


def test_members_of_a_template_are_metrics_whose_types_the_birth_knows() -> None:
    def template(**rpm: Any) -> bytes:
        inner = encoded({"name": "temp", "datatype": 9, "float_value": 61.5})
        return encoded({"name": "rpm", **rpm}, {"name": "winding", "datatype": 19, "template_value": inner})

    plant = _Plant()
    motor = {"name": "motor", "alias": 4, "datatype": 19}
    born = plant.send("NBIRTH", {**motor, "template_value": template(datatype=2, int_value=900)})
    assert _values(born) == [{"motor/rpm": 900.0, "motor/winding/temp": 61.5}]
    data = plant.send("NDATA", {"alias": 4, "template_value": template(int_value=2**16 - 5)}, seq=1)
    assert _values(data) == [{"motor/rpm": -5.0, "motor/winding/temp": 61.5}]
    gone = plant.send("NDATA", {"alias": 4, "is_null": True, "template_value": template(int_value=1)}, seq=2)
    assert _reasons(gone) == [Reason.NO_CHANNELS]


def test_definitions_of_templates_have_no_values_and_templates_end_somewhere() -> None:
    definition = encoded({"name": "rpm", "datatype": 2, "int_value": 1}) + b"\x28\x01"
    seen = _Plant().send("NBIRTH", *_BIRTH, {"name": "_types_/Motor", "datatype": 19, "template_value": definition})
    assert _values(seen) == [{"Temp": 20.5, "Level": -4}]
    nested = b""
    for _ in range(12):
        nested = encoded({"name": "a", "datatype": 19, "template_value": nested})
    assert _reasons(_Plant().send("NBIRTH", {"name": "b", "template_value": nested})) == [Reason.MALFORMED]


@pytest.mark.parametrize("packed", [False, True])
def test_columns_of_a_data_set_with_one_row_are_metrics(packed: bool) -> None:
    types = b"\x1a\x02\x02\x09" if packed else b"\x18\x02\x18\x09"  # Int16, Float
    row = b"\x22\x0d\x0a\x04\x08\xfb\xff\x03\x0a\x05\x1d\x00\x00\xc0\x3f"  # 2**16 - 5, 1.5
    table = b"\x08\x02\x12\x01a\x12\x01b" + types
    one = {"name": "one", "datatype": 16, "dataset_value": table + row}
    two = {"name": "two", "datatype": 16, "dataset_value": table + row + row}
    seen = _Plant().send("NBIRTH", one, two)
    assert (_values(seen), _reasons(seen)) == ([{"one/a": -5.0, "one/b": 1.5}], [Reason.UNSUPPORTED])
    assert "'two' is a data set of several rows" in seen.rejections[0].detail


@pytest.mark.parametrize("pack", [zlib.compress, gzip.compress])
def test_what_is_packed_in_a_payload_is_read(pack: Callable[[bytes], bytes]) -> None:
    plant = _Plant()
    plant.send("NBIRTH", *_BIRTH)
    inner = encoded({"alias": 1, "float_value": 21.5}, timestamp=1_700_000_009_000, seq=1)

    def sent(body: bytes) -> Explanation:
        data = encoded({"name": "algorithm", "string_value": "x"}, uuid="SPBV1.0_COMPRESSED", body=body)
        return plant.decoder.explain(Message("spBv1.0/g/NDATA/n", data, 1_790_000_000.0))

    assert _values(sent(pack(inner))) == [{"Temp": 21.5}]
    assert _reasons(plant.send("NDATA", {"alias": 1, "float_value": 1.0}, seq=2)) == []
    assert _reasons(sent(pack(inner)[:-6])) == [Reason.MALFORMED]
    assert _reasons(sent(b"no")) == [Reason.MALFORMED]
    assert _reasons(sent(pack(bytes(10_000_000)))) == [Reason.TOO_LARGE]


def test_a_message_without_metrics_says_so() -> None:
    assert _reasons(_Plant().send("NDATA")) == [Reason.NO_CHANNELS]


def test_what_is_remembered_of_nodes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lstm_stream.ingest.sparkplug._MOST_METRICS", 12)
    monkeypatch.setattr("lstm_stream.ingest.sparkplug._MOST_NODES", 2)
    plant = _Plant()
    for _ in range(5):  # a birth replaces the one before
        assert _reasons(plant.send("NBIRTH", *_BIRTH)) == []
    assert _reasons(plant.send("NBIRTH", *_BIRTH, node="m")) == []
    full = plant.send("DBIRTH", {"name": "Flow", "alias": 5, "double_value": 1.0}, seq=1, device="pump", node="m")
    assert (_values(full), _reasons(full)) == ([{"Flow": 1.0}], [Reason.TOO_MANY_SENSORS])
    assert _reasons(plant.send("NBIRTH", *_BIRTH, node="third")) == [Reason.TOO_MANY_SENSORS]
    plant.send("NDEATH", seq=None)
    assert _reasons(plant.send("NBIRTH", *_BIRTH, node="third")) == []


@pytest.mark.parametrize(
    "topic",
    ["spBv1.0/g/NDATA/n/d", "spBv1.0/g/DDATA/n", "spBv1.0/g/NCMD/n", "spBv1.0/STATE/h", "spAv1.0/g/NDATA/n", "a"],
)
def test_other_topics_are_no_addresses(topic: str) -> None:
    assert Address.parse(topic) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["NBIRTH", "NDATA", "DBIRTH", "DDATA", "NDEATH", "DDEATH"]),
            st.lists(_METRICS, max_size=3),
            st.none() | st.integers(0, 300),
            st.sampled_from(["n", "m"]),
        ),
        max_size=12,
    )
)
def test_any_sequence_of_messages_is_read_or_refused(
    messages: list[tuple[str, list[dict[str, Any]], int | None, str]],
) -> None:
    plant = _Plant()
    for kind, metrics, seq, node in messages:
        seen = plant.send(kind, *metrics, seq=seq, node=node, device="d" if kind.startswith("D") else "")
        assert Reason.INTERNAL not in _reasons(seen)
        assert seen.readings or seen.rejections or seen.quiet
        assert all(math.isfinite(value) for values in _values(seen) for value in values.values())

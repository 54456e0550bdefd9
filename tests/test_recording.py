"""Recordings as people have them: what becomes a row, a reading, a rejection or an error."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import isnan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lstm_stream.config import Source
from lstm_stream.recording import LONGEST_LINE, Recording, RecordingError, Row, read
from lstm_stream.records import Reading, Reason, Rejection

MIDNIGHT = 1767571200.0  # 2026-01-05 00:00:00 UTC


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Recording]:
    """`load(content, **source)`: a recording called pump.csv of these bytes or this text."""

    def write(content: str | bytes, **source: Any) -> Recording:
        path = tmp_path / "pump.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read(path, Source.model_validate(source))

    return write


def reading(row: Row) -> Reading:
    assert isinstance(row.reading, Reading), row
    return row.reading


def rejection(row: Row) -> Rejection:
    assert isinstance(row.reading, Rejection), row
    return row.reading


def test_a_wide_file_is_one_sensor_named_after_it(load: Callable[..., Recording]) -> None:
    recording = load("timestamp,temperature,rpm\n2026-01-05 00:00:00,21.5,900\n2026-01-05 00:01:00,,901\n")
    assert recording.channels == ("temperature", "rpm")
    assert [row.reading for row in recording.rows] == [
        Reading("pump", "default", MIDNIGHT, {"temperature": 21.5, "rpm": 900.0}),
        Reading("pump", "default", MIDNIGHT + 60, {"rpm": 901.0}),
    ]
    assert [row.line for row in recording.rows] == [2, 3]
    assert isnan(recording.rows[1].values[0])


def test_a_sensor_column_says_whose_row_it_is(load: Callable[..., Recording]) -> None:
    recording = load("t,Device,ts\n1,a,1767571200\n2,b,1767571200000\n", group="default")
    assert recording.channels == ("t",)
    assert [reading(row).sensor for row in recording.rows] == ["a", "b"]
    assert [reading(row).time for row in recording.rows] == [MIDNIGHT, MIDNIGHT]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbftimestamp,a,b\n2026-01-05,1.5,2\n",
        b"timestamp,a,b\r\n2026-01-05,1.5,2\r\n",
        b"timestamp;a;b\n2026-01-05;1.5;2\n",
        b"timestamp;a;b\n2026-01-05;1,5;2\n",
        b"timestamp\ta\tb\n2026-01-05\t1.5\t2\n",
        b"timestamp|a|b\n2026-01-05|1.5|2\n",
        b'"timestamp","a","b"\n"2026-01-05","1.5","2"\n',
        b" timestamp , a , b \n 2026-01-05 , 1.5 , 2 \n",
        b"timestamp,a,b\n2026-01-05,1.5,2",
        b"\n\ntimestamp,a,b\n\n2026-01-05,1.5,2\n\n \n",
        b"timestamp,a,b\n2026-01-05,1.5,2,,\n",
        b"a,Timestamp,b,,comment\n1.5,2026-01-05,2,x,all well\n",
        b"date,timestamp,a,b\n2020-02-02,2026-01-05,1.5,2\n",
    ],
    ids=[
        "bom",
        "crlf",
        "semicolon",
        "decimal-comma",
        "tab",
        "bar",
        "quotes",
        "spaces",
        "no-newline",
        "empty-lines",
        "spare-cells",
        "order",
        "two-times",
    ],
)
def test_dialects(load: Callable[..., Recording], content: bytes) -> None:
    (row,) = load(content).rows
    assert reading(row) == Reading("pump", "default", MIDNIGHT, {"a": 1.5, "b": 2.0})


def test_what_windows_writes_instead_of_utf8(load: Callable[..., Recording]) -> None:
    recording = load("timestamp,Temp °C\n2026-01-05,21\n".encode("cp1252"))
    assert recording.channels == ("Temp °C",)


def test_a_comma_between_semicolons_is_decimal_but_no_thousands(load: Callable[..., Recording]) -> None:
    rows = load("timestamp;a\n2026-01-05;1,5\n2026-01-06;1,234.5\n2026-01-07;1,234,567\n").rows
    assert reading(rows[0]).values == {"a": 1.5}
    assert [rejection(row).reason for row in rows[1:]] == [Reason.NO_CHANNELS] * 2


@pytest.mark.parametrize(
    "cell", ["", "NaN", "nan", "null", "inf", "-Infinity", "1e999", "on", "12 °C", "0x10", "1_000"]
)
def test_a_cell_that_is_no_finite_number_is_absent(load: Callable[..., Recording], cell: str) -> None:
    (row,) = load(f"timestamp,a,b\n2026-01-05,{cell},7\n").rows
    assert reading(row).values == {"b": 7.0}


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        ("yesterday,p,1,2", Reason.BAD_TIMESTAMP, "'yesterday' is not a time"),
        (",p,1,2", Reason.BAD_TIMESTAMP, "is not a time"),
        ("2026-02-30,p,1,2", Reason.BAD_TIMESTAMP, "day"),
        ("2026-01-05,,1,2", Reason.BAD_SENSOR, "it says whose row it is"),
        (f"2026-01-05,{'x' * 300},1,2", Reason.BAD_SENSOR, "longer than 256"),
        ("2026-01-05,p,,", Reason.NO_CHANNELS, "no watched column holds a number"),
        ("2026-01-05", Reason.BAD_SENSOR, ""),
        ("2026-01-05,p,1,2,3", Reason.MALFORMED, "5 cells, the first line has 4"),
        ('2026-01-05,p,"' + "1" * 200_000, Reason.MALFORMED, "field larger than field limit"),
        ("2026-01-05,p," + "1" * LONGEST_LINE, Reason.MALFORMED, "longer than 1048576 bytes"),
        ("2026-01-05,p," + "1" * 2000, Reason.NO_CHANNELS, "no watched column"),
    ],
    ids=[
        "time",
        "no-time",
        "day",
        "no-sensor",
        "long-sensor",
        "no-number",
        "short",
        "long",
        "huge-quoted",
        "huge-line",
        "long-number",
    ],
)
def test_a_bad_row_costs_itself_alone(load: Callable[..., Recording], line: str, reason: Reason, detail: str) -> None:
    rows = load(f"timestamp,sensor,a,b\n2026-01-04,p,1,2\n{line}\n2026-01-06,p,5,6\n").rows
    assert len(rows) == 3
    assert rejection(rows[1]).reason is reason
    assert detail in rejection(rows[1]).detail
    assert reading(rows[2]).values == {"a": 5.0, "b": 6.0}


def test_an_open_quote_does_not_swallow_the_rows_that_follow(load: Callable[..., Recording]) -> None:
    rows = load('timestamp,a\n2026-01-05,"5\n2026-01-06,6\n2026-01-07,"7"\n').rows
    assert [reading(row).values["a"] for row in rows] == [5.0, 6.0, 7.0]


def test_label_columns_are_channels_unless_excluded(load: Callable[..., Recording]) -> None:
    content = "datetime;Pressure;anomaly;changepoint\n2026-01-05;1.5;0.0;0.0\n"
    assert load(content).channels == ("Pressure", "anomaly", "changepoint")
    assert load(content, exclude=["anomaly", "changepoint"]).channels == ("Pressure",)
    assert load(content, include=["P*"]).channels == ("Pressure",)


def test_the_configuration_can_name_the_time(load: Callable[..., Recording]) -> None:
    content = "timestamp,when,a\n5,1767571200,1\n"
    (row,) = load(content, timestamp={"field": "when"}).rows
    assert reading(row) == Reading("pump", "default", MIDNIGHT, {"a": 1.0})
    (row,) = load("t,time\n1,1767571200000\n", timestamp={"unit": "s"}).rows
    assert rejection(row).reason is Reason.BAD_TIMESTAMP


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "pump.csv:1: the first line must name the columns"),
        (b"\n\n", "the first line must name the columns"),
        (b"timestamp,a\n", "there are no rows below the first line"),
        (b"when,a\n1,2\n", "pump.csv:1: there is no time column; name one of them timestamp (found: 'when', 'a')"),
        (b"timestamp\n2026-01-05\n", "pump.csv:1: there is no column to watch beside the time"),
        (b"timestamp,a,a\n2026-01-05,1,2\n", "two columns are called 'a'; rename one"),
        (b"timestamp,a\r2026-01-05,1\r", "the lines end in CR alone"),
        ("timestamp,a\n2026-01-05,1\n".encode("utf-16"), "is encoded as UTF-16; save it as UTF-8"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "there is no time column"),
        (b"PK\x03\x04\x14\x00\x08", "is no text"),
        (b"a" * (LONGEST_LINE + 5) + b"\n1\n", "the first line must name the columns"),
    ],
    ids=["empty", "blank", "header-only", "no-time", "time-only", "twice", "cr", "utf16", "png", "zip", "endless"],
)
def test_a_file_that_is_no_recording(load: Callable[..., Recording], content: bytes, complaint: str) -> None:
    with pytest.raises(RecordingError) as error:
        load(content)
    assert complaint in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_column_that_the_configuration_names_must_be_there(load: Callable[..., Recording]) -> None:
    with pytest.raises(RecordingError, match=r"there is no column 'when' \(timestamp.field\); found: 'timestamp', 'a'"):
        load("timestamp,a\n2026-01-05,1\n", timestamp={"field": "when"})


def test_a_file_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecordingError, match=r"none.csv: No such file or directory$"):
        read(tmp_path / "none.csv", Source())
    with pytest.raises(RecordingError, match=r": Is a directory$"):
        read(tmp_path, Source())

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(RecordingError, match=r"secret.csv: Permission denied$"):
        read(tmp_path / "secret.csv", Source())


def test_a_file_name_that_cannot_be_printed(tmp_path: Path) -> None:
    path = tmp_path / "a\tb.csv"
    path.write_text("timestamp,a\n2026-01-05,1\n")
    assert read(path, Source()).rows[0].sensor == "a\\tb"


CELLS = st.one_of(
    st.sampled_from(
        ["", "NaN", '"', '""', "2026-01-05", "1767571200", "-1e308", "1,5", "p\0", "\r", "\ufeff", "\u22125"]
    ),
    st.floats().map(repr),
    st.text(max_size=8),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=200)
@given(rows=st.lists(st.lists(CELLS, max_size=6), min_size=1, max_size=12), delimiter=st.sampled_from(",;\t|"))
@example(rows=[['"'], ["\n"]], delimiter=",")
def test_whatever_the_cells_hold_each_line_is_a_row(tmp_path: Path, rows: list[list[str]], delimiter: str) -> None:
    header = delimiter.join(["timestamp", "sensor", "a", "b"])
    content = "\n".join([header, *(delimiter.join(cells) for cells in rows)]).encode("utf-8", "surrogatepass")
    path = tmp_path / "any.csv"
    path.write_bytes(content)
    lines = [line for line in content.split(b"\n")[1:] if line.strip()]
    if not lines:
        with pytest.raises(RecordingError):
            read(path, Source())
        return
    read_rows = read(path, Source()).rows
    assert len(read_rows) == len(lines)
    assert all(len(row.values) == 2 for row in read_rows)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(content=st.binary(max_size=300))
def test_any_bytes_are_a_recording_or_an_explained_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.csv"
    path.write_bytes(content)
    with suppress(RecordingError):
        assert read(path, Source()).rows

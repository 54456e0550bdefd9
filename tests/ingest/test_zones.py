"""Times without a zone: of the zone that the source says, where clocks are set forward and back twice a year."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_stream.config import Limits, Source
from lstm_stream.config.file import ConfigError, parse
from lstm_stream.ingest.assembly import Assembly
from lstm_stream.ingest.decoder import Decoder
from lstm_stream.ingest.timestamps import parse_time
from lstm_stream.recording import read
from lstm_stream.records import Chunk, Message, Reading

BERLIN, KOLKATA = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")


def _utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2025-01-15 12:00:00", "2025-01-15 11:00:00"),
        ("2025-07-15T12:00:00", "2025-07-15 10:00:00"),
        ("2025-07-15", "2025-07-14 22:00:00"),
        ("20250715T120000", "2025-07-15 10:00:00"),
        ("2025-10-26 02:30:00", "2025-10-26 00:30:00"),  # occurs twice: the first
        ("2025-10-26 03:00:00", "2025-10-26 02:00:00"),
        ("2025-03-30 02:30:00", "2025-03-30 01:30:00"),  # does not occur: as if clocks had not been set
        ("2025-07-15T12:00:00Z", "2025-07-15 12:00:00"),
        ("2025-07-15T12:00:00 UTC", "2025-07-15 12:00:00"),
        ("2025-07-15T12:00:00+00:00", "2025-07-15 12:00:00"),
        ("2025-07-15T12:00:00-05:00", "2025-07-15 17:00:00"),
    ],
)
def test_in_berlin(local: str, utc: str) -> None:
    assert parse_time(local, zone=BERLIN) == _utc(utc)


def test_numbers_have_no_zone_and_offsets_need_not_be_whole_hours() -> None:
    assert parse_time(1_700_000_000, zone=BERLIN) == parse_time("1700000000", zone=BERLIN) == 1_700_000_000
    assert parse_time("2025-07-15 12:00", zone=KOLKATA) == _utc("2025-07-15 06:30")


@given(st.datetimes(datetime(1992, 1, 1), datetime(2090, 1, 1)))
def test_a_time_is_that_of_the_standard_library(moment: datetime) -> None:
    expected = moment.replace(tzinfo=BERLIN).timestamp()
    assert parse_time(moment.isoformat(), zone=BERLIN) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31T23:59:59", "2025-13-01", "2025-0715", "20250715T12:0000"])
def test_what_is_no_time_is_refused_in_any_zone(text: str) -> None:
    for zone in (timezone.utc, BERLIN):
        with pytest.raises(ValueError, match="is not"):
            parse_time(text, zone=zone)


def test_basic_format_is_read_as_the_extended_one() -> None:
    assert parse_time("20130704T020000.25+0200") == parse_time("2013-07-04T02:00:00.25+02:00") == 1372896000.25


def test_a_source_says_its_zone_for_messages_and_files(tmp_path: Path) -> None:
    source = Source.model_validate({"topic": "{sensor}", "timestamp": {"zone": "Europe/Berlin"}})
    decoder = Decoder([source], Limits())
    for payload in (b'{"time": "2025-07-15 12:00:00", "t": 1}', b'{"ts": "2025-07-15T12:00:00", "values": {"t": 1}}'):
        [reading], [] = decoder.decode(Message("x", payload, 1.79e9))
        assert reading.time == _utc("2025-07-15 10:00:00")
    file = tmp_path / "x.csv"
    file.write_text("timestamp,t\n2025-07-15 12:00:00,1\n")
    [row] = read(file, source).rows
    assert isinstance(row.reading, Reading)
    assert row.reading.time == _utc("2025-07-15 10:00:00")


def test_tasmota_with_a_zone_has_its_own_time() -> None:
    timestamp = {"trust": True, "zone": "Europe/Berlin"}
    source = Source.model_validate({"preset": "tasmota", "timestamp": timestamp})
    message = Message("tele/p/SENSOR", b'{"Time": "2025-07-15T12:00:00", "A": {"T": 1}}', 1.79e9)
    [reading], [] = Decoder([source], Limits()).decode(message)
    assert (reading.time, reading.timed) == (_utc("2025-07-15 10:00:00"), True)


def test_many_at_once_are_of_the_zone_too() -> None:
    payload = b'{"time": "2025-07-15 12:00:0%d", "t": 1}'
    source = Source.model_validate({"topic": "{sensor}", "timestamp": {"zone": "Europe/Berlin"}})
    assembly, times = Assembly([source], Limits()), []
    for k in range(5):
        chunk = Chunk(b"x" + payload % k, np.array([(0, 1, 1, len(payload) - 1, 0, 0)], np.int32), np.array([1.79e9]))
        decoded = assembly.decode_all([chunk])
        times += [r.time for r in decoded.readings] + [t for rows in decoded.rows for t in rows.time.tolist()]
    assert times == [_utc("2025-07-15 10:00:00") + k for k in range(5)]


@pytest.mark.parametrize("name", ["Mars/Base", "../etc/passwd", "Europe", "", "utc "])
def test_a_zone_that_is_not_known_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"sources\[0\].timestamp.zone: "):
        parse(f"sources: [{{timestamp: {{zone: '{name}'}}}}]", "c.yaml")

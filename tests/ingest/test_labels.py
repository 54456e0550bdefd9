"""What is a label by its name, and what only looks like one."""

from __future__ import annotations

import pytest

from lstm_stream.ingest.channels import Channels
from lstm_stream.ingest.labels import is_label


@pytest.mark.parametrize(
    "name",
    [
        *(
            "id",
            "ID",
            "a.id",
            "messageId",
            "device_id",
            "deviceInfo.devEui",
            "devEUI",
            "mac",
            "switch:0.id",
            "PublisherId",
        ),
        *("seq", "seq_no", "sequence", "measurementSequenceNumber", "fCnt", "f_port", "msg_id", "crc"),
        *("version", "service.latest_version", "fw_ver", "type", "mac_type", "uptime", "UptimeSec", "ubauptime"),
        *("data.time", "sensor.timestamp", "Head.Timestamp", "timestamp.value", "gwts", "created_at", "createdAt"),
        *("last_seen", "lastActive", "minute_ts", "unixtime", "bytes.0", "time"),
    ],
)
def test_a_label(name: str) -> None:
    assert is_label(name)
    assert Channels(("*",), ()).pick({name: 1.0}) == {}
    assert Channels((name,), ()).pick({name: 1.0}) == {name: 1.0}


@pytest.mark.parametrize(
    "name",
    [
        *("humid", "solid", "grid", "voltage", "heat", "flat", "rate", "state", "runtime", "latency", "lat", "counter"),
        *("rssi", "pid", "prepaid", "seconds", "subversions", "bytes", "bytes_sent", "value", "timer", "airtime"),
    ],
)
def test_no_label(name: str) -> None:
    assert not is_label(name)
    assert Channels(("*",), ()).pick({f"a.{name}": 1.0}) == {f"a.{name}": 1.0}

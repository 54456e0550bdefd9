"""The load command: its packets are what MQTT and the daemon read, and a slow run loses nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.benchmarks.load import report
from tests.benchmarks.load.__main__ import from_json, options, plans, to_json
from tests.benchmarks.load.measure import Plan, Result, measure
from tests.benchmarks.load.packets import PAYLOADS, TIME, Packets, encode
from tests.benchmarks.load.task import BINS, Latencies, quantile


class Publish(NamedTuple):
    """One packet, read as MQTT 3.1.1 has it (section 3.3), byte by byte."""

    qos: int
    topic: str
    mid_at: int
    payload: bytes
    payload_at: int


def _read(data: bytes) -> Iterator[Publish]:
    at = 0
    while at < len(data):
        assert data[at] >> 4 == 3, "not a PUBLISH"
        assert data[at] & 0b1001 == 0, "neither repeated nor retained"
        qos, remaining, at = data[at] >> 1 & 3, data[at + 1], at + 2
        assert remaining < 128, "a longer length needs more than this one byte"
        end, size = at + remaining, int.from_bytes(data[at : at + 2], "big")
        topic, at = data[at + 2 : at + 2 + size].decode(), at + 2 + size
        yield Publish(qos, topic, at, data[at + 2 * qos : end], at + 2 * qos)
        at = end


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("sensors", [1, 1234])
def test_packets_are_what_mqtt_says(sensors: int, qos: int, payload: str) -> None:
    packets = encode(sensors, qos, payload, messages=3 * sensors)
    messages = list(_read(packets.data.tobytes()))
    assert len(messages) == len(packets)
    topics = [message.topic for message in messages]
    assert set(topics[:sensors]) == {f"load/{number}" for number in range(sensors)}
    assert topics == topics[:sensors] * (len(packets) // sensors), "the same order in every round"
    assert {message.qos for message in messages} == {qos}
    assert packets.index[-1, 0] == len(packets.data)
    for message, (_, mid_at, time_at) in zip(messages, packets.index.tolist(), strict=False):
        assert mid_at == (message.mid_at if qos else -1)
        assert time_at == (-1 if payload == "text" else message.payload_at + len('{"timestamp":'))


@pytest.mark.parametrize(("payload", "channels"), [("text", 1), ("json1", 1), ("json", 3)])
def test_payloads_are_numbers_that_vary(payload: str, channels: int) -> None:
    packets = encode(50, 0, payload)
    _with_times(packets)
    rows = [json.loads(message.payload) for message in _read(packets.data.tobytes())]
    values = np.array([list(row.values())[1:] if isinstance(row, dict) else [row] for row in rows])
    by_sensor = values.reshape(-1, 50, channels)
    assert np.all((values > 0) & (values < 100))
    assert np.all(by_sensor.std(axis=0) > 0.1), "no sensor is stuck"
    assert np.all(by_sensor.std(axis=0) < 5)


def _with_times(packets: Packets) -> None:
    """As the sender writes them: before that they are not JSON."""
    stamp = np.frombuffer(b"1767571200.2500", np.uint8)
    assert len(stamp) == len(TIME)
    for time_at in packets.index[:-1, 2]:
        if time_at >= 0:
            packets.data[time_at : time_at + len(stamp)] = stamp


@pytest.mark.parametrize(("kind", "qos", "payload"), [("paho", 0, "json"), ("daemon", 1, "json1")])
def test_a_slow_run_through_the_raw_socket_loses_nothing(
    kind: str, qos: int, payload: str, program: Callable[[str], str]
) -> None:
    program("gcc")
    plan = Plan(sensors=40, qos=qos, payload=payload, via="raw", rate=400, seconds=1)
    result = measure(kind, plan, encode(plan.sensors, qos, payload, messages=1000))
    assert result.complaints == []
    assert (result.sent, result.messages, result.rejected, result.first_missing) == (400, 400, {}, 0)
    assert result.complete
    assert result.cpu > 0
    assert result.p50 is not None
    assert 0 < result.p50 <= (result.p99 or 0)


RESULT = Result(
    consumer="daemon",
    sent=1000,
    messages=1000,
    seconds=2.0,
    cpu=3.0,
    threads={"network": 1.0},
    stages={},
    batch=None,
    other={},
    rss=100.0,
    peak=100.0,
    new_sensor=5.0,
    first_missing=0,
    rejected={},
    dropped=0,
    retrains={},
    events=0,
    late=0.1,
    p50=1.0,
    p99=2.0,
    histogram=[1] * (len(BINS) - 1),
    connections=1,
    pings=0,
    pauses=[[50.0, 40.0], [30.0, 20.0]],
    complaints=[],
)


def test_a_run_that_did_not_score_everything_says_so() -> None:
    assert "NOT EVERY" not in report.line(RESULT)
    assert RESULT.rate == 500
    lossy = replace(RESULT, messages=900, rejected={"duplicate": 60}, dropped=40)
    assert lossy.lost == 40
    assert "NOT EVERY MESSAGE WAS SCORED: dropped 40, rejected {'duplicate': 60}" in report.line(lossy)
    assert "50 ms (40 of CPU) while the fleet was new, then 30 (20)" in report.line(RESULT)
    assert "7 first messages" in report.line(replace(RESULT, first_missing=7))


def test_latencies_are_told_within_a_bin(monkeypatch: pytest.MonkeyPatch) -> None:
    latencies, now = Latencies(), time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    latencies.add(now - np.repeat([0.010, 0.5], [98, 2]))
    assert 0.010 <= quantile(latencies.counts.tolist(), 0.5) < 0.012
    assert 0.5 <= quantile(latencies.counts.tolist(), 0.99) < 0.54


def test_results_become_a_picture(tmp_path: Path) -> None:
    plan = Plan(10, 0, "json", "raw")
    report.draw([(plan, [RESULT]), (replace(plan, rate=100), [RESULT])], "a machine", tmp_path / "load.png")
    assert (tmp_path / "load.png").read_bytes().startswith(b"\x89PNG")


def test_what_was_measured_is_kept_and_drawn_again() -> None:
    runs = [(Plan(10, 0, "json", "raw"), [RESULT])]
    assert from_json(to_json(runs, "a machine")) == (runs, "a machine")


def test_every_combination_is_a_plan() -> None:
    words = [
        "--sensors",
        "10",
        "1000",
        "--qos",
        "0",
        "1",
        "--payload",
        "text",
        "--via",
        "raw",
        "mosquitto",
        "--rate",
        "0",
        "2000",
    ]
    assert len({(p.sensors, p.qos, p.via, p.rate) for p in plans(options().parse_args(words))}) == 16
    with pytest.raises(ValueError, match="at most 10000 each"):
        list(plans(options().parse_args(["--sensors", "1", "--rate", "20000"])))

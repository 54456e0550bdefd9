"""A recorded stream through a real broker: the same scores as a replay, bit for bit, also across restarts."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROWS = 1500
SENSOR = "boiler"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A temperature every ten minutes with a daily rhythm, a jump, a stuck stretch and a gap."""
    rng = np.random.default_rng(7)
    k = np.arange(ROWS)
    values = 60 + 5 * np.sin(2 * np.pi * k / 144) + rng.normal(0, 0.3, ROWS)
    values[700:703] += 12
    values[900:990] += 6
    values[1200:1290] = values[1200]
    seconds = 1767571200 + 600 * k + np.where(k > 1400, 4 * 3600, 0)
    path = tmp_path_factory.mktemp("recording") / f"{SENSOR}.csv"
    stamps = np.datetime_as_string(seconds.astype("datetime64[s]"))
    lines = [f"{stamp.replace('T', ' ')},{value:.3f}" for stamp, value in zip(stamps, values, strict=True)]
    path.write_text("timestamp,temperature\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def payloads(recording: Path) -> list[str]:
    """The same rows as a device would publish them."""
    rows = [line.split(",") for line in recording.read_text().splitlines()[1:]]
    return [f'{{"timestamp": "{time}", "temperature": {value}}}' for time, value in rows]


@pytest.fixture(scope="module")
def replayed(recording: Path) -> list[dict[str, Any]]:
    """The events of a replay."""
    events: list[dict[str, Any]] = json.loads(_replay(recording, "--format", "json"))["events"]
    assert len(events) >= 6
    return events


def _replay(recording: Path, *options: str) -> str:
    command = [sys.executable, "-m", "lstm_stream", "replay", str(recording), *options]
    return subprocess.run(command, capture_output=True, check=True, text=True, timeout=120).stdout


def test_a_live_stream_gives_the_events_of_a_replay_and_shows_in_the_metrics(
    mosquitto: Any,
    daemon_factory: Any,
    publish: Any,
    subscribe: Any,
    prometheus: Any,
    wait_until: Callable[..., Any],
    payloads: list[str],
    replayed: list[dict[str, Any]],
) -> None:
    subscriber = subscribe(mosquitto)
    daemon = daemon_factory(mosquitto)
    daemon.start()
    wait_until(lambda: daemon.metric("lstm_stream_mqtt_subscribed") == 1, "the subscription", 180)
    assert daemon.get("/-/ready")[0] == 503
    assert daemon.checks()["samples"] == "no message yet"
    server = prometheus(daemon.port)
    publish(mosquitto, f"plant/{SENSOR}", payloads)
    wait_until(lambda: daemon.metric("lstm_stream_samples_processed_total") == ROWS, "all samples", 180)
    wait_until(lambda: len(subscriber.events) == len(replayed), "all events")
    assert subscriber.events == replayed
    assert daemon.get("/-/ready")[0] == 200
    opened = sum(event["state"] == "opened" for event in replayed)
    server.wait_for(f"sum(lstm_stream_anomalies_total) == {opened}")
    server.wait_for(f"lstm_stream_samples_processed_total == {ROWS}")
    assert daemon.stop() == 0


def test_restarts_in_the_middle_change_no_score(
    mosquitto: Any,
    daemon_factory: Any,
    publish: Any,
    subscribe: Any,
    wait_until: Callable[..., Any],
    payloads: list[str],
    replayed: list[dict[str, Any]],
) -> None:
    subscriber = subscribe(mosquitto)
    daemon = daemon_factory(mosquitto)
    for start, stop in ((0, 570), (570, 950), (950, ROWS)):  # 570: a retraining round is under way
        daemon.start()
        wait_until(lambda: daemon.metric("lstm_stream_mqtt_subscribed") == 1, "the subscription", 180)
        publish(mosquitto, f"plant/{SENSOR}", payloads[start:stop])
        assert daemon.stop() == 0
    # What the broker took while nobody listened is there as well: the session was kept.
    assert subscriber.events == replayed
    assert "restored 1 sensors" in daemon.log


def test_a_score_does_not_depend_on_the_name_of_the_sensor(recording: Path, tmp_path: Path) -> None:
    other = tmp_path / "another name.csv"
    other.write_bytes(recording.read_bytes())
    scores = []
    for path in (recording, other):
        _replay(path, "--out", str(tmp_path / "scores.csv"))
        with (tmp_path / "scores.csv").open() as file:
            scores.append([row["score"] for row in csv.DictReader(file)])
    assert len(scores[0]) == ROWS
    assert scores[0] == scores[1]

"""Where events go, with the whole daemon: each sink once, whatever happens; commands; Home Assistant; maintenance."""

from __future__ import annotations

import json
import math
import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

WARMUP, NORMAL = 64, 400
START = 1_795_000_000.0


class Receiver(ThreadingHTTPServer):
    """Takes what is posted, unless it is `away`."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.tries = 0
        self.away = False
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.tries += 1
        if not self.server.away:
            self.server.got.append(json.loads(body))
        self.send_response(503 if self.server.away else 204)
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook."""
    server = Receiver()
    yield server
    server.shutdown()
    server.server_close()


def samples(seed: int, first: int, last: int, lift: float = 0.0) -> list[str]:
    """A minute apart, a slow wave with noise; `lift` is a fault."""
    rng = random.Random(f"{seed} {first}")
    rows = []
    for k in range(first, last):
        value = 20 + 2 * math.sin(k / 9) + rng.gauss(0, 0.1) + lift
        rows.append(json.dumps({"timestamp": START + 60 * k, "temp": round(value, 3)}))
    return rows


GROUPS = {"default": {"warmup": WARMUP, "false_alarms": "1 per sensor per day", "retraining": {"enabled": False}}}


def settle(daemon: Any, publish: Any, broker: Any, wait_until: Any, sensors: list[str]) -> None:
    """Start, and feed sensors what is normal."""
    daemon.start()
    wait_until(lambda: daemon.metric("lstm_stream_mqtt_subscribed") == 1, "the subscription", 180)
    for number, sensor in enumerate(sensors):
        publish(broker, f"plant/{sensor}", samples(number, 0, NORMAL))
    total = len(sensors) * NORMAL
    wait_until(lambda: daemon.metric("lstm_stream_samples_processed_total") == total, "the normal samples", 180)


def fault(publish: Any, broker: Any, sensors: list[str]) -> None:
    """All of them jump."""
    for number, sensor in enumerate(sensors):
        publish(broker, f"plant/{sensor}", samples(number, NORMAL, NORMAL + 6, lift=40.0))


def opened(path: Path) -> list[dict[str, Any]]:
    """The alarms in a file."""
    whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
    events = [json.loads(line) for line in whole.splitlines()]
    return [event for event in events if event["state"] == "opened"]


def test_every_sink_gets_its_events_also_when_it_was_away_and_the_daemon_was_killed(
    mosquitto: Any,
    daemon_factory: Any,
    publish: Any,
    subscribe: Any,
    wait_until: Any,
    receiver: Receiver,
    tmp_path: Path,
) -> None:
    sensors, file = ["pump-1", "pump-2", "pump-3"], tmp_path / "events.jsonl"
    subscriber = subscribe(mosquitto)
    url = f"http://127.0.0.1:{receiver.server_port}/hunter2"
    hooks = [{"name": "pager", "url": url, "grouped": True}]
    events = {"webhooks": hooks, "files": [{"path": str(file)}], "grouping": {"wait": "1s", "within": "1h"}}
    daemon = daemon_factory(mosquitto, groups=GROUPS, events=events)
    receiver.away = True
    settle(daemon, publish, mosquitto, wait_until, sensors)
    known = len(opened(file))
    fault(publish, mosquitto, sensors)
    wait_until(lambda: len(opened(file)) >= known + 3, "the alarms in the file")
    wait_until(lambda: receiver.tries, "an attempt to tell the webhook")
    wait_until(lambda: len(subscriber.events) >= known + 3, "the alarms over MQTT")
    failed = 'lstm_stream_events_published_total{result="failed",sink="pager"}'
    wait_until(lambda: daemon.metric(failed) >= 1, "the failure to be counted")
    assert daemon.metric('lstm_stream_events_waiting{sink="pager"}') >= 3
    daemon.process.kill()
    daemon.process.wait()
    receiver.away = False
    daemon.start()
    wait_until(lambda: receiver.got, "the incident after the restart", 180)
    told = {member["sensor"] for incident in receiver.got for member in incident["members"]}
    assert told == set(sensors)
    assert receiver.got[0]["kind"] == "incident"
    assert daemon.stop() == 0
    ids = [event["id"] for event in subscriber.events]
    assert len(ids) == len(set(ids)) == len({json.loads(line)["id"] for line in file.read_text().splitlines()})
    assert "hunter2" not in daemon.log
    assert "alarm opened: pump-1 (default, " in daemon.log


def test_maintenance_commands_and_home_assistant(
    mosquitto: Any,
    daemon_factory: Any,
    publish: Any,
    subscribe: Any,
    wait_until: Any,
    program: Callable[[str], str],
    tmp_path: Path,
) -> None:
    def retained(topic: str) -> dict[str, Any]:
        place = ["-h", mosquitto.host, "-p", str(mosquitto.port), "-t", topic, "--retained-only", "-W", "1", "-v"]
        run = subprocess.run([program("mosquitto_sub"), *place], capture_output=True, text=True, check=False)
        return dict(line.split(" ", 1) for line in run.stdout.splitlines())

    def times(seconds: float) -> str:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M")

    jump, file = START + 60 * NORMAL, tmp_path / "events.jsonl"
    ends = datetime.now(timezone.utc) + timedelta(days=2)
    window = {"name": "bearing change", "sensors": ["pump-1"], "start": times(jump - 3600), "learn": False}
    subscriber = subscribe(mosquitto)
    daemon = daemon_factory(
        mosquitto,
        groups=GROUPS,
        commands={"enabled": True},
        events={"files": [{"path": str(file)}]},
        homeassistant={"enabled": True, "every": "1s"},
    )
    settle(daemon, publish, mosquitto, wait_until, ["pump-1", "pump-2"])
    daemon.config["maintenance"] = [{**window, "end": ends.strftime("%Y-%m-%d %H:%M")}]
    daemon.reload()  # not before: it looks for sensors once a minute, and one that still warms up would stay so
    wait_until(lambda: "was read again and is in force" in daemon.log, "the window")
    fault(publish, mosquitto, ["pump-1", "pump-2"])
    wait_until(lambda: any(event["sensor"] == "pump-2" for event in opened(file)), "the alarm of the other pump")
    wait_until(lambda: "in maintenance: bearing change" in daemon.log, "the log to name the window")
    assert {event["sensor"] for event in opened(file) if event["opened_unix"] >= jump} == {"pump-2"}
    wait_until(lambda: "pause by maintenance" in daemon.log, "learning to rest")
    names = {"lstm_stream", "pump-1", "pump-2"}
    wait_until(
        lambda: {json.loads(p)["device"]["name"] for p in retained("homeassistant/device/#").values()} == names,
        "both to be announced",
    )
    wait_until(
        lambda: (
            sum(json.loads(p).get("problem") == "ON" for p in retained("lstm_stream/homeassistant/#").values()) == 2
        ),
        "both problems",
    )
    asked = {"verb": "pause", "group": "default", "sensor": "pump-2", "id": "x-1", "by": "Ana"}
    publish(mosquitto, "lstm_stream/command", [json.dumps(asked)])
    after = lambda: subscriber.path.read_text().partition("lstm_stream/reply ")[2]  # noqa: E731
    answer = wait_until(lambda: "\n" in after() and after().splitlines()[0], "the answer")
    assert json.loads(answer).items() >= {"id": "x-1", "ok": True, "sensor": "pump-2"}.items()
    assert daemon.metric('lstm_stream_command_messages_total{result="ok"}') == 1
    assert "pause by mqtt: Ana" in daemon.log
    daemon.stop()
    daemon.config["homeassistant"] = {"enabled": False}
    daemon.start()
    kept = ("homeassistant/#", "lstm_stream/homeassistant/#")
    wait_until(lambda: not any(map(retained, kept)), "all to be taken back", 180)

"""What a page is told by a real daemon, and what it can ask for, over a restart."""

from __future__ import annotations

import http.client
import json
import math
import urllib.request
from typing import Any

import pytest

START = 1_795_200_000.0
COUNT = 400
LEARNING = {"retraining": {"every": 100, "history": 128, "lag": 8}}


def get(daemon: Any, path: str) -> Any:
    status, body = daemon.get(f"/api/v1/{path}")
    assert status == 200, body
    return json.loads(body)


def wave(samples: int, shifted: int = 0) -> list[str]:
    """Messages a minute apart, the last ones on another level."""
    values = [math.sin(k / 9) + 9 * (k >= samples - shifted) for k in range(samples)]
    return [json.dumps({"time": START + 60 * k, "v": value}) for k, value in enumerate(values)]


def command(daemon: Any, **order: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
    connection.request("POST", "/api/v1/commands", json.dumps(order), {"Content-Type": "application/json"})
    document = json.loads(connection.getresponse().read())
    connection.close()
    return document


def test_charts_and_commands_outlive_a_restart_that_an_open_stream_does_not_delay(
    mosquitto, daemon_factory, publish, wait_until
) -> None:
    daemon = daemon_factory(mosquitto, groups={"default": LEARNING})
    daemon.start()
    wait_until(lambda: daemon.get("/-/ready")[0] and daemon.checks()["subscription"] == "ok", "the daemon", 120)
    publish(mosquitto, "plant/a", wave(COUNT))
    wait_until(lambda: get(daemon, "overview")["samples"]["total"] == COUNT, "the samples")

    (item,) = get(daemon, "sensors?search=A")["items"]
    assert (item["sensor"], item["state"], item["learning"], len(item["spark"])) == ("a", "watching", "on", 30)
    series = get(daemon, "series?group=default&sensor=a")
    assert series["fine_since"] == START + 60 * (COUNT - 360)
    assert series["channels"]["v"]["value"][-1] == pytest.approx(math.sin((COUNT - 1) / 9), abs=1e-6)
    assert series["channels"]["v"]["lower"][-1] < series["channels"]["v"]["upper"][-1]

    with urllib.request.urlopen(f"http://127.0.0.1:{daemon.port}/api/v1/events", timeout=60) as stream:
        assert command(daemon, verb="pause", group="default", sensor="a", comment="new bearing")["ok"]
        heard = b""
        while b"event: command" not in heard:
            heard += stream.readline()
        assert daemon.stop() == 0
        stream.read()  # to its proper end

    daemon.start()
    wait_until(lambda: daemon.get("/-/ready")[0], "the daemon again", 180)
    again = get(daemon, "series?group=default&sensor=a")
    assert again["time"] == series["time"]
    assert again["channels"] == series["channels"]
    (record,) = get(daemon, "commands")["items"]
    assert (record["verb"], record["comment"], record["ok"]) == ("pause", "new bearing", True)
    assert get(daemon, "sensor?group=default&sensor=a")["learning"] == "paused"

    # what else a page can command
    about = {"group": "default", "sensor": "a"}
    assert command(daemon, verb="resume", **about)["ok"]
    assert get(daemon, "sensor?group=default&sensor=a")["learning"] == "on"
    former = next(one for one in get(daemon, "models?group=default&sensor=a")["generations"][::-1] if one["kept"])
    assert command(daemon, verb="rollback", **about, argument=str(former["generation"]))["ok"]
    latest, *others = get(daemon, "models?group=default&sensor=a")["generations"]
    assert (latest["result"], latest["current"], latest["kept"]) == ("rollback", True, True)
    assert not any(one["current"] for one in others)

    publish(mosquitto, "plant/b", wave(COUNT, shifted=15))
    wait_until(lambda: get(daemon, "overview")["samples"]["total"] == COUNT, "the samples of another")
    (alarm,) = get(daemon, "alarms?state=open")["items"]
    about = {"group": "default", "sensor": "b"}
    assert command(daemon, verb="acknowledge", **about, argument=alarm["id"])["ok"]
    assert get(daemon, f"alarms?search={alarm['id']}")["items"][0]["acknowledged"]["by"] == "web 127.0.0.1"
    assert command(daemon, verb="accept", **about)["ok"]
    (closed,) = get(daemon, f"alarms?search={alarm['id']}")["items"]
    assert closed["state"] == "closed"
    (mark,) = get(daemon, "series?group=default&sensor=b")["alarms"]
    assert (mark["reason"], mark["ended"]) == (alarm["reason"], "accepted as the new normal by web 127.0.0.1")
    assert command(daemon, verb="forget", **about)["ok"]
    assert [item["sensor"] for item in get(daemon, "sensors")["items"]] == ["a"]

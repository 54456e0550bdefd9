"""A daemon that only the page knows: its files as the real one serves them, and an API with made-up answers.

    python -m tests.page.fake 8000 [sensors]

The page can be worked on beside it, and tests take fleets from it that no real daemon would have in a second:
none at all, ten thousand sensors, names that are HTML.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import random
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from lstm_stream.outputs.web import files

HOUR, DAY = 3600.0, 86400.0
STEP = 300.0  # s between two samples
THRESHOLD = 3.5
GOOD = ("broker", "subscription", "worker", "state")
REASONS = (
    "vibration is 4.1 mm/s, 2.6 above what is usual at this time of day; temperature follows.",
    "flow repeats its last value (12.5) for 40 minutes, which it never did before.",
    "No sample for 25 minutes; it usually sends every 5 minutes.",
    "temperature forecasts were poor 8 times in a row: expected 61.5, measured 66.2.",
)
VIEWS = ("level", "stuck", "silence", "burst")
SEVERITIES = ("critical", "warning", "warning", "info")


def alarm(number: int, sensor: str, group: str, opened: float, closed: float | None = None) -> dict[str, Any]:
    """An event's document."""
    kind = number % len(REASONS)
    return {
        "schema": 1,
        "version": "0.0.0",
        "id": f"alarm-{number}",
        "sensor": sensor,
        "group": group,
        "state": "closed" if closed else "opened",
        "view": VIEWS[kind],
        "reason": REASONS[kind],
        "opened_unix": opened,
        "closed_unix": closed,
        "processed_unix": opened,
        "generation": 4,
        "score": 7.25 - kind,
        "threshold": THRESHOLD,
        "severity": SEVERITIES[kind],
        "acknowledged": None,
        "channels": {
            "vibration": _evidence(4.1, 1.5, 1.1, 1.9, 0.71),
            "temperature": _evidence(66.2, 61.5, 58.0, 65.1, 0.24),
            "current": _evidence(12.4, 12.1, 11.0, 13.2, 0.05),
        },
    }


def _evidence(actual: float, expected: float, lower: float, upper: float, part: float) -> dict[str, float]:
    return {"actual": actual, "expected": expected, "lower": lower, "upper": upper, "contribution": part}


class Fleet:
    """What the made-up daemon knows; a test changes it at will."""

    def __init__(self, names: list[str], alarms: int = 0, group: str = "pumps") -> None:
        self.now = time.time()
        self.group = group
        self.checks = dict.fromkeys(GOOD, "ok")
        chance = random.Random(5)
        self.sensors = [self._sensor(name, chance) for name in names]
        self.alarms = [alarm(k, names[3 * k + 1], group, self.now - 900 - 4000 * k) for k in range(alarms)]
        for one in self.alarms:
            sensor = next(sensor for sensor in self.sensors if sensor["sensor"] == one["sensor"])
            sensor.update(state="alarmed", alarm=one["id"], score=one["score"])
            sensor["spark"][-6:] = [0.6, 0.9, 1.4, 2.0, 1.9, one["score"] / THRESHOLD]
        if alarms:
            past = ((k, self.now - DAY * (k - 9)) for k in range(10, 14))
            self.alarms += [alarm(k, names[k % len(names)], group, at, at + 3000.0) for k, at in past]
        self.obeys = True
        self.age = 0.0  # s that its data are behind the clock
        self.channels = 3
        self.commands: list[dict[str, Any]] = []
        self.posted: list[dict[str, Any]] = []
        self.problems: dict[str, Any] = {"rejections": [], "unmatched": [], "clocks": [], "hints": []}
        self.generations = [
            _generation(k, self.now - DAY * (4 - k) / 2, 0.2 / (k + 1), k == 4, "rejected" if k == 2 else "adopted")
            for k in range(4, -1, -1)
        ]
        self._numbers = itertools.count(1)

    def _sensor(self, name: str, chance: random.Random) -> dict[str, Any]:
        level = chance.betavariate(1.3, 6)
        spark = [max(0.0, level + chance.gauss(0, 0.05)) for _ in range(30)]
        return {
            "group": self.group,
            "sensor": name,
            "state": "watching",
            "score": THRESHOLD * spark[-1],
            "threshold": THRESHOLD,
            "last": self.now - chance.uniform(1, 280),
            "generation": 4,
            "alarm": None,
            "channels": ["vibration", "temperature", "current"],
            "learning": "on",
            "spark": spark,
        }

    def overview(self) -> dict[str, Any]:
        """The document of /overview."""
        states = [sensor["state"] for sensor in self.sensors]
        still_open = [one for one in self.alarms if one["state"] == "opened"]
        rate = len(states) / 3
        wave = [rate * (1 + 0.12 * math.sin(k / 9) + 0.05 * math.sin(k * 1.7)) for k in range(120)]
        return {
            "version": "0.0.0",
            "now": time.time(),
            "started": self.now - 3 * DAY,
            "healthy": True,
            "ready": all(text == "ok" for text in self.checks.values()),
            "checks": self.checks,
            "broker": {"address": "broker.example.com:8883", "connected": True, "subscribed": True, "problem": ""},
            "messages": {"total": 86_412 * len(states), "per_s": rate, "dropped": 0, "rejected": 12 * bool(states)},
            "samples": {"total": 86_400 * len(states), "per_s": rate},
            "sensors": {name: states.count(name) for name in ("warming", "watching", "alarmed", "silent")},
            "alarms": {
                "open": len(still_open),
                "unacknowledged": sum(one["acknowledged"] is None for one in still_open),
                "opened_day": len(still_open),
            },
            "budget": [
                {"group": self.group, "asked_per_week": 1.0, "kept_per_week": 0.82, "sensor_weeks": 14.6},
                {"group": "tanks", "asked_per_week": 0.25, "kept_per_week": None, "sensor_weeks": 0.1},
            ][: 2 * bool(states)],
            "retraining": {
                "last": self.now - 1500 if states else None,
                "adopted": 31 * bool(states),
                "rejected": 4,
                "late": 0,
                "failed": 0,
                "paused": sum(one["learning"] == "paused" for one in self.sensors),
            },
            "rates": {"time": [self.now - 5 * (120 - k) for k in range(120)], "messages": wave},
            "recorded": {"sensors": len(states), "limit": 1000},
            "commands": self.obeys,
            "data_time": time.time() - self.age,
        }

    def find(self, group: str, sensor: str) -> dict[str, Any] | None:
        """A sensor of the list."""
        return next((one for one in self.sensors if (one["group"], one["sensor"]) == (group, sensor)), None)

    def command(self, order: dict[str, Any]) -> dict[str, Any]:
        """Obey, as far as the page shows it."""
        self.posted.append(order)
        name = f"command-{next(self._numbers)}"
        sensor = self.find(order["group"], order["sensor"]) or {}
        found = next((one for one in self.alarms if one["id"] == order["argument"]), {})
        match order["verb"]:
            case "acknowledge":
                found["acknowledged"] = {"by": "operator", "at": time.time()}
            case "normal" | "accept":
                for one in [found] if found else [one for one in self.alarms if one["sensor"] == order["sensor"]]:
                    one.update(state="closed", closed_unix=time.time())
                sensor.update(state="watching", alarm=None, score=0.4)
            case "pause" | "resume":
                sensor["learning"] = "paused" if order["verb"] == "pause" else "on"
        text = f"{order['verb']} done."
        record = {"id": name, "at": time.time(), "by": "operator", **order, "ok": True, "text": text}
        self.commands.insert(0, record)
        return {"ok": True, "text": text, "id": name}


def _generation(k: int, at: float, loss: float, current: bool, result: str) -> dict[str, Any]:
    new = loss * (1.04 if result == "rejected" else 0.85)
    return {
        "generation": k,
        "at": at,
        "result": result,
        "champion": loss,
        "challenger": new,
        "seconds": 1.3 + k,
        "current": current,
        "kept": k >= 1 and result == "adopted",
    }


def series(fleet: Fleet, sensor: str, since: float, until: float) -> dict[str, Any]:
    """Made-up curves of a day's rhythm that leave their band where there is an alarm."""
    chance = random.Random(7)
    count = max(0, min(4000, int((until - since) / STEP)))
    time_ = [until - STEP * (count - 1 - k) for k in range(count)]
    alarms = [one for one in fleet.alarms if one["sensor"] == sensor and (one["closed_unix"] or until) > since]
    odd = [any(one["opened_unix"] <= at <= (one["closed_unix"] or until) for one in alarms) for at in time_]
    channels = {}
    for name, level, swing, noise in (
        ("vibration", 1.5, 0.2, 0.06),
        ("temperature", 61.5, 4.0, 0.5),
        ("current", 12.0, 1.1, 0.2),
    ):
        expected = [level + swing * math.sin(2 * math.pi * at / DAY) for at in time_]
        value = [
            mean + chance.gauss(0, noise) + (8 * noise if strange else 0)
            for mean, strange in zip(expected, odd, strict=True)
        ]
        channels[name] = {
            "value": value,
            "low": value,
            "expected": expected,
            "lower": [one - 4 * noise for one in expected],
            "upper": [one + 4 * noise for one in expected],
        }
    channels |= {f"zone-{k}": channels["current"] for k in range(3, fleet.channels)}
    score = [chance.betavariate(1, 6) * 3 + (5 if strange else 0) for strange in odd]
    return {
        "time": time_,
        "score": score,
        "threshold": [THRESHOLD] * count,
        "channels": channels,
        "alarms": [
            {
                "id": one["id"],
                "opened": one["opened_unix"],
                "closed": one["closed_unix"],
                "view": one["view"],
                "severity": one["severity"],
                "reason": one["reason"],
                "ended": "levels are back" if one["state"] == "closed" else None,
            }
            for one in alarms
        ],
        "retrainings": [
            {"time": one["at"], "generation": one["generation"], "result": one["result"]} for one in fleet.generations
        ],
        "step": 0.0,
        "fine_since": since,
    }


def application(fleet: Fleet) -> Starlette:
    """The page over a made-up fleet."""

    async def sensors(request: Request) -> Response:
        ask = request.query_params
        found = [
            one
            for one in fleet.sensors
            if ask.get("search", "").lower() in one["sensor"].lower()
            and ask.get("state", one["state"]) == one["state"]
            and ask.get("group", one["group"]) == one["group"]
        ]
        key = {"name": "sensor", "last": "last"}.get(ask.get("sort", "score"), "score")
        found.sort(
            key=lambda one: one["score"] / (one["threshold"] or 1) if key == "score" else one[key],
            reverse=ask.get("order", "desc" if key != "sensor" else "asc") == "desc",
        )
        start, limit = int(ask.get("offset", 0)), int(ask.get("limit", 50))
        return JSONResponse({"total": len(found), "items": found[start : start + limit]})

    async def sensor(request: Request) -> Response:
        one = fleet.find(request.query_params["group"], request.query_params["sensor"])
        if one is None:
            return JSONResponse({"error": "no such sensor", "hint": "/api/v1/sensors lists them"}, 404)
        documents = [found for found in fleet.alarms if found["id"] == one["alarm"]]
        example = alarm(0, "", "", 0.0)["channels"]
        latest = {name: {**values, "value": values["actual"]} for name, values in example.items()}
        facts = {"count": 12_345, "interval": STEP, "warmup": 200, "recorded": True}
        return JSONResponse({**facts, **one, "open": next(iter(documents), None), "latest": latest})

    async def samples(request: Request) -> Response:
        ask = request.query_params
        until = float(ask.get("until", fleet.now))
        return JSONResponse(series(fleet, ask["sensor"], float(ask.get("since", until - 7 * DAY)), until))

    async def alarms(request: Request) -> Response:
        ask = request.query_params
        state = {"open": "opened", "closed": "closed"}.get(ask.get("state", "all"))
        found = [
            one
            for one in fleet.alarms
            if state in (None, one["state"])
            and (
                ask.get("search", "").lower() in (one["sensor"] + one["group"] + one["reason"]).lower()
                or ask["search"] == one["id"]
            )
        ]
        found.sort(key=lambda one: -one["opened_unix"])
        return JSONResponse({"items": found[: int(ask.get("limit", 50))]})

    async def models(request: Request) -> Response:
        return JSONResponse({"generations": fleet.generations if request.query_params.get("sensor") else []})

    async def commands(request: Request) -> Response:
        if request.method == "POST":
            return JSONResponse(fleet.command(await request.json()))
        return JSONResponse({"items": fleet.commands})

    async def events(_: Request) -> Response:
        async def stream() -> AsyncIterator[str]:
            told = len(fleet.commands)
            for turn in itertools.count():
                if turn % 10 == 0:
                    yield f"event: overview\ndata: {json.dumps(fleet.overview())}\n\n"
                if len(fleet.commands) != told:
                    told = len(fleet.commands)
                    yield f"event: command\ndata: {json.dumps(fleet.commands[0])}\n\n"
                await asyncio.sleep(0.1)

        return StreamingResponse(stream(), media_type="text/event-stream")

    root = "/api/v1"
    return Starlette(
        routes=[
            *files.routes(files.load()),
            Route(f"{root}/overview", lambda _: JSONResponse(fleet.overview())),
            Route(f"{root}/sensors", sensors),
            Route(f"{root}/sensor", sensor),
            Route(f"{root}/series", samples),
            Route(f"{root}/alarms", alarms),
            Route(f"{root}/models", models),
            Route(f"{root}/problems", lambda _: JSONResponse(fleet.problems)),
            Route(f"{root}/commands", commands, methods=["GET", "POST"]),
            Route(f"{root}/events", events),
        ]
    )


def example(sensors: int = 34, alarms: int = 3) -> Fleet:
    """A fleet in which something has happened."""
    fleet = Fleet([f"pump-{k}" for k in range(1, sensors + 1)], alarms)
    for sensor in fleet.sensors[-2:]:
        sensor.update(state="warming", score=0.0, threshold=None, spark=[])
    fleet.sensors[-3]["state"] = "silent"
    latest = {"topic": "plant/north/ups-2/state", "detail": "no number in 'ON BATTERY'", "at": fleet.now - 340}
    fleet.problems = {
        "rejections": [
            {"reason": "no_channels", "count": 1204, "latest": latest},
            {"reason": "out_of_order", "count": 17, "latest": {**latest, "detail": "4.2 s older than the latest"}},
        ],
        "unmatched": [{"topic": "zigbee2mqtt/hall/lamp", "count": 310}],
        "clocks": [{"group": fleet.group, "sensor": "pump-9", "offset": -7200.0}],
        "hints": ["The clock of pump-9 is 2 hours behind, as if it sent local time: set zone at its source."],
    }
    return fleet


if __name__ == "__main__":
    port, *rest = map(int, sys.argv[1:] or ["8000"])
    uvicorn.run(application(example(*rest)), host="127.0.0.1", port=port, log_level="warning")

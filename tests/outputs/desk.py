"""A desk whose answers a test sets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from lstm_stream.outputs.web import documents as d
from lstm_stream.outputs.web import queries as q
from lstm_stream.outputs.web.server import WebServer

ALARM: dict[str, Any] = {
    "id": "a-opened",
    "sensor": "pump-7",
    "group": "pumps",
    "state": "opened",
    "view": "level",
    "reason": "bearing is 4.1 too high",
    "why": "bearing is 4.1 too high",
    "opened_unix": 1795243666.0,
    "closed_unix": None,
    "severity": "warning",
    "score": 7.25,
    "threshold": 3.5,
    "generation": 0,
    "acknowledged": None,
    "channels": {},
}
ITEM = ("pumps", "pump-7", "alarmed", 7.25, float("inf"), 1795243700.0, 3, ["bearing"], "on", "a-opened", [0.5, 2.1])
OVERVIEW = d.Overview(
    version="1.2.3",
    now=1795243700.0,
    started=1795240000.0,
    healthy=True,
    ready=True,
    checks={"line": "ok"},
    broker=d.BrokerState("localhost:1883", True, True, ""),
    messages=d.MessageCounts(10, 1.5, 0, 2),
    samples=d.SampleCounts(8, 1.2),
    sensors=d.SensorCounts(1, 41, 1, 0),
    alarms=d.AlarmCounts(1, 1, 3),
    budget=[d.Budget("pumps", 1.0, None, 0.1)],
    retraining=d.RetrainingCounts(None, 1, 2, 0, 0, 0),
    rates=d.Rates([1.0], [2.0]),
    recorded=d.Recorded(43, 1000),
    commands=True,
    data_time=1795243690.0,
)


class FakeDesk:
    """Knows one sensor; `queries` are what was asked, `orders` what was commanded. `failure`: nothing is answered."""

    def __init__(self) -> None:
        self.tell: Callable[[str, Callable[[], object]], None]
        self.commands_allowed: bool | None = None
        self.forget()

    def forget(self) -> None:
        """As if nothing had happened."""
        self.queries: list[q.Query] = []
        self.orders: list[tuple[q.Order, str]] = []
        self.failure: Exception | None = None

    def serve(self, commands: bool, tell: Callable[[str, Callable[[], object]], None]) -> None:
        self.commands_allowed, self.tell = commands, tell

    async def overview(self) -> d.Overview:
        if self.failure:
            raise self.failure
        return OVERVIEW

    async def sensors(self, query: q.SensorsQuery) -> d.SensorList:
        self.queries.append(query)
        return d.SensorList(1, [self._item()])

    async def sensor(self, query: q.SensorQuery) -> d.SensorView | None:
        if query.sensor != "pump-7":
            return None
        latest = {"bearing": d.Latest(4.1, 1.0, 0.5, float("nan"))}
        return d.SensorView(*ITEM, 500, 60.0, 200, True, dict(ALARM), latest)

    async def series(self, query: q.SeriesQuery) -> d.Series | None:
        self.queries.append(query)
        if query.sensor != "pump-7":
            return None
        channels = {"bearing": d.ChannelSeries([4.1], [4.1], [1.0], [0.5], [1.5])}
        marks = [d.AlarmMark("a-opened", 1795243666.0, None, "level", "warning", "too high", None)]
        return d.Series([1.0], [0.5], [3.5], channels, marks, [d.RetrainingMark(1.0, 2, "adopted")], 600.0, 1.0)

    async def alarms(self, query: q.AlarmsQuery) -> d.AlarmList:
        self.queries.append(query)
        return d.AlarmList([dict(ALARM)])

    async def models(self, query: q.ModelsQuery) -> d.Models | None:
        if query.group != "pumps":
            return None
        return d.Models([d.Generation(3, 1.0, "adopted", 0.5, None, 1.2, current=True, kept=True)])

    async def state(self, query: q.SensorQuery) -> d.Learned | None:
        return d.Learned([d.PackedState("pumps", "pump-7", ["t"], "v1", "AAA=")]) if query.sensor == "pump-7" else None

    async def problems(self) -> d.Problems:
        latest = d.Sample("t", "not JSON", 1.0)
        return d.Problems(
            [d.RejectionCount("malformed", 2, latest)],
            [d.UnmatchedTopic("other/x", 1)],
            [d.ClockOffset("pumps", "pump-7", -7200.0)],
            ["Add a source."],
        )

    async def commands(self) -> d.CommandList:
        return d.CommandList([d.CommandRecord("c1", 1.0, "web", "pause", "pumps", "", "", "", True, "paused")])

    async def command(self, order: q.Order, by: str) -> d.CommandReply:
        self.orders.append((order, by))
        return d.CommandReply(True, "done", "c2")

    @staticmethod
    def _item() -> d.SensorItem:
        fields: Any = ITEM
        return d.SensorItem(*fields)


def lose_patience(server: WebServer) -> None:
    """As if the time that a server waits for its clients had passed for each of them."""
    running, done = server._server, threading.Event()
    assert running is not None

    def look() -> None:
        for connection in list(running.server_state.connections):
            connection._check()
        done.set()

    running.servers[0].get_loop().call_soon_threadsafe(look)
    assert done.wait(60)

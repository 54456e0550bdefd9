"""The desk: answers the API of outputs/web from the parts of the daemon.

Runs on the web thread. What belongs to the worker is asked of it (`ask`), the list of all sensors once a second at
most; everything else is read from what observers wrote.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import orjson

from lstm_stream.config import Config, Group
from lstm_stream.desk.table import F4, STATES, Table, select, take
from lstm_stream.desk.watch import Watch
from lstm_stream.detect.detector import Detector
from lstm_stream.detect.fleet import Fleet
from lstm_stream.outputs.events import to_json
from lstm_stream.outputs.health import Health
from lstm_stream.outputs.web import documents as d
from lstm_stream.outputs.web import queries as q
from lstm_stream.outputs.web.api import Tell
from lstm_stream.records import Command, Event, Reply
from lstm_stream.reporting import Tally

T = TypeVar("T")

FRESH = 1.0  # s that the list of sensors is good for
PATIENCE = 3.0  # s that the worker may take to answer
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What the desk asks. `ask` and `command` are the service's, `link` says how the broker is."""

    version: str
    config: Config
    fleet: Fleet
    tally: Tally
    watch: Watch
    ask: Callable[[Callable[[], Any]], Future[Any]]
    command: Callable[[Command], Future[Reply]]
    health: Callable[[], Health]
    link: Callable[[], d.BrokerState]
    dropped: Callable[[], int]


class Desk:
    """See `outputs.web.api.Desk`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._takes_commands = False
        self._table: Table | None = None
        self._taken = -np.inf  # monotonic s
        self._taking: asyncio.Task[Table] | None = None

    def serve(self, commands: bool, tell: Tell) -> None:
        """Pages may come from now on."""
        self._takes_commands = commands
        self._parts.watch.told = lambda alarm: tell("alarm", lambda: self._document(alarm.told, alarm.at))

    # --- how the daemon is

    async def overview(self) -> d.Overview:
        """How the daemon is."""
        p, t, watch = self._parts, self._parts.tally, self._parts.watch
        now, health = time.time(), p.health()
        messages, samples = watch.per_second()
        return d.Overview(
            p.version,
            now,
            watch.started,
            health.healthy,
            health.ready,
            dict(health.checks),
            p.link(),
            d.MessageCounts(t.messages, messages, p.dropped(), sum(dict(t.rejections).values())),
            d.SampleCounts(t.samples, samples),
            d.SensorCounts(**{state: t.sensors.get(state, 0) for state in STATES}),
            self._alarm_counts(now),
            [watch.budget(name, group.false_alarms) for name, group in p.config.groups.items()],
            self._retraining(),
            watch.rates(),
            d.Recorded(0, 0),
            self._takes_commands,
        )

    def _alarm_counts(self, now: float) -> d.AlarmCounts:
        alarms = list(self._parts.watch.alarms.values())
        still = [alarm for alarm in alarms if alarm.told.state == "opened"]
        recent = sum(alarm.at > now - DAY for alarm in alarms)
        return d.AlarmCounts(len(still), len(still), recent)

    def _retraining(self) -> d.RetrainingCounts:
        done: Mapping[str, int] = dict(self._parts.tally.retrains)
        counts = {result: done.get(result, 0) for result in ("adopted", "rejected", "late", "failed")}
        return d.RetrainingCounts(last=self._parts.watch.retrained, **counts, paused=0)

    # --- sensors

    async def sensors(self, query: q.SensorsQuery) -> d.SensorList:
        """The list, searched and sorted."""
        table = await self._fresh()
        rows = select(table, query)
        shown = rows[query.offset : query.offset + query.limit]
        open_of = self._open_alarms()
        return d.SensorList(len(rows), [self._item(table, int(row), open_of) for row in shown])

    def _item(self, table: Table, row: int, open_of: Mapping[tuple[str, str], Event]) -> d.SensorItem:
        detector = table.detectors[table.detector[row]]
        name = table.names[row]
        alarm = open_of.get((detector.name, name))
        return d.SensorItem(
            detector.name,
            name,
            STATES[table.state[row]],  # type: ignore[arg-type]
            float(table.score[row]),
            float(table.threshold[row]),
            float(table.last[row]),
            int(table.generation[row]),
            list(detector.channels),
            _learning(detector.group),
            alarm.id if alarm else None,
            [],
        )

    def _open_alarms(self) -> dict[tuple[str, str], Event]:
        alarms = list(self._parts.watch.alarms.values())
        return {(a.told.group, a.told.sensor): a.told for a in alarms if a.told.state == "opened"}

    async def _fresh(self) -> Table:
        """The table of all sensors, taken within the last second; who asks meanwhile waits for the same one."""
        if self._table is not None and time.monotonic() - self._taken < FRESH:
            return self._table
        if self._taking is None or self._taking.done():
            self._taking = asyncio.get_running_loop().create_task(self._take())
        return await asyncio.shield(self._taking)

    async def _take(self) -> Table:
        fleet = self._parts.fleet
        self._table = await self._ask(lambda: take(fleet, _no_scores))
        self._taken = time.monotonic()
        return self._table

    async def sensor(self, query: q.SensorQuery) -> d.SensorView | None:
        """One sensor."""
        table = await self._fresh()
        rows = [k for k in _named(table, query.sensor) if table.detectors[table.detector[k]].name == query.group]
        if not rows:
            return None
        row, open_of = rows[0], self._open_alarms()
        item = self._item(table, row, open_of)
        detector, slot = table.detectors[table.detector[row]], int(table.slot[row])
        count, interval = await self._ask(
            lambda: (int(detector.arrays.count[slot]), float(detector.arrays.interval[slot]))
        )
        alarm = open_of.get((query.group, query.sensor))
        return d.SensorView(
            **{name: getattr(item, name) for name in d.SensorItem.__dataclass_fields__},
            count=count,
            interval=interval,
            warmup=detector.group.warmup,
            recorded=False,
            open=self._document(alarm, time.time()) if alarm else None,
            latest={},
        )

    async def series(self, query: q.SeriesQuery) -> d.Series | None:
        """Its samples."""
        table = await self._fresh()
        rows = [k for k in _named(table, query.sensor) if table.detectors[table.detector[k]].name == query.group]
        return d.Series([], [], [], {}, [], [], 600.0, None) if rows else None

    # --- alarms

    async def alarms(self, query: q.AlarmsQuery) -> d.AlarmList:
        """Alarms, the latest first."""
        alarms = list(self._parts.watch.alarms.values())
        wanted = {"open": ("opened",), "closed": ("closed",), "all": ("opened", "closed")}[query.state]
        before = np.inf if query.before is None else query.before
        text = query.search.lower()
        found = [
            alarm
            for alarm in alarms
            if alarm.told.state in wanted and alarm.told.opened < before and (not text or _mentions(alarm.told, text))
        ]
        found.sort(key=lambda alarm: -alarm.told.opened)
        return d.AlarmList([self._document(alarm.told, alarm.at) for alarm in found[: query.limit]])

    def _document(self, event: Event, at: float) -> dict[str, Any]:
        document: dict[str, Any] = orjson.loads(to_json(event, at, self._parts.version))
        return {"severity": None, **document, "acknowledged": None}

    # --- weights, problems, commands

    async def models(self, query: q.ModelsQuery) -> d.Models | None:
        """The history of weights."""
        return d.Models([]) if query.group in self._parts.config.groups else None

    async def problems(self) -> d.Problems:
        """Why it may not be working."""
        topics = [topic for source in self._parts.config.sources for topic in source.topics]
        return self._parts.watch.ledger.problems(time.time(), topics)

    async def commands(self) -> d.CommandList:
        """What was commanded, the latest first."""
        return d.CommandList([])

    async def command(self, order: q.Order, by: str) -> d.CommandReply:
        """Let the line obey."""
        command = Command(
            secrets.token_hex(8),
            order.verb,
            order.group,
            order.sensor,
            by,
            time.time(),
            order.argument,
            order.comment,
        )
        reply = await self._wait(self._parts.command(command))
        return d.CommandReply(reply.ok, reply.text, command.id)

    # --- the worker

    async def _ask(self, work: Callable[[], T]) -> T:
        return await self._wait(self._parts.ask(work))

    async def _wait(self, future: Future[T]) -> T:
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), PATIENCE)
        except asyncio.CancelledError:
            if future.cancelled():  # the line has ended
                raise TimeoutError from None
            raise


def _no_scores(detector: Detector) -> tuple[F4, F4]:
    nothing = np.full(len(detector.sensors), np.nan, np.float32)
    return nothing, nothing


def _learning(group: Group) -> d.Learning:
    return "on" if group.retraining.enabled else "off"


def _named(table: Table, name: str) -> Sequence[int]:
    return [k for k, other in enumerate(table.names) if other == name]


def _mentions(event: Event, text: str) -> bool:
    return any(text in part.lower() for part in (event.sensor, event.group, event.reason))

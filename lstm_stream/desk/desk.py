"""The desk: answers the API of outputs/web from the parts of the daemon.

Runs on the web thread. What belongs to the worker is asked of it (`ask`), the list of all sensors once a second at
most; everything else is read from what observers wrote.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config import Config
from lstm_stream.desk.alarms import Alarm, Alarms, restored
from lstm_stream.desk.orders import Orders, command_of, former
from lstm_stream.desk.table import Table
from lstm_stream.desk.watch import Watch
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.inspection import packed
from lstm_stream.journal.book import Book, Generation
from lstm_stream.outputs.health import Health
from lstm_stream.outputs.severity import severity_of
from lstm_stream.outputs.tape import BUCKET, Trace
from lstm_stream.outputs.web import documents as d
from lstm_stream.outputs.web import queries as q
from lstm_stream.outputs.web.api import Tell
from lstm_stream.records import STATES, Command, Packed, Reply
from lstm_stream.reporting import Tally

log = logging.getLogger(__name__)

T = TypeVar("T")

FRESH = 1.0  # s that the list of sensors is good for
PATIENCE = 3.0  # s that the worker may take to answer
SPARK = 30  # points


@dataclass(frozen=True, slots=True)
class Parts:
    """What the desk asks. `ask` and `command` are the service's, `link` says how the broker is."""

    version: str
    config: Callable[[], Config]
    fleet: Fleet
    tally: Tally
    watch: Watch
    alarms: Alarms
    orders: Orders
    ask: Callable[[Callable[[], Any]], Future[Any]]
    command: Callable[[Command], Future[Reply]]
    health: Callable[[], Health]
    link: Callable[[], d.BrokerState]
    dropped: Callable[[], int]
    book: Book | None


class Desk:
    """See `outputs.web.api.Desk`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._takes_commands = False
        self._table: Table | None = None
        self._taken = -math.inf  # monotonic s
        self._taking: asyncio.Task[Table] | None = None

    def serve(self, commands: bool, tell: Tell) -> None:
        """Pages may come from now on."""
        p = self._parts
        self._takes_commands = commands
        p.watch.told = lambda alarm: tell("alarm", lambda: p.alarms.document(alarm))
        p.orders.told = lambda record: tell("command", lambda: record)

    def restore(self) -> None:
        """Take up the alarms and commands of before, and what was recorded. Before the line runs."""
        p = self._parts
        p.watch.restore()
        if p.book is None or not p.book.is_open:
            return
        try:
            for letter in p.book.events():
                p.alarms.remember(letter.event, restored(letter.payload), letter.payload)
            for audit in p.book.commands():
                reply = Reply(audit.ok, audit.text)
                p.orders.note(audit.command, reply)
                if audit.ok:
                    p.alarms.obeyed(audit.command)
        except sqlite3.Error as error:
            log.error("the alarms and commands of before cannot be read: %s", error)

    # --- how the daemon is

    async def overview(self) -> d.Overview:
        """How the daemon is."""
        p, t, watch = self._parts, self._parts.tally, self._parts.watch
        now, health = time.time(), p.health()
        messages, samples = watch.per_second()
        done: Mapping[str, int] = dict(t.retrains)
        rounds = {result: done.get(result, 0) for result in ("adopted", "rejected", "late", "failed")}
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
            p.alarms.counts(watch.now),
            [watch.budget(name, group.false_alarms) for name, group in p.config().groups.items()],
            d.RetrainingCounts(last=watch.retrained, **rounds, paused=watch.paused),
            watch.rates(),
            d.Recorded(len(watch.recorder), watch.recorder.limit),
            self._takes_commands,
            watch.now,
        )

    # --- sensors

    async def sensors(self, query: q.SensorsQuery) -> d.SensorList:
        """The list, searched and sorted."""
        table = await self._fresh()
        rows = table.select(query)
        shown = rows[query.offset : query.offset + query.limit].tolist()
        keys = [(table.overview.group[row], table.overview.sensor[row]) for row in shown]
        recorder = self._parts.watch.recorder
        sparks = await self._ask(lambda: recorder.sparks(keys, SPARK))
        still, groups = self._parts.alarms.open(), self._parts.config().groups
        items = []
        for row, key, spark in zip(shown, keys, sparks, strict=True):
            o, alarm = table.overview, still.get(key)
            learns = key[0] not in groups or groups[key[0]].retraining.enabled
            items.append(
                d.SensorItem(
                    *key,
                    STATES[o.state[row]],  # type: ignore[arg-type]
                    float(o.score[row]),
                    float(o.threshold[row]),
                    float(o.last[row]),
                    int(o.generation[row]),
                    list(o.channels[row]),
                    _learning(bool(o.learning[row]), learns),
                    alarm.told.id if alarm else o.alarm[row],
                    spark,
                )
            )
        return d.SensorList(len(rows), items)

    async def _fresh(self) -> Table:
        """The table of all sensors, taken within the last second; who asks meanwhile waits for the same one."""
        if self._table is not None and time.monotonic() - self._taken < FRESH:
            return self._table
        if self._taking is None or self._taking.done():
            self._taking = asyncio.get_running_loop().create_task(self._take())
        return await asyncio.shield(self._taking)

    async def _take(self) -> Table:
        self._table = Table(await self._ask(self._parts.fleet.overview))
        self._taken = time.monotonic()
        return self._table

    async def sensor(self, query: q.SensorQuery) -> d.SensorView | None:
        """One sensor."""
        p, key = self._parts, (query.group, query.sensor)
        recorder = p.watch.recorder
        found = await self._ask(lambda: (p.fleet.inspect(*key), recorder.sparks([key], SPARK)[0], recorder.last(key)))
        facts, spark, last = found
        if facts is None:
            return None
        alarm = p.alarms.open().get(key)
        settings = p.config().groups.get(query.group)
        latest = facts["latest"] if last is None else {name: dict(zip(_PARTS, row, strict=True)) for name, row in last}
        return d.SensorView(
            *key,
            facts["state"],
            facts["score"],
            facts["threshold"],
            facts["last"],
            facts["generation"],
            facts["channels"],
            _learning(facts["learning"], settings is None or settings.retraining.enabled),
            alarm.told.id if alarm else (facts["alarm"] or {}).get("id"),
            spark,
            facts["count"],
            facts["interval"],
            facts["warmup"],
            last is not None,
            p.alarms.document(alarm) if alarm else None,
            {name: d.Latest(**values) for name, values in latest.items()},
        )

    async def series(self, query: q.SeriesQuery) -> d.Series | None:
        """Its samples. Who is looked at is recorded from now on."""
        p, key = self._parts, (query.group, query.sensor)
        found = await self._ask(lambda: self._recorded(key))
        if found is None:
            return None
        trace, rounds = found
        if trace is None:
            return d.Series([], [], [], {}, [], [], BUCKET, None)
        trace = trace.within(query.since, query.until)
        since = -math.inf if query.since is None else query.since
        until = math.inf if query.until is None else query.until
        rule = p.config().events.severity
        return d.Series(
            trace.time,
            trace.score,
            trace.threshold,
            {name: _channel(trace, k) for k, name in enumerate(trace.channels)},
            [_mark(alarm, severity_of(alarm.told, rule)) for alarm in p.alarms.of(*key, since, until)],
            [d.RetrainingMark(*one) for one in rounds if since <= one.time <= until],
            BUCKET,
            trace.fine_since,
        )

    def _recorded(self, key: tuple[str, str]) -> Any:
        """A sensor's trace and rounds of training; None where there is no such sensor. On the worker's thread."""
        p = self._parts
        if p.fleet.find(*key) is None:
            return None
        p.watch.look_at(*key)
        return p.watch.recorder.trace(key), p.watch.recorder.rounds(key)

    # --- alarms, weights, problems

    async def alarms(self, query: q.AlarmsQuery) -> d.AlarmList:
        """Alarms, the latest first."""
        return d.AlarmList(self._parts.alarms.listed(query))

    async def models(self, query: q.ModelsQuery) -> d.Models | None:
        """The history of weights."""
        current = await self._generation(query)
        if current is None:
            return None
        rounds = await asyncio.to_thread(self._generations, query.group, query.sensor)
        made = [k for k, one in enumerate(rounds) if one.generation == current and one.result in _ADOPTED]
        latest = max(made, default=-1)
        documents = [
            d.Generation(
                one.generation,
                one.at,
                one.result,
                one.champion,
                one.challenger,
                one.seconds,
                current=k == latest,
                kept=one.kept,
            )
            for k, one in enumerate(rounds)
        ]
        return d.Models(documents[::-1])

    async def _generation(self, query: q.ModelsQuery) -> int | None:
        """That in force of a sensor or of what its group shares; None where there is no such sensor or group."""
        if query.sensor:
            facts = await self._ask(lambda: self._parts.fleet.inspect(query.group, query.sensor))
            return None if facts is None else int(facts["generation"])
        if query.group not in self._parts.config().groups:
            return None
        o = (await self._fresh()).overview
        here = np.fromiter((group == query.group for group in o.group), np.bool_, len(o.group))
        return int(o.generation[here].max(initial=0))

    def _generations(self, group: str, sensor: str) -> list[Generation]:
        """How rounds of training ended, oldest first: those in the book, and later ones that are not written yet."""
        book, known = self._parts.book, []
        if book is not None and book.is_open:
            try:
                known = book.generations(group, sensor)
            except sqlite3.Error as error:
                log.warning("the history of weights cannot be read: %s", error)
        told = {(one.generation, one.result, one.champion, one.challenger) for one in known}
        recent = [
            Generation(
                *(group, sensor, a.channels, a.generation, at, a.result),
                *(_known(a.champion), _known(a.challenger), a.seconds, False),
            )
            for at, a in self._parts.watch.rounds(group, sensor)
        ]
        return known + [one for one in recent if one[3:4] + one[5:8] not in told]

    async def state(self, query: q.SensorQuery) -> d.Learned | None:
        """What one sensor has learned."""
        found = await self._ask(lambda: self._packed(query.group, query.sensor))
        if found is None:
            return None
        return d.Learned(
            [d.PackedState(*p[:2], list(p.channels), p.signature, b64encode(p.state).decode()) for p in found]
        )

    def _packed(self, group: str, sensor: str) -> list[Packed] | None:
        """On the worker's thread."""
        member = self._parts.fleet.find(group, sensor)
        return None if member is None else packed(member.roster, member.slot)

    async def problems(self) -> d.Problems:
        """Why it may not be working."""
        topics = [topic for source in self._parts.config().sources for topic in source.topics]
        return self._parts.watch.ledger.problems(time.time(), topics)

    # --- commands

    async def commands(self) -> d.CommandList:
        """What was commanded, the latest first."""
        return d.CommandList(self._parts.orders.listed())

    async def command(self, order: q.Order, by: str) -> d.CommandReply:
        """Let the line obey."""
        command = await asyncio.to_thread(command_of, order, by, time.time(), self.weights)
        if isinstance(command, str):
            return d.CommandReply(False, command, "")
        reply = await self._wait(self._parts.command(command))
        self._taken = -math.inf  # the list of sensors is of before
        return d.CommandReply(reply.ok, reply.text, command.id)

    def weights(self, group: str, sensor: str, wanted: int | None) -> tuple[NDArray[np.float32] | None, str]:
        """Those of a generation, None: of the one before that in force; and why there are none."""
        book = self._parts.book
        if book is None or not book.is_open:
            return None, "nothing is kept without state.path, so there are no former weights"
        generation, why = former(self._generations(group, sensor), wanted)
        found = None if generation is None else book.weights_of(group, sensor, generation)
        return found, why or f"the weights of generation {generation} are not kept any more"

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


_ADOPTED = ("adopted", "rollback")
_PARTS = ("value", "expected", "lower", "upper")


def _learning(learns: bool, enabled: bool) -> d.Learning:
    if learns:
        return "on"
    return "paused" if enabled else "off"


def _known(loss: float) -> float | None:
    """As the book has it."""
    return None if math.isnan(loss) else loss


def _channel(trace: Trace, k: int) -> d.ChannelSeries:
    value, expected, lower, upper = np.ascontiguousarray(trace.values[:, k].T)
    return d.ChannelSeries(value, np.ascontiguousarray(trace.low[:, k]), expected, lower, upper)


def _mark(alarm: Alarm, severity: str) -> d.AlarmMark:
    told, why = alarm.told, alarm.opening.reason
    ended = None if alarm.is_open else told.reason
    return d.AlarmMark(told.id, told.opened, told.closed, told.view, severity, why, ended)

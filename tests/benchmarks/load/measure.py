"""One run: a fleet, a way to send, a consumer; what that took.

every sensor once      so that the fleet is known: what a new sensor costs is told apart
the measured phase     for some seconds, at a rate or as fast as the consumer finishes messages
drain                  until everything is finished, or nothing moves any more
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.benchmarks.load.daemon import configuration
from tests.benchmarks.load.packets import Packets
from tests.benchmarks.load.processes import Broker, Consumer, Usage, mosquitto, usage
from tests.benchmarks.load.pump import Pump
from tests.benchmarks.load.task import Snapshot, Task, quantile

LOOK = 0.02  # s between two looks at the progress
STUCK = 12.0  # s without progress after which the rest is lost; a round of training may be waited for for 10
COMPILING = 90.0  # the same for the first messages: kernels may have to be compiled
QUIET = 0.5  # s without use of the CPU after which a consumer that tells nothing is done
HALF_A_DAY = 43_200.0  # s ago; from there on, messages as fast as they are taken do not reach the future
SETTLE = 3.0  # s of a schedule before it is measured
LATEST = 10  # times as long as planned a schedule may take where the consumer holds it up
FIRST = 300.0  # s for the first message of every sensor


@dataclass(frozen=True)
class Plan:
    """What to run. `rate` 0: as fast as the consumer finishes; with `blast`, as fast as the socket takes."""

    sensors: int
    qos: int
    payload: str
    via: str  # raw | mosquitto
    rate: float = 0
    seconds: float = 5
    rounds: int = 1  # of every sensor, before the measured phase
    blast: bool = False
    window: int = 50_000  # messages under way, without a rate
    inflight: int = 1000  # unacknowledged ones, with QoS 1
    memory: float = 8  # GB
    config: dict[str, Any] = field(default_factory=dict)  # of the daemon

    @property
    def extent(self) -> tuple[int, float]:
        """Messages and seconds of the measured phase; what is scheduled is sent, be it late."""
        return (round(self.rate * self.seconds), LATEST * self.seconds) if self.rate else (0, self.seconds)

    @property
    def step(self) -> float:
        """Seconds between the times of two messages: without a rate, a sensor measures about once a second."""
        return 1 / (self.rate or max(self.sensors, 1000))


@dataclass
class Result:
    """What one consumer did. CPU in µs a message, user and system; memory in MB; latencies in ms."""

    consumer: str
    sent: int
    messages: int | None  # received or, by the daemon, scored; None where it does not tell
    seconds: float
    cpu: float
    threads: dict[str, float]
    stages: dict[str, float]  # wall time of the worker
    batch: float | None  # messages a turn of the worker, on average
    other: dict[str, float]  # CPU of the sender and the broker, a message
    rss: float
    peak: float
    new_sensor: float  # CPU of a first message
    first_missing: int  # sensors whose first message was not scored
    rejected: dict[str, int]
    dropped: int
    retrains: dict[str, int]
    events: int
    late: float  # ms that the sender was behind its schedule at worst
    p50: float | None
    p99: float | None
    histogram: list[int]
    connections: int  # that the consumer, or else the sender, has made
    pings: int  # that it has sent over a raw socket
    pauses: list[list[float]]  # of the line, the longest, while the fleet was new and afterwards: ms, and ms of CPU
    complaints: list[str]  # the first lines of its log

    @property
    def rate(self) -> float:
        """Messages a second."""
        return (self.sent if self.messages is None else self.messages) / self.seconds

    @property
    def lost(self) -> int | None:
        """Messages that were neither scored nor rejected."""
        return None if self.messages is None else self.sent - self.messages - sum(self.rejected.values())

    @property
    def complete(self) -> bool:
        """Whether every message was scored, as far as the consumer tells."""
        return self.messages is None or (self.messages == self.sent and not self.first_missing)


class Mark(NamedTuple):
    """Everything that rises, at one moment."""

    at: float
    consumer: Usage
    told: Snapshot
    others: dict[str, float]  # CPU s


@dataclass
class Run:
    """The processes of a run."""

    plan: Plan
    pump: Pump
    consumer: Consumer
    broker: Broker | None

    def phase(
        self, count: int, seconds: float, rate: float, origin: float, patience: float = STUCK
    ) -> tuple[Mark, Mark, dict[str, Any]]:
        """Send, and wait until all is finished; the marks before and after, and what the sender says."""
        before, total = self.mark(time.monotonic()), self.pump.done.get()
        held_back = not (rate or self.plan.blast or self.consumer.silent)
        self.pump.start(count, seconds, rate, self.plan.window if held_back else 0, origin, self.plan.step)
        told = self.pump.finished()
        return before, self.mark(self._drain(total + told["sent"], patience)), told

    def mark(self, at: float) -> Mark:
        others = {"sender": usage(self.pump.pid).cpu}
        if self.broker is not None:
            others["mosquitto"] = usage(self.broker.pid).cpu
        return Mark(at, self.consumer.usage(), self.consumer.snapshot(), others)

    def _drain(self, total: int, patience: float) -> float:
        """When the last message was finished."""
        progress: Callable[[], float] = self.pump.done.get
        if self.consumer.silent:
            progress, patience, total = lambda: self.consumer.usage().cpu, QUIET, 1 << 62
        latest, at = progress(), time.monotonic()
        while latest < total and time.monotonic() - at < patience:
            time.sleep(LOOK)
            if (now := progress()) != latest:
                latest, at = now, time.monotonic()
        return at

    def acknowledged(self) -> int:
        """Messages of QoS 1 so far."""
        self.pump.start(seconds=1e-9)
        return int(self.pump.finished()["acked"])


def measure(kind: str, plan: Plan, packets: Packets) -> Result:
    """Run one consumer. Raises RuntimeError where a process fails."""
    with _processes(kind, plan, packets) as run:
        count = plan.sensors * plan.rounds
        origin = time.time() - (count * plan.step if plan.rate else HALF_A_DAY)
        first, then, told = run.phase(count, FIRST, 0, origin, COMPILING)
        fresh = (then.consumer.cpu - first.consumer.cpu) / max(told["sent"], 1) * 1e6
        missing = 0 if run.consumer.silent else count - then.told["messages"]
        acked = run.acknowledged()
        if plan.rate:  # the gap before it looks to the sensors' clocks like a silence
            run.phase(round(plan.rate * min(SETTLE, plan.seconds)), LATEST * SETTLE, plan.rate, 0)
        before, after, told = run.phase(*plan.extent, plan.rate, origin + told["sent"] * plan.step)
        counts = plan.qos and plan.via == "raw" and kind == "mosquitto_sub"
        silent = run.acknowledged() - acked if counts else None
        complaints = run.consumer.complaints
    result = _result(kind, before, after, told, silent)
    result.complaints = complaints
    result.new_sensor, result.first_missing = fresh, missing
    result.pauses = [[1e3 * s for s in mark.told["pause"]] for mark in (then, after) if "pause" in mark.told]
    return result


@contextmanager
def _processes(kind: str, plan: Plan, packets: Packets) -> Iterator[Run]:
    if plan.via == "raw":
        with Pump(packets, plan.qos, plan.inflight) as pump, _consumer(kind, plan, pump.port, pump) as consumer:
            pump.answer()  # somebody has subscribed
            yield Run(plan, pump, consumer, None)
        return
    with (
        mosquitto(plan.inflight) as broker,
        Pump(packets, plan.qos, plan.inflight, broker.port) as pump,
        _consumer(kind, plan, broker.port, pump) as consumer,
    ):
        broker.wait_for_subscriber()
        yield Run(plan, pump, consumer, broker)


def _consumer(kind: str, plan: Plan, port: int, pump: Pump) -> Consumer:
    config = configuration(port, plan.qos, plan.sensors, plan.config) if kind == "daemon" else {}
    timed, memory = plan.payload != "text", int(plan.memory * 1e9)
    return Consumer(Task(kind, port, plan.qos, str(pump.done.path), plan.rate > 0, timed, memory, config))


def _result(kind: str, before: Mark, after: Mark, told: dict[str, Any], silent: int | None) -> Result:
    rise: Snapshot = _rise(before.told, after.told)
    messages = rise.get("messages", silent)
    finished = told["sent"] if messages is None else messages
    each = 1e6 / finished if finished else float("nan")
    histogram = rise.get("histogram", [])
    p50, p99 = ((quantile(histogram, share) * 1e3 if sum(histogram) else None) for share in (0.5, 0.99))
    return Result(
        consumer=kind,
        sent=told["sent"],
        messages=messages,
        seconds=max(told["seconds"], after.at - before.at),
        cpu=(after.consumer.cpu - before.consumer.cpu) * each,
        threads={name: seconds * each for name, seconds in rise.get("threads", {}).items()},
        stages={name: seconds * each for name, seconds in rise.get("stages", {}).items()},
        batch=rise["messages"] / max(rise["turns"], 1) if "turns" in rise else None,
        other={name: seconds * each for name, seconds in _rise(before.others, after.others).items()},
        rss=after.consumer.rss / 1e6,
        peak=after.consumer.peak / 1e6,
        new_sensor=0.0,
        first_missing=0,
        rejected={reason: count for reason, count in rise.get("rejected", {}).items() if count},
        dropped=rise.get("dropped", 0),
        retrains={result: count for result, count in rise.get("retrains", {}).items() if count},
        events=rise.get("events", 0),
        late=told["late_max"] * 1e3,
        p50=p50,
        p99=p99,
        histogram=histogram,
        connections=told["connections"],
        pings=told["pings"],
        pauses=[],
        complaints=[],
    )


def _rise(before: Any, after: Any) -> Any:
    """The difference of two snapshots, figure by figure; what was not there before was 0."""
    if isinstance(after, dict):
        return {key: _rise((before or {}).get(key), value) for key, value in after.items()}
    if isinstance(after, list):
        return [new - old for new, old in zip(after, before or [0] * len(after), strict=True)]
    return after - (before or 0)

"""What is read at the instant of a scrape, and the registry that leaves out what nobody needs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from lstm_stream.outputs.health import Health

T = TypeVar("T")

LEVELS = ("debug", "info", "warning", "error", "critical")


class Intake(NamedTuple):
    """What is read at the instant of a scrape, of the network side above all; the three counts only ever rise."""

    connected: bool
    received: int  # messages since the start
    dropped: Mapping[str, int]  # of them lost before they were decoded, by why
    queued: int
    capacity: int
    forgotten: int = 0  # sensors that were removed
    subscribed: bool = False  # to all that was asked for
    failures: Mapping[str, int] = {}  # attempts to connect that led to nothing, by why
    broker_dropped: int = 0  # messages that the broker says it lost, of all its clients
    ahead: float = 0.0  # s by which arrivals are dated before the machine's clock, which was set back
    renewals: int = 0  # connections left on purpose, to log in anew


class Outgoing(NamedTuple):
    """What is in the outbox at the instant of a scrape."""

    waiting: Mapping[str, int]  # events that a sink has not taken yet, by sink
    dropped: int  # since the start, because too many waited


class Written(NamedTuple):
    """What is read of the journal at the instant of a scrape."""

    durable: bool  # whether it keeps what state.durability promises
    failures: int  # writes that failed, since the start
    size: int  # bytes that a start would repeat


class Pages(NamedTuple):
    """What the web side holds at the instant of a scrape."""

    recorded: int  # sensors whose samples are kept for charts
    limit: int  # how many may be
    streams: int  # pages that listen


class Registry(CollectorRegistry):
    """Leaves out `_created`, which doubles the series; prometheus_client's own switch is global to the process."""

    def collect(self) -> Iterator[Metric]:
        """Every family."""
        for family in super().collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


class Scraped(Collector, Generic[T]):
    """The families of what `read` says at the instant of a scrape: of nothing until somebody watches it."""

    def __init__(self, registry: CollectorRegistry, nothing: T, families: Callable[[T], Iterator[Metric]]) -> None:
        self.read: Callable[[], T] = lambda: nothing
        self._families = families
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Every family."""
        return self._families(self.read())


def _filled(family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[str, float]) -> Metric:
    """The family with a series for each label."""
    for label, value in values.items():
        family.add_metric([label], value)
    return family


def intake_families(intake: Intake) -> Iterator[Metric]:
    """The network side."""
    yield GaugeMetricFamily("lstm_stream_mqtt_connected", "1 while the broker is there.", intake.connected)
    yield CounterMetricFamily("lstm_stream_messages_received", "MQTT messages received.", intake.received)
    dropped = CounterMetricFamily("lstm_stream_messages_dropped", "Messages lost unread.", labels=["reason"])
    yield _filled(dropped, intake.dropped)
    yield CounterMetricFamily(
        "lstm_stream_sensors_forgotten",
        "Sensors removed after long silence (limits.forget_after).",
        intake.forgotten,
    )
    yield CounterMetricFamily(
        "lstm_stream_mqtt_renewals", "Connections left on purpose, to log in anew.", intake.renewals
    )
    yield GaugeMetricFamily("lstm_stream_mqtt_subscribed", "1 while every subscription holds.", intake.subscribed)
    failed = CounterMetricFamily(
        "lstm_stream_mqtt_connect_failures", "Attempts to connect that led to nothing.", labels=["reason"]
    )
    yield _filled(failed, intake.failures)
    yield CounterMetricFamily(
        "lstm_stream_broker_messages_dropped",
        "Messages lost by the broker, of any client, as it says in $SYS.",
        intake.broker_dropped,
    )
    yield GaugeMetricFamily(
        "lstm_stream_clock_ahead_seconds", "Arrivals are dated so far before a clock set back.", intake.ahead
    )
    yield GaugeMetricFamily("lstm_stream_queue_length", "Messages that wait for the worker.", intake.queued)
    yield GaugeMetricFamily("lstm_stream_queue_capacity", "Messages that may wait (limits.inbox).", intake.capacity)


def health_families(health: Health) -> Iterator[Metric]:
    """What /-/healthy and /-/ready answer."""
    yield GaugeMetricFamily("lstm_stream_healthy", "1 while the line turns, as /-/healthy says.", health.healthy)
    yield GaugeMetricFamily("lstm_stream_ready", "1 while messages are scored, as /-/ready says.", health.ready)
    checks = GaugeMetricFamily("lstm_stream_check_ok", "1 where a check of /-/ready is ok.", labels=["check"])
    yield _filled(checks, {name: text == "ok" for name, text in health.checks.items()})


def outgoing_families(outgoing: Outgoing) -> Iterator[Metric]:
    """Events that wait for their sinks."""
    waiting = GaugeMetricFamily("lstm_stream_events_waiting", "Events a sink has not taken yet.", labels=["sink"])
    yield _filled(waiting, outgoing.waiting)
    yield CounterMetricFamily(
        "lstm_stream_events_dropped", "Events lost because too many waited for a sink.", outgoing.dropped
    )


class CountingHandler(logging.Handler):
    """Counts log messages by level."""

    def __init__(self, counter: Counter) -> None:
        super().__init__()
        self._children = {level: counter.labels(level) for level in LEVELS}

    def emit(self, record: logging.LogRecord) -> None:
        """Count one."""
        level = record.levelname.lower()
        self._children[level if level in self._children else "info"].inc()


def written_families(written: Written) -> Iterator[Metric]:
    """The journal."""
    yield GaugeMetricFamily(
        "lstm_stream_durable", "1 while a crash loses no more than state.durability allows.", written.durable
    )
    yield CounterMetricFamily("lstm_stream_journal_failures", "Failed writes to the journal.", written.failures)
    yield GaugeMetricFamily("lstm_stream_journal_bytes", "What a start would repeat.", written.size)


def pages_families(pages: Pages) -> Iterator[Metric]:
    """What is kept for people, and how many look."""
    yield GaugeMetricFamily(
        "lstm_stream_sensors_recorded", "Sensors whose samples are kept for charts.", pages.recorded
    )
    yield GaugeMetricFamily("lstm_stream_sensors_recorded_limit", "How many may be (web.recorded).", pages.limit)
    yield GaugeMetricFamily("lstm_stream_page_streams", "Pages that are open and listen.", pages.streams)

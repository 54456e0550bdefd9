"""What Prometheus sees of the daemon. docs/metrics.md is the reference; a test keeps the two in step.

Every method takes what a whole batch did, never a single message, and may be called while another thread scrapes.
What the network side owns (connection, queue) is read at the scrape through `watch` and costs nothing in between.
Labels come from small closed sets: nothing a message says ever becomes a label.
"""

from __future__ import annotations

import logging
import platform
import threading
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from lstm_stream.outputs.histogram import BatchHistogram
from lstm_stream.records import Event, Reason, Rejection, View

PublishResult = Literal["ok", "failed"]

STAGES = ("decode", "detect", "publish")
SENSOR_STATES = ("warming", "watching", "alarmed", "silent")
_RETRAIN_RESULTS = ("adopted", "rejected", "late", "failed")
_PUBLISH_RESULTS: tuple[PublishResult, ...] = ("ok", "failed")
_VIEWS = tuple(view.name.lower() for view in View if view)
_OPENMETRICS = "application/openmetrics-text"
_LEVELS = ("debug", "info", "warning", "error", "critical")
_DISCONNECT_REASONS = 20  # distinct ones kept apart; the rest is "other"

_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_LAG = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 6 * 3600, 86400, 7 * 86400)
_STAGE = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 65536)
_SCORE = (0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8, 10, 15, 20)
_WORK = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Intake(NamedTuple):
    """What is read at the instant of a scrape, of the network side above all; the three counts only ever rise."""

    connected: bool
    received: int  # messages since the start
    dropped: int  # of them lost because the queue was full
    queued: int
    capacity: int
    forgotten: int = 0  # sensors that were removed


class Metrics:
    """The registry and one method for each thing the line does to it. `groups` are those of the configuration."""

    def __init__(self, version: str, groups: Iterable[str] = ()) -> None:
        self.registry = _Registry(auto_describe=True)
        self._lock = threading.Lock()
        self._disconnects: set[str] = set()
        self._build(version, groups)

    # -- what the line reports ---------------------------------------------------------------------------------

    def watch(self, read: Callable[[], Intake]) -> None:
        """Read connection and queue through `read` at every scrape. It must not block."""
        self._intake.read = read

    def disconnected(self, reason: str) -> None:
        """The broker's connection was lost. Beyond 20 distinct reasons they count as `other`."""
        with self._lock:
            if reason not in self._disconnects and len(self._disconnects) >= _DISCONNECT_REASONS:
                reason = "other"
            self._disconnects.add(reason)
        self._mqtt_disconnects.labels(reason).inc()

    def batch(self, arrivals: NDArray[np.float64], samples: int, now: float) -> None:
        """A batch is through: arrival times (K,) of its messages, the number of samples scored, unix s."""
        self._batch_size.observe(samples)
        self._samples_processed.inc(samples)
        if len(arrivals):
            self._last_message.set(float(arrivals.max()))
            self._latency.observe(np.maximum(now - arrivals, 0.0))

    def decoded(self, fast: int, slow: int) -> None:
        """So many messages were read by the compiled reader, and so many one by one."""
        self._decoded["fast"].inc(fast)
        self._decoded["slow"].inc(slow)

    def lag(self, seconds: NDArray[np.float64]) -> None:
        """Arrival minus the sample's own time, (M,), of samples that carry one. From the future counts as 0."""
        self._ingest_lag.observe(np.maximum(seconds, 0.0))

    def rejected(self, rejections: Iterable[Rejection]) -> None:
        """These were not scored, each for its reason."""
        for reason, count in Tally(rejection.reason for rejection in rejections).items():
            self._rejections[reason].inc(count)

    def scores(self, score: NDArray[np.float64]) -> None:
        """The scores (M,) of samples whose sensor is past its warm-up."""
        self._scores.observe(score)

    def stage(self, stage: str, seconds: float) -> None:
        """One stage of a batch (decode, detect, publish) took so long."""
        self._stages[stage].observe(seconds)

    def fleet(self, sensors: Mapping[str, int], open_alarms: int, limit: int) -> None:
        """How many sensors are in each state, how many alarms are open, and the limit of sensors."""
        for state in SENSOR_STATES:
            self._sensors[state].set(sensors.get(state, 0))
        self._anomalies_active.set(open_alarms)
        self._sensors_limit.set(limit)

    def events(self, events: Sequence[Event]) -> None:
        """Alarms opened or closed; those opened count as anomalies."""
        for event in events:
            if event.state == "opened":
                self._anomalies.labels(event.group, event.view).inc()

    def published(self, result: PublishResult, count: int = 1) -> None:
        """So many events were handed to the broker's session, or could not be."""
        self._published[result].inc(count)

    def retrained(self, result: str, seconds: float, now: float) -> None:
        """A round ended as `adopted`, `rejected` (both a success of the trainer), `late` or `failed`."""
        self._retrains[result].inc()
        self._retrain_duration.observe(seconds)
        if result in ("adopted", "rejected"):
            self._retrain_success.set(now)

    def checkpoint(self, seconds: float, now: float) -> None:
        """The state was saved."""
        self._checkpoint_duration.observe(seconds)
        self._checkpoint_success.set(now)

    def checkpoint_failed(self) -> None:
        """The state could not be saved."""
        self._checkpoint_failures.inc()

    def log_handler(self) -> logging.Handler:
        """A handler that counts log messages by level."""
        return _CountingHandler(self._log_messages)

    # -- what Prometheus reads ---------------------------------------------------------------------------------

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The exposition and its content type: OpenMetrics 1.0 where `accept` names it, else the text format."""
        # The rest of the header is a stranger's text, which choose_encoder would trust.
        encode, content_type = choose_encoder(_OPENMETRICS if _OPENMETRICS in accept else "")
        return encode(self.registry), content_type

    # -- the families, in the order of docs/metrics.md ---------------------------------------------------------

    def _build(self, version: str, groups: Iterable[str]) -> None:
        self._build_info(version)
        self._build_line()
        self._build_decision(groups)
        self._build_upkeep()
        ProcessCollector(registry=self.registry)

    def _build_info(self, version: str) -> None:
        info = Info("lstm_stream_build", "The program that answers.", registry=self.registry)
        info.info({"version": version, "python": platform.python_version()})

    def _build_line(self) -> None:
        self._intake = _IntakeCollector(self.registry)
        self._mqtt_disconnects = self._counter("mqtt_disconnects", "Lost broker connections.", "reason")
        decoded = self._counter("messages_decoded", "Messages decoded, by the way they were.", "path")
        self._decoded = {path: decoded.labels(path) for path in ("fast", "slow")}
        self._samples_processed = self._counter("samples_processed", "Samples that went through the detector.")
        rejected = self._counter("samples_rejected", "Messages and samples not scored, by reason.", "reason")
        self._rejections = {reason: rejected.labels(reason.value) for reason in Reason}
        self._last_message = self._gauge("last_message_timestamp_seconds", "Arrival of the latest message scored.")
        self._ingest_lag = self._batch_histogram(
            "ingest_lag_seconds", "Arrival of a message minus its sample's own time.", _LAG
        )
        self._batch_size = self._histogram("batch_size_samples", "Samples taken through the line at once.", _BATCH)
        stage = self._histogram("stage_duration_seconds", "Time a batch spends in a stage.", _STAGE, "stage")
        self._stages = {name: stage.labels(name) for name in STAGES}
        self._latency = self._batch_histogram(
            "processing_latency_seconds", "From a message's arrival to its verdict.", _LATENCY
        )

    def _build_decision(self, groups: Iterable[str]) -> None:
        sensors = self._gauge("sensors", "Sensors known, by state.", "state")
        self._sensors = {state: sensors.labels(state) for state in SENSOR_STATES}
        self._sensors_limit = self._gauge("sensors_limit", "Sensors that limits.sensors allows.")
        self._anomalies = self._counter("anomalies", "Alarms opened, by group and leading view.", "group", "view")
        for group, view in product(groups, _VIEWS):
            self._anomalies.labels(group, view)  # a series that starts at 0 shows its first increase
        self._anomalies_active = self._gauge("anomalies_active", "Alarms open now.")
        self._scores = self._batch_histogram(
            "anomaly_score_distribution", "Scores, -log10 of the tail probability, of sensors past warm-up.", _SCORE
        )
        published = self._counter("events_published", "Events handed to the broker's session.", "result")
        self._published = {result: published.labels(result) for result in _PUBLISH_RESULTS}

    def _build_upkeep(self) -> None:
        retrains = self._counter("retrains", "Rounds of training, by what became of the weights.", "result")
        self._retrains = {result: retrains.labels(result) for result in _RETRAIN_RESULTS}
        self._retrain_duration = self._histogram("retrain_duration_seconds", "Time of a round of training.", _WORK)
        self._retrain_success = self._gauge(
            "retrain_last_success_timestamp_seconds", "End of the latest round that did not fail."
        )
        self._checkpoint_duration = self._histogram("checkpoint_duration_seconds", "Time to save the state.", _WORK)
        self._checkpoint_success = self._gauge(
            "checkpoint_last_success_timestamp_seconds", "When the state was last saved."
        )
        self._checkpoint_failures = self._counter("checkpoint_failures", "Saves of the state that failed.")
        self._log_messages = self._counter("log_messages", "Log messages, by level.", "level")
        for level in _LEVELS:
            self._log_messages.labels(level)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"lstm_stream_{name}", documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(f"lstm_stream_{name}", documentation, labels, registry=self.registry)

    def _histogram(self, name: str, documentation: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"lstm_stream_{name}", documentation, labels, buckets=buckets, registry=self.registry)

    def _batch_histogram(self, name: str, documentation: str, bounds: Sequence[float]) -> BatchHistogram:
        return BatchHistogram(f"lstm_stream_{name}", documentation, bounds, self.registry)


class _Registry(CollectorRegistry):
    """Leaves out `_created`, which doubles the series; prometheus_client's own switch is global to the process."""

    def collect(self) -> Iterator[Metric]:
        for family in super().collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


class _IntakeCollector(Collector):
    """The network side, read at the scrape; all zero until somebody watches it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.read: Callable[[], Intake] = lambda: Intake(False, 0, 0, 0, 0)
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        intake = self.read()
        yield GaugeMetricFamily("lstm_stream_mqtt_connected", "1 while the broker is there.", intake.connected)
        yield CounterMetricFamily("lstm_stream_messages_received", "MQTT messages received.", intake.received)
        yield CounterMetricFamily(
            "lstm_stream_messages_dropped", "Messages lost because the queue was full.", intake.dropped
        )
        yield CounterMetricFamily(
            "lstm_stream_sensors_forgotten",
            "Sensors removed after long silence (limits.forget_after).",
            intake.forgotten,
        )
        yield GaugeMetricFamily("lstm_stream_queue_length", "Messages that wait for the worker.", intake.queued)
        yield GaugeMetricFamily("lstm_stream_queue_capacity", "Messages that may wait (limits.inbox).", intake.capacity)


class _CountingHandler(logging.Handler):
    def __init__(self, counter: Counter) -> None:
        super().__init__()
        self._children = {level: counter.labels(level) for level in _LEVELS}

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        self._children[level if level in self._children else "info"].inc()

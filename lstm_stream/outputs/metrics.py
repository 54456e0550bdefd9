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
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, product
from math import isfinite
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter, Gauge, Histogram, Info, ProcessCollector, Summary
from prometheus_client.exposition import choose_encoder

from lstm_stream.config import Group
from lstm_stream.config.outlets import Severity
from lstm_stream.outputs.health import Health
from lstm_stream.outputs.histogram import BatchHistogram
from lstm_stream.outputs.scraped import (
    LEVELS,
    CountingHandler,
    Pages,
    Registry,
    Scraped,
    health_families,
    intake_families,
    outgoing_families,
    pages_families,
    written_families,
)
from lstm_stream.outputs.scraped import Intake as Intake
from lstm_stream.outputs.scraped import Outgoing as Outgoing
from lstm_stream.outputs.scraped import Written as Written
from lstm_stream.outputs.severity import SEVERITIES, severity_of
from lstm_stream.outputs.text import END, families, paced
from lstm_stream.records import Event, Reason, Rejection, Verb

PublishResult = Literal["ok", "failed", "refused", "muted", "filtered"]

COMMAND_MESSAGES = ("ok", "refused", "malformed", "retained", "repeated")
STAGES = ("decode", "detect", "commit")
SENSOR_STATES = ("warming", "watching", "alarmed", "silent")
_RETRAIN_RESULTS = ("adopted", "rejected", "late", "failed", "rollback")
_WEIGHTS = ("champion", "challenger")
_PUBLISH_RESULTS: tuple[PublishResult, ...] = get_args(PublishResult)
_OPENMETRICS = "application/openmetrics-text"
_DISCONNECT_REASONS = 20  # distinct ones kept apart; the rest is "other"
_UNREADABLE = (
    Reason.TOO_LARGE,
    Reason.TOO_DEEP,
    Reason.MALFORMED,
    Reason.NO_CHANNELS,
    Reason.BAD_TIMESTAMP,
    Reason.BAD_SENSOR,
    Reason.UNSUPPORTED,
)

_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_LAG = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 6 * 3600, 86400, 7 * 86400)
_STAGE = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 65536)
_SCORE = (0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8, 10, 15, 20)
_WORK = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The registry and one method for each thing the line does to it; groups and severity as the configuration says."""

    def __init__(
        self, version: str, groups: Mapping[str, Group] | None = None, severity: Severity | None = None
    ) -> None:
        self.registry = Registry(auto_describe=True)
        self._lock = threading.Lock()
        self._disconnects: set[str] = set()
        self._series: Callable[[], Iterable[bytes]] = lambda: ()
        self._build(version)
        self.configured(groups or {}, severity or Severity())

    def configured(self, groups: Mapping[str, Group], severity: Severity) -> None:
        """These are the groups from now on, and this is how severe their alarms are."""
        self._severity = severity
        self._models.clear()
        for name, group in groups.items():
            model, learning = group.model, "on" if group.retraining.enabled else "off"
            self._models.labels(name, model.cell, str(model.hidden), model.weights, group.profile, learning).set(1)
            for view, severe in product(group.views, SEVERITIES):
                self._anomalies.labels(name, view, severe)  # a series that starts at 0 shows its first increase

    # -- what the line reports ---------------------------------------------------------------------------------

    def watch(self, read: Callable[[], Intake]) -> None:
        """Read connection and queue through `read` at every scrape. It must not block."""
        self._intake.read = read

    def watch_health(self, read: Callable[[], Health]) -> None:
        """Read how the daemon is through `read` at every scrape. It must not block."""
        self._health.read = read

    def watch_series(self, render: Callable[[], Iterable[bytes]]) -> None:
        """Add the text that `render` gives in pieces to every scrape: whole lines."""
        self._series = render

    def watch_outbox(self, read: Callable[[], Outgoing]) -> None:
        """Read what waits for the sinks through `read` at every scrape. It must not block."""
        self._outbox.read = read

    def watch_journal(self, read: Callable[[], Written]) -> None:
        """Read how the journal is through `read` at every scrape. It must not block."""
        self._journal.read = read

    def watch_pages(self, read: Callable[[], Pages]) -> None:
        """Read what is kept for people through `read` at every scrape. It must not block."""
        self._pages.read = read

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

    def waited(self, seconds: NDArray[np.float64]) -> None:
        """Messages (K,) lay in the queue for so long."""
        self._queue_wait.observe(np.maximum(seconds, 0.0))

    def decoded(self, fast: int, slow: int, samples: int = 0) -> None:
        """So many messages were read by the compiled reader, and so many one by one; the samples they held."""
        self._decoded["fast"].inc(fast)
        self._decoded["slow"].inc(slow)
        self._samples_received.inc(samples)

    def lag(self, seconds: NDArray[np.float64]) -> None:
        """Arrival minus the sample's own time, (M,), of samples that carry one. From the future counts as 0."""
        self._ingest_lag.observe(np.maximum(seconds, 0.0))

    def rejected(self, rejections: Iterable[Rejection]) -> None:
        """These were not scored, each for its reason."""
        for reason, count in Tally(rejection.reason for rejection in rejections).items():
            self._rejections[reason].inc(count)
            if reason in self._unreadable:
                self._unreadable[reason].inc(count)

    def scores(self, score: NDArray[np.float64]) -> None:
        """The scores (M,) of samples whose sensor is past its warm-up."""
        self._scores.observe(score)

    def stage(self, stage: str, seconds: float) -> None:
        """One stage of a batch (decode, detect, commit) took so long."""
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
                self._anomalies.labels(event.group, event.view, severity_of(event, self._severity)).inc()

    def published(self, result: str, count: int = 1, sink: str = "mqtt") -> None:
        """So many events were taken by a sink, or not: one of `PublishResult`."""
        self._published.labels(sink, result).inc(count)

    def sinks(self, names: Iterable[str]) -> None:
        """These are the sinks: their counters start at 0."""
        for sink, result in product(names, _PUBLISH_RESULTS):
            self._published.labels(sink, result)

    def command_message(self, result: str) -> None:
        """A message came on the topic of commands: one of `COMMAND_MESSAGES`."""
        self._command_messages.labels(result).inc()

    def command(self, verb: str, ok: bool) -> None:
        """A person's command was obeyed, or refused. The verb is one of `records.Verb`."""
        self._commands.labels(verb, "ok" if ok else "refused").inc()

    def retrained(
        self, result: str, seconds: float, now: float, champion: float = np.nan, challenger: float = np.nan
    ) -> None:
        """A round ended as `adopted`, `rejected` (both a success of the trainer), `late` or `failed`; or no round: a
        person went back to former weights, `rollback`.

        `champion` and `challenger` are the losses on held-back samples, NaN where there is none.
        """
        self._retrains[result].inc()
        if result == "rollback":
            return
        self._retrain_duration.observe(seconds)
        for weights, loss in (("champion", champion), ("challenger", challenger)):
            if isfinite(loss):
                self._losses[weights].observe(loss)
        if result in ("adopted", "rejected"):
            self._retrain_success.set(now)

    def checkpoint(self, seconds: float, now: float) -> None:
        """The state was saved."""
        self._checkpoint_duration.observe(seconds)
        self._checkpoint_success.set(now)

    def checkpoint_failed(self) -> None:
        """The state could not be saved."""
        self._checkpoint_failures.inc()

    def reloaded(self, ok: bool, now: float) -> None:
        """The configuration was read: it is in force, or was refused and the former one stays."""
        self._reload_ok.set(ok)
        if ok:
            self._reload_success.set(now)

    def renewed(self, ok: bool) -> None:
        """The files of the broker's login were read: what they hold is in use, or cannot be and the former stays."""
        self._login_ok.set(ok)

    def log_handler(self) -> logging.Handler:
        """A handler that counts log messages by level."""
        return CountingHandler(self._log_messages)

    # -- what Prometheus reads ---------------------------------------------------------------------------------

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The exposition and its content type: OpenMetrics 1.0 where `accept` names it, else the text format."""
        # The rest of the header is a stranger's text, which choose_encoder would trust.
        openmetrics = _OPENMETRICS in accept
        _, content_type = choose_encoder(_OPENMETRICS if openmetrics else "")
        pieces = paced(chain(families(self.registry, openmetrics), self._series()))
        return b"".join([*pieces, END if openmetrics else b""]), content_type

    # -- the families, in the order of docs/metrics.md ---------------------------------------------------------

    def _build(self, version: str) -> None:
        self._build_info(version)
        self._build_line()
        self._build_decision()
        self._build_events()
        self._build_learning()
        self._build_upkeep()
        ProcessCollector(registry=self.registry)

    def _build_info(self, version: str) -> None:
        info = Info("lstm_stream_build", "The program that answers.", registry=self.registry)
        info.info({"version": version, "python": platform.python_version()})
        self._health = Scraped(self.registry, Health(healthy=False, ready=False), health_families)
        self._reload_ok = self._gauge("config_last_reload_successful", "1 where the latest reading of it succeeded.")
        self._reload_success = self._gauge(
            "config_last_reload_success_timestamp_seconds", "When the configuration in force was read."
        )
        self._login_ok = self._gauge(
            "mqtt_login_current", "1 while password and certificates are used as the files hold them."
        )

    def _build_line(self) -> None:
        self._intake = Scraped(self.registry, Intake(False, 0, {}, 0, 0), intake_families)
        self._mqtt_disconnects = self._counter("mqtt_disconnects", "Lost broker connections.", "reason")
        decoded = self._counter("messages_decoded", "Messages decoded, by the way they were.", "path")
        self._decoded = {path: decoded.labels(path) for path in ("fast", "slow")}
        self._samples_received = self._counter("samples_received", "Samples found in the messages.")
        unreadable = self._counter("decode_errors", "Messages that could not be read, by reason.", "reason")
        self._unreadable = {reason: unreadable.labels(reason.value) for reason in _UNREADABLE}
        self._samples_processed = self._counter("samples_processed", "Samples that went through the detector.")
        rejected = self._counter("samples_rejected", "Messages and samples not scored, by reason.", "reason")
        self._rejections = {reason: rejected.labels(reason.value) for reason in Reason}
        self._last_message = self._gauge("last_message_timestamp_seconds", "Arrival of the latest message scored.")
        self._ingest_lag = self._batch_histogram(
            "ingest_lag_seconds", "Arrival of a message minus its sample's own time.", _LAG
        )
        self._queue_wait = self._batch_histogram("queue_wait_seconds", "Time of a message in the queue.", _LATENCY)
        self._batch_size = self._histogram("batch_size_samples", "Samples taken through the line at once.", _BATCH)
        stage = self._histogram("stage_duration_seconds", "Time a batch spends in a stage.", _STAGE, "stage")
        self._stages = {name: stage.labels(name) for name in STAGES}
        self._latency = self._batch_histogram(
            "processing_latency_seconds", "From a message's arrival to its verdict.", _LATENCY
        )

    def _build_decision(self) -> None:
        sensors = self._gauge("sensors", "Sensors known, by state.", "state")
        self._sensors = {state: sensors.labels(state) for state in SENSOR_STATES}
        self._sensors_limit = self._gauge("sensors_limit", "Sensors that limits.sensors allows.")
        self._anomalies = self._counter(
            "anomalies", "Alarms opened, by group, leading view and severity.", "group", "view", "severity"
        )
        self._anomalies_active = self._gauge("anomalies_active", "Alarms open now.")
        self._scores = self._batch_histogram(
            "anomaly_score_distribution", "Scores, -log10 of the tail probability, of sensors past warm-up.", _SCORE
        )

    def _build_events(self) -> None:
        self._published = self._counter("events_published", "Events that a sink took or not.", "sink", "result")
        self.sinks(["mqtt"])
        self._outbox = Scraped(self.registry, Outgoing({}, 0), outgoing_families)
        self._journal = Scraped(self.registry, Written(False, 0, 0), written_families)
        self._pages = Scraped(self.registry, Pages(0, 0, 0), pages_families)
        self._commands = self._counter("commands", "What people asked of the daemon.", "verb", "result")
        for verb, result in product(get_args(Verb), ("ok", "refused")):
            self._commands.labels(verb, result)
        self._command_messages = self._counter("command_messages", "Messages on the topic of commands.", "result")
        for result in COMMAND_MESSAGES:
            self._command_messages.labels(result)

    def _build_learning(self) -> None:
        labels = "group", "cell", "hidden", "weights", "profile", "learning"
        self._models = self._gauge("model_info", "Always 1; the model of a group.", *labels)
        retrains = self._counter("retrains", "Rounds of training, by what became of the weights.", "result")
        self._retrains = {result: retrains.labels(result) for result in _RETRAIN_RESULTS}
        self._retrain_duration = self._histogram("retrain_duration_seconds", "Time of a round of training.", _WORK)
        losses = Summary(
            "lstm_stream_retrain_loss", "Mean loss on held-back samples.", ["weights"], registry=self.registry
        )
        self._losses = {weights: losses.labels(weights) for weights in _WEIGHTS}
        self._retrain_success = self._gauge(
            "retrain_last_success_timestamp_seconds", "End of the latest round that did not fail."
        )

    def _build_upkeep(self) -> None:
        self._checkpoint_duration = self._histogram("checkpoint_duration_seconds", "Time to save the state.", _WORK)
        self._checkpoint_success = self._gauge(
            "checkpoint_last_success_timestamp_seconds", "When the state was last saved."
        )
        self._checkpoint_failures = self._counter("checkpoint_failures", "Saves of the state that failed.")
        self._log_messages = self._counter("log_messages", "Log messages, by level.", "level")
        for level in LEVELS:
            self._log_messages.labels(level)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"lstm_stream_{name}", documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(f"lstm_stream_{name}", documentation, labels, registry=self.registry)

    def _histogram(self, name: str, documentation: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"lstm_stream_{name}", documentation, labels, buckets=buckets, registry=self.registry)

    def _batch_histogram(self, name: str, documentation: str, bounds: Sequence[float]) -> BatchHistogram:
        return BatchHistogram(f"lstm_stream_{name}", documentation, bounds, self.registry)

"""Metrics: what a scrape shows of what the line did, and that the reference documents all of it."""

from __future__ import annotations

import logging
import re
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from lstm_stream.config import Group
from lstm_stream.config.metrics import SensorSeries
from lstm_stream.config.outlets import Severity
from lstm_stream.outputs.health import Health
from lstm_stream.outputs.histogram import BatchHistogram
from lstm_stream.outputs.metrics import Intake, Metrics, Outgoing
from lstm_stream.outputs.series import Series
from lstm_stream.records import Event, Reason, Rejection, Samples, Verdicts

REFERENCE = Path(__file__).parents[2] / "docs" / "metrics.md"
OPENED = Event("1", "s", "pumps", "opened", "level", "because", 0.0, None, 5.0, 3.0, 0)


@pytest.fixture
def metrics() -> Metrics:
    """As the daemon makes them."""
    return Metrics("1.2.3", groups={"pumps": Group()})


@pytest.fixture
def used(metrics: Metrics) -> Metrics:
    """After a little of everything, so that every family has a series."""
    intake = Intake(connected=True, received=12, dropped={"drop_newest": 2}, queued=5, capacity=100)
    metrics.watch(lambda: intake._replace(subscribed=True, failures={"timeout": 3}, broker_dropped=7, ahead=1.5))
    metrics.watch_health(lambda: Health(healthy=True, ready=False, checks={"line": "ok", "broker": "refused"}))
    metrics.watch_outbox(lambda: Outgoing({"mqtt": 0, "webhook": 4}, dropped=3))
    metrics.reloaded(True, 90.0)
    metrics.reloaded(False, 95.0)
    metrics.sinks(["mqtt", "webhook"])
    metrics.disconnected("keep alive timeout")
    metrics.batch(np.array([99.0, 99.5]), samples=7, now=100.0)
    metrics.waited(np.array([0.2, 0.3]))
    metrics.decoded(fast=5, slow=2, samples=9)
    metrics.lag(np.array([3.0, -5.0]))
    metrics.rejected(
        [Rejection(Reason.MALFORMED, "x"), Rejection(Reason.MALFORMED, "y"), Rejection(Reason.RETAINED, "")]
    )
    metrics.scores(np.array([0.2, 3.2]))
    metrics.stage("decode", 0.01)
    metrics.fleet({"warming": 1, "watching": 2, "alarmed": 3}, open_alarms=3, limit=1000)
    metrics.events([OPENED, replace(OPENED, state="closed", closed=1.0)])
    metrics.published("ok", 2)
    metrics.published("failed", sink="webhook")
    metrics.command("pause", ok=True)
    metrics.retrained("adopted", seconds=0.2, now=100.0, champion=0.5, challenger=0.25)
    metrics.checkpoint(seconds=0.1, now=101.0)
    metrics.checkpoint_failed()
    metrics.watch_series(one_sensor().render)
    return metrics


def one_sensor() -> Series:
    """A sensor called s that is shown."""
    series, one = Series(SensorSeries(allow=("s",))), np.ones((1, 1))
    samples = Samples(np.zeros(1, np.int32), np.array([1000.0]), one)
    verdicts = Verdicts(one, one, one, one[0], one[0], one, np.ones(1, np.int8), np.ones(1, np.bool_))
    for now in (0.0, 1.0):
        series.take("pumps", ("v",), ["s"], np.zeros(1, np.int64), samples, verdicts)
        series.refresh(now)
    return series


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """What a scrape shows of one series."""
    for family in parse_text(metrics.render()[0].decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("healthy", {}, 1),
        ("ready", {}, 0),
        ("check_ok", {"check": "line"}, 1),
        ("check_ok", {"check": "broker"}, 0),
        ("config_last_reload_successful", {}, 0),
        ("config_last_reload_success_timestamp_seconds", {}, 90),
        ("mqtt_connected", {}, 1),
        ("mqtt_disconnects_total", {"reason": "keep alive timeout"}, 1),
        ("mqtt_subscribed", {}, 1),
        ("mqtt_connect_failures_total", {"reason": "timeout"}, 3),
        ("broker_messages_dropped_total", {}, 7),
        ("clock_ahead_seconds", {}, 1.5),
        ("messages_received_total", {}, 12),
        ("messages_dropped_total", {"reason": "drop_newest"}, 2),
        ("queue_length", {}, 5),
        ("queue_capacity", {}, 100),
        ("messages_decoded_total", {"path": "fast"}, 5),
        ("messages_decoded_total", {"path": "slow"}, 2),
        ("samples_received_total", {}, 9),
        ("decode_errors_total", {"reason": "malformed"}, 2),
        ("decode_errors_total", {"reason": "too_large"}, 0),
        ("decode_errors_total", {"reason": "retained"}, None),
        ("queue_wait_seconds_sum", {}, 0.5),
        ("samples_processed_total", {}, 7),
        ("samples_rejected_total", {"reason": "malformed"}, 2),
        ("samples_rejected_total", {"reason": "retained"}, 1),
        ("samples_rejected_total", {"reason": "too_large"}, 0),
        ("last_message_timestamp_seconds", {}, 99.5),
        ("ingest_lag_seconds_sum", {}, 3),
        ("ingest_lag_seconds_count", {}, 2),
        ("batch_size_samples_bucket", {"le": "8.0"}, 1),
        ("batch_size_samples_bucket", {"le": "4.0"}, 0),
        ("stage_duration_seconds_count", {"stage": "decode"}, 1),
        ("stage_duration_seconds_count", {"stage": "commit"}, 0),
        ("processing_latency_seconds_sum", {}, 1.5),
        ("processing_latency_seconds_bucket", {"le": "0.5"}, 1),
        ("sensors", {"state": "alarmed"}, 3),
        ("sensors_limit", {}, 1000),
        ("anomalies_total", {"group": "pumps", "view": "level", "severity": "warning"}, 1),
        ("anomalies_total", {"group": "pumps", "view": "level", "severity": "critical"}, 0),
        ("anomalies_total", {"group": "pumps", "view": "silence", "severity": "warning"}, 0),
        ("anomalies_active", {}, 3),
        ("anomaly_score_distribution_bucket", {"le": "3.0"}, 1),
        ("anomaly_score_distribution_bucket", {"le": "+Inf"}, 2),
        ("events_published_total", {"sink": "mqtt", "result": "ok"}, 2),
        ("events_published_total", {"sink": "mqtt", "result": "failed"}, 0),
        ("events_published_total", {"sink": "webhook", "result": "failed"}, 1),
        ("events_waiting", {"sink": "webhook"}, 4),
        ("events_dropped_total", {}, 3),
        ("commands_total", {"verb": "pause", "result": "ok"}, 1),
        ("commands_total", {"verb": "undo", "result": "refused"}, 0),
        (
            "model_info",
            {
                "group": "pumps",
                "cell": "standard",
                "hidden": "16",
                "weights": "own",
                "profile": "full",
                "learning": "on",
            },
            1,
        ),
        ("retrain_loss_sum", {"weights": "champion"}, 0.5),
        ("retrain_loss_sum", {"weights": "challenger"}, 0.25),
        ("retrains_total", {"result": "adopted"}, 1),
        ("retrain_duration_seconds_sum", {}, 0.2),
        ("retrain_last_success_timestamp_seconds", {}, 100),
        ("checkpoint_duration_seconds_count", {}, 1),
        ("checkpoint_last_success_timestamp_seconds", {}, 101),
        ("checkpoint_failures_total", {}, 1),
    ],
)
def test_a_scrape_shows_what_was_reported(
    used: Metrics, name: str, labels: dict[str, str], expected: float | None
) -> None:
    assert value(used, f"lstm_stream_{name}", **labels) == expected


def test_the_version_is_told(metrics: Metrics) -> None:
    assert b'version="1.2.3"' in metrics.render()[0]


def test_a_round_that_failed_is_no_success(metrics: Metrics) -> None:
    metrics.retrained("failed", seconds=0.2, now=100.0)
    assert value(metrics, "lstm_stream_retrains_total", result="failed") == 1
    assert value(metrics, "lstm_stream_retrain_last_success_timestamp_seconds") == 0


def test_an_empty_batch_leaves_the_time_of_the_last_message(metrics: Metrics) -> None:
    metrics.batch(np.array([50.0]), 1, 51.0)
    metrics.batch(np.array([]), 0, 60.0)
    assert value(metrics, "lstm_stream_last_message_timestamp_seconds") == 50


def test_groups_that_are_gone_have_no_model_and_new_ones_start_at_zero(used: Metrics) -> None:
    used.configured({"fans": Group()}, Severity())
    text = used.render()[0].decode()
    assert re.findall(r'^lstm_stream_model_info{.*group="(\w+)"', text, re.MULTILINE) == ["fans"]
    assert value(used, "lstm_stream_anomalies_total", group="fans", view="level", severity="info") == 0
    assert value(used, "lstm_stream_anomalies_total", group="pumps", view="level", severity="warning") == 1


def test_a_round_without_losses_leaves_their_mean(metrics: Metrics) -> None:
    metrics.retrained("late", seconds=0.2, now=100.0)
    assert value(metrics, "lstm_stream_retrain_loss_count", weights="champion") == 0


def test_reasons_of_lost_connections_stay_few(metrics: Metrics) -> None:
    for number in range(100):
        metrics.disconnected(f"reason {number}")
    text = metrics.render()[0].decode()
    assert text.count("lstm_stream_mqtt_disconnects_total{") == 21
    assert value(metrics, "lstm_stream_mqtt_disconnects_total", reason="other") == 80


def test_log_messages_are_counted_by_level(metrics: Metrics) -> None:
    logger = logging.Logger("a logger of its own")
    logger.addHandler(metrics.log_handler())
    logger.warning("w")
    logger.error("e")
    logger.error("e")
    logger.log(25, "between info and warning")
    assert value(metrics, "lstm_stream_log_messages_total", level="warning") == 1
    assert value(metrics, "lstm_stream_log_messages_total", level="error") == 2
    assert value(metrics, "lstm_stream_log_messages_total", level="critical") == 0


def test_two_sets_of_metrics_share_nothing(used: Metrics) -> None:
    assert value(used, "lstm_stream_samples_processed_total") == 7
    assert value(Metrics("1.2.3"), "lstm_stream_samples_processed_total") == 0


@pytest.mark.prometheus
def test_promtool_finds_nothing_to_lint(used: Metrics, program: Any) -> None:
    command = [program("promtool"), "check", "metrics"]
    result = subprocess.run(command, input=used.render()[0], capture_output=True, timeout=20, check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, b"")


def test_created_series_are_off(used: Metrics) -> None:
    assert b"_created" not in used.render()[0]
    assert b"_created" not in used.render("application/openmetrics-text")[0]


PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


@pytest.mark.parametrize(
    "accept", [PROMETHEUS_2_42, "application/openmetrics-text", "application/openmetrics-text;version=\r"]
)
def test_openmetrics_where_the_scraper_asks_for_it(used: Metrics, accept: str) -> None:
    body, content_type = used.render(accept)
    assert content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert {family.name for family in parse_openmetrics(body.decode())} > {
        "lstm_stream_sensors",
        "lstm_stream_anomalies",
    }


@pytest.mark.parametrize("accept", ["", "*/*", "text/html", "text/plain;version=1.0.0;escaping=dots", "\xff;version=x"])
def test_the_text_format_for_everybody_else(used: Metrics, accept: str) -> None:
    body, content_type = used.render(accept)
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert b"# EOF" not in body


def exported(metrics: Metrics) -> dict[str, tuple[str, frozenset[str]]]:
    """Name -> type and labels of every family that a scrape shows."""
    text = metrics.render()[0].decode()
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    labels: dict[str, set[str]] = {name: set() for name in types}
    for family in parse_text(text):
        for sample in family.samples:
            name = sample.name if sample.name in types else re.sub(r"_(bucket|sum|count)$", "", sample.name)
            labels[name] |= sample.labels.keys() - {"le"}
    return {name: (types[name], frozenset(labels[name])) for name in types}


def documented() -> dict[str, tuple[str, frozenset[str]]]:
    """The same, read from the tables of docs/metrics.md."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*)\|", REFERENCE.read_text(), re.MULTILINE)
    return {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_the_reference_documents_every_metric_and_no_other(used: Metrics) -> None:
    assert documented() == exported(used)


_CLOSED = {"reason", "stage", "state", "view", "result", "level", "verb", "weights", "learning", "by", "severity"}


def test_the_reference_names_every_value_of_a_closed_label(metrics: Metrics) -> None:
    families = parse_text(metrics.render()[0].decode())
    values = {
        sample.labels[name]
        for family in families
        for sample in family.samples
        for name in sample.labels.keys() & _CLOSED
    }
    assert values > {reason.value for reason in Reason}
    assert {value for value in values if f"`{value}`" not in REFERENCE.read_text()} == set()


BOUNDS = (0.0, 0.5, 1.0, 10.0)


@given(arrays.arrays(np.float64, st.integers(0, 50), elements=st.floats(-20, 20) | st.sampled_from([*BOUNDS, np.inf])))
def test_a_batch_counts_as_its_values_one_by_one(values: np.ndarray) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    BatchHistogram("h", "d", BOUNDS, ours).observe(values)
    slow = Histogram("h", "d", buckets=BOUNDS, registry=theirs)
    for number in values:
        slow.observe(number)

    def buckets(registry: CollectorRegistry) -> list[str]:
        return [
            line for line in generate_latest(registry).decode().splitlines() if "_bucket" in line or "_count" in line
        ]

    assert buckets(ours) == buckets(theirs)


def test_nan_is_left_out_and_an_infinity_does_not_spoil_the_sum(metrics: Metrics) -> None:
    metrics.scores(np.array([1.0, np.nan, np.inf]))
    assert value(metrics, "lstm_stream_anomaly_score_distribution_count") == 2
    assert value(metrics, "lstm_stream_anomaly_score_distribution_sum") == 1.0


def test_scrapes_while_batches_go_through_are_consistent(metrics: Metrics) -> None:
    done = threading.Event()

    def work() -> None:
        for _ in range(2_000):
            metrics.scores(np.array([1.0, 4.0]))
        done.set()

    worker = threading.Thread(target=work)
    worker.start()
    while not done.is_set():
        count = value(metrics, "lstm_stream_anomaly_score_distribution_count")
        assert count is not None
        assert count % 2 == 0, "half a batch was seen"
    worker.join()
    assert value(metrics, "lstm_stream_anomaly_score_distribution_sum") == 10_000

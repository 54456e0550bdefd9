"""config/compose.yaml, without an engine to run it: valid, whole, closed to strangers, and losing nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lstm_stream.config import Web
from lstm_stream.config.file import load

CONFIG = Path(__file__).parents[2] / "config"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((CONFIG / "compose.yaml").read_text())["services"]


def mounts(service: str) -> dict[str, str]:
    """What is mounted where in a container: path there -> path or volume here."""
    return {there: here for here, there, *_ in (volume.split(":") for volume in SERVICES[service]["volumes"])}


def test_it_is_what_the_compose_specification_allows() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, CONFIG / "compose.yaml"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_hardened_and_watched(service: str) -> None:
    one = SERVICES[service]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for port in one["ports"])
    assert "healthcheck" in one or "HEALTHCHECK" in (CONFIG.parent / "Dockerfile").read_text()
    assert re.fullmatch(r"\S+:v?\d+\.\d+\.\d+", one["image"]) or "build" in one


@pytest.mark.parametrize("service", SERVICES)
def test_everything_mounted_is_there(service: str) -> None:
    volumes = yaml.safe_load((CONFIG / "compose.yaml").read_text())["volumes"]
    here = mounts(service).values()
    assert [path for path in here if path.startswith(".") and not (CONFIG / path).exists()] == []
    assert {name for name in here if not name.startswith(".")} <= volumes.keys()


def test_the_daemon_s_configuration_is_valid_and_names_the_services() -> None:
    config = load(CONFIG / "compose" / "lstm_stream.yaml")
    assert config.broker.host in SERVICES
    assert config.web.host == "0.0.0.0"
    assert SERVICES["lstm_stream"]["ports"] == [f"127.0.0.1:{Web().port}:{config.web.port}"]


def test_prometheus_finds_its_rules_and_its_targets() -> None:
    prometheus = yaml.safe_load((CONFIG / "compose" / "prometheus.yml").read_text())
    there = mounts("prometheus")
    assert all((CONFIG / there[f"/etc/prometheus/{name}"]).exists() for name in prometheus["rule_files"])
    assert prometheus["scrape_configs"][0]["static_configs"][0]["targets"] == [f"lstm_stream:{Web().port}"]
    assert prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == ["alertmanager:9093"]
    ours = yaml.safe_load((CONFIG / "prometheus.yml").read_text())
    assert {key: ours[key] for key in ("global", "rule_files")} == {
        key: prometheus[key] for key in ("global", "rule_files")
    }


def test_the_broker_throws_nothing_away() -> None:
    lines = (CONFIG / "compose" / "mosquitto.conf").read_text().splitlines()
    assert {"listener 1883", "max_queued_messages 0", "persistence true"} <= set(lines)
    assert (
        f"persistence_location {next(iter(set(mounts('mosquitto')) - {'/mosquitto/config/mosquitto.conf'}))}/" in lines
    )


def test_alertmanager_inhibits_by_alerts_that_there_are() -> None:
    alerts = yaml.safe_load((CONFIG / "alerts.yml").read_text())["groups"]
    names = {rule["alert"] for group in alerts for rule in group["rules"]}
    document = yaml.safe_load((CONFIG / "alertmanager.yml").read_text())
    receivers = {receiver["name"] for receiver in document["receivers"]}
    assert document["route"]["receiver"] in receivers
    for rule in document["inhibit_rules"]:
        [source] = re.findall(r'alertname="(\w+)"', " ".join(rule["source_matchers"]))
        assert source in names
        for pattern in re.findall(r'alertname=~?"([^"]+)"', " ".join(rule["target_matchers"])):
            assert [name for name in names if re.fullmatch(pattern, name)]

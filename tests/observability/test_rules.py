"""Alert and recording rules: each fires and keeps quiet, is explained to the person on call, and asks what there is."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.observability.exposition import families, names_in

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"


def rules(name: str) -> list[dict[str, Any]]:
    """Of a file, in order."""
    return [rule for group in yaml.safe_load((CONFIG / name).read_text())["groups"] for rule in group["rules"]]


ALERTS = rules("alerts.yml")
RECORDED = {rule["record"] for rule in rules("recording.yml")}


def promtool(program: Any, *command: str | Path) -> str:
    """What it says; it must find nothing wrong."""
    done = subprocess.run([program("promtool"), *command], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.prometheus
def test_rules_are_well_formed(program: Any) -> None:
    promtool(program, "check", "rules", "--lint=all", CONFIG / "alerts.yml", CONFIG / "recording.yml")


@pytest.mark.prometheus
def test_every_alert_fires_and_keeps_quiet_when_it_should(program: Any) -> None:
    promtool(program, "test", "rules", CONFIG / "alerts_test.yml")


@pytest.mark.prometheus
def test_prometheus_takes_the_rules_with_its_configuration(program: Any) -> None:
    said = promtool(program, "check", "config", CONFIG / "prometheus.yml")
    assert f"SUCCESS: {len(ALERTS)} rules found" in said
    assert f"SUCCESS: {len(RECORDED)} rules found" in said


def test_every_alert_is_tested_both_ways() -> None:
    cases = [test["alert_rule_test"][0] for test in yaml.safe_load((CONFIG / "alerts_test.yml").read_text())["tests"]]
    both = [{case["alertname"] for case in cases if bool(case["exp_alerts"]) is fires} for fires in (True, False)]
    assert both == [{rule["alert"] for rule in ALERTS}] * 2


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_every_alert_has_its_place_in_the_runbook(rule: dict[str, Any]) -> None:
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
    sections = re.split(r"^## ", (ROOT / "docs/runbook.md").read_text(), flags=re.MULTILINE)[1:]
    [section] = [text for text in sections if text.startswith(rule["alert"] + "\n")]
    assert re.findall(r"^\*\*(\w+)\*\* \S.{9}", section, re.MULTILINE) == ["Means", "Look", "Do", "Undo"]


def test_the_runbook_has_no_section_of_an_alert_that_is_gone() -> None:
    sections = re.findall(r"^## (\w+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
    assert sections == [rule["alert"] for rule in ALERTS]


@pytest.mark.parametrize(
    "rule", [*ALERTS, *rules("recording.yml")], ids=lambda rule: rule.get("alert") or rule["record"]
)
def test_rules_ask_for_metrics_that_there_are(rule: dict[str, Any]) -> None:
    assert names_in(rule["expr"]) - RECORDED - {"up"} <= families()


def test_the_runbook_names_metrics_that_there_are() -> None:
    named = set(re.findall(r"lstm_stream_[a-z0-9_]+", (ROOT / "docs/runbook.md").read_text()))
    assert named - families() == set()

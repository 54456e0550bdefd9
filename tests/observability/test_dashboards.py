"""The dashboards without a Grafana: made by the code, whole, and asking for what there is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.observability.exposition import families, names_in
from tests.observability.test_rules import RECORDED

GRAFANA = Path(__file__).parents[2] / "config" / "grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))


def test_the_dashboards_are_what_the_code_makes() -> None:
    done = subprocess.run(
        [sys.executable, GRAFANA / "build.py", "--check"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_there_is_one_for_each_question() -> None:
    assert [path.stem for path in FILES] == ["daemon", "fleet", "models", "sensor"]
    assert len({json.loads(path.read_text())["uid"] for path in FILES}) == len(FILES)


@pytest.fixture(params=FILES, ids=lambda path: str(path.stem))
def document(request: pytest.FixtureRequest) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(request.param.read_text())
    return content


def test_every_panel_has_a_place_of_its_own_and_a_question(document: dict[str, Any]) -> None:
    panels = document["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    for panel in panels:
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == list("ABCDEFGH"[: len(letters)]) != [], panel["title"]


def test_panels_ask_for_metrics_that_there_are(document: dict[str, Any]) -> None:
    asked = [target["expr"] for panel in document["panels"] for target in panel["targets"]]
    asked += [variable["definition"] for variable in document["templating"]["list"] if "definition" in variable]
    names = set[str]().union(*map(names_in, asked))
    assert names
    assert names - RECORDED <= families()


def test_variables_are_defined_before_they_are_used(document: dict[str, Any]) -> None:
    known = {"__rate_interval", "__range"}
    for variable in document["templating"]["list"]:
        assert _variables(str(variable.get("definition", ""))) <= known
        known.add(variable["name"])
    assert _variables(json.dumps(document["panels"])) <= known


def _variables(text: str) -> set[str]:
    return set(re.findall(r"\$\{?(\w+)", text))


def test_grafana_is_told_where_the_dashboards_and_the_data_are() -> None:
    compose = yaml.safe_load((GRAFANA.parent / "compose.yaml").read_text())
    mounted = dict(volume.split(":")[:2] for volume in compose["services"]["grafana"]["volumes"])
    [provider] = yaml.safe_load((GRAFANA / "provisioning/dashboards/lstm_stream.yaml").read_text())["providers"]
    assert mounted["./grafana/dashboards"] == provider["options"]["path"]
    home = compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert Path(home).parent == Path(provider["options"]["path"])
    assert Path(home).name in {path.name for path in FILES}
    [source] = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"

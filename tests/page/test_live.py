"""The page over the real daemon, fed by the demo's simulated sensors over real MQTT."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    """The address of a demo's page."""
    command = [sys.executable, "-m", "lstm_stream", "demo", "--headless", "--sensors", "6", "--duration", "300"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if match := re.search(r"http://127\.0\.0\.1:\d+", line):
            yield match[0]
            break
    else:
        pytest.fail("no address:\n" + "".join(said))
    process.kill()
    process.communicate()


def test_real_sensor_its_charts_and_a_command_obeyed_and_undone(demo: str, visit: Callable) -> None:
    page = visit(demo)
    page.locator("h1", has_text=re.compile("behaves? as usual|misbehave|Learning what is normal")).wait_for()
    page.get_by_role("link", name="Sensors", exact=True).click()
    page.get_by_text("6 found").wait_for()
    page.get_by_role("link", name="machine-002").click()
    page.wait_for_selector("figure.score canvas")
    page.locator(".readout", has_text="expected").first.wait_for()
    assert page.locator(".facts dd").first.inner_text() != "\u2013"

    page.get_by_role("button", name="Pause learning").click()
    page.get_by_role("dialog").get_by_role("button", name="Pause learning").click()
    page.locator(".title .pill", has_text="learning paused").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.locator(".title .pill", has_text="learning paused").wait_for(state="detached")

    page.get_by_role("link", name="Diagnosis").click()
    log = page.get_by_role("region", name="Commands that were given")
    log.get_by_role("rowheader", name="pause").wait_for()
    log.get_by_role("rowheader", name="undo").wait_for()


def test_real_alarm_found_and_understood(demo: str, visit: Callable) -> None:
    page = visit(demo, "#/alarms?state=all")
    # of silence there is no score
    card = page.get_by_role("article").filter(has_text=re.compile(r"score .* (of|threshold) ")).first
    card.wait_for()
    card.get_by_role("link", name=re.compile("Details")).click()
    page.locator("h1", has_text="Alarm of").wait_for()

"""The demo as its user runs it: a process of its own, real MQTT, real HTTP."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 240.0  # the first start compiles
KEYS = {
    "faults_injected",
    "faults_found",
    "false_alarms",
    "false_alarms_budgeted",
    "median_delay_seconds",
    "sensors",
    "messages",
    "messages_per_second",
    "cpu_us_per_message",
    "faults",
}


class Demo:
    """A running demo whose lines can be waited for."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-W", "error", "-m", "lstm_stream", "demo", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines: list[str] = []

    def until(self, pattern: str) -> re.Match[str]:
        """The next line that has it; the demo's own end would be the end of the waiting."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"no line has {pattern!r}:\n" + "\n".join(self.lines))

    def end(self) -> str:
        """Everything it said; it must have ended well."""
        assert self.process.stdout is not None
        self.lines += self.process.stdout.read().splitlines()
        assert self.process.wait(PATIENCE) == 0, "\n".join(self.lines)
        return "\n".join(self.lines)


@pytest.fixture
def demos() -> Iterator[list[Demo]]:
    started: list[Demo] = []
    yield started
    for demo in started:
        demo.process.kill()
        demo.process.wait()
        assert demo.process.stdout is not None
        demo.process.stdout.close()


def start(demos: list[Demo], *arguments: str) -> Demo:
    demos.append(Demo(*arguments))
    return demos[-1]


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as response:
        text: str = response.read().decode()
        return text


def read(file: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(file.read_text())
    assert summary.keys() == KEYS
    assert 0 <= summary["faults_found"] <= summary["faults_injected"] == len(summary["faults"])
    assert sum(fault["outcome"] == "found" for fault in summary["faults"]) == summary["faults_found"]
    return summary


def test_a_run_from_the_first_message_to_the_summary(demos: list[Demo], tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    demo = start(demos, "--headless", "--duration", "12", "--sensors", "6", "--speed", "80000", "--json", str(file))
    url = demo.until(r"(http://[\d.]+:\d+)/metrics")[1]
    demo.until(r"^10 s of 12|alarm opened")
    assert "lstm_stream_" in fetch(f"{url}/metrics")
    assert fetch(f"{url}/-/healthy")
    assert fetch(f"{url}/-/ready")
    text = demo.end()
    summary = read(file)
    assert summary["sensors"] == 6
    assert 6 * 12 * 80_000 / 300 * 0.2 < summary["messages"] < 6 * 12 * 80_000 / 300 * 1.02
    assert summary["faults_injected"] >= 4
    assert summary["faults_found"] >= 1
    assert summary["median_delay_seconds"] >= 0
    assert summary["false_alarms_budgeted"] > 1
    assert summary["messages_per_second"] > 100
    assert 1 < summary["cpu_us_per_message"] < 100_000
    for phrase in ("fault injected", "alarm opened", "alarm closed", "faults found", "messages", str(file)):
        assert phrase in text
    assert "lost on the way" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_summary_so_far(demos: list[Demo], tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "summary.json"
    demo = start(demos, "--duration", "600", "--sensors", "4", "--speed", "60000", "--json", str(file))
    demo.until("^5 s of 600")
    demo.process.send_signal(number)
    assert "CPU per message" in demo.end()
    assert read(file)["messages"] > 100


def test_ctrl_c_while_it_gets_ready_ends_it_without_a_fuss(demos: list[Demo]) -> None:
    demo = start(demos, "--headless")
    demo.until("getting ready")
    demo.process.send_signal(signal.SIGINT)
    assert "Traceback" not in demo.end()


def test_a_run_too_short_for_the_warm_up_says_so(demos: list[Demo], tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    demo = start(demos, "--headless", "--duration", "2", "--sensors", "2", "--speed", "20000", "--json", str(file))
    assert "Too short: no sensor got through its warm-up" in demo.end()
    summary = read(file)
    assert (summary["faults_injected"], summary["false_alarms_budgeted"]) == (0, 0.0)
    assert summary["median_delay_seconds"] is None


def test_over_a_broker_of_ones_own(demos: list[Demo], mosquitto: Any, tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    address = f"{mosquitto.host}:{mosquitto.port}"
    demo = start(
        demos, "--headless", "--duration", "4", "--sensors", "3", "--speed", "60000", "--broker", address,
        "--json", str(file),
    )  # fmt: skip
    text = demo.end()
    assert "lost on the way" not in text
    assert read(file)["messages"] > 100


def test_a_broker_that_is_not_there_is_said_in_a_sentence(demos: list[Demo]) -> None:
    demo = start(demos, "--headless", "--broker", "127.0.0.1:1")
    assert demo.process.wait(PATIENCE) != 0
    assert demo.process.stdout is not None
    text = demo.process.stdout.read()
    assert "no broker answers at 127.0.0.1:1" in text
    assert "Traceback" not in text


def test_a_file_that_cannot_be_written_is_said_before_the_run(demos: list[Demo], tmp_path: Path) -> None:
    demo = start(demos, "--headless", "--json", str(tmp_path / "nowhere" / "summary.json"))
    assert demo.process.wait(PATIENCE) != 0
    assert demo.process.stdout is not None
    assert "nowhere" in demo.process.stdout.read()


def test_who_reads_only_the_first_lines_sees_no_traceback() -> None:
    command = f"{sys.executable} -m lstm_stream demo --headless --duration 4 --sensors 2 2>&1 | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 1, "")


def test_a_terminal_gets_the_live_table() -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "lstm_stream", "demo", "--duration", "3", "--sensors", "6", "--speed", "60000"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    text = drain(master)
    os.close(master)
    assert process.wait(PATIENCE) == 0, text
    assert "\x1b[" in text
    for phrase in ("warm-up", "climate", "vibration", "injected", "the page: http://127.0.0.1:", "faults injected"):
        assert phrase in text


def drain(master: int) -> str:
    """What a terminal shows until its program ends."""
    deadline, shown = time.monotonic() + PATIENCE, b""
    while time.monotonic() < deadline:
        if select.select([master], [], [], 1.0)[0]:
            try:
                shown += os.read(master, 65536)
            except OSError:  # Linux says so at the end
                break
    return shown.decode(errors="replace")

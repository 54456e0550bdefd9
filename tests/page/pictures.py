"""The pictures of the status page in docs/pictures, taken from a real daemon.

    python -m tests.page.pictures [--days 10] [--seed 13]

A broker, `lstm-stream run`, and simulated sensors whose faults are real to it: some days are published as fast as it
keeps up, the last hours slower, so that the pictures show messages coming in. It needs mosquitto and chromium, and
some minutes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from bisect import bisect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lstm_stream.demo.publisher import Publisher
from lstm_stream.simulate import DAY, messages, simulate

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
SENSORS = 48
INTERVAL = 300.0
WARMUP = 20 * 3600.0  # s of data time that pass as fast as the daemon keeps up
FAST = 1e9  # data seconds a second
STEADY = 3000.0  # below an hour a second: time that leaps on counts as not watched
LAST = 3 * 3600.0  # s of data time that are published in SLOW wall seconds
SLOW = 60.0


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, daemon(Path(folder)) as (broker, address):
        publisher = feed(broker, address, options.days, options.seed)
        take(address, options.out)
        publisher.close()


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def daemon(folder: Path) -> Iterator[tuple[int, str]]:
    """A broker's port and the address of a daemon that is subscribed to it."""
    broker, web = free_port(), free_port()
    config = {
        "broker": {"host": "127.0.0.1", "port": broker},
        "sources": [{"topic": "demo/{site}/{sensor}/telemetry", "qos": 0}],
        "web": {"port": web},
        "state": {"path": str(folder / "state.db")},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    mosquitto = shutil.which("mosquitto", path="/usr/sbin:/usr/bin") or "mosquitto"
    processes = [subprocess.Popen([mosquitto, "-p", str(broker)], stderr=subprocess.DEVNULL)]
    time.sleep(1)
    command = [sys.executable, "-m", "lstm_stream", "run", str(folder / "config.yaml")]
    processes.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
    address = f"http://127.0.0.1:{web}"
    try:
        while not subscribed(address):
            time.sleep(0.2)
        yield broker, address
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(60)


def ask(address: str, path: str) -> Any:
    """A document of the API."""
    with urllib.request.urlopen(f"{address}/api/v1/{path}", timeout=30) as response:
        return json.load(response)


def subscribed(address: str) -> bool:
    """Whether the daemon waits for messages."""
    try:
        return bool(ask(address, "overview")["broker"]["subscribed"])
    except OSError:
        return False


def feed(broker: int, address: str, days: float, seed: int) -> Publisher:
    """Publish until now; the last hours go on while the pictures are taken."""
    end = time.time()
    start = end - days * DAY
    simulation = simulate(
        SENSORS, (days + 1) * DAY, seed, interval=INTERVAL, start=start, warmup=2 * DAY, fault_every=15 * DAY
    )
    past = [one for one in messages(simulation) if one.time <= end]
    times = [one.time for one in past]
    warm, late = bisect(times, start + WARMUP), bisect(times, end - LAST)
    sent = 0

    def waiting(published: int) -> int:
        return sent + published - int(ask(address, "overview")["messages"]["total"])

    for part, speed in ((past[:warm], FAST), (past[warm:late], STEADY), (past[late:], LAST / SLOW)):
        publisher = Publisher("127.0.0.1", broker, part, part[0].time, speed, waiting, ahead=2000)
        publisher.open()
        until = time.monotonic() + SLOW / 2 if part[-1] is past[-1] else float("inf")
        while not publisher.done and time.monotonic() < until:
            time.sleep(0.5)
        sent += publisher.published
    return publisher


def take(address: str, out: Path) -> None:
    """All of them."""
    from playwright.sync_api import sync_playwright

    worst = ask(address, "alarms?state=all&limit=500")["items"]
    chosen = max(
        worst, key=lambda one: (one["state"] == "opened", one["score"] - one["threshold"], len(one["channels"]))
    )
    sensor = f"#/sensor/{chosen['group']}/{chosen['sensor']}?range=7d"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        shoot(browser, address, out / "page-overview.png", "#/", 1280, 860)
        shoot(browser, address, out / "page-dark.png", "#/", 1280, 860, dark=True)
        shoot(browser, address, out / "page-sensor.png", sensor, 1280, 1100)
        shoot(browser, address, out / "page-phone.png", "#/", 390, 844)
        browser.close()


def shoot(browser: Browser, address: str, path: Path, view: str, width: int, height: int, dark: bool = False) -> None:
    """One of them."""
    scheme = "dark" if dark else "light"
    size = {"width": width, "height": height}
    context = browser.new_context(viewport=size, color_scheme=scheme, device_scale_factor=2 if width < 500 else 1)
    page: Page = context.new_page()
    page.goto(f"{address}/{view}")
    page.wait_for_selector("h1")
    page.wait_for_timeout(3000)  # the charts, and what comes live
    page.screenshot(path=path)
    context.close()


if __name__ == "__main__":
    main()

"""The unit is right and tight, as systemd itself judges; and what the daemon tells it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lstm_stream.notify import Notifier

UNIT = Path(__file__).parents[2] / "config" / "systemd" / "lstm-stream.service"
EXPOSURE = 2.0  # of 10, as systemd-analyze counts


@pytest.fixture
def analyze() -> str:
    """systemd-analyze, where there is one."""
    path = shutil.which("systemd-analyze")
    if path is None:
        pytest.skip("systemd is not installed")
    return path


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """The end of NOTIFY_SOCKET that is systemd's, and its address."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(0.2)
        yield listener, address


def _heard(listener: socket.socket) -> list[str]:
    texts = []
    while True:
        try:
            texts.append(listener.recv(1000).decode())
        except TimeoutError:
            return texts


def test_the_unit_exposes_little(analyze: str) -> None:
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(UNIT)], capture_output=True, text=True, check=False
    )
    found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= EXPOSURE


def test_the_unit_is_right(analyze: str, tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name  # with a program that is there
    unit.write_text(UNIT.read_text().replace("/opt/lstm_stream/bin/lstm-stream", "/bin/true"))
    done = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_unit_lets_numba_compile() -> None:
    directives = [line for line in UNIT.read_text().splitlines() if not line.startswith("#")]
    assert not [line for line in directives if line.startswith("MemoryDenyWriteExecute")]
    assert "Type=notify" in directives


def test_it_tells_its_life(manager: tuple[socket.socket, str]) -> None:
    listener, address = manager
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.ready()
    notifier.reloading()
    notifier.stopping()
    ready, reloading, stopping = _heard(listener)
    assert (ready, stopping) == ("READY=1", "STOPPING=1")
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", reloading)


def test_the_watchdog_is_fed_by_turns_thrice_in_its_time(manager: tuple[socket.socket, str]) -> None:
    listener, address = manager
    at = [100.0]
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "60000000"}, lambda: at[0])
    for tenth in range(600):
        at[0] = 100.0 + tenth / 10
        notifier.on_turn(object())
        notifier.on_upkeep({}, [])
    assert _heard(listener) == ["WATCHDOG=1"] * 3


def test_a_watchdog_of_another_process_is_not_fed(manager: tuple[socket.socket, str]) -> None:
    listener, address = manager
    others = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": str(os.getpid() + 1)}
    Notifier(others).turn()
    assert _heard(listener) == []


def test_without_systemd_nothing_happens_nor_where_its_socket_is_gone(tmp_path: Path) -> None:
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    Notifier({"NOTIFY_SOCKET": "@lstm-stream-gone", "WATCHDOG_USEC": "many"}).turn()

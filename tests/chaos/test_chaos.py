"""The proof in small: some kills, and a disk that is full for a while. The long one is `python -m tests.chaos`."""

from __future__ import annotations

import pytest

from tests.chaos.run import Plan, run, run_full_disk

pytestmark = pytest.mark.mosquitto


def test_twenty_kills_leave_no_trace(tmp_path) -> None:
    assert run(Plan(kills=20, seed=11, life=0.3, cold=0, trouble=0.2), tmp_path) == []


def test_a_full_disk_stops_nothing_and_leaves_no_trace(tmp_path) -> None:
    assert run_full_disk(tmp_path) == []

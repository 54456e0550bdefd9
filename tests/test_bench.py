"""`lstm-stream bench`: figures for people and for programs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lstm_stream import bench
from lstm_stream.cli import OK, main

QUICK = ("bench", "--seconds", "0.1")


def measured(capsys: pytest.CaptureFixture[str]) -> Any:
    assert main([*QUICK, "--json"]) == OK
    return json.loads(capsys.readouterr().out)


def test_json_has_figures_of_every_size(capsys: pytest.CaptureFixture[str]) -> None:
    report = measured(capsys)
    assert report["machine"]["vector_width"] in (4, 8, 16)
    assert [figures["hidden"] for figures in report["figures"]] == [16, 32, 64]
    for figures in report["figures"]:
        assert all(value > 0 for value in figures.values())


def test_a_batch_is_worth_it_and_a_small_network_is_faster(capsys: pytest.CaptureFixture[str]) -> None:
    """Seen in one of five looks: each is so short that another program on the core can spoil it."""
    assert any(plausible(measured(capsys)["figures"]) for _ in range(5))


def plausible(figures: list[dict[str, float]]) -> bool:
    small, _, large = figures
    faster = all(small[name] > large[name] for name in ("shared_steps_per_s", "rounds_per_s"))
    return faster and all(one["shared_steps_per_s"] > 1e6 / one["one_step_us"] for one in figures)


def test_sensors_are_what_both_steps_and_rounds_allow(capsys: pytest.CaptureFixture[str]) -> None:
    for figures in measured(capsys)["figures"]:
        allowed = min(figures["own_steps_per_s"], 512 * figures["rounds_per_s"])
        assert figures["sensors_at_1_hz"] == pytest.approx(allowed, abs=1)


def test_the_table_says_where_and_what(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(list(QUICK)) == OK
    out = capsys.readouterr().out
    for part in (bench.cpu_name(), "hidden units", "16", "64", "shared weights", "rounds of retraining", "at a sample"):
        assert part in out
    assert max(map(len, out.splitlines())) <= 120


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "ten"])
def test_it_takes_some_time(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["bench", "--seconds", seconds])
    assert "must be a number above 0" in capsys.readouterr().err


def test_the_median_ignores_the_first_call() -> None:
    calls = []
    bench.median_time(lambda: calls.append(1), 1e-9)
    assert len(calls) == 2

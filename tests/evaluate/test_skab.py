"""A checkout of SKAB, and how its rows are counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_stream.cli import main
from lstm_stream.config import Group
from lstm_stream.evaluate import skab as benchmark
from lstm_stream.evaluate.skab import Counts
from lstm_stream.replay import UnusableError


def test_the_whole_command(skab: Callable[[int], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures, picture = tmp_path / "skab.json", tmp_path / "skab.svg"
    options = ["--json", figures, "--plot", picture, "--jobs", 1, "--verbose"]
    assert main(["evaluate", "skab", str(skab(2)), *map(str, options)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("SKAB, 2 runs: at the default threshold F1 ")
    assert "valve1/1.csv" in text
    assert "valve1/1.csv" in picture.read_text()
    found = json.loads(figures.read_bytes())
    assert found["rows"] == 2 * (560 - 400)  # the first 400 are for learning
    assert found["default"]["hits"] + found["default"]["missed"] == 2 * 80
    assert found["best"]["f1"] >= found["default"]["f1"]
    assert found["best"]["f1"] > 0.75  # to flag everything gives 2/3


def test_the_rows_for_learning_are_the_warm_up(skab: Callable[[int], Path]) -> None:
    """No alarm in them, even of an anomaly; a longer warm-up stays."""
    (run,) = benchmark.load(skab(1))
    wild = [
        reading._replace(values=dict.fromkeys(reading.values, 99.0 + row % 7)) if 380 <= row < 390 else reading
        for row, reading in enumerate(run.readings)
        if reading is not None
    ]
    (watched,) = benchmark.run([replace(run, readings=list(wild))], Group())
    assert not watched.anomaly[:400].any()
    assert np.isinf(watched.threshold[:400]).all()
    assert np.isfinite(watched.threshold[400:]).any()
    assert benchmark.learning(Group(warmup=500)).warmup == 500


def test_labels_are_no_channels(skab: Callable[[int], Path]) -> None:
    (run,) = benchmark.load(skab(1))
    assert run.channels == ("pressure", "current")
    assert run.anomalous.sum() == 80


def test_the_figures_of_a_count() -> None:
    counts = Counts(hits=6, false=2, missed=4, quiet=8)
    assert counts.f1 == pytest.approx(12 / 18)  # precision 6/8, recall 6/10
    assert counts.false_rate == pytest.approx(0.2)
    assert counts.missed_rate == pytest.approx(0.4)
    label = np.array([1, 1, 1, 0, 0, 0], np.bool_)
    assert benchmark.count(label, np.array([1, 1, 0, 1, 0, 0], np.bool_)) == Counts(2, 1, 1, 2)
    assert Counts(0, 0, 0, 5).f1 == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=40))
def test_no_threshold_is_better_than_the_best(rows: list[tuple[bool, int]]) -> None:
    label, score = np.array([a for a, _ in rows]), np.array([s for _, s in rows], np.float64)
    f1 = {t: benchmark.count(label, score >= t).f1 for t in set(score.tolist())}
    best = benchmark.best_threshold(label, score)
    assert f1[best] == pytest.approx(max(f1.values()))


def test_a_refused_row_is_as_the_last_one_before_it() -> None:
    time = np.array([np.nan, 1.0, np.nan, np.nan, 4.0])
    said = np.array([False, True, False, False, False])
    assert benchmark.lasting(said, time).tolist() == [False, True, True, True, False]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "holds no CSV files"),
        ("datetime;a\n2026-01-05 00:00:00;1.0\n", "no file has a column 'anomaly'"),
        ("datetime;a;anomaly\n2026-01-05 00:00:00;1.0;0.0\n", "0.csv has no rows after the first 400"),
    ],
)
def test_a_folder_that_is_no_checkout(tmp_path: Path, content: str | None, said: str) -> None:
    if content:
        (tmp_path / "0.csv").write_text(content)
    with pytest.raises(UnusableError) as error:
        benchmark.load(tmp_path)
    assert said in str(error.value)

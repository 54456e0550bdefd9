"""The table of scores as a spreadsheet or a program reads it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lstm_stream.outputs.scores import Scores, blank, columns, write


def table(channels: tuple[str, ...], rows: int) -> Scores:
    return blank(channels, ["now"] * rows, ["pump"] * rows, np.zeros((rows, len(channels))))


def test_one_channel_has_the_plain_columns() -> None:
    plain = "timestamp,sensor,temperature,expected,lower,upper,score,threshold,anomaly,reason"
    assert columns(["temperature"]) == plain.split(",")


def test_of_several_channels_each_has_its_own_band() -> None:
    bands = "a_expected,a_lower,a_upper,b_expected,b_lower,b_upper"
    assert columns(["a", "b"]) == f"timestamp,sensor,a,b,{bands},score,threshold,anomaly,reason".split(",")


def test_a_channel_that_bears_the_name_of_another_column_is_renamed() -> None:
    assert columns(["anomaly"])[2] == "anomaly_value"
    assert columns(["score", "score_value"])[2:4] == ["score_value_value", "score_value"]
    assert columns(["a", "a_lower"])[2:4] == ["a", "a_lower_value"]


@given(st.lists(st.sampled_from(["a", "a_lower", "a_lower_value", "score", "score_value", "sensor"]), unique=True))
def test_no_name_occurs_twice(channels: list[str]) -> None:
    names = columns(channels)
    assert len(set(names)) == len(names)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_numbers_are_read_as_they_were_to_the_last_bit(tmp_path_factory: object, values: list[float]) -> None:
    path = tmp_path_factory.mktemp("scores") / "scores.csv"  # type: ignore[attr-defined]
    scores = table(("a",), len(values))
    scores.values[:, 0] = scores.upper[:, 0] = scores.score[:] = values
    write(path, scores)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("a", "upper", "score"):
        assert np.array([float(row[name]) for row in rows]).tobytes() == np.array(values).tobytes()


def test_what_is_absent_or_unknown_is_empty(tmp_path: Path) -> None:
    scores = table(("a", "b"), 2)
    scores.values[0] = [1.5, np.nan]
    scores.score[0], scores.threshold[0], scores.anomaly[1], scores.reason[1] = 0.25, np.inf, True, 'a is "off", far'
    write(tmp_path / "scores.csv", scores)
    assert (tmp_path / "scores.csv").read_text().splitlines()[1:] == [
        "now,pump,1.5,,,,,,,,0.25,,0,",
        'now,pump,0.0,0.0,,,,,,,,,1,"a is ""off"", far"',
    ]


def test_long_tables_keep_their_order(tmp_path: Path) -> None:
    scores = table(("a",), 10_000)
    scores.values[:, 0] = np.arange(10_000)
    write(tmp_path / "scores.csv", scores)
    with (tmp_path / "scores.csv").open() as file:
        assert [float(row["a"]) for row in csv.DictReader(file)] == list(range(10_000))

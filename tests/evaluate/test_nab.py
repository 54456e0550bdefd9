"""A checkout of NAB, as a user points the command at it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from lstm_stream.cli import main
from lstm_stream.config import Group
from lstm_stream.evaluate import nab, scorer
from lstm_stream.evaluate.watch import Stream, watch
from lstm_stream.replay import UnusableError


def test_the_whole_command(checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, figures, picture = tmp_path / "results", tmp_path / "nab.json", tmp_path / "nab.png"
    options = ["--out", out, "--json", figures, "--plot", picture, "--jobs", 1, "--verbose"]
    assert main(["evaluate", "nab", str(checkout), *map(str, options)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("NAB, 2 of 3 streams: at the default threshold 1 of 1 window found")
    assert "real/pump.csv" in text

    found = json.loads(figures.read_bytes())
    assert found["windows"] == 1
    assert found["scores"]["default"]["standard"] > 70
    assert found["files"]["real/pump.csv"]["default"]["found"] == 1
    assert found["categories"]["artificial"]["default"]["standard"] is None  # it has no window
    assert picture.read_bytes().startswith(b"\x89PNG")

    with (out / "real/lstm_stream_pump.csv").open() as file:
        rows = list(csv.DictReader(file))
    source = (checkout / "data/real/pump.csv").read_text().splitlines()[1:]
    assert [(row["timestamp"], float(row["value"])) for row in rows] == [
        (line.split(",")[0], float(line.split(",")[1])) for line in source
    ]
    assert [k for k, row in enumerate(rows) if row["label"] == "1"] == list(range(690, 761))
    scores = np.array([float(row["anomaly_score"]) for row in rows])
    assert 0 <= scores.min() <= scores.max() < 1
    assert 690 <= int(np.argmax(scores)) <= 760
    assert (scores > 0).sum() < 50  # onsets: the public scorer charges every row of an episode
    assert not (out / "real/lstm_stream_absent.csv").exists()


def test_the_written_scores_are_those_that_were_scored(checkout: Path, tmp_path: Path) -> None:
    """Scored again from the files, as the benchmark would, the best threshold earns the same."""
    files, listed = nab.load(checkout)
    watched = nab.run(files, Group())
    report = nab.evaluate(files, watched, listed)
    nab.write(tmp_path / "r", files, [one.score for one in watched])
    curves = []
    for file, of in zip(files, report.worth, strict=True):
        path = tmp_path / "r" / file.category / f"lstm_stream_{Path(file.name).name}"
        with path.open() as handle:
            scores = np.array([float(row["anomaly_score"]) for row in csv.DictReader(handle)])
        curves.append(scorer.curve(of, scores, scorer.PROFILES[0]))
    threshold = np.array([scorer.best_threshold(curves)])
    earned = sum(float(scorer.at(curve, threshold)[0]) for curve in curves)
    expected = report.score("optimised", scorer.PROFILES[0])
    assert scorer.normalised(earned, report.worth, scorer.PROFILES[0]) == pytest.approx(expected)


def test_no_later_row_is_seen(checkout: Path) -> None:
    files, _ = nab.load(checkout)
    whole = nab.run(files, Group())[1]
    part = watch([Stream(files[1].name, "default", files[1].readings[:720])], Group())[0]
    assert part.score.tolist() == whole.score[:720].tolist()
    assert part.openings().tolist() == whole.openings()[:720].tolist()


def test_several_processes_say_the_same(checkout: Path) -> None:
    files, _ = nab.load(checkout)
    one, two = nab.run(files, Group(), 1), nab.run(files, Group(), 2)
    assert [w.name for w in two] == ["artificial/calm.csv", "real/pump.csv"]
    assert [w.score.tolist() for w in two] == [w.score.tolist() for w in one]
    assert [w.events for w in two] == [w.events for w in one]


@pytest.mark.parametrize(
    ("scores", "at"),
    [
        ([1, 9, 9, 9, 1, 9], [0, 1]),  # an episode, whatever its length
        ([1, 9, 11, 14, 15, 22], [0, 1, 3, 5]),  # 14 and 22 are by half above 9 and 14, 11 and 15 are not
        ([9, 1, 1, 8, 1, 1, 9], [0]),  # 8 keeps it going: never three rows below 7.2
        ([9, 1, 1, 1, 9], [0, 4]),  # three quiet rows end it
        ([9, 1, 1, 1, 1.4, 1.6], [0, 5]),  # then what is by half above the last of them
        ([0, 0, 0], []),
        ([], []),
    ],
)
def test_an_onset_is_where_an_episode_begins_or_clearly_worsens(scores: list[float], at: list[int]) -> None:
    onsets = nab.onset(np.array(scores, np.float64), 3)
    assert np.flatnonzero(onsets).tolist() == at
    assert onsets[at].tolist() == [scores[row] for row in at]


def test_anomaly_scores_keep_the_order_of_high_scores() -> None:
    scores = np.array([0.0, 1e-9, 3.0, 400.0, 400.001])
    mapped = nab.anomaly_score(scores)
    assert (np.diff(mapped) > 0).all()
    assert (mapped >= 0).all()
    assert (mapped < 1).all()


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (None, "No such file or directory; give the folder of a checkout of NAB, which holds data/ and labels/"),
        ("{", "is no JSON"),
        ('{"real/other.csv": []}', "holds none of the 1 streams"),
        ('{"real/pump.csv": [["2026-01-05 00:00:00", "2030-01-01 00:00:00"]]}', "must be two times at which there are"),
        ('{"real/pump.csv": [["2026-01-05 00:30:00", "2026-01-05 00:00:00"]]}', "ends before it begins"),
        (
            '{"real/pump.csv": [["2026-01-05 00:00:00", "2026-01-05 01:00:00"], '
            '["2026-01-05 01:00:00", "2026-01-05 02:00:00"]]}',
            "two windows overlap at 2026-01-05 01:00:00",
        ),
    ],
)
def test_a_folder_that_is_no_checkout(checkout: Path, labels: str | None, said: str) -> None:
    path = checkout / "labels/combined_windows.json"
    path.unlink() if labels is None else path.write_text(labels)
    with pytest.raises(UnusableError) as error:
        nab.load(checkout)
    assert said in str(error.value)


def test_a_wrong_folder_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "nab", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"lstm-stream: {tmp_path}")
    assert said.count("\n") == 1


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_where_nothing_can_be_written_nothing_is_run(
    checkout: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "nab", str(checkout), option, str(checkout / "no/such.png")]) == 1
    assert "there is no folder" in capsys.readouterr().err

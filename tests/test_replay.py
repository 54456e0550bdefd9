"""Replays as a user has them: files in, files and words out."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstm_stream import replay as replaying
from lstm_stream.cli import main
from lstm_stream.config import Config, Group
from lstm_stream.recording import Recording, read
from lstm_stream.replay import replay, summary_json

START = 1767571200  # 2026-01-05 00:00 UTC
STEP = 600  # s
FAULT = slice(800, 830)
CONFIG = """
sources: [{exclude: [label]}]
groups:
  default:
    warmup: 100
    false_alarms: 1 per sensor per day
    model: {hidden: 3, weights: WEIGHTS}
    retraining: {every: 64, history: 128, lag: 8, epochs: 1}
"""

Table = list[dict[str, str]]


@dataclass
class Done:
    """What a replay left behind."""

    code: int
    said: str
    complaint: str
    out: Path
    plot: Path

    @property
    def rows(self) -> Table:
        with self.out.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    @property
    def summary(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.said)
        return found


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """`run(file, *options, config)`: `lstm-stream replay file --out scores.csv ...`; the scores of each run are new."""
    (tmp_path / "config.yaml").write_text(CONFIG.replace("WEIGHTS", "own"))
    count = 0

    def replayed(path: Path, *options: str, config: str | None = "config.yaml", out: bool = True) -> Done:
        nonlocal count
        count += 1
        scores, plot = tmp_path / f"scores-{count}.csv", tmp_path / f"plot-{count}.png"
        arguments = [str(option).replace("PLOT", str(plot)) for option in options]
        arguments += ["--config", str(tmp_path / config)] if config else []
        arguments += ["--out", str(scores)] if out else []
        capsys.readouterr()
        code = main(["replay", str(path), *arguments])
        said = capsys.readouterr()
        return Done(code, said.out, said.err, scores, plot)

    return replayed


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """`write(content, name)`: a recording."""

    def to(content: str | bytes, name: str = "pump.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return to


def wave(rows: int = 1000, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 20 + 5 * np.sin(2 * np.pi * np.arange(rows) / 144) + rng.normal(0, 0.2, rows)


def wide(values: Sequence[float], header: str = "timestamp,temperature") -> str:
    lines = [f"{START + STEP * k},{value:.3f}" for k, value in enumerate(values)]
    return "\n".join([header, *lines]) + "\n"


def faulty() -> str:
    values = wave()
    values[FAULT] += 8
    return wide(values)


def long(sensors: int = 3, rows: int = 800) -> str:
    """Interleaved sensors, of which one more channel is to be seen each, with a fault at different times."""
    lines = ["timestamp,sensor,a,b,c"]
    waves = [wave(rows, seed) for seed in range(sensors)]
    for k in range(rows):
        for s in range(sensors):
            value = waves[s][k] + 9 * (600 + 40 * s <= k < 620 + 40 * s)
            cells = [f"{value * (j + 1):.3f}" if j <= s else "" for j in range(3)]
            if k % 17 != 3 * s:
                lines.append(f"{START + STEP * k + s},s{s},{','.join(cells)}")
    return "\n".join(lines) + "\n"


# --- what is found


def test_a_fault_is_found_and_told(run: Callable[..., Done], write: Callable[..., Path]) -> None:
    path = write(faulty())
    done = run(path)
    assert done.code == 0
    assert done.complaint == ""
    rows = done.rows
    assert ",".join(rows[0]) == "timestamp,sensor,temperature,expected,lower,upper,score,threshold,anomaly,reason"
    assert "1" in [row["anomaly"] for row in rows[FAULT]]
    first = next(row for row in rows if row["anomaly"] == "1")
    assert "temperature" in first["reason"]
    assert float(first["score"]) >= float(first["threshold"])
    opened = [line for line in done.said.splitlines() if "  opened  pump  " in line]
    assert first["reason"] in opened[0]
    assert opened[0].startswith("2026-01-")
    budgeted = (999 - 100) * STEP / 86400
    assert f"{path}: 1000 rows, 1 sensor, {len(opened)} alarm" in done.said
    assert f"({budgeted:.1f} false ones budgeted)" in done.said
    assert "1 channel: temperature" in done.said


def test_the_band_says_where_the_forecast_alone_raises_an_alarm(
    run: Callable[..., Done], write: Callable[..., Path]
) -> None:
    values = wave()
    values[FAULT.start] += 15  # a spike that no forecast could foresee
    row = run(write(wide(values))).rows[FAULT.start]
    assert row["anomaly"] == "1"
    assert float(row["lower"]) < float(row["expected"]) < float(row["upper"]) < float(row["temperature"])


def test_the_summary_for_programs_says_the_same(run: Callable[..., Done], write: Callable[..., Path]) -> None:
    done = run(write(faulty()), "--format", "json")
    summary = done.summary
    opened = [event for event in summary["events"] if event["state"] == "opened"]  # type: ignore[attr-defined]
    assert (summary["rows"], summary["scored"], summary["sensors"]) == (1000, 1000, 1)
    assert summary["channels"] == ["temperature"]
    assert summary["alarms"] == len(opened) >= 1
    assert summary["false_alarms_budgeted"] == pytest.approx((999 - 100) * STEP / 86400)
    assert summary["rejected"] == {}
    assert not any("processed" in key for event in opened for key in event)
    reasons = [row["reason"] for row in done.rows]
    assert all(event["reason"] in reasons for event in opened if event["view"] != "silence")


def test_while_warming_up_there_is_no_threshold_and_no_alarm(
    run: Callable[..., Done], write: Callable[..., Path]
) -> None:
    done = run(write(faulty()))
    thresholds = [row["threshold"] for row in done.rows]
    assert set(thresholds[:100]) == {""}
    assert "" not in thresholds[101:]
    short = run(write(wide(wave(80)), "short.csv"))
    assert short.code == 0
    assert "still warming up at the end, which takes 100 samples: short" in short.said


def test_a_picture_comes_with_it(run: Callable[..., Done], write: Callable[..., Path]) -> None:
    done = run(write(faulty()), "--plot", "PLOT", out=False)
    assert done.code == 0
    assert not done.out.exists()
    assert done.plot.read_bytes().startswith(b"\x89PNG")
    quiet = run(write(wide(wave())), "--plot", "PLOT")
    assert done.plot.read_bytes() != quiet.plot.read_bytes()


def test_without_a_configuration_all_defaults_hold(run: Callable[..., Done], write: Callable[..., Path]) -> None:
    done = run(write(faulty()), config=None)
    assert done.code == 0
    assert {row["threshold"] for row in done.rows[: Group().warmup_of(1)]} == {""}


# --- rows in, rows out


MESSY = b"""\xef\xbb\xbftimestamp;sensor;a;b;label;note\r
2026-01-05 00:00:00;p;1,5;2;0;fine\r
2026-01-05 00:00:00;p;1.5;2;0;again\r
2026-01-04 00:00:00;p;3;4;0;older\r
\r
yesterday;p;5;6;0;\r
;p;5;6;0;\r
2026-01-05 00:10:00;;5;6;0;\r
2026-01-05 00:10:00;q;NaN;;1;\r
2026-01-05 00:10:00;q;;7;1;\r
2026-01-05 00:10:00;p;1e999;8\r
2026-01-05 00:20:00;p;"9;10;0\r
2026-01-05 00:30:00;p;1;2;0;x;y\r
2026-01-05 00:40:00;p;11;12;0;"a ""quoted"" note"\r
"""

TIDY = """\
2026-01-05 00:00:00 p 1.5 2.0 scored
2026-01-05 00:00:00 p 1.5 2.0 not scored, duplicate: 'p' already has a sample of this time
2026-01-04 00:00:00 p 3.0 4.0 not scored, out_of_order: 'p': 86400.000 s older than its last sample
yesterday p 5.0 6.0 not scored, bad_timestamp: 'yesterday' is not a time; write it like 2026-01-31T12:00:00Z, or a \
number since 1970
- p 5.0 6.0 not scored, bad_timestamp: '' is not a time; write it like 2026-01-31T12:00:00Z, or a number since 1970
2026-01-05 00:10:00 - 5.0 6.0 not scored, bad_sensor: the sensor's name is empty; it says whose row it is
2026-01-05 00:10:00 q - - not scored, no_channels: no watched column holds a number
2026-01-05 00:10:00 q - 7.0 scored
2026-01-05 00:10:00 p - 8.0 scored
2026-01-05 00:20:00 p - - not scored, no_channels: no watched column holds a number
2026-01-05 00:30:00 p - - not scored, malformed: 7 cells, the first line has 6; decimal commas need semicolons between \
cells
2026-01-05 00:40:00 p 11.0 12.0 scored
"""


def test_each_row_has_its_row(run: Callable[..., Done], write: Callable[..., Path]) -> None:
    done = run(write(MESSY), "--format", "json")
    assert done.code == 0
    told = [
        " ".join(row[name] or "-" for name in ("timestamp", "sensor", "a", "b"))
        + f" {row['reason'] or ('scored' if row['score'] else 'nothing')}"
        for row in done.rows
    ]
    assert "\n".join(told) + "\n" == TIDY
    assert {row["anomaly"] for row in done.rows} == {"0"}
    rejected = {
        "duplicate": 1,
        "out_of_order": 1,
        "bad_timestamp": 2,
        "bad_sensor": 1,
        "no_channels": 2,
        "malformed": 1,
    }
    assert done.summary["rejected"] == rejected
    assert done.summary["scored"] == 4


def test_what_was_left_out_is_told_with_its_line(run: Callable[..., Done], write: Callable[..., Path]) -> None:
    said = run(write(MESSY)).said
    assert "left out, bad_timestamp: 2 rows, the first in line 6: 'yesterday' is not a time" in said
    assert "2 channels: a, b" in said


def test_sensors_have_bands_for_their_own_channels_only(run: Callable[..., Done], write: Callable[..., Path]) -> None:
    rows = run(write(long())).rows
    for name, known in (("s0", "a"), ("s1", "ab"), ("s2", "abc")):
        mine = [row for row in rows if row["sensor"] == name][50]
        assert "".join(c for c in "abc" if mine[f"{c}_expected"]) == known


def test_label_columns_are_channels_unless_excluded(run: Callable[..., Done], write: Callable[..., Path]) -> None:
    path = write("timestamp,a,label,anomaly\n2026-01-05,1,0,1\n")
    assert list(run(path).rows[0])[2:4] == ["a", "anomaly_value"]
    assert list(run(path, config=None).rows[0])[2:5] == ["a", "label", "anomaly_value"]


CELL = st.sampled_from(["", "1", "-2.5", "NaN", "1e308", "-1e308", "1e-320", "x", '"', "1,5", "0", "\0", "é"])
STAMP = st.one_of(
    st.integers(0, 40).map(lambda k: str(START + 60 * k)), st.sampled_from(["", "never", "1e10", "2099-12-31", "-5"])
)
SENSOR = st.sampled_from(["p", "q", "", "p\x1b", "$x^2$", "s" * 300, "a/b+#"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(lines=st.lists(st.tuples(STAMP, SENSOR, CELL, CELL), min_size=1, max_size=30))
def test_whatever_the_cells_hold_nothing_fails_and_no_row_is_lost(
    run: Callable[..., Done], write: Callable[..., Path], lines: list[tuple[str, ...]]
) -> None:
    path = write("\n".join(["timestamp;sensor;a;b", *map(";".join, lines)]))
    done = run(path)
    assert done.code in (0, 1)
    rows = done.rows
    assert len(rows) == len(lines)
    assert all(bool(row["score"]) != row["reason"].startswith("not scored") for row in rows)
    assert (done.code == 0) == any(row["score"] for row in rows)
    assert done.complaint.count("\n") == done.code


def test_extreme_values_leave_no_infinity_behind(run: Callable[..., Done], write: Callable[..., Path]) -> None:
    values = wave(300)
    lines = wide(values).splitlines()
    for k, cell in ((150, "1e308"), (160, "-1e308"), (170, "1e-320"), (180, "0")):
        lines[k] = f"{lines[k].split(',')[0]},{cell}"
    done = run(write("\n".join(lines)), "--plot", "PLOT")
    assert done.code == 0
    assert len(done.rows) == 300
    numbers = [float(row[name]) for row in done.rows for name in ("score", "expected") if row[name]]
    assert np.isfinite(numbers).all()
    assert all(row["score"] for row in done.rows)


# --- silence


def test_a_silence_is_told_at_the_row_that_ends_it(run: Callable[..., Done], write: Callable[..., Path]) -> None:
    lines = wide(wave()).splitlines()
    done = run(write("\n".join(lines[:300] + lines[400:])))
    assert done.rows[299]["reason"].startswith("samples again after 16 h")
    assert done.rows[299]["anomaly"] == "0"
    assert sum("  silence: " in line for line in done.said.splitlines()) == 2


def test_a_sensor_that_never_speaks_again_is_silent(run: Callable[..., Done], write: Callable[..., Path]) -> None:
    lines = long(2).splitlines()
    kept = [line for k, line in enumerate(lines) if k < 700 or ",s1," not in line]
    silent = [line for line in run(write("\n".join(kept))).said.splitlines() if "  silence: " in line]
    assert len(silent) == 1
    assert "opened  s1  silence: no samples, where one came every 10 min" in silent[0]


# --- the same again


@pytest.mark.parametrize("weights", ["own", "shared"])
def test_the_same_replay_writes_the_same_bytes(
    run: Callable[..., Done], write: Callable[..., Path], weights: str
) -> None:
    path = write(long())
    write(CONFIG.replace("WEIGHTS", weights), "config.yaml")
    done = [run(path, "--plot", "PLOT", "--format", "json") for _ in range(2)]
    assert done[0].said == done[1].said
    assert done[0].out.read_bytes() == done[1].out.read_bytes()
    assert done[0].plot.read_bytes() == done[1].plot.read_bytes()


@pytest.mark.parametrize("weights", ["own", "shared"])
def test_where_the_chunks_are_cut_changes_nothing(
    run: Callable[..., Done], write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, weights: str
) -> None:
    write(CONFIG.replace("WEIGHTS", weights), "config.yaml")
    path, done = write(long()), []
    for chunk in (4096, 1, 7, 500):
        monkeypatch.setattr(replaying.replay, "__defaults__", (None, chunk))
        done.append(run(path, "--format", "json"))
    assert len({d.said for d in done}) == 1
    assert len({d.out.read_bytes() for d in done}) == 1
    assert len([row for row in done[0].rows if row["anomaly"] == "1"]) > 10


def test_events_of_all_sensors_come_in_the_order_of_time(write: Callable[..., Path]) -> None:
    recording = read(write(long()), Config().sources[0])
    result = replay(recording, Config.model_validate({"groups": {"default": {"warmup": 100}}}))
    times = [e.opened if e.closed is None else e.closed for e in result.events]
    assert times == sorted(times)
    assert {e.sensor for e in result.events} == {"s0", "s1", "s2"}


def test_a_recording_without_a_score_has_a_summary_too() -> None:
    result = replay(Recording(("a",), []), Config())
    assert json.loads(summary_json(Path("none.csv"), result))["rows"] == 0


# --- what cannot be


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "pump.csv:1: the first line must name the columns, such as timestamp,temperature"),
        ("timestamp,a\n", "pump.csv: there are no rows below the first line"),
        ("a,b\n1,2\n", "pump.csv:1: there is no time column; name one of them timestamp (found: 'a', 'b')"),
        (bytes(range(256)), "pump.csv:1: "),
        ("timestamp,a\nx,1\ny,2\n", "pump.csv: no row could be scored; left out, bad_timestamp: 2 rows, the first in"),
    ],
    ids=["empty", "header", "no time", "binary", "no time at all"],
)
def test_an_unusable_file_is_one_sentence(
    run: Callable[..., Done], write: Callable[..., Path], content: str | bytes, complaint: str
) -> None:
    done = run(write(content), "--plot", "PLOT")
    assert done.code == 1
    assert done.said == ""
    assert done.complaint.startswith("lstm-stream: ")
    assert complaint in done.complaint
    assert done.complaint.count("\n") == 1
    assert not done.plot.exists()


def test_a_missing_file_or_a_folder_is_one_sentence(run: Callable[..., Done], tmp_path: Path) -> None:
    assert run(tmp_path / "none.csv").complaint == f"lstm-stream: {tmp_path}/none.csv: No such file or directory\n"
    assert run(tmp_path).complaint == f"lstm-stream: {tmp_path}: Is a directory\n"


def test_where_nothing_is_scored_the_rows_say_why(run: Callable[..., Done], write: Callable[..., Path]) -> None:
    done = run(write("timestamp,a\nx,1\n2026-01-05,\n"))
    assert done.code == 1
    reasons = [row["reason"].split(":")[0] for row in done.rows]
    assert reasons == ["not scored, bad_timestamp", "not scored, no_channels"]


@pytest.mark.parametrize(
    ("option", "target", "complaint"),
    [
        ("--out", "pump.csv", "is the recording itself; give another name"),
        ("--out", ".", "is a folder; give the name of a file"),
        ("--out", "none/scores.csv", "there is no folder"),
        ("--plot", "none/plot.png", "there is no folder"),
        ("--plot", "plot.jpg", "a picture ends in .png, .svg, .pdf"),
        ("--plot", "plot", "a picture ends in .png, .svg, .pdf"),
    ],
)
def test_a_target_that_cannot_be_is_known_before_the_work(
    run: Callable[..., Done],
    write: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    target: str,
    complaint: str,
) -> None:
    monkeypatch.setattr(replaying, "replay", lambda *_: pytest.fail("work was done"))
    path = write(faulty())
    done = run(path, option, str(path.parent / target), out=False)
    assert done.code == 1
    assert complaint in done.complaint
    assert done.complaint.count("\n") == 1
    assert path.read_text() == faulty()


def test_a_full_disk_is_one_sentence(run: Callable[..., Done], write: Callable[..., Path]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    done = run(write(wide(wave(50))), "--out", "/dev/full", out=False)
    assert (done.code, done.complaint) == (1, "lstm-stream: /dev/full: No space left on device\n")


@pytest.mark.parametrize("option", ["--plot", "--out"])
def test_only_the_picture_needs_matplotlib(write: Callable[..., Path], tmp_path: Path, option: str) -> None:
    code = """
import importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("matplotlib", "rich"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from lstm_stream.cli import main
sys.exit(main(sys.argv[1:]))
"""
    arguments = ["replay", str(write(wide(wave(50)))), option, str(tmp_path / "made.png")]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    if option == "--out":
        assert (done.returncode, done.stderr) == (0, "")
    else:
        hint = "this needs the package matplotlib; install it with pip install 'lstm_stream[plot]'"
        assert (done.returncode, done.stderr) == (3, f"lstm-stream: {hint}\n")


# --- progress


class Terminal(io.StringIO):
    """A stderr that is watched."""

    def isatty(self) -> bool:
        return True


def test_long_files_have_a_bar_on_a_terminal_only(
    run: Callable[..., Done], write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, terminal = write(wide(wave(50))), Terminal()
    quiet = run(path)
    monkeypatch.setattr(replaying, "LONG", 50)
    assert run(path).complaint == ""
    monkeypatch.setattr(sys, "stderr", terminal)
    shown = run(path)
    assert "scoring" in terminal.getvalue()
    assert shown.said == quiet.said
    assert shown.out.read_bytes() == quiet.out.read_bytes()

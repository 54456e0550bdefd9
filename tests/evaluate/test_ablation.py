"""What each part is worth: that leaving one out changes what it is for, and nothing of it stays behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lstm_stream.cli import main
from lstm_stream.config import VIEWS, Group
from lstm_stream.detect import line
from lstm_stream.evaluate.fleets import Fleets, watch_fleets
from lstm_stream.evaluate.parts import Part, parts, without
from lstm_stream.evaluate.watch import Stream, Watched, watch
from lstm_stream.records import Reading

FLEETS = Fleets(1, 7, (14,), kinds=("vibration",))
GROUP = Group.model_validate({"false_alarms": "3 per sensor per week", "accept_after": 6 * 3600.0})
BY_NAME = {part.name: part for part in parts()}
SCALE = ("robust start", "scale catch-up")


def watched(name: str | None) -> Watched:
    part = BY_NAME[name] if name else None
    with without(part):
        return watch_fleets(FLEETS.simulations(True), part.settings(GROUP) if part else GROUP, None)[0][0]


def hard_to_measure() -> Stream:
    """Wild values among the first ones, and from the middle on ten times as lively."""
    values = 20 + np.random.default_rng(0).standard_normal(400)
    values[[2, 5]] = 500.0, -300.0
    values[200:] += 9 * (values[200:] - 20)
    rows = [Reading("s", "default", 1e6 + 60.0 * k, {"a": value}) for k, value in enumerate(values.tolist())]
    return Stream("s", "default", rows)


def test_every_view_can_be_left_out() -> None:
    assert set(VIEWS) < set(BY_NAME)
    assert BY_NAME["clock"].settings(Group()).views == tuple(view for view in VIEWS if view != "clock")


def test_leaving_out_what_is_no_view_changes_what_is_said() -> None:
    whole = watched(None)
    for name in BY_NAME:
        if name not in (*VIEWS, *SCALE):
            other = watched(name)
            assert other.events != whole.events or (other.threshold != whole.threshold).any(), name
    assert watched(None).events == whole.events  # nothing stays behind


@pytest.mark.parametrize("name", SCALE)
def test_leaving_out_what_guards_the_scale_changes_what_is_said(name: str) -> None:
    (whole,) = watch([hard_to_measure()], GROUP)
    with without(BY_NAME[name]):
        (other,) = watch([hard_to_measure()], GROUP)
    assert (other.score != whole.score).any()


def test_the_real_line_is_back_even_after_a_failure() -> None:
    real = line.step
    for part in parts():
        with pytest.raises(ZeroDivisionError), without(part):
            raise ZeroDivisionError
    assert line.step is real


def test_the_whole_command(
    checkout: Path,
    skab: Callable[[], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blind = Part("all views", "none raises an alarm", lambda group: group.model_copy(update={"views": ()}))
    some = [BY_NAME["silence"], blind]
    monkeypatch.setattr("lstm_stream.evaluate.ablation.parts", lambda: some)
    figures, picture = tmp_path / "ablation.json", tmp_path / "ablation.png"
    options = ["--nab", checkout, "--skab", skab(), "--sensors", 2, "--days", 4, "--seeds", 1, "--jobs", 1]
    assert main(["evaluate", "ablation", *map(str, options), "--json", str(figures), "--plot", str(picture)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("What each part is worth: 2 streams of NAB, 1 run of SKAB, 2 simulated sensor-weeks")
    assert "without all views: none raises an alarm" in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    found = json.loads(figures.read_bytes())
    assert found["whole"]["nab"] > 70
    silence, nothing = (found["without"][part.name] for part in some)
    assert silence["difference"]["nab"] == silence["error"]["nab"] == 0  # none of the streams falls silent
    assert nothing["measures"]["nab"] == 0
    assert nothing["error"]["nab"] > 0  # one of the streams has an anomaly
    assert f"± {nothing['error']['nab']:.1f})" in text
    for row in found["without"].values():
        for name, value in found["whole"].items():
            assert row["measures"][name] - value == pytest.approx(row["difference"][name])


def test_a_run_too_short_for_anything_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "ablation", "--days", "0.1"])
    assert "argument --days: must be 4 or more at this interval, for 1152 samples" in capsys.readouterr().err

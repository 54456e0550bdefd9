"""Learning never eats a fault: what is counted, and the promise itself on a few sensors."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from lstm_stream.cli import main
from lstm_stream.config import Group
from lstm_stream.evaluate import learning
from lstm_stream.evaluate.options import KINDS as OFFERED
from lstm_stream.evaluate.watch import Watched
from lstm_stream.records import Event
from lstm_stream.simulate import DAY, KINDS, START, simulate
from lstm_stream.simulate.lasting import CHANGES, Lasting, lasting

HOUR = 3600.0


def healthy(kind: str = "battery", days: float = 20) -> Lasting:
    series = simulate(1, days * DAY, 5, fault_every=None, missing=0.0, kinds=[kind]).series[0]
    return Lasting("fault", series, START + 10 * DAY, START + 12 * DAY)


def test_every_kind_of_sensor_can_be_asked_for() -> None:
    assert tuple(KINDS) == OFFERED


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_change_is_what_it_says_and_leaves_the_rest_alone(kind: str, change: str) -> None:
    before = healthy(kind).series
    done = lasting(change, before, START + 10 * DAY, np.random.default_rng(3))
    time, off = before.time, np.abs(done.series.values - before.values)
    assert not off[time < START + 10 * DAY].any()
    assert not off[:, 1:].any()
    late, scale = time > START + 16 * DAY, before.scale[0]
    assert np.median(off[late, 0]) == pytest.approx({"drift": 8, "step": 6, "fault": 0}[change] * scale, rel=0.1)
    inside = (time >= done.start) & (time < done.end)
    if change == "fault":
        assert len(np.unique(done.series.values[inside, 0])) == 1
        assert 2 * DAY <= done.end - done.start <= 3 * DAY
    assert done.stays == (change != "fault")


def watched(of: Lasting, alarms: list[tuple[float, float | None]]) -> Watched:
    """With alarms that open and close so many days after the start."""
    time, rows = of.series.time, len(of.series.time)
    is_open, events = np.zeros(rows, np.bool_), []
    for opened, closed in alarms:
        begun, ended = of.start + opened * DAY, None if closed is None else of.start + closed * DAY
        is_open |= (time >= begun) & (time < (ended or math.inf))
        one = ("s", "battery", "level", "because")
        events.append(Event("a", one[0], one[1], "opened", one[2], one[3], begun, None, 5.0, 4.0, 1))
        if ended:
            events.append(Event("b", one[0], one[1], "closed", one[2], one[3], begun, ended, 5.0, 4.0, 1))
    return Watched("s", time, np.zeros(rows), np.ones(rows), is_open, np.zeros(rows, np.int8), events)


def adopted(of: Lasting, *days: float) -> np.ndarray:
    """Generations of weights that were adopted so many days after the start."""
    return np.searchsorted(of.start + np.array(days) * DAY, of.series.time, side="right").astype(np.int64)


def test_a_fault_that_is_found_and_held() -> None:
    of = healthy()
    seen = watched(of, [(0.5, 2.01), (4, 4.1), (20, 20.1)])
    # before it begins; in it, unnoticed; begun before the alarm (48 samples are 4 hours); begun in it; when it is over
    generation = adopted(of, -1, 0.25, 0.5 + 2 / 24, 1.5, 3)
    result = learning.outcome(of, seen, generation, Group())
    assert result.delay == pytest.approx(0.5 * DAY)
    assert result.held == 1
    assert math.isnan(result.accepted)
    assert (result.unnoticed, result.late, result.adopted) == (1, 1, 1)
    assert result.after == 1
    assert result.weeks == 1


def test_a_step_that_is_accepted_and_one_that_is_let_go() -> None:
    of = Lasting("step", healthy().series, START + 10 * DAY, START + 10 * DAY)
    held = learning.outcome(of, watched(of, [(0, 3.001), (4, 4.1)]), adopted(of, 2.9, 5), Group())
    assert held.held == 1
    assert held.accepted == pytest.approx(3.001 * DAY)
    assert (held.adopted, held.unnoticed, held.after) == (1, 0, 1)
    let_go = learning.outcome(of, watched(of, [(0, 1.5)]), adopted(of, 2), Group())
    assert let_go.held == pytest.approx(0.5, abs=0.01)
    assert math.isnan(let_go.accepted)
    assert (let_go.adopted, let_go.unnoticed) == (0, 1)
    missed = learning.outcome(of, watched(of, []), adopted(of), Group())
    assert math.isnan(missed.delay)
    assert math.isnan(missed.held)


def test_no_weights_are_learned_while_an_alarm_is_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Promise 6, on real runs: in a fault of days a sensor's weights stay as they were."""
    figures, picture = tmp_path / "learning.json", tmp_path / "learning.png"
    options = ["--kind", "battery", "--sensors", "1", "--jobs", "1", "--json", str(figures), "--plot", str(picture)]
    assert main(["evaluate", "learning", *options]) == 0
    assert "no round of learning was begun and adopted while an alarm was open" in capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG")
    changes = json.loads(figures.read_bytes())["changes"]
    assert list(changes) == list(CHANGES)
    fault = changes["fault"]["all"]
    assert fault["found"] == fault["changes"] == 1
    assert fault["median_delay"] < 6 * HOUR
    assert fault["held"] > 0.9  # of two days or more, in which a round would be due every 512 samples
    assert fault["adopted_in_alarm"] == 0

"""The simulated evaluation: what is counted as found, late and false, and that a small run does it all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lstm_stream.cli import main
from lstm_stream.config import Group
from lstm_stream.evaluate import faults, fleets, nab, tables
from lstm_stream.evaluate.faults import Cell, Rate, Tally
from lstm_stream.evaluate.fleets import Fleets
from lstm_stream.evaluate.watch import Watched
from lstm_stream.records import Event
from lstm_stream.simulate import DAY, KINDS, simulate

WEEK = 7 * DAY


def alarm(sensor: str, time: float) -> Event:
    return Event("id", sensor, "default", "opened", "level", "because", time, None, 5.0, 4.0, 1)


def test_the_whole_command(checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures, picture = tmp_path / "faults.json", tmp_path / "faults.png"
    budgets = ["1 per sensor per day", "1 per sensor per month"]
    options = [text for budget in budgets for text in ("--budget", budget)]
    options += ["--sensors", "3", "--days", "5", "--seeds", "1", "--jobs", "1", "--nab", str(checkout)]
    assert main(["evaluate", "faults", *options, "--json", str(figures), "--plot", str(picture)]) == 0
    text = capsys.readouterr().out
    assert "1 per sensor per month" in text
    assert "real: artificial" in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    found = json.loads(figures.read_bytes())["budgets"]
    assert list(found) == budgets
    daily, monthly = (found[budget] for budget in budgets)
    assert daily["per_week"] == pytest.approx(7)
    injected = len(simulate(3, 5 * DAY, 1000, fault_every=5 * DAY).faults)
    assert daily["found"]["injected"] == monthly["found"]["injected"] == injected
    assert daily["quiet"]["alarms"] > monthly["quiet"]["alarms"]
    # three sensors for five days of 288 samples, less the warm-up
    assert daily["quiet"]["sensor_weeks"] == pytest.approx(3 * (5 - Group().warmup_of(1) / 288) / 7, rel=0.02)


def test_faults_and_false_alarms_are_counted_by_kind() -> None:
    simulation = simulate(6, 21 * DAY, 77)
    fault = simulation.faults[0]
    kind = fault.sensor.split("-")[0]
    opened: list[list[Event]] = [[] for _ in simulation.series]
    sensors = [series.sensor for series in simulation.series]
    opened[sensors.index(fault.sensor)] = [
        alarm(fault.sensor, fault.start - 2 * DAY / 24),  # false: before it begins
        alarm(fault.sensor, fault.start + 600),
        alarm(fault.sensor, fault.start + 900),  # the same find
    ]
    tally = faults.tally(simulation, opened, 400)
    cell = tally.cells[(kind, fault.kind)]
    assert cell.delays == [pytest.approx(600)]
    assert tally.over().injected == len(simulation.faults)
    assert len(tally.over().delays) == 1
    assert {name: rate.alarms for name, rate in tally.rates.items()} == {name: int(name == kind) for name in KINDS}
    assert 6 * 1.5 < tally.rate.weeks < 6 * 3  # after the warm-up, outside the faults


def test_tallies_add_up() -> None:
    one = Tally({("tank", "spike"): Cell(3, [1.0, 2.0])}, {"tank": Rate(2, 4.0)})
    one.add(Tally({("tank", "spike"): Cell(1, [9.0]), ("tank", "drift"): Cell(1)}, {"tank": Rate(1, 2.0)}))
    assert one.over(["tank"], ["spike"]) == Cell(4, [1.0, 2.0, 9.0])
    assert one.over().recall == pytest.approx(3 / 5)
    assert one.over().delay == 2.0
    assert one.rate == Rate(3, 6.0)
    assert one.rate.per_week == 0.5


@pytest.mark.parametrize(
    ("alarms", "low", "high"),
    [(0, 0.0, 3.689), (1, 0.025, 5.572), (10, 4.795, 18.390), (100, 81.36, 121.63)],  # exact, from tables of Poisson's
)
def test_bounds_are_those_of_poissons_law(alarms: int, low: float, high: float) -> None:
    assert Rate(alarms, 1.0).bounds() == pytest.approx((low, high), rel=0.02, abs=0.02)
    assert Rate(alarms, 10.0).bounds()[1] == pytest.approx(high / 10, rel=0.02)


def test_real_false_alarms_are_those_outside_the_windows_after_the_warm_up() -> None:
    rows = 100
    file = nab.File("real/a.csv", [str(row) for row in range(rows)], np.zeros(rows), [None] * rows, [(50, 59)])
    threshold = np.full(rows, 4.0)
    threshold[:20] = np.inf
    watched = Watched(
        file.name,
        np.arange(rows) * 3600.0,
        np.zeros(rows),
        threshold,
        np.zeros(rows, np.bool_),
        np.zeros(rows, np.int8),
        [alarm(file.name, 3600.0 * row) for row in (30, 55, 69.5)],  # the last one in a silence before row 70
    )
    rate = faults.real([file], [watched]).rates["real"]
    assert rate.alarms == 2
    assert rate.weeks == pytest.approx((29 + 39) * 3600 / WEEK)  # rows 20 to 49, and 60 to 99


def test_the_same_seeds_give_the_same_figures_however_they_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    two, budget = Fleets(1, 4, (5, 6)), ["1 per sensor per day"]
    together = faults.to_dict(faults.evaluate(two, budget, Group()))
    monkeypatch.setattr(fleets, "AT_ONCE", 1)
    apart = faults.to_dict(faults.evaluate(two, budget, Group()))
    assert str(apart) == str(together)  # as text, for NaN is not equal to itself


def test_fast_sensors_have_faults_as_long_in_samples() -> None:
    slow, fast = (Fleets(2, days, (9,), interval=interval) for days, interval in ((8, 300.0), (8 / 300, 1.0)))
    assert slow.samples == fast.samples
    one, other = (fleets.simulations(True)[0] for fleets in (slow, fast))
    assert len(one.faults) == len(other.faults) > 0
    lengths = [[(fault.end - fault.start) / of.interval for fault in of.faults] for of in (one, other)]
    assert lengths[0] == pytest.approx(lengths[1], abs=1)


def test_readings_made_when_asked_for_are_a_list_to_whoever_reads_them() -> None:
    readings = fleets.stream(Fleets(1, 0.1, (1,)).simulations(False)[0].series[0]).readings
    assert list(readings) == readings[:]
    assert len(readings[:]) == len(readings) > 20
    assert (readings[-1], readings[3]) == (readings[:][-1], readings[:][3])


def test_seeds_are_shared_out_among_processes() -> None:
    parts = Fleets(24, 21, tuple(range(5))).parts(2)
    assert [part.seeds for part in parts] == [(0, 1, 2), (3, 4)]
    assert len(Fleets(24, 2100, (1, 2)).parts(1)) == 2  # too many samples to go together


def test_a_budget_that_is_none_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(["evaluate", "faults", "--budget", "often"])
    assert error.value.code == 2
    assert "is not an alarm budget; write for example: 1 per sensor per week" in capsys.readouterr().err


def test_the_budget_shown_is_the_one_nearest_to_one_a_week() -> None:
    assert tables.middle(["1 per sensor per day", "2 per sensor per week", "1 per sensor per year"]) == (
        "2 per sensor per week"
    )

"""Cold starts compared: that the weights of the package are used and worth it, and that nothing but they differ."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lstm_stream.cli import main
from lstm_stream.coldstart import cold_start, stream_of, together
from lstm_stream.config import Group
from lstm_stream.evaluate import start
from lstm_stream.evaluate.fleets import Fleets
from lstm_stream.records import Reading

AT_RANDOM = Group.model_validate({"model": {"start_from": None}})


@pytest.mark.slow
def test_the_whole_command(checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures, picture = tmp_path / "start.json", tmp_path / "start.png"
    options = ["--nab", checkout, "--sensors", 6, "--days", 4, "--seeds", 1, "--jobs", 1]
    assert main(["evaluate", "start", *map(str, options), "--json", str(figures), "--plot", str(picture)]) == 0
    assert capsys.readouterr().out.startswith(
        "Cold start from base against random weights: 6 simulated sensors, 2 streams of NAB\n"
    )
    assert picture.read_bytes().startswith(b"\x89PNG")
    found = json.loads(figures.read_bytes())
    random, these = (found["forecasts"][name] for name in start.STARTS)
    assert set(found["streams"]) | {"simulated", "nab"} == set(these)
    for span in "20-200", "200-1000":
        for what in "simulated", "nab":
            last_value = these[what][span]["persistence"]
            assert random[what][span]["persistence"] == pytest.approx(last_value, rel=0.02)  # alarms touch the scaling
            assert random[what][span]["targets"] == these[what][span]["targets"] > 0
    first = "20-200"
    assert these["simulated"][first]["forecast"] < 0.8 * random["simulated"][first]["forecast"]
    assert these["nab"][first]["forecast"] < random["nab"][first]["forecast"]
    injected = [found["faults"][name]["all"]["found"]["injected"] for name in start.STARTS]
    assert injected[0] == injected[1] > 0
    assert found["faults"]["these"]["all"]["quiet"]["sensor_weeks"] > 0


def test_faults_begin_when_the_warm_up_may_be_over() -> None:
    early = start.first_days(Fleets(12, 6, (1000,)), Group(warmup=300))
    begun = [fault.start - fleet.start for fleet in early.simulations(True) for fault in fleet.faults]
    assert 300 * early.interval <= min(begun) < 3 * 86400


def test_random_weights_are_not_compared_with_themselves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("groups: {default: {model: {start_from: null}}}")
    assert main(["evaluate", "start", "--config", str(config)]) == 1
    assert "model.start_from is null" in capsys.readouterr().err


def test_a_stream_is_what_the_daemon_would_take() -> None:
    rows = [(3.0, {"b": 1.0}), (2.0, {"b": 9.0}), (3.0, {"b": 9.0}), (4.0, {"a": 2.0})]
    stream = stream_of("x", [Reading("x", "g", time, values) for time, values in rows])
    assert stream.time.tolist() == [3.0, 4.0]
    np.testing.assert_array_equal(stream.values, [[np.nan, 1.0], [2.0, np.nan]])


def test_results_together_are_those_of_all_at_once() -> None:
    time = 60.0 * np.arange(300)
    waves = [np.sin(time / period)[:, None] for period in (400.0, 700.0, 1100.0)]
    streams = [start.Stream(str(k), time[: 100 + 100 * k], wave[: 100 + 100 * k]) for k, wave in enumerate(waves)]
    spans = ((20, 150), (150, 300), (400, 500))
    alone = [cold_start([stream], AT_RANDOM, spans) for stream in streams]
    whole = cold_start(streams, AT_RANDOM, spans)
    for k, span in enumerate(whole[:2]):
        assert together([one[k] for one in alone]) == pytest.approx(span, rel=1e-6)
    assert alone[0][1].targets == whole[2].targets == 0
    assert [span.targets for span in whole[:2]] == [130 + 130 + 80, 50 + 150]

"""What people are shown of the fleet: an overview of all sensors, and the facts of one."""

from __future__ import annotations

import json
import math

import numpy as np

from lstm_stream.records import STATES


def test_the_overview_says_of_each_sensor_what_it_last_did(fleet_of, lively_sensor, ordered) -> None:
    fleet = fleet_of()
    assert fleet.overview().sensor == []
    readings = ordered(lively_sensor("a", 1), lively_sensor("b", 2), lively_sensor("new", 3, samples=40))
    (batch,) = fleet.process(readings).batches
    seen = fleet.overview()
    assert sorted(seen.sensor) == ["a", "b", "new"]
    assert set(seen.group) == {"default"}
    assert set(seen.channels) == {("a", "b")}
    for k, sensor in enumerate(seen.sensor):
        last = max(n for n, reading in enumerate(readings) if reading.sensor == sensor)
        row = batch.which.tolist().index(last)
        assert seen.score[k] == np.float32(batch.verdicts.score[row])
        assert seen.threshold[k] == np.float32(batch.verdicts.threshold[row])
        assert seen.last[k] == readings[last].time
        assert STATES[seen.state[k]] == ("warming" if sensor == "new" else fleet.inspect("default", sensor)["state"])
    assert seen.learning.all()
    assert seen.generation[seen.sensor.index("a")] > 0


def test_a_silent_sensor_names_its_alarm(fleet_of, lively_sensor) -> None:
    fleet = fleet_of()
    readings = lively_sensor("a", 1)
    fleet.process(readings)
    (opened, *_) = [event for event in fleet.silences(readings[-1].time + 1e6) if event.view == "silence"]
    seen, facts = fleet.overview(), fleet.inspect("default", "a")
    assert STATES[seen.state[0]] == facts["state"] == "silent"
    assert seen.alarm == [opened.id.removesuffix("-opened")] == [facts["alarm"]["id"]]
    assert facts["alarm"] == facts["alarms"][0]
    assert facts["alarm"]["view"] == "silence"
    assert facts["silent_since"] == facts["alarm"]["since"] == opened.opened


def test_the_facts_of_a_sensor_are_plain_values(fleet_of, lively_sensor) -> None:
    fleet = fleet_of()
    readings = lively_sensor("a", 1)
    fleet.process(readings[:1])
    assert fleet.inspect("default", "nobody") is None
    assert fleet.inspect("nowhere", "a") is None
    early = json.loads(json.dumps(fleet.inspect("default", "a"), allow_nan=False))
    assert (early["count"], early["state"], early["interval"], early["threshold"]) == (1, "warming", None, None)
    outcome = fleet.process(readings[1:400])
    facts = json.loads(json.dumps(fleet.inspect("default", "a"), allow_nan=False))
    assert facts["count"] == 400
    assert 30 < facts["interval"] < 120
    for name, latest in facts["latest"].items():
        assert latest["value"] == next(r.values[name] for r in reversed(readings[:400]) if name in r.values)
        assert latest["lower"] < latest["expected"] < latest["upper"]
    (batch,) = fleet.process(readings[400:401]).batches
    said = [latest["expected"] for latest in facts["latest"].values()]
    assert np.allclose(said, batch.verdicts.expected[0]), "what was expected next"
    assert math.isfinite(facts["score"])
    assert not outcome.rejections


def test_after_a_restart_the_last_score_is_unknown(fleet_of, lively_sensor) -> None:
    fleet, again = fleet_of(), fleet_of()
    fleet.process(lively_sensor("a", 1))
    again.unpack_all(fleet.pack())
    assert np.isnan(again.overview().score[0])
    facts = again.inspect("default", "a")
    assert (facts["score"], facts["threshold"]) == (None, None)
    assert facts == {**fleet.inspect("default", "a"), "score": None, "threshold": None}

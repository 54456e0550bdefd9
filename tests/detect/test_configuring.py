"""Settings that change while sensors run, and those that do not."""

from __future__ import annotations

import re

import pytest

from lstm_stream.config import Limits
from lstm_stream.detect.fleet import Fleet
from lstm_stream.records import Reading, Reason


def test_other_settings_hold_from_the_next_sample(fleet_of, small_group, lively_sensor) -> None:
    fleet, readings = fleet_of(), lively_sensor("s", 1)
    fleet.process(readings[:300])
    mean = next(iter(fleet.detectors.values())).arrays.mean.copy()
    fleet.configure({"default": small_group(views=["stuck"], enabled=False, accept_after=60.0)}, Limits(sensors=1))
    assert (next(iter(fleet.detectors.values())).arrays.mean == mean).all(), "nothing is lost"
    outcome = fleet.process([*readings[300:], Reading("new", "default", 1.0, {"a": 1.0, "b": 1.0})])
    assert {event.view for event in outcome.events} <= {"stuck"}
    assert [rejection.reason for _, rejection in outcome.rejections] == [Reason.TOO_MANY_SENSORS]
    assert not fleet.overview().learning.any()
    fleet.take_adoptions()
    fleet.configure({"default": small_group(), "more": small_group()}, Limits())
    later = [one._replace(time=one.time + 1e6) for one in readings[:200]]
    assert not fleet.process([*later, Reading("new", "more", 1.0, {"a": 1.0})]).rejections
    assert fleet.take_adoptions(), "it learns again"


def test_the_budget_moves_the_threshold(fleet_of, small_group, lively_sensor) -> None:
    fleet, readings = fleet_of(), lively_sensor("s", 1)
    (before,) = fleet.process(readings[:300]).batches
    fleet.configure({"default": small_group(false_alarms="1 per sensor per year")}, Limits())
    (after,) = fleet.process(readings[300:301]).batches
    assert after.verdicts.threshold[0] > before.verdicts.threshold[-1] + 2


@pytest.mark.parametrize("weights", ["own", "shared"])
def test_learning_switched_on_again_starts_at_the_same_sample_in_any_batching(
    fleet_of, told, small_group, lively_sensor, weights
) -> None:
    stories = []
    for cut in (1, 400):
        fleet, readings = fleet_of(weights=weights), lively_sensor("s", 1)
        fleet.process(readings[:100])
        fleet.configure({"default": small_group(weights=weights, enabled=False)}, Limits())
        fleet.process(readings[100:300])
        fleet.configure({"default": small_group(weights=weights)}, Limits())
        stories.append(told(fleet, readings[300:], range(0, 400, cut)))
    assert stories[0].verdicts == stories[1].verdicts


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"hidden": 4}, "groups.default.model.hidden"),
        ({"weights": "shared"}, "groups.default.model.weights"),
        ({"history": 256}, "groups.default.retraining.history"),
        ({"lag": 9}, "groups.default.retraining.lag"),
        ({"weights": "shared", "profile": "lean"}, "groups.default.profile"),
    ],
)
def test_what_the_state_depends_on_is_refused_by_name(fleet_of, small_group, lively_sensor, changed, named) -> None:
    fleet: Fleet = fleet_of()
    fleet.process(lively_sensor("s", 1)[:10])
    with pytest.raises(ValueError, match=re.escape(named)):
        fleet.configure({"default": small_group(**changed, warmup=64)}, Limits(sensors=1))
    assert fleet.detectors["default", ("a", "b")].group.warmup == 100, "nothing was taken over"
    with pytest.raises(ValueError, match=r"groups\.default still has sensors"):
        fleet.configure({"other": small_group()}, Limits())

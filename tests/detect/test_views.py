"""`views` of a group: which of them may raise an alarm."""

from __future__ import annotations

from typing import get_args

import pytest

from lstm_stream.config import VIEWS, ViewName
from lstm_stream.records import View


def views_that_opened(fleet_of, lively_sensor, told, **settings) -> set[str]:
    events = told(fleet_of(**settings), lively_sensor("pump", 3)).events.values()
    return {event.view for event in events if event.state == "opened"}


def test_every_view_can_be_named() -> None:
    assert [view.name.lower() for view in View if view is not View.NONE] == list(VIEWS) == list(get_args(ViewName))


def test_only_the_views_that_are_named_raise_alarms(fleet_of, lively_sensor, told) -> None:
    opened = views_that_opened(fleet_of, lively_sensor, told)
    assert {"silence", "stuck"} < opened
    for view in opened:
        assert views_that_opened(fleet_of, lively_sensor, told, views=[view]) == {view}
        others = [name for name in VIEWS if name != view]
        assert view not in views_that_opened(fleet_of, lively_sensor, told, views=others)


def test_a_view_that_raises_no_alarm_learns_what_is_usual_all_the_same(fleet_of, lively_sensor, told) -> None:
    """So that it can be switched on again: until something happens, only the scores differ."""
    readings = lively_sensor("pump", 3)[:180]
    whole, one = fleet_of(warmup=170), fleet_of(warmup=170, views=["stuck"])
    told(whole, readings)
    told(one, readings)
    a, b = (next(iter(fleet.detectors.values())).arrays for fleet in (whole, one))
    assert a.signature == b.signature
    assert (a.histogram == b.histogram).all()
    assert a.histogram.sum() > 0


@pytest.mark.parametrize("views", [[], ["forecasts"], "forecast"])
def test_none_or_an_unknown_one_is_an_error(small_group, views: object) -> None:
    with pytest.raises(ValueError, match="views"):
        small_group(views=views)

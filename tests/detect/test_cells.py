"""Every cell that can be chosen watches, learns, survives a restart, and keeps its state to itself."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from lstm_stream.config import Model
from lstm_stream.lstm.params import CELLS
from lstm_stream.records import Reading


@pytest.fixture(params=list(CELLS))
def cell(request) -> str:
    return request.param


@pytest.fixture
def readings(lively_sensor, ordered):
    return ordered(lively_sensor("one", 0), lively_sensor("two", 1))


def test_the_configuration_offers_all_that_there_are() -> None:
    assert get_args(Model.model_fields["cell"].annotation) == tuple(CELLS)
    assert Model().cell == "standard"


@pytest.mark.parametrize("weights", ["own", "shared"])
def test_it_learns_and_finds_a_shift(fleet_of, cell, weights) -> None:
    values = 20 + np.random.default_rng(0).standard_normal(740)
    values[700:730] += 30
    fleet = fleet_of(cell=cell, weights=weights)
    (batch,) = fleet.process([Reading("s", "default", 60.0 * k, {"a": float(v)}) for k, v in enumerate(values)]).batches
    assert batch.verdicts.anomaly[705:715].all()
    assert batch.verdicts.anomaly[200:700].mean() < 0.1, "an alarm an hour is allowed, of a few samples"
    results = [done.result for done in fleet.take_adoptions()]
    assert "adopted" in results
    assert "failed" not in results


def test_no_cell_forecasts_as_another(fleet_of, lively_sensor) -> None:
    """The choice reaches the kernels: once something was learned, no two forecasts are the same."""
    forecasts = []
    for name in CELLS:
        (batch,) = fleet_of(cell=name).process(lively_sensor("one", 0, samples=300)).batches
        forecasts.append(batch.verdicts.expected[200:])
    for k, one in enumerate(forecasts):
        for other in forecasts[:k]:
            assert (one != other).mean() > 0.9


@pytest.mark.parametrize("weights", ["own", "shared"])
def test_stopping_changes_nothing(fleet_of, told, readings, cell, weights) -> None:
    expected = told(fleet_of(cell=cell, weights=weights), readings)
    for cut in (133, 262, 965):
        first, second = fleet_of(cell=cell, weights=weights), fleet_of(cell=cell, weights=weights)
        story = told(first, readings[:cut])
        for packed in first.pack():
            second.unpack(packed)
        told(second, readings[cut:], story=story)
        assert story.verdicts == expected.verdicts, f"stopped at {cut}"
        assert story.events == expected.events


@pytest.mark.parametrize("weights", ["own", "shared"])
@pytest.mark.parametrize("before", list(CELLS))
def test_the_state_of_another_cell_is_refused(fleet_of, told, readings, before, cell, weights) -> None:
    """Though its numbers be as many."""
    fleet, other = fleet_of(cell=before, weights=weights), fleet_of(cell=cell, weights=weights)
    told(fleet, readings[:10])
    packed = list(fleet.pack())
    if before == cell:
        for one in packed:
            other.unpack(one)
        assert len(other) == 2
        return
    for one in packed:
        with pytest.raises(ValueError, match="another model"):
            other.unpack(one)
    assert len(other) == 0

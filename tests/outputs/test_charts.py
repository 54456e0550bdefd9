"""What the API tells of a sensor, as it is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lstm_stream.outputs.charts import track_of


@pytest.fixture
def document() -> dict[str, Any]:
    """Two coarse points of ten minutes, then two samples."""
    return {
        "time": [600.0, 1200.0, 1800.0, 1860.0],
        "score": [1.0, None, 5.0, 4.0],
        "threshold": [None, 3.0, 3.0, 3.0],
        "channels": {
            "t": {
                "value": [9.0, 8.0, 5.0, None],
                "low": [1.0, 2.0, 5.0, None],
                "expected": [None, 5.0, 5.0, 5.0],
                "lower": [None, 4.0, 4.0, 4.0],
                "upper": [None, 6.0, 6.0, 6.0],
            }
        },
        "alarms": [
            {"id": "1", "opened": 500.0, "closed": 900.0, "view": "level", "severity": "info", "reason": "odd"},
            {"id": "2", "opened": 1800.0, "closed": None, "view": "stuck", "severity": "info", "reason": "odd too"},
        ],
        "retrainings": [
            {"time": 1300.0, "generation": 1, "result": "adopted"},
            {"time": 1310.0, "generation": 1, "result": "rejected"},
        ],
        "step": 600.0,
        "fine_since": 1800.0,
    }


def test_coarse_points_show_their_lowest_and_their_highest(document: dict[str, Any]) -> None:
    track = track_of("g", "s", document)
    assert track.time.tolist() == [600.0, 900.0, 1200.0, 1500.0, 1800.0, 1860.0]
    np.testing.assert_equal(track.channels[0].value, [1.0, 9.0, 2.0, 8.0, 5.0, np.nan])
    assert track.threshold.tolist() == [np.inf, np.inf, 3.0, 3.0, 3.0, 3.0]
    assert track.score.tolist() == [1.0, 1.0, 0.0, 0.0, 5.0, 4.0]
    assert track.adopted == [1300.0]


def test_alarms_have_the_highest_score_of_their_time(document: dict[str, Any]) -> None:
    events = track_of("g", "s", document).events
    assert [(e.view, e.state, e.score) for e in events] == [
        ("level", "opened", 1.0),
        ("level", "closed", 1.0),
        ("stuck", "opened", 5.0),
    ]


def test_the_latest_time_alone(document: dict[str, Any]) -> None:
    track = track_of("g", "s", document, latest=100.0)
    assert track.time.tolist() == [1800.0, 1860.0]
    assert [event.view for event in track.events] == ["stuck"]
    assert track.adopted == []


def test_nothing_recorded_is_nothing_to_draw(document: dict[str, Any]) -> None:
    empty = {**document, "time": [], "score": [], "threshold": [], "channels": {}, "alarms": [], "retrainings": []}
    assert len(track_of("g", "s", {**empty, "fine_since": None}).time) == 0


def test_another_document_is_an_error() -> None:
    with pytest.raises(KeyError):
        track_of("g", "s", {"error": "no"})

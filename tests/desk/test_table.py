"""The list of sensors: searched, filtered and sorted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lstm_stream.desk.table import Table
from lstm_stream.outputs.web.queries import SensorsQuery
from lstm_stream.records import STATES, Overview

ROWS = [  # group, sensor, state, score, threshold, last
    ("pumps", "Pump-1", "watching", 1.0, 4.0, 30.0),
    ("pumps", "pump-10", "alarmed", 9.0, 3.0, 20.0),
    ("tanks", "tank\n2", "silent", 2.0, 2.0, 10.0),
    ("tanks", "Übertank", "warming", 0.0, np.inf, 40.0),
    ("tanks", "", "watching", np.nan, np.nan, 50.0),
]


def overview(rows: list[tuple[Any, ...]]) -> Overview:
    group, sensor, state, score, threshold, last = zip(*rows, strict=True) if rows else ((),) * 6
    many = len(rows)
    return Overview(
        list(group),
        list(sensor),
        [("v",)] * many,
        np.array([STATES.index(one) for one in state], np.uint8),
        np.array(score, np.float32),
        np.array(threshold, np.float32),
        np.array(last, float),
        np.zeros(many, np.int32),
        np.ones(many, np.bool_),
        np.zeros(many, np.bool_),
        [None] * many,
    )


def ask(**query: Any) -> list[int]:
    return Table(overview(ROWS)).select(SensorsQuery(**query)).tolist()


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ({}, [1, 2, 0, 3, 4]),
        ({"order": "asc"}, [3, 4, 0, 2, 1]),
        ({"sort": "last"}, [4, 3, 0, 1, 2]),
        ({"sort": "last", "order": "asc"}, [2, 1, 0, 3, 4]),
        ({"sort": "name"}, [4, 0, 1, 2, 3]),
        ({"sort": "name", "order": "desc"}, [3, 2, 1, 0, 4]),
        ({"search": "PUMP", "sort": "name"}, [0, 1]),
        ({"search": "pump-1", "sort": "name"}, [0, 1]),
        ({"search": "übert"}, [3]),
        ({"search": "k 2"}, [2]),
        ({"search": "1\npump"}, []),
        ({"search": "nothing"}, []),
        ({"group": "tanks", "state": "watching"}, [4]),
        ({"group": "tank"}, []),
        ({"state": "alarmed", "search": "pump"}, [1]),
    ],
)
def test_what_is_asked_for_is_found_in_its_order(query: dict[str, Any], rows: list[int]) -> None:
    assert ask(**query) == rows


def test_a_search_finds_what_looking_at_each_name_finds() -> None:
    rng = np.random.default_rng(3)
    names = ["".join(rng.choice(list("abAB-é"), rng.integers(0, 6))) for _ in range(500)]
    table = Table(overview([("g", name, "watching", 1.0, 1.0, 0.0) for name in names]))
    for part in ("a", "ab", "b-", "é", "aab", "-"):
        found = table.select(SensorsQuery(search=part, sort="last")).tolist()
        assert sorted(found) == [k for k, name in enumerate(names) if part in name.lower()]


def test_of_no_sensors_none_is_found() -> None:
    assert Table(overview([])).select(SensorsQuery(search="a")).tolist() == []


def test_names_are_sorted_whatever_their_case() -> None:
    table = Table(overview([("g", name, "watching", 1.0, 1.0, 0.0) for name in ("Zeta", "alpha", "Beta")]))
    assert table.select(SensorsQuery(sort="name")).tolist() == [1, 2, 0]

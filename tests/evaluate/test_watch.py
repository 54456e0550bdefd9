"""Streams through the product's detection: rows, refusals and alarms in their places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_stream.config import Config, Group
from lstm_stream.evaluate.parallel import balanced, each
from lstm_stream.evaluate.watch import Stream, watch
from lstm_stream.ingest.timestamps import parse_time
from lstm_stream.recording import Recording, Row
from lstm_stream.records import Reading
from lstm_stream.replay import replay

ROWS = 700


def readings(name: str, seed: int) -> list[Reading | None]:
    chance = np.random.default_rng(seed)
    values = 20 + 5 * np.sin(2 * np.pi * np.arange(ROWS) / 48) + 0.3 * chance.standard_normal(ROWS)
    values[600:620] += 15
    begin = parse_time("2026-01-05 00:00:00", "auto")
    return [Reading(name, "default", begin + 1800.0 * row, {"a": float(v)}) for row, v in enumerate(values)]


def test_the_scores_are_those_of_a_replay() -> None:
    rows = readings("pump", 1)
    (watched,) = watch([Stream("pump", "default", rows)], Group())
    recording = Recording(
        ("a",), [Row(k, str(k), "pump", (r.values["a"],), r) for k, r in enumerate(rows, 2) if r is not None]
    )
    result = replay(recording, Config())
    assert watched.score.tolist() == np.nan_to_num(result.scores.score).tolist()
    assert watched.opened == [event for event in result.events if event.state == "opened"]
    assert watched.openings().sum() == len(watched.opened) > 0


def test_streams_together_are_as_each_alone() -> None:
    streams = [Stream(name, "default", readings(name, seed)) for name, seed in (("a", 1), ("b", 2))]
    together = watch(streams, Group())
    for stream, one in zip(streams, together, strict=True):
        (alone,) = watch([stream], Group())
        assert one.score.tolist() == alone.score.tolist()
        assert one.events == alone.events


def test_refused_rows_keep_their_places() -> None:
    rows = readings("pump", 1)
    repeated = [*rows[:500], rows[499], None, *rows[500:]]
    (plain,), (watched,) = (watch([Stream("pump", "default", some)], Group()) for some in (rows, repeated))
    assert np.flatnonzero(np.isnan(watched.time)).tolist() == [500, 501]
    assert np.delete(watched.score, [500, 501]).tolist() == plain.score.tolist()
    at = np.flatnonzero(plain.openings())
    assert np.flatnonzero(watched.openings()).tolist() == (at + 2 * (at >= 500)).tolist()


def test_a_silence_shows_at_the_first_row_after_it() -> None:
    rows = readings("pump", 1)
    del rows[500:560]
    (watched,) = watch([Stream("pump", "default", rows)], Group())
    (silence,) = [event for event in watched.opened if event.view == "silence"]
    assert silence.opened < watched.time[500]
    assert watched.openings()[500]


@given(st.lists(st.integers(0, 100), max_size=20), st.integers(1, 5))
def test_parts_hold_everything_once_and_are_about_as_large(sizes: list[int], count: int) -> None:
    parts = balanced(sizes, count)
    assert sorted(item for part in parts for item in part) == list(range(len(sizes)))
    assert len(parts) == min(count, len(sizes))
    loads = [sum(sizes[item] for item in part) for part in parts]
    assert max(loads, default=0) - min(loads, default=0) <= max(sizes, default=0)


def test_what_goes_wrong_in_a_process_is_raised_here() -> None:
    with pytest.raises(TypeError, match="divmod"):
        each(divmod, [1, 2], 2, 2, "nothing")  # divmod(1, advance)

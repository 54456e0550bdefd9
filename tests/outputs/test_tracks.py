"""What a picture shows of long recordings, many sensors and many channels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_stream.outputs.tracks import (
    BUCKETS,
    Channel,
    Track,
    alarms,
    choose,
    closeups,
    crest,
    cut,
    edges,
    envelope,
    line,
    span,
    usual_interval,
    warm_from,
)
from lstm_stream.records import ChannelEvidence, Event

START = 1767571200.0


def event(opened: float, closed: float | None = None, score: float = 5.0, **share: float) -> Event:
    channels = {name: ChannelEvidence(1.0, 0.0, -1.0, 1.0, part) for name, part in share.items()}
    state = "opened" if closed is None else "closed"
    return Event(f"{opened}-{state}", "s", "g", state, "level", "why", opened, closed, score, 3.0, 0, channels)


def channel(name: str, value: np.ndarray) -> Channel:
    return Channel(name, value, value, value - 1.0, value + 1.0)


def track(sensor: str, channels: int = 1, samples: int = 200, events: tuple[Event, ...] = ()) -> Track:
    time = START + 60.0 * np.arange(samples)
    made = [channel(f"c{j}", np.sin(time / 3600) + j) for j in range(channels)]
    threshold = np.full(samples, 3.0)
    threshold[: samples // 4] = np.inf
    return Track(sensor, time, made, np.ones(samples), threshold, events)


# --- lines


@given(st.integers(2, 50_000), st.integers(0, 10_000), st.floats(1e-9, 1e9))
def test_a_thinned_line_is_short_and_keeps_every_extreme(samples: int, at: int, spike: float) -> None:
    value = np.zeros(samples)
    value[at % samples] = spike
    time, drawn = line(np.arange(samples) * 60.0, value, 60.0)
    assert len(time) == len(drawn) <= 2 * BUCKETS + 8
    assert spike in drawn[np.flatnonzero(time == 60.0 * (at % samples))]
    assert (np.diff(time[:-1]) > 0).all()
    assert (time[0], time[-2]) == (0.0, 60.0 * (samples - 1))


def test_a_line_passes_over_absent_values_but_not_over_a_silence() -> None:
    time = np.array([0.0, 60, 120, 180, 240, 9000, 9060])
    value = np.array([0.0, 1, np.nan, 3, 4, 5, 6])
    drawn_time, drawn = line(time, value, 60.0)
    np.testing.assert_array_equal(drawn, [0, 1, 3, 4, np.nan, 5, 6, np.nan])
    np.testing.assert_array_equal(drawn_time, [0, 60, 180, 240, np.nan, 9000, 9060, np.nan])


def test_a_band_holds_all_that_it_stands_for() -> None:
    samples = 10 * BUCKETS
    time, lower = 60.0 * np.arange(samples), np.random.default_rng(1).normal(size=samples)
    lower[5000:5100] = np.nan
    at, low, high = envelope(time, lower, lower + 1.0, 60.0)
    assert len(at) <= BUCKETS + 8
    assert np.isnan(low).sum() == 2  # behind each of the two parts
    drawn = np.searchsorted(at[~np.isnan(at)], time, "right") - 1
    there = ~np.isnan(lower)
    assert (low[~np.isnan(low)][drawn][there] <= lower[there]).mean() > 0.99
    assert np.nanmin(low) == np.nanmin(lower)
    assert np.nanmax(high) == np.nanmax(lower) + 1.0


@pytest.mark.parametrize("value", [[], [np.nan], [np.nan, np.nan]])
def test_nothing_gives_nothing_to_draw(value: list[float]) -> None:
    time, values = 60.0 * np.arange(len(value)), np.array(value, np.float64)
    assert np.isnan(line(time, values, 60.0)[1]).all()
    assert np.isnan(envelope(time, values, values, 60.0)[1]).all()
    assert span(Channel("c", values, values, values, values)) == (0.0, 1.0)


def test_a_score_is_drawn_by_its_crests_and_not_before_the_first_threshold() -> None:
    one = track("s", samples=20_000)
    one.score[12_345] = 50.0
    one.score[10] = 99.0  # of the warm-up
    time, score, threshold = crest(one.time, one.score, one.threshold)
    assert len(time) == len(score) == len(threshold) == BUCKETS
    assert time[0] == warm_from(one) == one.time[5000]
    assert score.max() == 50.0
    assert set(threshold.tolist()) == {3.0}


def test_without_a_threshold_all_is_warm_up() -> None:
    one = track("s", samples=10)
    one.threshold[:] = np.inf
    assert warm_from(one) == one.time[-1]
    assert len(crest(one.time, one.score, one.threshold)[0]) == 0


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_buckets_are_never_empty(count: int, buckets: int) -> None:
    starts = edges(count, buckets)
    assert starts[0] == 0
    assert len(starts) == min(count, buckets)
    assert (np.diff(starts) > 0).all()


# --- the vertical range


def test_the_range_shows_every_value_and_a_band_that_is_near() -> None:
    value = np.sin(np.arange(500.0))
    low, high = span(Channel("c", value, value, value - 0.3, value + 0.3))
    assert low < -1.3 < 1.3 < high < 1.6


def test_a_band_without_bounds_does_not_flatten_the_signal() -> None:
    value = np.sin(np.arange(500.0))
    low, high = span(Channel("c", value, value, value - 1e12, value + 1e12))
    assert -1.5 < low < -1 < 1 < high < 1.5


@pytest.mark.parametrize("value", [0.0, 5.0, -1e308, 1e308, 1e-300])
def test_a_constant_has_a_range(value: float) -> None:
    constant = np.full(10, value)
    low, high = span(channel("c", constant))
    assert np.isfinite([low, high]).all()
    assert low < max(min(value, 1e100), -1e100) < high


# --- alarms


def test_alarms_last_to_their_end_or_to_that_of_the_recording() -> None:
    events = [event(10.0, a=1.0), event(50.0, b=1.0), event(10.0, 20.0, score=9.0)]
    first, second = alarms(events, 99.0)
    assert (first.start, first.end, first.score, first.share) == (10.0, 20.0, 9.0, {"a": 1.0})
    assert (second.start, second.end, second.score, second.reason) == (50.0, 99.0, 5.0, "why")


def test_close_ups_show_the_strongest_alarms_once_each() -> None:
    events = [e for k, score in enumerate([4.0, 9.0, 8.0, 3.0, 7.0, 6.0]) for e in pair(START + 30_000.0 * k, score)]
    close = closeups(track("s", samples=4000, events=tuple(events)))
    assert [alarm.score for alarm, _, _ in close] == [9.0, 8.0, 7.0]
    assert all(start < alarm.start < alarm.end < end for alarm, start, end in close)
    near = [e for k in range(3) for e in pair(START + 30_000.0 + 600 * k, 5.0)]
    assert len(closeups(track("s", samples=4000, events=tuple(near)))) == 1


def pair(opened: float, score: float) -> list[Event]:
    return [event(opened, score=score), event(opened, opened + 300.0, score)]


def test_a_short_recording_needs_no_close_up() -> None:
    assert closeups(track("s", samples=100, events=tuple(pair(START + 3000.0, 5.0)))) == []


def test_a_cut_holds_what_lies_between() -> None:
    part = cut(track("s", channels=2), START + 600.0, START + 1200.0)
    assert part.time.tolist() == [START + 60.0 * k for k in range(10, 20)]
    assert {len(column) for c in part.channels for column in (c.value, c.expected, c.lower, c.upper)} == {10}


def test_the_usual_interval() -> None:
    assert usual_interval(np.array([0.0, 60, 120, 9000])) == 60.0
    assert usual_interval(np.array([5.0])) == 1.0


# --- what fits into a picture


def test_all_is_shown_where_it_fits() -> None:
    choice = choose([track("pump", channels=8)])
    assert [c.name for c in choice.tracks[0].channels] == [f"c{j}" for j in range(8)]
    assert choice.left_out == ""


def test_the_channels_that_carry_the_alarms_are_shown_in_their_order() -> None:
    events = (event(START, c9=0.9, c4=0.1),)
    choice = choose([track("pump", channels=12, events=events)])
    names = [c.name for c in choice.tracks[0].channels]
    assert {"c4", "c9"} <= set(names)
    assert names == sorted(names, key=lambda name: int(name[1:]))
    assert len(names) == 8
    assert choice.left_out == "not shown: 4 channels"


def test_the_sensors_with_most_alarms_are_shown_and_the_others_counted() -> None:
    tracks = [track(f"s{k}", events=tuple(event(START + n) for n in range(k))) for k in range(7)]
    choice = choose(tracks)
    assert [one.sensor for one in choice.tracks] == ["s6", "s5", "s4", "s3"]
    assert choice.left_out == "not shown: 3 sensors with 3 alarms"


@given(st.lists(st.integers(1, 12), max_size=8))
def test_a_picture_is_never_overfull_and_never_loses_count(widths: list[int]) -> None:
    choice = choose([track(f"s{k}", channels=width, samples=8) for k, width in enumerate(widths)])
    shown = [len(one.channels) for one in choice.tracks]
    assert sum(shown) + len(shown) <= 9
    assert min(shown, default=1) >= 1
    assert bool(choice.left_out) == (sum(shown) < sum(widths))
    assert bool(shown) == bool(widths)

"""What the LSTM is shown: inputs, elapsed time, and the ring that training reads, against plain formulas."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_stream.detect import history, inputs

DAY, WEEK = 86400.0, 604800.0


def naive_inputs(u, time, gap):
    """The inputs (T, 2D + 7) of one sensor's samples u (T, D), in order."""
    rows, filled, last = [], np.zeros(u.shape[1]), np.full(u.shape[1], np.nan)
    for k, sample in enumerate(u):
        filled = np.where(np.isnan(sample), filled, sample)
        change = np.where(np.isnan(last), 0, np.clip(2 * (filled - last), -4, 4))
        day, week = 2 * np.pi * time[k] / DAY, 2 * np.pi * time[k] / WEEK
        season = [np.sin(day), np.cos(day), np.sin(2 * day), np.cos(2 * day), np.sin(week), np.cos(week)]
        rows.append([*filled, *change, *season, gap[k]])
        last = np.where(np.isnan(sample), last, sample)
    return np.array(rows)


@pytest.fixture
def stream():
    """200 samples of two channels, a few absent, at irregular times: u, time, gap, learnable."""
    rng = np.random.default_rng(0)
    u = rng.standard_normal((200, 2)).astype(np.float32).astype(float)
    u[rng.random(u.shape) < 0.1] = np.nan
    u[50] *= 9
    return (
        u,
        1.7e9 + np.cumsum(rng.exponential(300, 200)),
        rng.uniform(-3, 3, 200).astype(np.float32),
        rng.random(200) > 0.2,
    )


def remember(rows, stream):
    """Each sample into the ring; what the LSTM was shown of it."""
    shown = []
    for sample, time, gap, learnable in zip(*stream, strict=True):
        given = {
            "u": sample[None],
            "time": np.array([time]),
            "gap": np.array([gap]),
            "learnable": np.array([learnable]),
        }
        shown.append(rows.call(inputs.inputs, **given)[0])
        a = rows.arrays
        history.append(
            rows.slot,
            a.count,
            given["time"],
            given["u"],
            given["gap"],
            given["learnable"],
            a.past_value,
            a.past_context,
        )
        a.count += 1
    return np.array(shown)


def read(rows, start, stop):
    a = rows.arrays
    return history.sequence(start, stop, a.past_value[0], a.past_context[0])


def assert_as_shown(x, shown):
    """Values and changes are kept as they were, times of the week and elapsed times (the last column) in steps."""
    np.testing.assert_allclose(x[:, :4], shown[:, :4], atol=2e-6)
    np.testing.assert_allclose(x[:, 4:-1], shown[:, 4:-1], atol=7e-4)  # 4.6 s of half a day
    np.testing.assert_allclose(x[:, -1], shown[:, -1], atol=1e-4)


def test_inputs_are_values_changes_seasons_and_elapsed_time(rows_of, stream) -> None:
    u, time, gap, _ = stream
    shown = remember(rows_of(2), stream)
    assert shown.shape[1] == inputs.input_count(2)
    np.testing.assert_allclose(shown, naive_inputs(u, time, gap), atol=2e-6)


def test_the_ring_gives_back_what_was_shown(rows_of, stream) -> None:
    rows = rows_of(2)
    ring = rows.arrays.past_value.shape[1]
    first = tuple(array[: ring - 3] for array in stream)
    shown = remember(rows, first)
    x, _ = read(rows, 0, ring - 3)
    assert_as_shown(x, shown)


def test_the_ring_holds_the_latest(rows_of, stream) -> None:
    """From the middle on it does not know what was before: an absent first value is 0, its change 0."""
    rows = rows_of(2)
    remember(rows, stream)
    ring = rows.arrays.past_value.shape[1]
    start = 200 - ring
    u, time, gap, _ = stream
    x, _ = read(rows, start, 200)
    assert_as_shown(x, naive_inputs(u[start:], time[start:], gap[start:]))


@pytest.mark.parametrize("learnable", [False, True])
@pytest.mark.parametrize("gap", [-3.0, -1.0, 0.0, 1e-3, 3.0])
@pytest.mark.parametrize("time", [-1.0, 0.0, 1.0, DAY, WEEK - 1, 300 * WEEK - 1e-3, 1.7e9])
def test_the_context_of_a_sample_is_one_number(time, gap, learnable) -> None:
    """What is next to it in the number is not touched, at the ends of each part either; a usual gap is exactly 0."""
    kept = np.array([history.pack(time, gap, learnable)], np.uint32)
    ((week, elapsed, may),) = zip(*history.unpack(kept), strict=True)
    off = (week - time + WEEK / 2) % WEEK - WEEK / 2
    assert abs(off) <= WEEK / 2**17 + 1e-3
    assert elapsed == pytest.approx(gap, abs=1e-4)
    assert (elapsed == 0) == (gap == 0)
    assert may == learnable


def test_targets_are_the_next_values_where_they_may_be_learned(rows_of, stream) -> None:
    rows = rows_of(2)
    remember(rows, stream)
    u, _, _, learnable = stream
    _, target = read(rows, 100, 180)
    expected = np.where(learnable[101:180, None], u[101:180], np.nan)
    assert np.array_equal(target[:-1], expected, equal_nan=True)
    assert np.isnan(target[-1]).all(), "the sample after the window is not known"


def clock(rows, times):
    return np.array(
        [
            rows.call(
                inputs.elapse,
                time=np.array([t]),
                last_time=rows.arrays.time,
                interval=rows.arrays.interval,
                longest=rows.arrays.gap,
                count=rows.arrays.count + k,
            )[0]
            for k, t in enumerate(times)
        ]
    )


def test_elapsed_time_is_relative_to_the_usual_one(rows_of) -> None:
    rows = rows_of()
    times = 1e6 + 60.0 * np.arange(300)
    assert not clock(rows, times).any()
    assert rows.arrays.interval[0] == pytest.approx(60)
    assert rows.arrays.gap[0] == pytest.approx(60)
    rows.arrays.count += 300
    late = clock(rows, [times[-1] + 120, times[-1] + 120 + 6, times[-1] + 1e6])
    assert late == pytest.approx([np.log(2), -np.log(10), 3], abs=0.02)


def test_the_usual_interval_forgets_a_pause(rows_of) -> None:
    rows = rows_of()
    times = np.concatenate((60.0 * np.arange(200), 1e6 + 60.0 * np.arange(600)))
    clock(rows, times)
    assert rows.arrays.interval[0] == pytest.approx(60, rel=0.1)


def test_a_new_pace_is_followed(rows_of) -> None:
    rows = rows_of()
    times = np.concatenate((60.0 * np.arange(200), 12_000 + 600.0 * np.arange(2000)))
    clock(rows, times)
    assert rows.arrays.interval[0] == pytest.approx(600, rel=0.05)

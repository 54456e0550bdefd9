"""NAB's rules: known results, cases computed by hand, and an oracle too dumb to be wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_stream.evaluate import scorer
from lstm_stream.evaluate.scorer import PROFILES, Profile, Worth

STANDARD, LOW_FP, LOW_FN = PROFILES
FIRST = 2 / (1 + math.exp(-5)) - 1  # what the curve gives at a window's first row, before it is scaled to 1


def fires(rows: int, *at: int) -> np.ndarray:
    result = np.zeros(rows, np.bool_)
    result[list(at)] = True
    return result


def points(rows: int, windows: list[tuple[int, int]], at: list[int], profile: Profile = STANDARD) -> float:
    worth = scorer.worth(rows, windows)
    return scorer.normalised(scorer.raw(worth, fires(rows, *at), profile), [worth], profile)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_detector_that_never_fires_gets_nothing_and_one_that_fires_at_each_first_row_all(profile: Profile) -> None:
    windows = [(200, 249), (500, 549), (800, 800)]
    assert points(1000, windows, [], profile) == 0
    assert points(1000, windows, [200, 500, 800], profile) == pytest.approx(100)


def test_the_profiles_are_those_of_the_benchmark() -> None:
    assert [tuple(profile[1:]) for profile in PROFILES] == [(1, 0.11, 1), (1, 0.22, 1), (1, 0.11, 2)]


@pytest.mark.parametrize(
    ("at", "profile", "expected"),
    [
        # window 40..49: row 42 is 8 rows before the row after its end, of 10: position -0.8
        ([42], STANDARD, (2 / (1 + math.exp(-4)) - 1) / FIRST),
        ([49], STANDARD, (2 / (1 + math.exp(-0.5)) - 1) / FIRST),  # its last row: position -0.1
        ([42, 45, 49], STANDARD, (2 / (1 + math.exp(-4)) - 1) / FIRST),  # the earliest counts
        ([20], STANDARD, -0.11 - 1),  # before the window: in full; and the window is missed
        ([20], LOW_FP, -0.22 - 1),
        ([20], LOW_FN, -0.11 - 2),
        ([60], STANDARD, 0.11 * (2 / (1 + math.exp(5 * 11 / 9)) - 1) - 1),  # 11 rows behind a window of 10, less 1
        ([50], STANDARD, 0.11 * (2 / (1 + math.exp(5 / 9)) - 1) - 1),  # just behind it, where it costs least
        ([76], STANDARD, -0.11 - 1),  # 27 / 9 = 3 lengths behind it: in full
        ([40, 80, 90], LOW_FP, 1 - 0.22 - 0.22),
        ([3, 14], STANDARD, -1),  # in the probation of 15 rows nothing counts
        ([15], STANDARD, -0.11 - 1),
    ],
)
def test_cases_computed_by_hand(at: list[int], profile: Profile, expected: float) -> None:
    assert scorer.raw(scorer.worth(100, [(40, 49)]), fires(100, *at), profile) == pytest.approx(expected)


def test_a_false_detection_is_measured_from_the_last_window_before_it() -> None:
    worth = scorer.worth(200, [(50, 59), (100, 139)])
    assert worth.value[150] == pytest.approx(2 / (1 + math.exp(5 * 11 / 39)) - 1)
    assert worth.value[99] == -1  # 40 / 9 lengths behind the first window


def test_the_probation_is_15_percent_and_750_rows_at_most() -> None:
    assert np.argmax(scorer.worth(1243, []).scored) == 186
    assert np.argmax(scorer.worth(4032, []).scored) == 604
    assert np.argmax(scorer.worth(5000, []).scored) == 750
    assert np.argmax(scorer.worth(20_000, []).scored) == 750


def test_published_arithmetic_of_one_false_alarm_and_one_missed_window() -> None:
    """With the benchmark's 116 windows a far false alarm costs 0.047 points, a missed window 0.86."""
    worth = [scorer.worth(1000, [(500, 549)])] * 116
    found = [scorer.raw(worth[0], fires(1000, 500), STANDARD)] * 116
    false = scorer.raw(worth[0], fires(1000, 500, 300), STANDARD)
    assert 100 - scorer.normalised(sum(found[1:]) + false, worth, STANDARD) == pytest.approx(0.0474, abs=1e-4)
    assert 100 - scorer.normalised(sum(found[1:]) - 1, worth, STANDARD) == pytest.approx(0.862, abs=1e-3)


def test_streams_without_windows_have_no_score_of_their_own() -> None:
    assert math.isnan(scorer.normalised(-0.11, [scorer.worth(100, [])], STANDARD))


# --- the oracle


def slow_raw(rows: int, windows: list[tuple[int, int]], fired: np.ndarray, profile: Profile) -> float:
    """Row by row, window by window."""
    probation = min(math.floor(0.15 * rows), 750)
    total = 0.0
    for first, last in windows:
        scored = [row for row in range(first, last + 1) if row >= probation]
        hits = [row for row in scored if fired[row]]
        if hits:
            position = -(last - hits[0] + 1) / (last - first + 1)
            total += profile.found * (2 / (1 + math.exp(5 * position)) - 1) / FIRST
        elif scored:
            total -= profile.missed
    for row in range(probation, rows):
        if fired[row] and not any(first <= row <= last for first, last in windows):
            before = [(first, last) for first, last in windows if last < row]
            position = 3.0
            if before:
                first, last = before[-1]
                position = (row - last) / max(last - first, 1)
            total += profile.false * (-1.0 if position >= 3 else 2 / (1 + math.exp(5 * position)) - 1)
    return total


@st.composite
def streams(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]], np.ndarray]:
    rows = draw(st.integers(1, 60))
    edges = sorted(draw(st.lists(st.integers(0, rows - 1), unique=True, max_size=6)))
    windows = list(zip(edges[::2], edges[1::2], strict=False))
    scores = draw(st.lists(st.integers(0, 5), min_size=rows, max_size=rows))
    return rows, windows, np.array(scores, np.float64)


@given(st.lists(streams(), min_size=1, max_size=4), st.sampled_from(PROFILES))
def test_every_threshold_earns_what_the_oracle_says(
    corpus: list[tuple[int, list[tuple[int, int]], np.ndarray]], profile: Profile
) -> None:
    thresholds = np.array([math.inf, 6, 5, 4, 3, 2, 1, 0])
    slow = np.array([[slow_raw(r, w, s >= t, profile) for t in thresholds] for r, w, s in corpus])
    worth = [scorer.worth(rows, windows) for rows, windows, _ in corpus]
    curves = [scorer.curve(of, scores, profile) for of, (_, _, scores) in zip(worth, corpus, strict=True)]
    for of, curve, (_, _, scores), expected in zip(worth, curves, corpus, slow, strict=True):
        assert scorer.at(curve, thresholds) == pytest.approx(expected)
        assert [scorer.raw(of, scores >= t, profile) for t in thresholds] == pytest.approx(expected)
    best = scorer.best_threshold(curves)
    assert sum(scorer.at(curve, np.array([best]))[0] for curve in curves) == pytest.approx(slow.sum(axis=0).max())
    for k, threshold in enumerate(scorer.left_out_thresholds(curves)):
        others = np.delete(slow, k, axis=0).sum(axis=0)
        earned = sum(scorer.at(c, np.array([threshold]))[0] for n, c in enumerate(curves) if n != k)
        assert earned == pytest.approx(others.max())


@given(streams())
def test_only_the_order_of_the_scores_matters(stream: tuple[int, list[tuple[int, int]], np.ndarray]) -> None:
    rows, windows, scores = stream
    worth = scorer.worth(rows, windows)
    one, other = (scorer.curve(worth, values, STANDARD) for values in (scores, scores / (1 + scores)))
    assert one.raw.tolist() == other.raw.tolist()


def test_of_several_best_thresholds_the_highest_is_taken() -> None:
    worth: Worth = scorer.worth(100, [(40, 49)])
    scores = np.zeros(100)
    scores[40], scores[41] = 3.0, 2.0
    assert scorer.best_threshold([scorer.curve(worth, scores, STANDARD)]) == 3.0

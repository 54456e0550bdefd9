"""The rules of the Numenta Anomaly Benchmark, on rows: what a detection earns, and the threshold that earns most.

1. The first min(15 %, 750) rows of a stream are its probation: what fires there counts for nothing.
2. A row of a window earns more the earlier it is: sigma(-1) = 1 at the first row, almost 0 at the last. Only the best
   row that fires counts; a window without one costs A_FN.
3. A row outside costs A_FP, less shortly after a window: the same curve goes on below zero from the window's end.
4. The sum over all streams is normalised: 0 for a detector that never fires, 100 for all windows' first rows alone.

Sources: Lavin & Ahmad, ICMLA 2015; the weights are those of the benchmark's three profiles. Pure: arrays in and out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PROBATION, LONGEST_PROBATION = 0.15, 750  # share of the rows, rows
STEEPNESS = 5.0
FAR = 3.0  # window lengths after which a false detection costs in full

F8 = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Profile(NamedTuple):
    """What the benchmark gives for a window found and takes for a false detection and for a window missed."""

    name: str
    found: float
    false: float
    missed: float


PROFILES = (
    Profile("standard", 1.0, 0.11, 1.0),
    Profile("reward_low_FP", 1.0, 0.22, 1.0),
    Profile("reward_low_FN", 1.0, 0.11, 2.0),
)


class Worth(NamedTuple):
    """What each of the N rows of a stream is worth where it fires, before the profile's weights."""

    value: F8  # (N,) 0 to 1 in a window, 0 to -1 outside
    window: NDArray[np.intp]  # (N,) number of the window, -1 outside
    scored: Bools  # (N,) after the probation
    windows: int  # of the stream, those in the probation included


class Curve(NamedTuple):
    """What a stream earns at every threshold that makes a difference: K thresholds, falling; the first is infinite."""

    threshold: F8  # (K,) a row fires from this score on
    raw: F8  # (K,)


def sigma(position: F8) -> F8:
    """(N,) 1 at -1, the first row of a window; 0 at its end; towards -1 / 0.9866 behind it, at `FAR` and beyond -1."""
    scaled = 2 / (1 + np.exp(STEEPNESS * np.minimum(position, FAR))) - 1
    first = 2 / (1 + np.exp(-STEEPNESS)) - 1
    return np.where(position < 0, scaled / first, np.where(position < FAR, scaled, -1.0))


def worth(rows: int, windows: Sequence[tuple[int, int]]) -> Worth:
    """Of a stream of `rows` rows whose windows are given as (first row, last row), in order and apart."""
    at = np.arange(rows)
    value, window = np.full(rows, -1.0), np.full(rows, -1, np.intp)
    for number, (first, last) in enumerate(windows):
        length = last - first + 1
        value[first : last + 1] = sigma((at[first : last + 1] - last - 1) / length)
        value[last + 1 :] = sigma((at[last + 1 :] - last) / max(length - 1, 1))
        window[first : last + 1] = number
    return Worth(value, window, at >= min(int(PROBATION * rows), LONGEST_PROBATION), len(windows))


def null(of: Worth, profile: Profile) -> float:
    """What a detector earns that never fires. A window within the probation can neither be found nor missed."""
    return -profile.missed * len(np.unique(of.window[of.scored & (of.window >= 0)]))


def raw(of: Worth, fires: Bools, profile: Profile) -> float:
    """What the rows earn that fire (N,)."""
    counted = np.where(fires, 1.0, 0.0)
    return float(curve(of, counted, profile).raw[1]) if (fires & of.scored).any() else null(of, profile)


def curve(of: Worth, score: F8, profile: Profile) -> Curve:
    """What the stream earns where all rows fire whose score (N,) reaches the threshold."""
    rows = np.flatnonzero(of.scored)
    rows = rows[np.argsort(-score[rows], kind="stable")]
    gain = profile.false * of.value[rows]
    for number in np.unique(of.window[rows]):
        if number >= 0:
            inside = of.window[rows] == number
            best = profile.found * np.maximum.accumulate(of.value[rows][inside])
            gain[inside] = np.diff(best, prepend=-profile.missed)
    falling = score[rows]
    last = np.flatnonzero(np.r_[falling[1:] != falling[:-1], np.ones(min(len(falling), 1), np.bool_)])
    total = null(of, profile) + np.cumsum(gain)
    return Curve(np.r_[np.inf, falling[last]], np.r_[null(of, profile), total[last]])


def at(curve: Curve, thresholds: F8) -> F8:
    """(K,) what the stream earns at any thresholds (K,)."""
    return curve.raw[np.searchsorted(-curve.threshold, -thresholds, side="right") - 1]


def all_thresholds(curves: Sequence[Curve]) -> F8:
    """(K,) all that make a difference to any stream, falling."""
    return -np.unique(-np.concatenate([curve.threshold for curve in curves]))


def best_threshold(curves: Sequence[Curve]) -> float:
    """The threshold at which the streams together earn most; the highest of several."""
    thresholds = all_thresholds(curves)
    return float(thresholds[np.argmax(sum(at(curve, thresholds) for curve in curves))])


def left_out_thresholds(curves: Sequence[Curve]) -> list[float]:
    """For each stream the threshold at which all others together earn most."""
    thresholds = all_thresholds(curves)
    total = np.sum([at(curve, thresholds) for curve in curves], axis=0)
    return [float(thresholds[np.argmax(total - at(curve, thresholds))]) for curve in curves]


def normalised(earned: float, streams: Sequence[Worth], profile: Profile) -> float:
    """Points, 0 for nothing ever found and 100 for all at their first rows; NaN where there is no window."""
    zero = sum(null(stream, profile) for stream in streams)
    perfect = profile.found * sum(stream.windows for stream in streams)
    return 100 * (earned - zero) / (perfect - zero) if perfect > zero else np.nan

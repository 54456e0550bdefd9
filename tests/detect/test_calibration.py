"""A score means the same whatever the statistic: how often noise exceeds it, what is learned, how the budget is kept.

The rates are statistical, with fixed seeds and generous bounds; no tuned constant is asserted.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from lstm_stream.detect import alarm, calibration
from lstm_stream.detect.calibration import BINS, BLOCK, FIT, QUARANTINE
from lstm_stream.records import View

VIEWS = 7
LONG_AGO = 1000  # blocks
ALL = np.ones(len(View))  # views count


@dataclass
class Memory:
    """The calibration state of S sensors, stepped all at once."""

    sensors: int
    threshold: float = 3.5
    fit: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        s, v = self.sensors, VIEWS
        self.slot = np.arange(s, dtype=np.int32)
        self.histogram = np.zeros((s, v, BINS), np.float32)
        self.fit, self.maximum = np.zeros((s, v, FIT)), np.zeros((s, v))
        self.waiting = np.zeros((s, QUARANTINE, v))
        self.block, self.blocks = np.zeros(s, np.int64), np.zeros(s, np.int64)
        self.leading = np.zeros(s, np.int8)

    def step(self, views, learning=True, transition=alarm.NOTHING):
        """One sample of each sensor: views (S, VIEWS); returns the scores (S,)."""
        statistic = np.array(views, np.float64)
        score = calibration.score(self.slot, statistic, np.zeros(self.sensors), self.fit, ALL, self.leading)
        calibration.remember(
            self.slot,
            statistic,
            np.full(self.sensors, learning),
            np.full(self.sensors, transition, np.int8),
            np.full(self.sensors, self.threshold),
            self.histogram,
            self.fit,
            self.maximum,
            self.block,
            self.waiting,
            self.blocks,
        )
        return score

    def blocks_of(self, draw, count):
        """The highest score of the first view in each of the next `count` blocks, (count, S)."""
        result = np.zeros((count, self.sensors))
        for block in result:
            for _ in range(BLOCK):
                views = draw()
                first = np.where(np.arange(VIEWS) == 0, views, 0.0)
                one = calibration.score(self.slot, first, np.zeros(self.sensors), self.fit, ALL, self.leading)
                block[:] = np.maximum(block, one / calibration.SINGLE)
                self.step(views)
        return result


NOISE = {
    "normal": lambda rng, s: np.abs(rng.standard_normal((s, VIEWS))),
    "student": lambda rng, s: np.abs(rng.standard_t(4, (s, VIEWS))),
    "exponential": lambda rng, s: rng.exponential(size=(s, VIEWS)),
    "lognormal": lambda rng, s: np.exp(rng.standard_normal((s, VIEWS))),
    "uniform": lambda rng, s: rng.random((s, VIEWS)),
    "tiny": lambda rng, s: 0.05 * np.abs(rng.standard_normal((s, VIEWS))),
    "one for all views": lambda rng, s: np.repeat(np.abs(rng.standard_normal((s, 1))), VIEWS, axis=1),
}


@pytest.fixture(scope="module", params=NOISE)
def scored(request):
    """The highest scores of 1500 blocks of 100 sensors, from their first sample on."""
    rng = np.random.default_rng(0)
    memory = Memory(100)
    return memory.blocks_of(lambda: NOISE[request.param](rng, 100), 1500)


def test_noise_exceeds_a_score_once_in_ten_to_its_power(scored) -> None:
    known = scored[LONG_AGO:]
    assert 0.5 < (known >= 1).mean() * 10 < 2
    for score, factor in ((2, 2), (3, 5), (4, 15)):
        assert (known >= score).mean() * 10**score < factor, f"score {score}"


def test_little_knowledge_is_no_alarm(scored) -> None:
    """While the tail is a guess, few blocks score like a thousandth; without any tail, none."""
    assert not scored[:QUARANTINE].any()
    for first in range(0, 200, 10):
        assert (scored[first : first + 10] >= 3).mean() < 0.06, f"from block {first}"


def test_heavy_tails_are_not_taken_for_bounded_ones() -> None:
    """Rare noise scores: the largest tenth is told apart."""
    rng = np.random.default_rng(1)
    memory = Memory(100)
    highest = memory.blocks_of(lambda: NOISE["exponential"](rng, 100), 1500)[LONG_AGO:]
    assert (highest >= 2).mean() * 100 > 0.5
    assert (highest >= 3).mean() * 1000 > 0.3


def trained(seed=0, sensors=1, blocks=400):
    rng = np.random.default_rng(seed)
    memory = Memory(sensors)
    memory.blocks_of(lambda: NOISE["normal"](rng, sensors), blocks)
    return memory


def test_scores_grow_with_the_statistic_and_name_the_view() -> None:
    memory = trained()
    fit = memory.fit[0, 1]
    scores = [calibration.tail_score(float(x), fit) for x in np.linspace(0, 50, 500)]
    assert scores[0] == 0
    assert (np.diff(scores) > 0).all()
    for view in range(VIEWS):
        statistic = np.ones((1, VIEWS))
        usual = score_of(memory, statistic)
        statistic[0, view] = 9.0
        assert score_of(memory, statistic) > usual + 1
        assert memory.leading[0] == view + 1
    assert score_of(memory, np.ones((1, VIEWS)), outside=3.0) > usual + 0.5
    assert memory.leading[0] == View.RANGE


def score_of(memory, statistic, outside=0.0) -> float:
    return float(calibration.score(memory.slot, statistic, np.full(1, outside), memory.fit, ALL, memory.leading)[0])


def test_what_several_views_find_odd_is_odder() -> None:
    memory = trained()
    statistic = np.ones((1, VIEWS))
    scores = []
    for view in range(VIEWS):
        statistic[0, view] = 4.0
        scores.append(score_of(memory, statistic))
    assert (np.diff(scores) >= 0).all()
    assert scores[-1] > 1.5 * scores[0]


def test_tail_value_inverts_tail_score() -> None:
    fit = trained().fit[0, 0]
    for score in (0.01, 0.5, 0.999, 1.0, 1.001, 2.0, 5.0, 9.0):
        assert calibration.tail_score(calibration.tail_value(score, fit), fit) == pytest.approx(score, rel=1e-9)
    unknown = np.zeros(FIT)
    assert calibration.tail_score(7.0, unknown) == 0
    assert calibration.tail_value(1.0, unknown) == np.inf


@pytest.mark.parametrize("shape", [0.05, 0.1, 0.2])
def test_the_tail_is_that_of_the_generalised_pareto_distribution(shape) -> None:
    """Exact excesses over 1, a tenth of all: probability-weighted moments in float64 find scale and shape."""
    rng = np.random.default_rng(2)
    excess = 0.5 / shape * ((1 - rng.random(40_000)) ** -shape - 1)
    values = np.concatenate((rng.uniform(0.05, 0.95, 9 * len(excess)), 1 + excess))
    position = (np.log2(values) - calibration.LOWEST) * calibration.PER_OCTAVE
    histogram = np.bincount(position.astype(int), minlength=BINS).astype(np.float32)
    fit = np.zeros(FIT)
    calibration.fit_tail(histogram, fit)
    total, threshold, scale, found = fit
    assert total == len(values)
    assert threshold == pytest.approx(1, abs=0.06)
    ordered = np.sort(excess)
    mean, weighted = ordered.mean(), float(np.mean(ordered * (1 - (np.arange(len(ordered)) + 0.5) / len(ordered))))
    assert found == pytest.approx(2 - mean / (mean - 2 * weighted), abs=0.05)
    assert scale == pytest.approx(2 * mean * weighted / (mean - 2 * weighted), rel=0.1)


def test_a_slow_ramp_alarms_before_it_is_usual() -> None:
    """A statistic that doubles within two hundred samples; what waits in quarantine is not known yet."""
    rng = np.random.default_rng(3)
    memory = trained(3, 50, 600)
    highest = np.zeros(50)
    for k in range(200):
        highest = np.maximum(highest, memory.step((1 + k / 100) * NOISE["normal"](rng, 50)))
    assert np.median(highest) > 3.5


def test_an_alarm_drops_what_waits() -> None:
    """The beginning of a fault is in quarantine when the alarm opens: none of it is learned."""
    memory = trained()
    before = memory.histogram.copy()
    for _ in range(QUARANTINE * BLOCK // 2):
        memory.step(np.full((1, VIEWS), 6.0))
    after = memory.histogram.copy()
    memory.step(np.full((1, VIEWS), 60.0), transition=alarm.OPENED)
    for _ in range(200):
        memory.step(np.full((1, VIEWS), 60.0), learning=False)
    assert np.array_equal(memory.histogram, after)
    assert not np.array_equal(after, before), "what had waited before the fault was learned in the meantime"
    rng = np.random.default_rng(4)
    memory.maximum[:] = 0
    memory.blocks_of(lambda: NOISE["normal"](rng, 1), QUARANTINE + 5)
    high = int((np.log2(5.5) - calibration.LOWEST) * calibration.PER_OCTAVE)
    assert memory.histogram[0, :VIEWS, high:].sum() == pytest.approx(before[0, :VIEWS, high:].sum(), abs=0.1)


@pytest.mark.parametrize("length", [3, 300])
@pytest.mark.parametrize("height", [20.0, 1e5])
def test_an_alarm_is_learned_as_one_bounded_block(length, height) -> None:
    """However long and however high it was: afterwards a threshold is a little farther off, and a fault still one."""
    memory = trained()
    blocks, threshold = memory.fit[0, 0, 0], memory.threshold
    at_threshold = [calibration.tail_value(threshold, memory.fit[0, v]) for v in range(VIEWS)]
    memory.step(np.full((1, VIEWS), height), transition=alarm.OPENED)
    for _ in range(length):
        memory.step(np.full((1, VIEWS), height), learning=False)
    memory.step(np.ones((1, VIEWS)), transition=alarm.CLOSED)
    assert memory.fit[0, 0, 0] == pytest.approx(blocks + 1, abs=1), "one block more"
    for v in range(VIEWS):
        now = calibration.tail_value(threshold, memory.fit[0, v])
        assert at_threshold[v] < now < 2.5 * at_threshold[v]
    assert memory.step(np.full((1, VIEWS), 20.0))[0] > threshold


def test_rows_do_not_touch_each_other() -> None:
    """Three sensors together, in any order and with others away, are three sensors alone, bitwise."""
    rng = np.random.default_rng(5)
    noise = rng.exponential(size=(600, 3, VIEWS))
    together = Memory(3)
    scores = np.array([together.step(one) for one in noise])
    for k in range(3):
        alone = Memory(1)
        assert np.array_equal([alone.step(one[[k]])[0] for one in noise], scores[:, k])


# --- the budget


def thresholds(interval: float, budget: float, strictness: float = 0.0, count: int = 10**9) -> float:
    one = calibration.thresholds(
        np.zeros(1, np.int32), np.array([interval]), np.array([strictness]), np.array([count]), budget
    )
    return float(one[0])


def test_the_threshold_spends_the_budget() -> None:
    """At one alarm a week and a sample a minute: the score of one block in a week's blocks."""
    week = 604800.0
    assert thresholds(60.0, 1 / week) == pytest.approx(np.log10(week / (60 * BLOCK)), abs=1e-6)
    assert thresholds(60.0, 10 / week) == pytest.approx(thresholds(60.0, 1 / week) - 1)
    assert thresholds(600.0, 1 / week) == pytest.approx(thresholds(60.0, 1 / week) - 1)
    assert thresholds(60.0, 1 / week, 0.5) == pytest.approx(thresholds(60.0, 1 / week) + 0.5)


def test_the_threshold_is_higher_while_little_is_known() -> None:
    by_count = [thresholds(60.0, 1e-6, count=count) for count in (100, 400, 2000, 10**6)]
    assert by_count == sorted(by_count, reverse=True)
    assert by_count[0] > by_count[-1] + 0.3


def test_no_budget_makes_every_block_an_alarm() -> None:
    assert thresholds(1e7, 1.0) == thresholds(1e9, 10.0) > 1
    assert np.isfinite(thresholds(0.0, 1e-9))


@pytest.mark.parametrize("off_by", [-0.4, 0.0, 0.5, 1.0])
def test_the_budget_is_kept_by_scores_that_are_off(off_by) -> None:
    """Scores wrong by some tenths of a decade, to either side: after a while alarms come at the rate of the budget."""
    rng = np.random.default_rng(6)
    sensors, interval, budget = 400, 60.0, 1 / (60.0 * BLOCK * 1000)  # one alarm in a thousand blocks
    slot = np.arange(sensors, dtype=np.int32)
    intervals, strictness, counts = np.full(sensors, interval), np.zeros(sensors), np.full(sensors, 10**9)
    alarms = []
    for _ in range(4000):  # a block at a time, to be quick
        score = -np.log10(rng.random(sensors)) + off_by
        threshold = calibration.thresholds(slot, intervals, strictness, counts, budget)
        opened = score >= threshold
        calibration.keep_budget(
            slot, score, threshold, opened, intervals * BLOCK, budget, strictness, np.zeros(sensors, bool)
        )
        alarms.append(opened.sum())
    rate = np.sum(alarms[len(alarms) // 2 :]) / sensors / (len(alarms) // 2) * 1000
    assert 0.5 < rate < 1.8


def test_a_clear_fault_does_not_make_it_strict() -> None:
    """Every alarm near the threshold does."""
    slot, interval = np.zeros(1, np.int32), np.array([60.0])
    for score, stricter in ((4.1, True), (14.0, False)):
        strictness = np.zeros(1)
        opened = np.ones(1, bool)
        calibration.keep_budget(slot, np.array([score]), np.array([4.0]), opened, interval, 1e-6, strictness, ~opened)
        assert (strictness[0] > 0) == stricter


# --- the band


def test_a_value_beyond_the_band_raises_an_alarm_by_itself() -> None:
    """All views are as usual but those that a single value shows in, which find it as odd as the forecast does."""
    memory = trained(blocks=800)
    threshold = np.array([3.5])
    half = calibration.band(memory.slot, threshold, memory.fit)
    usual = [calibration.tail_value(calibration.USUAL, fit) for fit in memory.fit[0]]
    for factor, beyond in ((1.01, True), (0.99, False)):
        odd = calibration.tail_score(half[0] * factor, memory.fit[0, 0])
        statistic = np.array([usual])
        whole = [0, 3, 5]  # a half view and two whole ones
        statistic[0, whole] = [calibration.tail_value(odd, fit) for fit in memory.fit[0, whole]]
        outside = calibration.RANGE_UNIT * (10 ** (calibration.USUAL / calibration.RANGE_SLOPE) - 1)
        assert (score_of(memory, statistic, outside) >= 3.5) == beyond
    assert np.isnan(calibration.band(memory.slot, np.array([np.inf]), memory.fit)).all()
    assert np.isnan(calibration.band(memory.slot, threshold, np.zeros_like(memory.fit))).all()

"""What the tests of the detection share: a small group that learns often, lively sensors, and what a fleet said."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lstm_stream.config import Group, Limits
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.state import sensor_arrays
from lstm_stream.detect.trainer import Trainer
from lstm_stream.records import Event, Reading, Reason, Verdicts, View


def make_group(**settings: object) -> Group:
    """Rounds at 64, 128, 192 ... samples, adopted 8 later; alarms from sample 100 on, accepted after 20 minutes.

    Keyword arguments replace settings of the group, of its `model` (cell, weights, hidden, seed) or `retraining`.
    """
    model = {"cell": "standard", "hidden": 3, "weights": "own", "seed": 1}
    retraining = {"enabled": True, "every": 64, "history": 128, "lag": 8, "epochs": 1, "patience": 600.0}
    group: dict[str, object] = {"warmup": 100, "false_alarms": "1 per sensor per hour", "accept_after": 1200.0}
    for name, value in settings.items():
        where = next(part for part in (model, retraining, group) if name in part or part is group)
        where[name] = value
    return Group.model_validate({**group, "model": model, "retraining": retraining})


def lively(sensor: str, seed: int, samples: int = 620, group: str = "default", since: float = 1e6) -> list[Reading]:
    """A sensor of two channels to which everything happens.

    Irregular times, absent values, a spike, a burst of noise, a silence, a stretch of repeated values.
    """
    rng = np.random.default_rng(seed)
    step = 60.0 * rng.uniform(0.5, 1.5, samples)
    step[200:201] += 3600.0  # the silence
    time = since + np.cumsum(step)
    a = 20 + 5 * np.sin(time / 3000) + 0.5 * rng.standard_normal(samples)
    b = 0.3 * a + rng.standard_normal(samples)
    a[480:481] += 30  # the spike
    b[540:550] += 12 * rng.standard_normal(10)[: max(0, samples - 540)]  # the burst
    a[575:615] = a[575:576]  # stuck
    present = rng.random((samples, 2)) > 0.05
    rows = []
    for k in range(samples):
        values = {name: float(v[k]) for name, v, here in zip("ab", (a, b), present[k], strict=True) if here or k == 0}
        if values:
            rows.append(Reading(sensor, group, float(time[k]), values))
    return rows


def in_time(*sensors: Iterable[Reading]) -> list[Reading]:
    """All readings in the order of their times."""
    return sorted((reading for one in sensors for reading in one), key=lambda reading: reading.time)


@dataclass
class Story:
    """What a fleet said: of each sample by sensor and time, and its events and rejections."""

    verdicts: dict[tuple[str, float], bytes] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    rejections: list[tuple[Reason, str]] = field(default_factory=list)

    def of(self, *sensors: str) -> dict[tuple[str, float], bytes]:
        """The verdicts of some sensors."""
        return {key: verdict for key, verdict in self.verdicts.items() if key[0] in sensors}


def bits(verdicts: Verdicts, row: int) -> bytes:
    """All numbers of one verdict, to be compared bit by bit."""
    wide = [verdicts.expected, verdicts.lower, verdicts.upper, verdicts.contribution]
    narrow = [verdicts.score, verdicts.threshold, verdicts.view, verdicts.anomaly]
    numbers: NDArray[np.float64] = np.concatenate([a[row] for a in wide] + [[float(a[row])] for a in narrow])
    numbers[np.isnan(numbers)] = np.nan  # one NaN is as good as another
    return numbers.tobytes()


def feed(fleet: Fleet, readings: Sequence[Reading], cuts: Iterable[int] = (), story: Story | None = None) -> Story:
    """Give the fleet these readings, cut into batches before the readings of these numbers."""
    story = Story() if story is None else story
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(readings)}), len(readings)]
    for start, stop in itertools.pairwise(edges):
        outcome = fleet.process(readings[start:stop])
        for batch in outcome.batches:
            for row, which in enumerate(batch.which):
                reading = readings[start + which]
                key = (reading.sensor, reading.time)
                assert key not in story.verdicts, "one sample, two verdicts"
                story.verdicts[key] = bits(batch.verdicts, row)
        for event in outcome.events:
            assert event.id not in story.events, "an event was told twice"
            story.events[event.id] = event
        story.rejections += [(rejection.reason, rejection.detail) for _, rejection in outcome.rejections]
    return story


class Rows:
    """The state arrays of some sensors, and kernels called on them one sample of each at a time.

    A kernel's parameters are found by name: given ones first, then the arrays of the state (`frozen` and `is_open` are
    its `open`), so that a test need not repeat them.
    """

    def __init__(self, channels: int, sensors: int) -> None:
        self.arrays = sensor_arrays(channels, make_group(), sensors)
        self.slot = np.arange(sensors, dtype=np.int32)
        self.channels, self.sensors = channels, sensors

    def call(self, kernel: Any, **given: Any) -> Any:
        known = {"slot": self.slot, "frozen": self.arrays.open, "is_open": self.arrays.open, **given}
        names = inspect.signature(kernel.py_func).parameters
        return kernel(*[known[name] if name in known else getattr(self.arrays, name) for name in names])

    def room(self) -> dict[str, NDArray[np.float64]]:
        """Where views write: `statistic` (S, V) and `share` (S, V, D)."""
        views = self.arrays.fit.shape[1]
        share = np.full((self.sensors, View.STUCK, self.channels), np.nan)
        return {"statistic": np.full((self.sensors, views), np.nan), "share": share}


@pytest.fixture
def rows_of() -> Callable[..., Rows]:
    """`rows_of(channels=1, sensors=1)`."""
    return lambda channels=1, sensors=1: Rows(channels, sensors)


@pytest.fixture(scope="session")
def trainer() -> Iterator[Trainer]:
    """The real one."""
    one = Trainer()
    one.open()
    yield one
    one.close()


@pytest.fixture
def small_group() -> Callable[..., Group]:
    return make_group


@pytest.fixture
def fleet_of(trainer: Trainer) -> Callable[..., Fleet]:
    """`fleet_of(limits=Limits(), trainer=the real one, **settings of the group)`: a fleet of one group, `default`."""

    def make(limits: Limits | None = None, trainer: Trainer = trainer, **settings: object) -> Fleet:
        return Fleet({"default": make_group(**settings)}, limits or Limits(), trainer)

    return make


@pytest.fixture
def lively_sensor() -> Callable[..., list[Reading]]:
    return lively


@pytest.fixture
def ordered() -> Callable[..., list[Reading]]:
    return in_time


@pytest.fixture
def told() -> Callable[..., Story]:
    """`told(fleet, readings, cuts=(), story=None)`: what the fleet says of them."""
    return feed

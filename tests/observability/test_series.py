"""Series of single sensors: who is shown and for how long, what they show, and that no name can spoil a scrape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from lstm_stream.config import Group, Limits
from lstm_stream.config.metrics import SensorSeries
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.trainer import Trainer
from lstm_stream.outputs.exposition import LONGEST, header, label, lines, prefixes
from lstm_stream.outputs.metrics import Metrics
from lstm_stream.outputs.series import LOOK, Series
from lstm_stream.outputs.sticky import Sticky
from lstm_stream.records import Event, Reading, Samples, Verdicts

NAN = math.nan


class Plant:
    """A group of sensors of one channel or more, and a Series that is told of them."""

    def __init__(self, sensors: Sequence[str], channels: tuple[str, ...] = ("v",), **settings: Any) -> None:
        self.sensors: list[str | None] = list(sensors)
        self.channels = channels
        self.stay = np.arange(100, 100 + len(sensors))
        self.series = Series(SensorSeries(**settings))
        self.now = 0.0

    def samples(self, slots: Sequence[int], scores: Sequence[float], time: float = 1000.0, **other: Any) -> Plant:
        """One of each slot; `values` (M, D), `threshold` and `anomaly` as given."""
        m, d = len(slots), len(self.channels)
        values = np.array(other.get("values", np.full((m, d), 20.0)), np.float64)
        verdicts = Verdicts(
            expected=values + 1,
            lower=values - 2,
            upper=values + 2,
            score=np.array(scores, np.float64),
            threshold=np.full(m, other.get("threshold", 4.0)),
            contribution=np.zeros((m, d)),
            view=np.zeros(m, np.int8),
            anomaly=np.array(other.get("anomaly", [False] * m)),
        )
        taken = Samples(np.array(slots, np.int32), np.full(m, time), values)
        self.series.take("pumps", self.channels, self.sensors, self.stay, taken, verdicts)
        return self

    def look(self, after: float = LOOK) -> dict[tuple[str, ...], float]:
        """What a scrape shows so much later: name and values of the labels -> number."""
        self.now += after
        self.series.refresh(self.now)
        return shown(self.series)

    def shown(self, after: float = LOOK) -> set[str]:
        """The sensors that a scrape shows."""
        return {key[2] for key in self.look(after) if key[0] == "anomaly_score"}


def shown(series: Series) -> dict[tuple[str, ...], float]:
    samples = [sample for family in parse_text(b"".join(series.render()).decode()) for sample in family.samples]
    names = {
        (sample.name.removeprefix("lstm_stream_sensor_"), *sample.labels.values()): sample.value for sample in samples
    }
    assert len(names) == len(samples), "a series stands there twice"
    return names


def test_what_is_shown_of_a_sensor() -> None:
    plant = Plant(["a", "b"], channels=("t", "p"), allow=["a"])
    plant.look()
    plant.samples([0, 1], [0.5, 0.7]).look()  # is chosen
    plant.samples([0, 1], [1.5, 0.7], time=1010.0, values=[[20.0, NAN], [1.0, 2.0]])
    plant.samples([0], [2.5], time=1020.0, values=[[NAN, 3.0]], anomaly=[True])
    assert plant.look(1.0) == {
        ("series_shown", "allow"): 1,
        ("series_shown", "top"): 0,
        ("series_left_out", "allow"): 0,
        ("series_left_out", "top"): 0,
        ("last_sample_timestamp_seconds", "pumps", "a"): 1020,
        ("anomaly_score", "pumps", "a"): 2.5,
        ("anomaly_threshold", "pumps", "a"): 4,
        ("anomaly", "pumps", "a"): 1,
        # An absent channel shows what it showed last.
        ("observed_value", "pumps", "a", "t"): 20,
        ("expected_value", "pumps", "a", "t"): 21,
        ("expected_lower_value", "pumps", "a", "t"): 18,
        ("expected_upper_value", "pumps", "a", "t"): 22,
        ("observed_value", "pumps", "a", "p"): 3,
        ("expected_value", "pumps", "a", "p"): 4,
        ("expected_lower_value", "pumps", "a", "p"): 1,
        ("expected_upper_value", "pumps", "a", "p"): 5,
    }


def test_of_several_samples_in_a_batch_the_last_is_shown() -> None:
    plant = Plant(["a"], allow=["a"])
    plant.samples([0], [1.0]).look()
    plant.samples([0, 0, 0], [1.0, 9.0, 2.0], values=[[1.0], [2.0], [3.0]])
    scrape = plant.look(1.0)
    assert (scrape["anomaly_score", "pumps", "a"], scrape["observed_value", "pumps", "a", "v"]) == (2.0, 3.0)


def test_the_allow_list_takes_patterns_and_has_a_limit() -> None:
    plant = Plant([f"boiler-{n}" for n in range(5)] + ["pump"], allow=["boiler-*", "x"], limit=3)
    plant.samples(range(6), [1.0] * 6)
    scrape = plant.look()
    assert {key[2] for key in scrape if key[0] == "anomaly"} == {"boiler-0", "boiler-1", "boiler-2"}
    assert (scrape["series_shown", "allow"], scrape["series_left_out", "allow"]) == (3, 2)


def test_the_top_are_those_with_the_highest_scores_since_the_last_look() -> None:
    plant = Plant(["a", "b", "c", "d"], top=2)
    plant.samples(range(4), [1.0, 9.0, 2.0, 3.0]).samples([1], [0.1])
    assert plant.shown() == {"b", "d"}


def test_a_sensor_that_warms_up_has_no_rank() -> None:
    plant = Plant(["a", "b"], top=1)
    plant.samples([0], [9.0], threshold=math.inf).samples([1], [1.0])
    assert plant.shown() == {"b"}


def test_the_top_does_not_churn() -> None:
    plant = Plant([str(n) for n in range(20)], top=3, stay=300.0)
    ranks = np.random.default_rng(1)
    plant.samples(range(20), ranks.random(20))
    first = plant.shown()
    for _ in range(29):  # 290 s of other scores at every look
        plant.samples(range(20), ranks.random(20))
        assert plant.shown() == first
    plant.samples(range(20), [0.0 if str(n) in first else 1.0 for n in range(20)])
    assert plant.shown(after=400.0).isdisjoint(first)


def test_an_alarm_is_in_the_top_at_once() -> None:
    plant = Plant(["a", "b", "c"], top=2, stay=300.0)
    plant.samples(range(3), [3.0, 2.0, 1.0])
    assert plant.shown() == {"a", "b"}
    plant.samples([2], [0.5], anomaly=[True])
    assert "c" in plant.shown()


def test_alarms_that_the_top_has_no_place_for_are_counted() -> None:
    plant = Plant(["a", "b", "c"], top=1)
    plant.samples(range(3), [9.0] * 3, anomaly=[True] * 3)
    scrape = plant.look()
    assert (scrape["series_shown", "top"], scrape["series_left_out", "top"]) == (1, 2)


def test_a_sensor_never_shows_what_another_left_in_its_slot() -> None:
    plant = Plant(["a", "b"], allow=["*"], top=1)
    plant.samples([0, 1], [1.0, 1.0]).look()
    plant.samples([0], [5.0], anomaly=[True])
    plant.sensors[0], plant.stay[0] = None, -1
    assert plant.shown() == {"b"}
    plant.sensors[0], plant.stay[0] = "new", 500
    plant.samples([0], [0.25])
    scrape = plant.look()
    assert scrape["anomaly", "pumps", "new"] == 0
    assert math.isnan(scrape["observed_value", "pumps", "new", "v"])  # since it was chosen, none has come
    assert not [key for key in scrape if "a" in key]


def test_a_slot_that_is_taken_again_between_two_looks_shows_nothing_foreign() -> None:
    plant = Plant(["a"], allow=["*"])
    plant.samples([0], [1.0]).look()
    plant.sensors[0], plant.stay[0] = "new", 500
    plant.samples([0], [7.0], anomaly=[True])
    scrape = plant.look(1.0)
    assert scrape["anomaly_score", "pumps", "new"] == 7.0
    assert not [key for key in scrape if "a" in key]


def test_a_silence_is_an_anomaly() -> None:
    plant = Plant(["a"], allow=["a"])
    plant.samples([0], [1.0])
    began = Event("1", "a", "pumps", "opened", "silence", "no samples", 0.0, None, 0.0, 0.0, 0)
    plant.series.hear([began])
    assert plant.look()["anomaly", "pumps", "a"] == 1
    plant.series.hear([Event("2", "a", "pumps", "closed", "silence", "again", 0.0, 9.0, 0.0, 0.0, 0)])
    assert plant.look()["anomaly", "pumps", "a"] == 0


@given(st.lists(st.lists(st.integers(0, 9), max_size=3, unique=True), max_size=30), st.floats(0, 50))
def test_the_top_is_never_larger_than_it_may_and_has_those_of_the_last_look_where_there_is_room(
    looks: list[list[int]], stay: float
) -> None:
    sticky: Sticky[int] = Sticky(3, stay)
    before: list[int] = []
    for number, ranked in enumerate(looks):
        members = sticky.choose(ranked, lambda key: key != 7, lambda key: key == 8, number * 10.0)
        assert len(set(members)) == len(members) <= 3
        assert 7 not in set(before) & set(members) - set(ranked)
        if len(members) < 3:
            assert set(ranked) <= set(members)
        before = members


@given(st.lists(st.text(st.characters(codec=None), max_size=300), min_size=1, max_size=5, unique=True))
def test_any_name_is_one_label_and_different_ones_differ(names: list[str]) -> None:
    pieces = lines(prefixes("m", [f'a="{label(name)}"' for name in names]), np.ones(len(names)))
    [family] = parse_text((header("m", "d") + b"".join(pieces)).decode())
    values = [sample.labels["a"] for sample in family.samples]
    assert len(set(values)) == len(names)
    assert all(len(value) <= LONGEST for value in values)
    assert all(
        value == name for value, name in zip(values, names, strict=True) if name.isprintable() and len(name) < 99
    )


@pytest.mark.parametrize(
    "name", ['x"} 1\nfake_metric 2', "a\\", "a\r\nfake 1", "\ud800", "x" * 100_000, "", "é\x00", "\x85"]
)
def test_a_name_cannot_inject_anything(name: str) -> None:
    plant = Plant([name, "beside"], channels=(name,), allow=["*"])
    plant.series = Series(SensorSeries(allow=("*",)))
    metrics = Metrics("1")
    metrics.watch_series(plant.series.render)
    plant.samples([0, 1], [1.0, 1.0]).look()
    for accept, parse in (("", parse_text), ("application/openmetrics-text", parse_openmetrics)):
        families = {family.name: family for family in parse(metrics.render(accept)[0].decode())}
        assert len(families["lstm_stream_sensor_anomaly"].samples) == 2
        assert not [family for family in families if "fake" in family]


@given(arrays.arrays(np.float64, st.integers(1, 20)))
@example(np.arange(5000) / 7.0)  # more than one piece
def test_numbers_read_back_as_they_are(numbers: np.ndarray) -> None:
    pieces = lines(prefixes("m", [f'a="{n}"' for n in range(len(numbers))]), numbers)
    [family] = parse_text((header("m", "d") + b"".join(pieces)).decode())
    read = np.array([sample.value for sample in family.samples])
    np.testing.assert_array_equal(read, np.where(np.isfinite(numbers), numbers, NAN))


def test_a_real_fleet_that_grows_and_gains_channels() -> None:
    group = Group.model_validate({"model": {"hidden": 2}, "retraining": {"enabled": False, "history": 128, "lag": 1}})
    fleet, series = Fleet({"default": group}, Limits(), Trainer()), Series(SensorSeries(allow=("s1", "s40"), top=2))

    def pass_on(at: float, sensors: int, **values: float) -> None:
        for batch in fleet.process([Reading(f"s{n}", "default", at, values) for n in range(sensors)]).batches:
            d = batch.detector
            series.take(d.name, d.channels, d.sensors, batch.stay, batch.samples, batch.verdicts)

    for step in range(5):
        pass_on(step, 3 + 20 * step, v=1.0)
    pass_on(5.0, 2, v=2.0, w=3.0)  # s0 and s1 move to another detector
    series.refresh(0.0)
    pass_on(6.0, 50, v=4.0)
    series.refresh(1.0)
    scrape = shown(series)
    assert scrape["observed_value", "default", "s1", "v"] == 4.0
    assert scrape["observed_value", "default", "s40", "v"] == 4.0
    assert math.isnan(scrape["observed_value", "default", "s1", "w"])
    assert scrape["series_shown", "allow"] == scrape["series_shown", "top"] == 2

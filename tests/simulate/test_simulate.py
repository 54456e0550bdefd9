"""The simulator: what follows from a seed, what a fault changes and what it leaves alone."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import datetime

import numpy as np
import orjson
import pytest

from lstm_stream.simulate import DAY, KINDS, START, Fault, Series, Simulation, messages, simulate

FAULTS = {
    "spike",
    "level_shift",
    "drift",
    "stuck",
    "noise_burst",
    "frequency_change",
    "correlation_break",
    "silence",
}
CASES = [(kind.name, fault) for kind in KINDS.values() for fault in kind.faults]


def same(one: Series, other: Series) -> bool:
    return np.array_equal(one.time, other.time) and np.array_equal(one.values, other.values, equal_nan=True)


@pytest.fixture(scope="module")
def pairs() -> dict[str, tuple[Simulation, Simulation]]:
    """For each kind: a sensor with many faults, and the same sensor without; no message is lost."""
    return {
        name: (
            simulate(1, 90 * DAY, 5, fault_every=2.5 * DAY, missing=0.0, kinds=[name]),
            simulate(1, 90 * DAY, 5, fault_every=None, missing=0.0, kinds=[name]),
        )
        for name in KINDS
    }


def test_the_same_seed_gives_the_same_fleet_and_another_seed_another() -> None:
    one, two, other = (simulate(12, 9 * DAY, seed) for seed in (3, 3, 4))
    assert one.faults == two.faults
    assert all(same(a, b) for a, b in zip(one.series, two.series, strict=True))
    assert [list(messages(one))[k] for k in (0, 1000)] == [list(messages(two))[k] for k in (0, 1000)]
    assert one.faults != other.faults
    assert not any(same(a, b) for a, b in zip(one.series, other.series, strict=True))


def test_one_more_sensor_changes_no_other() -> None:
    few, many = simulate(7, 9 * DAY, 3), simulate(20, 9 * DAY, 3)
    assert all(same(a, b) for a, b in zip(few.series, many.series, strict=False))
    names = {series.sensor for series in few.series}
    assert few.faults == [fault for fault in many.faults if fault.sensor in names]


def test_two_sensors_of_a_kind_are_not_the_same() -> None:
    one, two = simulate(2, 5 * DAY, kinds=["tank"]).series
    size = min(len(one.time), len(two.time))
    assert not np.allclose(one.values[:size], two.values[:size], equal_nan=True)


def test_at_least_six_kinds_and_eight_faults_all_of_them_labelled() -> None:
    simulation = simulate(24, 60 * DAY, fault_every=2 * DAY)
    assert len(KINDS) >= 6
    assert {fault.kind for fault in simulation.faults} == FAULTS
    kinds = {series.sensor: KINDS[series.kind] for series in simulation.series}
    for fault in simulation.faults:
        assert fault.kind in kinds[fault.sensor].faults
        assert set(fault.channels) <= set(kinds[fault.sensor].channels)
    assert all(len(kind.channels) > 1 for kind in KINDS.values() if "correlation_break" in kind.faults)


def test_faults_keep_to_their_time_and_apart() -> None:
    simulation = simulate(12, 30 * DAY, warmup=4 * DAY, fault_every=1 * DAY)
    assert len(simulation.faults) > 100
    for series in simulation.series:
        own = [fault for fault in simulation.faults if fault.sensor == series.sensor]
        assert all(fault.start < fault.end for fault in own)
        assert own[0].start >= START + 4 * DAY
        assert own[-1].end <= START + 30 * DAY
        assert all(b.start - a.end > 11 * 3600 for a, b in itertools.pairwise(own))


def test_faults_come_as_often_as_asked() -> None:
    simulation = simulate(48, 100 * DAY, warmup=0.0, fault_every=5 * DAY)
    assert len(simulation.faults) / (48 * 100 / 5) == pytest.approx(1.0, abs=0.1)
    assert simulate(6, 30 * DAY, fault_every=None).faults == []


@pytest.mark.parametrize("kind", list(KINDS))
def test_nothing_changes_outside_the_faults(pairs: dict[str, tuple[Simulation, Simulation]], kind: str) -> None:
    faulty, healthy = pairs[kind][0].series[0], pairs[kind][1].series[0]
    row = np.searchsorted(healthy.time, faulty.time)
    assert np.array_equal(healthy.time[row], faulty.time)
    allowed = np.zeros(faulty.values.shape, bool)
    for fault in pairs[kind][0].faults:
        inside = (faulty.time >= fault.start) & (faulty.time < fault.end)
        allowed |= inside[:, None] & np.isin(faulty.channels, fault.channels)
    assert np.array_equal(faulty.values[~allowed], healthy.values[row][~allowed])
    missing = np.setdiff1d(healthy.time, faulty.time)
    silences = [fault for fault in pairs[kind][0].faults if fault.kind == "silence"]
    assert sum(((missing >= fault.start) & (missing < fault.end)).sum() for fault in silences) == len(missing)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_every_fault_shows(pairs: dict[str, tuple[Simulation, Simulation]], kind: str, name: str) -> None:
    faulty, healthy = pairs[kind][0].series[0], pairs[kind][1].series[0]
    found = [fault for fault in pairs[kind][0].faults if fault.kind == name]
    assert found, "the fault never happened"
    for fault in found:
        if name == "silence":
            assert not ((faulty.time >= fault.start) & (faulty.time < fault.end)).any()
            assert 2.9 * 3600 <= fault.end - fault.start <= 8.1 * 3600
        else:
            check_change(fault, faulty, healthy)


def check_change(fault: Fault, faulty: Series, healthy: Series) -> None:
    inside = (faulty.time >= fault.start) & (faulty.time < fault.end)
    truth = np.isin(healthy.time, faulty.time[inside])
    columns = [faulty.channels.index(channel) for channel in fault.channels]
    values = faulty.values[inside][:, columns]
    change = (values - healthy.values[truth][:, columns]) / faulty.scale[columns]
    largest = np.abs(change).max()
    if fault.kind in ("spike", "level_shift"):
        assert largest == pytest.approx(abs(fault.magnitude), rel=0.15)
    elif fault.kind == "drift":
        assert largest > 0.75 * abs(fault.magnitude)
        quarter = len(change) // 4
        assert np.abs(change[-quarter:]).mean() > 2 * np.abs(change[:quarter]).mean()
    elif fault.kind == "stuck":
        assert (values == values[0]).all()
        assert all(len(np.unique(column)) > 1 for column in healthy.values[truth][:, columns].T)
    elif fault.kind == "noise_burst":
        assert 0.4 * fault.magnitude < change.std() < 1.3 * fault.magnitude
    else:
        assert np.abs(change).max(axis=0).min() > 2


def test_magnitudes_are_those_of_the_table() -> None:
    simulation = simulate(24, 60 * DAY, fault_every=2 * DAY)
    bounds = {"spike": (8, 15), "level_shift": (4, 8), "drift": (6, 10), "noise_burst": (3, 5)}
    for fault in simulation.faults:
        if fault.kind in bounds:
            low, high = bounds[fault.kind]
            assert low <= abs(fault.magnitude) <= high
        elif fault.kind == "frequency_change":
            assert 1.6 <= max(fault.magnitude, 1 / fault.magnitude) <= 2.4
        else:
            assert fault.magnitude == 0


def test_a_frequency_change_has_the_factor_of_its_label() -> None:
    simulation = simulate(8, 90 * DAY, fault_every=2 * DAY, missing=0.0, kinds=["vibration"])
    sensors = {series.sensor: series for series in simulation.series}
    ratios = []
    for fault in (f for f in simulation.faults if f.kind == "frequency_change"):
        series = sensors[fault.sensor]
        first, last = np.searchsorted(series.time, [fault.start, fault.end])
        usual = frequency(series.values[: 2 * 288, 0])
        ratios.append(frequency(series.values[first:last, 0]) / usual / fault.magnitude)
    assert len(ratios) > 10
    assert np.median(ratios) == pytest.approx(1.0, abs=0.05)


def frequency(x: np.ndarray) -> float:
    """Cycles per sample of the strongest oscillation faster than two hours."""
    spectrum = np.abs(np.fft.rfft((x - x.mean()) * np.hanning(len(x)), 8192))
    cycles = np.fft.rfftfreq(8192)
    fast = cycles > 1 / 40
    return float(cycles[fast][spectrum[fast].argmax()])


def test_a_correlation_break_leaves_the_channel_plausible_and_the_pair_wrong() -> None:
    simulation = simulate(6, 120 * DAY, fault_every=2 * DAY, missing=0.0, kinds=["machine"])
    usual, broken = [], []
    for series in simulation.series:
        power, current = series.values[:, 0], series.values[:, 1]
        usual.append(np.corrcoef(power[:800], current[:800])[0, 1])
        for fault in simulation.faults:
            if (fault.sensor, fault.kind) == (series.sensor, "correlation_break") and fault.channels != (
                "temperature",
            ):
                inside = (series.time >= fault.start) & (series.time < fault.end)
                column = series.channels.index(fault.channels[0])
                assert series.values[inside, column].max() < 1.2 * series.values[:800, column].max()
                broken.append(np.corrcoef(power[inside], current[inside])[0, 1])
    assert min(usual) > 0.99
    assert len(broken) > 10
    assert np.max(np.abs(broken)) < 0.8


def test_about_one_percent_of_messages_and_values_is_missing() -> None:
    simulation = simulate(48, 20 * DAY, fault_every=None)
    expected = 48 * int(20 * DAY / 300)
    assert 1 - sum(len(series.time) for series in simulation.series) / expected == pytest.approx(0.01, rel=0.1)
    several = [series.values for series in simulation.series if len(series.channels) > 1]
    assert np.mean([np.isnan(values).mean() for values in several]) == pytest.approx(0.01, rel=0.1)
    assert all(np.isfinite(values).any(axis=1).all() for values in several)
    assert all(np.isfinite(series.values).all() for series in simulation.series if len(series.channels) == 1)


def test_a_spike_is_never_lost_on_the_way() -> None:
    simulation = simulate(12, 60 * DAY, fault_every=1 * DAY, missing=0.3)
    sensors = {series.sensor: series for series in simulation.series}
    spikes = [fault for fault in simulation.faults if fault.kind == "spike"]
    for fault in spikes:
        series = sensors[fault.sensor]
        inside = (series.time >= fault.start) & (series.time < fault.end)
        assert inside.sum() == round((fault.end - fault.start) / 300)
        assert np.isfinite(series.values[inside]).all()
    assert len(spikes) > 30


def test_intervals_are_irregular_and_times_increase() -> None:
    for series in simulate(6, 5 * DAY, missing=0.0, fault_every=None).series:
        steps = np.diff(series.time)
        assert steps.min() > 150
        assert np.median(steps) == pytest.approx(300, abs=2)
        assert steps.std() > 3
        assert np.array_equal(series.time, np.round(series.time, 3))


@pytest.mark.parametrize("kind", list(KINDS))
def test_sensors_report_in_their_resolution_and_within_their_limits(kind: str) -> None:
    spec = KINDS[kind]
    for series in simulate(3, 40 * DAY, fault_every=1 * DAY, kinds=[kind]).series:
        assert series.channels == spec.channels
        assert len(series.units) == len(series.scale) == len(spec.channels)
        known = np.nan_to_num(series.values, nan=spec.low[0])
        steps = known / np.array(spec.quantum)
        assert np.abs(steps - np.round(steps)).max() < 1e-6
        assert (np.nan_to_num(series.values, nan=np.inf) >= spec.low).all()
        assert (np.nan_to_num(series.values, nan=-np.inf) <= spec.high).all()


def test_a_day_repeats_in_temperature_and_in_events() -> None:
    for series in simulate(2, 20 * DAY, missing=0.0, fault_every=None, kinds=["climate", "events"]).series:
        x = series.values[:, 0] - series.values[:, 0].mean()
        assert np.corrcoef(x[:-288], x[288:])[0, 1] > 0.4
        assert np.corrcoef(x[:-144], x[144:])[0, 1] < 0


def test_the_machine_warms_up_after_it_has_started() -> None:
    (series,) = simulate(1, 10 * DAY, missing=0.0, fault_every=None, kinds=["machine"]).series
    power, heat = series.values[:, 0], series.values[:, 2]
    by_lag = [np.corrcoef(power[: -lag or None], heat[lag:])[0, 1] for lag in range(12)]
    assert 1 <= int(np.argmax(by_lag)) <= 6
    assert max(by_lag) > by_lag[0] + 0.05


def test_the_tank_is_refilled_and_the_battery_is_not() -> None:
    tank, battery = simulate(2, 20 * DAY, missing=0.0, fault_every=None, kinds=["tank", "battery"]).series
    refills = (np.diff(tank.values[:, 0]) > 10).sum()
    assert 20 <= refills <= 200
    assert battery.values[-288:].mean() < battery.values[:288].mean() - 0.02


def test_messages_are_what_the_series_say_in_time_order() -> None:
    simulation = simulate(12, 2 * DAY, missing=0.05, warmup=0.0)
    told = list(messages(simulation))
    assert [one.time for one in told] == sorted(one.time for one in told)
    read: dict[str, list[tuple[float, dict[str, float]]]] = {}
    forms: Counter[str] = Counter()
    for one in told:
        demo, site, sensor, telemetry = one.topic.split("/")
        assert (demo, telemetry, bool(site)) == ("demo", "telemetry", True)
        payload = orjson.loads(one.payload)
        forms.update(payload.keys() & {"timestamp", "ts"})
        time = (
            datetime.fromisoformat(payload.pop("timestamp").replace("Z", "+00:00")).timestamp()
            if "timestamp" in payload
            else payload.pop("ts") / 1000
        )
        assert time == pytest.approx(one.time, abs=1e-6)
        read.setdefault(sensor, []).append((one.time, payload))
    assert min(forms.values()) > len(told) / 3
    for series in simulation.series:
        expected = [
            (time, {name: value for name, value in zip(series.channels, row, strict=True) if value == value})
            for time, row in zip(series.time.tolist(), series.values.tolist(), strict=True)
        ]
        assert read[series.sensor] == expected


def test_what_cannot_be_simulated_is_refused() -> None:
    with pytest.raises(ValueError, match="less than two intervals"):
        simulate(1, 400.0)
    with pytest.raises(ValueError, match=r"unknown kind of sensor \['toaster'\]; known are climate"):
        simulate(1, kinds=["tank", "toaster"])

"""Weights to start from: how they are made, and that the daemon, a replay and the training mean the same by them."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import pytest

from lstm_stream.cli import main
from lstm_stream.coldstart import FROM, TO, Stream, cold_start
from lstm_stream.config import Config, Group, Limits, Source
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.trainer import Trainer
from lstm_stream.lstm import interchange, kernels
from lstm_stream.lstm.params import CELLS, Shape, initial
from lstm_stream.pretrain.main import MADE_KEY, _divided
from lstm_stream.pretrain.shown import windows
from lstm_stream.pretrain.streams import LENGTH, SHORTEST, pieces, recorded
from lstm_stream.pretrain.synthetic import synthetic
from lstm_stream.recording import RecordingError, read
from lstm_stream.records import Reading
from lstm_stream.replay import replay

HOUR = 3600.0
SMALL = ["--streams", "100", "--epochs", "3"]
STILL = Group.model_validate({"model": {"start_from": None}, "retraining": {"enabled": False}})


def pretrain(*arguments: object) -> int:
    return main(["pretrain", *map(str, arguments)])


def started(path: Path, **model: object) -> Group:
    return Group.model_validate({"model": {"start_from": str(path), **model}, "retraining": {"enabled": False}})


def figures(output: str) -> dict[str, list[float]]:
    """The last table of the output: its numbers by the name of the row."""
    table = output.strip().split("\n\n")[-1]
    rows = re.findall(r"^  (\w[\w ]*?)  +([\d. ]+)$", table, re.M)
    return {name: [float(number) for number in numbers.split()] for name, numbers in rows}


def swing(rows: int, period: float, sensor: str = "") -> list[str]:
    """Lines of a CSV file: two channels of a sensor."""
    angle = 2 * np.pi * np.arange(rows) / period
    return [
        f"{sensor}{1.7e9 + 60 * k},{10 + np.sin(a) + 0.01 * (k % 7):.4f},{5 + np.cos(a):.4f}"
        for k, a in enumerate(angle.tolist())
    ]


@pytest.fixture
def pump(tmp_path: Path) -> Path:
    path = tmp_path / "pump.csv"
    path.write_text("\n".join(["timestamp,b,a", *swing(2100, 30.0)]))
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a short training on simulated sensors."""
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    assert pretrain("--out", path, *SMALL) == 0
    return path


# --- the verb


def test_the_options_offer_every_cell(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["pretrain", "--help"])
    assert "{" + ",".join(CELLS) + "}" in capsys.readouterr().out


def test_the_same_command_gives_the_same_file(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again, other = tmp_path / "again.safetensors", tmp_path / "other.safetensors"
    assert pretrain("--out", again, *SMALL) == 0
    assert again.read_bytes() == base.read_bytes()
    told = figures(capsys.readouterr().out)
    assert told["these weights"][0] < 0.95 * told["the last value again"][0]
    assert told["these weights"][1] < 0.95 * told["random weights"][1]
    assert pretrain("--out", other, *SMALL, "--seed", 2) == 0
    assert other.read_bytes() != base.read_bytes()


def test_the_file_says_how_it_was_made(base: Path) -> None:
    _, metadata = interchange.decode(base.read_bytes())
    assert "pretrain: 100 simulated sensors, 80 pieces learned from, 20 held back, seed 1" in metadata[MADE_KEY]
    assert interchange.load(base.read_bytes())[0] == Shape(9, 16, 1)


def test_weights_for_several_channels_and_another_cell(tmp_path: Path) -> None:
    out = tmp_path / "three.safetensors"
    assert (
        pretrain("--out", out, "--channels", 3, "--cell", "elysium", "--hidden", 5, "--streams", 20, "--epochs", 1) == 0
    )
    assert interchange.load(out.read_bytes())[0] == Shape(13, 5, 3, "elysium")
    assert started(out, cell="elysium", hidden=5).model.start is not None


def test_a_users_own_recordings(pump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "pump.safetensors"
    test = tmp_path / "other.csv"
    test.write_text("\n".join(["timestamp,a,b", *swing(300, 26.0)]))
    assert pretrain("--out", out, "--from", pump, "--test", test, "--epochs", 40) == 0
    told = capsys.readouterr().out
    assert "2 channels" in told
    assert "5 pieces, held back 1: 1 recording of 1 sensor" in told
    assert figures(told)["these weights"][0] < 0.7 * figures(told)["random weights"][0]


def test_a_configuration_says_what_to_read_and_which_model(pump: Path, tmp_path: Path) -> None:
    config, out = tmp_path / "c.yaml", tmp_path / "out.safetensors"
    config.write_text("sources:\n  - exclude: [b]\ngroups:\n  default:\n    model: {cell: coupled, hidden: 3}\n")
    assert pretrain("--out", out, "--from", pump, "--config", config, "--epochs", 1) == 0
    assert interchange.load(out.read_bytes())[0] == Shape(9, 3, 1, "coupled")


@pytest.mark.parametrize(
    ("content", "arguments", "expected"),
    [
        ("timestamp,a\n" + "\n".join(f"{1.7e9 + k},{k}" for k in range(90)), [], "too short to learn from; give"),
        ("a,b\n1,2\n", [], "there is no time column"),
        (
            "\n".join(["timestamp,b,a", *swing(300, 9)]),
            ["--channels", 3],
            "no recorded sensor has 3 channels; there are",
        ),
    ],
)
def test_what_cannot_be_learned_from(
    content: str, arguments: list[object], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "recording.csv", tmp_path / "out.safetensors"
    path.write_text(content)
    assert pretrain("--out", out, "--from", path, *arguments) == 1
    assert expected in capsys.readouterr().err
    assert not out.exists()


def test_a_recording_is_never_written_over(pump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = pump.read_bytes()
    assert pretrain("--out", pump, "--from", pump) == 1
    assert "is the recording itself" in capsys.readouterr().err
    assert pump.read_bytes() == before


# --- what is learned from


def test_channels_are_in_the_daemons_order(pump: Path) -> None:
    (sensor,) = recorded([str(pump)], Source(), None)
    assert sensor.values[0] == pytest.approx([6.0, 10.0])  # a before b


def test_each_channel_is_a_sensor_where_one_is_asked_for(pump: Path) -> None:
    assert [sensor.values.shape for sensor in recorded([str(pump)], Source(), 1)] == [(2100, 1), (2100, 1)]


def test_sensors_of_a_long_file_are_told_apart_and_stale_rows_left_out(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("\n".join(["sensor,timestamp,a,b", *swing(9, 5, "x,"), *swing(4, 5, "y,"), *swing(3, 5, "x,")]))
    assert [(sensor.name, len(sensor.time)) for sensor in recorded([str(path)], Source(), 2)] == [
        ("long/x", 9),
        ("long/y", 4),
    ]


def test_no_sensor_matches_is_an_error(pump: Path) -> None:
    with pytest.raises(RecordingError, match="there are sensors with 2"):
        recorded([str(pump)], Source(), 4)


def test_pieces_cover_a_stream_but_for_a_short_end() -> None:
    stream = Stream("x", np.arange(2 * LENGTH + SHORTEST - 1.0), np.zeros((2 * LENGTH + SHORTEST - 1, 1)))
    assert [len(piece.time) for piece in pieces(stream)] == [LENGTH, LENGTH]
    assert pieces(Stream("x", np.arange(SHORTEST - 1.0), np.zeros((SHORTEST - 1, 1)))) == []


@pytest.mark.parametrize("sensors", [1, 2, 4, 5, 11])
@pytest.mark.parametrize("count", [2, 3, 10])
def test_what_is_held_back_is_not_learned_from(sensors: int, count: int) -> None:
    parts = [[Stream(f"{k}", np.full(1, n), np.zeros((1, 1))) for n in range(count)] for k in range(sensors)]
    learned, held = _divided(parts)
    assert len(learned) + len(held) == sensors * count
    assert learned
    assert held
    if sensors >= 5:
        assert {one.name for one in learned} & {one.name for one in held} == set()
    else:
        assert max(float(one.time[0]) for one in learned) < min(float(one.time[0]) for one in held)


def test_simulated_sensors_follow_from_seed_and_number() -> None:
    few, many = synthetic(3, 2, 100, 7), synthetic(9, 2, 100, 7)
    for one, other in zip(few, many, strict=False):
        np.testing.assert_array_equal(one.values, other.values)
    for stream in many:
        assert stream.values.shape == (len(stream.time), 2)
        assert (np.diff(stream.time) > 0).all()
        assert not np.isnan(stream.values).all(axis=1).any()
        assert not np.isinf(stream.values).any()


# --- the same in training and in the daemon


def test_training_sees_what_the_daemon_shows(base: Path) -> None:
    """Run over the windows, the weights forecast what a fleet that starts from them does."""
    streams, group = synthetic(4, 1, 150, 3), started(base)
    shown = windows(streams, group)
    weights = interchange.load(base.read_bytes())[1]
    fleet = Fleet({"default": group}, Limits(), Trainer())
    for k, stream in enumerate(streams):
        fleet.process(
            [Reading(f"{k}", "default", t, {"v": v}) for t, (v,) in zip(stream.time, stream.values, strict=True)]
        )
        n = len(stream.time)
        forecast = np.empty((n, 1), np.float32)
        kernels.run_sequence(
            CELLS["standard"].code, 16, weights, shown.x[k, :n].copy(), np.zeros(32, np.float32), forecast
        )
        (detector,) = fleet.detectors.values()
        # The ring knows times to some seconds.
        assert detector.arrays.forecast[k] == pytest.approx(forecast[-1], abs=1e-4)
        np.testing.assert_array_equal(shown.target[k, : n - 1], detector.arrays.past_value[k, 1:n])
        assert np.isnan(shown.target[k, n - 1 :]).all()


def test_a_fresh_detection_forecasts_the_last_value() -> None:
    (result,) = cold_start(synthetic(6, 1, TO, 5), STILL)
    assert result.forecast == pytest.approx(result.persistence, rel=1e-6)


def test_the_loss_is_hubers_over_the_first_dozens_of_samples() -> None:
    values = np.append(np.random.default_rng(1).normal(0, 1, TO), np.full(50, 1e9))[:, None]
    stream = Stream("x", HOUR * np.arange(len(values), dtype=np.float64), values.astype(np.float64))
    (u,) = windows([stream], STILL).target[:, :, 0]
    error = np.diff(u)[FROM - 2 : TO - 2].astype(np.float64)  # target t is sample t + 1
    size = np.abs(error)
    expected = np.where(size > 1, size - 0.5, error**2 / 2).mean()
    (result,) = cold_start([stream], STILL)
    assert result.persistence == pytest.approx(expected, rel=1e-5)


def test_a_replay_and_a_daemon_start_from_the_same(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("\n".join(["timestamp,a", *(line.rpartition(",")[0] for line in swing(150, 30.0))]))
    group = started(base)
    config = Config(groups={"default": group})
    recording = read(path, config.sources[0])
    scored = replay(recording, config).scores.expected[:, 0]
    fleet = Fleet(config.groups, config.limits, Trainer())
    readings = [row.reading for row in recording.rows if isinstance(row.reading, Reading)]
    one_by_one = [fleet.process([reading]).batches[0].verdicts.expected[0, 0] for reading in readings]
    np.testing.assert_array_equal(scored, one_by_one)
    without = replay(recording, Config(groups={"default": STILL})).scores.expected[:, 0]
    assert np.abs(scored[1:] - without[1:]).max() > 0.01


def test_shared_weights_start_from_the_file_too(base: Path) -> None:
    group = started(base, weights="shared")
    fleet = Fleet({"default": group}, Limits(), Trainer())
    fleet.process([Reading("x", "default", 0.0, {"a": 1.0})])
    (detector,) = fleet.detectors.values()
    np.testing.assert_array_equal(detector.learner.weights[0], interchange.load(base.read_bytes())[1])


def test_other_channels_start_at_random_which_is_said_once(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    fleet = Fleet({"default": started(base), "plain": STILL}, Limits(), Trainer())
    with caplog.at_level(logging.WARNING, "lstm_stream"):
        for k, channels in enumerate(("a", "ab", "abc", "xy")):
            fleet.process([Reading(f"{k}", "default", 0.0, dict.fromkeys(channels, 1.0))])
            fleet.process([Reading(f"{k}", "plain", 0.0, dict.fromkeys(channels, 1.0))])
    (message,) = caplog.messages
    assert "was made for 1 channel and 9 inputs; these sensors have 2 channels and 11 inputs, so they start" in message
    two = fleet.detectors["default", ("a", "b")]
    np.testing.assert_array_equal(two.learner.weights[0], initial(Shape(11, 16, 2), 1))

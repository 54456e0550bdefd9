"""The picture as somebody sees it: the right size, something in it, and what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lstm_stream.outputs.plot import draw
from lstm_stream.outputs.tracks import Channel, Track
from lstm_stream.records import ChannelEvidence, Event

START = 1767571200.0  # 2026-01-05 00:00 UTC
HOUR = 3600.0
LOUD = (0xD5, 0x5E, 0x00)  # the colour of alarms

Pixels = NDArray[np.uint8]


def alarm(opened: float, closed: float | None, view: str = "level", score: float = 9.0, **share: float) -> list[Event]:
    channels = {name: ChannelEvidence(5.0, 0.0, -1.0, 1.0, part) for name, part in share.items()}
    first = Event("1", "p", "g", "opened", view, "a is 5, not 0", opened, None, score, 3.0, 0, channels)
    if closed is None:
        return [first]
    return [first, Event("2", "p", "g", "closed", view, "is over", opened, closed, score, 3.0, 0, channels)]


def track(
    sensor: str = "pump-7", channels: tuple[str, ...] = ("a",), samples: int = 600, events: list[Event] | None = None
) -> Track:
    time = START + 600.0 * np.arange(samples)
    wave = np.sin(2 * np.pi * time / 86400)
    made = [Channel(name, wave + 0.01, wave, wave - 0.1, wave + 0.1) for name in channels]
    score, threshold = np.full(samples, 0.5), np.full(samples, 3.0)
    threshold[:100] = np.inf
    return Track(sensor, time, made, score, threshold, events or [])


@pytest.fixture
def png(tmp_path: Path) -> Callable[..., Pixels]:
    """`png(*tracks)`: the picture as pixels (height, width, 3)."""

    def drawn(*tracks: Track) -> Pixels:
        draw(tmp_path / "picture.png", "pump.csv", tracks, 1.75)
        with Image.open(tmp_path / "picture.png") as image:
            return np.asarray(image.convert("RGB"))

    return drawn


@pytest.fixture
def words(tmp_path: Path) -> Callable[..., list[str]]:
    """`words(*tracks)`: all texts in the picture."""

    def drawn(*tracks: Track, name: str = "pump.csv", budgeted: float = 1.75) -> list[str]:
        draw(tmp_path / "picture.svg", name, tracks, budgeted)
        svg = (tmp_path / "picture.svg").read_text("utf-8")
        return [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]

    return drawn


def loud(pixels: Pixels) -> int:
    return int((np.abs(pixels.astype(int) - LOUD).max(axis=2) < 12).sum())


def differing(one: Pixels, other: Pixels) -> NDArray[np.bool_]:
    """Where it shows: the palettes of two pictures may differ by less."""
    return np.abs(one.astype(int) - other).max(axis=2) > 24


def test_a_picture_is_as_wide_as_a_page_and_not_blank(png: Callable[..., Pixels]) -> None:
    pixels = png(track())
    height, width, _ = pixels.shape
    assert width == 1800
    assert 600 < height < 1200
    assert 0.02 < (pixels < 250).any(axis=2).mean() < 0.5
    for band in np.array_split(pixels, 6):  # top to bottom
        assert (band < 200).any()


def test_an_alarm_shows(png: Callable[..., Pixels]) -> None:
    quiet = png(track())
    alarmed = png(track(events=alarm(START + 50 * HOUR, START + 60 * HOUR)))
    assert quiet.shape == alarmed.shape
    changed = differing(quiet, alarmed)
    columns = np.flatnonzero(changed[250:].any(axis=0))  # below the header, which counts the alarms
    assert 700 < columns.min() < columns.max() < 1200
    assert loud(alarmed) > loud(quiet) + 50


def test_the_shortest_alarm_in_a_long_recording_shows(png: Callable[..., Pixels]) -> None:
    begun = START + 5e7
    quiet, alarmed = (png(track(samples=100_000, events=e)) for e in ([], alarm(begun, begun + 1, score=0.0)))
    changed = differing(quiet, alarmed)[250:].sum(axis=0)  # rows of each column
    assert 1 <= (changed > 100).sum() <= 4


def test_a_score_above_its_threshold_is_filled(png: Callable[..., Pixels]) -> None:
    high = track()
    high.score[300:340] = 20.0
    single = track()
    single.score[300] = 20.0
    quiet = (png(track())[:, :, 2] < 90).sum()
    assert (png(high)[:, :, 2] < 90).sum() > (png(single)[:, :, 2] < 90).sum() > quiet


def test_it_says_what_happened(words: Callable[..., list[str]]) -> None:
    texts = words(track(events=alarm(START + 50 * HOUR, START + 60 * HOUR, view="stuck")))
    assert "pump.csv" in texts
    summary = (
        "1 alarm; the budget allows 1.8 false ones in this time  ·  600 samples of 1 sensor, 2026-01-05 to 2026-01-09"
    )
    assert f"{summary} UTC" in texts
    assert {"a", "score", "stuck", "signal", "expected", "expected band", "alarm", "threshold"} <= set(texts)
    assert "warm-up: no alarms yet" in texts
    assert "pump-7" not in texts  # the only sensor bears the name of the file
    assert not any(text.startswith("not shown") for text in texts)


def test_a_budget_too_small_for_a_figure(words: Callable[..., list[str]]) -> None:
    assert any("0 alarms; the budget allows less than 0.1 false ones" in text for text in words(track(), budgeted=0.01))


def test_several_sensors_bear_their_names_and_what_does_not_fit_is_said(words: Callable[..., list[str]]) -> None:
    tracks = [track(f"pump-{k}", events=alarm(START + 50 * HOUR, None) * (k > 3)) for k in range(8)]
    texts = words(*tracks)
    assert {"pump-4", "pump-5", "pump-6", "pump-7"} <= set(texts)
    assert not {"pump-0", "pump-1", "pump-2", "pump-3"} & set(texts)
    assert "not shown: 4 sensors with 0 alarms" in texts


def test_each_channel_has_a_panel_and_the_guilty_one_is_darker(png: Callable[..., Pixels]) -> None:
    events = alarm(START + 50 * HOUR, START + 60 * HOUR, a=0.05, b=0.95)
    pixels = png(track(channels=("a", "b"), events=events)).astype(int)
    inside = pixels[:, 1120]  # a column of pixels within the alarm
    colours = {tuple(colour) for colour in inside.tolist() if colour[0] > colour[2] + 10}
    redness = sorted({red - blue for red, _, blue in colours})
    assert redness[-1] > 2 * redness[0]
    assert png(track(channels=tuple("abcdefgh"))).shape[0] > pixels.shape[0]


def test_a_long_recording_is_looked_at_closely(words: Callable[..., list[str]]) -> None:
    events = alarm(START + 900 * HOUR, START + 901 * HOUR, score=8.0) + alarm(START + 200 * HOUR, None, "burst", 0.0)
    texts = words(track(samples=10_000, events=events))
    assert "level, 2026-02-11 12:00" in texts
    assert "a is 5, not 0" in texts
    assert not any(text.startswith("burst, ") for text in texts)


def test_labels_never_overlap(words: Callable[..., list[str]]) -> None:
    events = [
        event for k in range(60) for event in alarm(START + (20 + k) * HOUR, START + (20.2 + k) * HOUR, "forecast")
    ]
    texts = words(track(samples=800, events=events))
    assert 5 < texts.count("forecast") < 30


@pytest.mark.parametrize(
    "name", ["a$b", "$\\frac", "温度", "x" * 300, "<&>", " ", "a_b^{c}", "\u0627\u0644", "\N{PILE OF POO}"]
)
def test_any_name_can_be_drawn(png: Callable[..., Pixels], words: Callable[..., list[str]], name: str) -> None:
    one, two = track(name, (name,)), track(name + "2", (name,))
    assert (png(one, two) < 250).any()
    shown = words(one, two, name=name)
    assert name in shown or (len(name) > 100 and any(text.startswith("xxx") and text.endswith("…") for text in shown))


@pytest.mark.parametrize("value", [0.0, 1e308, -1e308, 1e-308, 1e6 + 1e-6])
def test_any_number_can_be_drawn(png: Callable[..., Pixels], value: float) -> None:
    one = track()
    one.channels[0].value[:] = value
    one.channels[0].upper[::2] = 1e308
    one.channels[0].lower[::3] = -1e308
    one.score[200] = 1e300
    assert (png(one) < 250).any()


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_few_samples_can_be_drawn(png: Callable[..., Pixels], samples: int) -> None:
    assert (png(track(samples=samples)) < 250).any()


def test_nothing_known_can_be_drawn(png: Callable[..., Pixels]) -> None:
    one = track()
    for column in (one.channels[0].value, one.channels[0].expected, one.channels[0].lower):
        column[:] = np.nan
    assert (png(one) < 250).any()
    assert (png() < 250).any()


@pytest.mark.parametrize("days", [1e-4, 0.01, 0.2, 1, 3, 10, 40, 100, 200, 400, 1500, 9000])
def test_any_stretch_of_time_has_dates(words: Callable[..., list[str]], days: float) -> None:
    one = track(samples=2000)
    one.time[:] = np.linspace(START - 86400 * days, START, 2000)
    texts = words(replace(one, events=alarm(float(one.time[900]), float(one.time[950]))))
    assert sum(bool(re.search(r"\d|[A-Z][a-z][a-z]", text)) for text in texts) >= 10


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_same_picture_has_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    events = alarm(START + 50 * HOUR, START + 60 * HOUR)
    paths = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for path in paths:
        draw(path, "pump.csv", [track(events=events)], 1.0)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].stat().st_size > 5000


def test_a_picture_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        draw(tmp_path / "none" / "picture.png", "pump.csv", [track()], 1.0)


def test_what_others_have_set_is_left_alone(png: Callable[..., Pixels]) -> None:
    plain = png(track())
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "lines.linewidth": 9}):
        before = dict(matplotlib.rcParams)
        assert (png(track()) == plain).all()
        assert dict(matplotlib.rcParams) == before


def test_no_display_is_asked_for() -> None:
    code = "import sys, lstm_stream.outputs.plot; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0

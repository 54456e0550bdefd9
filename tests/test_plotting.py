"""`lstm-stream plot`: what was recorded of a sensor as a picture, of a daemon that runs and of one that has stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lstm_stream.app import App, build
from lstm_stream.cli import main
from lstm_stream.config.file import load
from lstm_stream.records import Message


class Daemon:
    """A daemon without a broker, whose sensor `hall/a` has 80 samples."""

    def __init__(self, folder: Path, port: int, nobody: int) -> None:
        self.path = folder / "config.yaml"
        self.path.write_text(
            f"broker: {{port: {nobody}}}\nweb: {{port: {port}}}\nstate: {{path: {folder}/state.db}}\n"
            "sources: [{topic: 'one/{sensor#}'}]\ngroups: {default: {model: {hidden: 2}}}\n"
        )
        self.app: App = build(load(self.path))
        self.app.open()
        self.thread = threading.Thread(target=self.app.run)
        self.thread.start()
        for k in range(80):
            text = f'{{"ts": {1.76e9 + 60 * k}, "temperature": {20 + k % 7}}}'
            self.app._inbox.put(Message("one/hall/a", text.encode(), 1.76e9 + 60 * k))

    def stop(self) -> None:
        if self.thread.is_alive():
            self.app.stop()
            self.thread.join(60)
            self.app.close()

    def plot(self, *arguments: str | Path) -> int:
        return main(["plot", "--config", str(self.path), *map(str, arguments)])


@pytest.fixture
def daemon(tmp_path: Path, free_port: Callable[[], int], wait_until: Callable[..., Any]) -> Iterator[Daemon]:
    one = Daemon(tmp_path, free_port(), free_port())
    wait_until(lambda: one.app.stats().samples == 80, "the samples")
    yield one
    one.stop()


def test_a_picture_of_a_running_daemon_and_of_its_file(
    daemon: Daemon, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert daemon.plot("hall/a") == 0
    assert capsys.readouterr().out == "hall_a.png: 80 points, 0 alarms\n"
    with Image.open("hall_a.png") as image:
        assert image.size[0] == 1800
    daemon.stop()
    assert daemon.plot("hall/a", "--since", "10m", "-o", "a.svg") == 0
    assert capsys.readouterr().out == "a.svg: 11 points, 0 alarms\n"
    words = Path("a.svg").read_text("utf-8")
    assert "hall/a (default)" in words
    assert "temperature" in words


def test_what_cannot_be_drawn_is_said(daemon: Daemon, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for arguments, complaint in (
        (["b"], "there is no sensor 'b'"),
        (["hall/a", "-o", tmp_path / "a.gif"], "a picture ends in .png, .svg, .pdf"),
        (["hall/a", "-o", tmp_path / "no" / "a.png"], "there is no folder"),
        (["hall/a", "--group", "pumps"], "no such sensor"),
    ):
        assert daemon.plot(*arguments) == 1
        assert complaint in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        daemon.plot("hall/a", "--since", "yesterday")
    assert "must be a number with s, m, h, d or w, such as 2d" in capsys.readouterr().err

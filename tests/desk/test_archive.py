"""What is recorded is kept in a file beside the state."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from lstm_stream.desk import archive as room
from lstm_stream.desk.archive import Archive
from lstm_stream.outputs.tape import Tape


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def blob(*samples: float) -> bytes:
    tape = Tape(("v",))
    row = tape.enter("a")
    for at, value in enumerate(samples):
        tape.rings.time[row, at], tape.rings.values[row, at] = 1000.0 + at, value
    tape.rings.written[row] = len(samples)
    return tape.pack(row)


def opened(state: Path, fresh: bool = False) -> Archive:
    archive = Archive(state)
    archive.open(fresh)
    return archive


def test_rows_are_there_after_a_restart_and_gone_when_deleted(state: Path) -> None:
    archive = opened(state)
    archive.keep([(("g", "a"), b"1"), (("g", "b"), b"2")])
    archive.keep([(("g", "a"), None), (("g", "b"), b"3"), (("", ""), b"{}")])
    archive.close()
    archive.close()
    again = opened(state)
    assert dict(again.load()) == {("g", "b"): b"3", ("", ""): b"{}"}
    again.close()


def test_others_read_it_while_the_daemon_writes(state: Path) -> None:
    archive = opened(state)
    archive.keep([(("g", "b"), blob()), (("g", "a"), blob(1.0, 2.5)), (("", ""), b"{}")])
    while archive._waiting[0].exception(60) is not None:
        pass
    assert room.sensors(state) == [("g", "a"), ("g", "b")]
    trace = room.trace(state, "g", "a")
    assert trace is not None
    assert trace.time.tolist() == [1000.0, 1001.0]
    assert np.array_equal(trace.values[:, 0, 0], [1.0, 2.5])
    assert room.trace(state, "g", "nobody") is None
    archive.close()


def test_where_there_is_no_file_that_is_said(state: Path) -> None:
    with pytest.raises(FileNotFoundError):
        room.sensors(state)
    room.path_of(state).write_bytes(b"no database at all, whatever its name says")
    with pytest.raises(ValueError, match=r"state\.db\.traces: file is not a database"):
        room.sensors(state)


def test_a_disk_that_does_not_keep_up_loses_charts_but_not_the_last(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "BEHIND", 0)
    archive = opened(state)
    archive.keep([(("g", "a"), b"1")])
    archive.keep([(("g", "b"), b"2")], last=True)
    archive.close()
    again = opened(state)
    assert dict(again.load()) == {("g", "b"): b"2"}
    again.close()


def test_fresh_sets_it_aside(state: Path) -> None:
    archive = opened(state)
    archive.keep([(("g", "a"), b"1")])
    archive.close()
    archive = opened(state, fresh=True)
    assert list(archive.load()) == []
    archive.close()
    assert (state.parent / "state.db.traces.old").exists()


def test_a_damaged_file_is_set_aside_and_the_daemon_goes_on(state: Path, caplog: pytest.LogCaptureFixture) -> None:
    room.path_of(state).write_bytes(b"garbage" * 1000)
    archive = opened(state)
    archive.keep([(("g", "a"), b"1")])
    archive.close()
    assert "charts begin anew" in caplog.text
    assert (state.parent / "state.db.traces.broken").exists()
    again = opened(state)
    assert dict(again.load()) == {("g", "a"): b"1"}
    again.close()


def test_without_a_place_for_it_the_daemon_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    archive = opened(tmp_path / "nowhere" / "state.db")
    archive.keep([(("g", "a"), b"1")])
    assert list(archive.load()) == []
    archive.close()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]

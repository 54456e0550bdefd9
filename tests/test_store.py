"""The durable state: what was saved whole comes back whole, and what cannot be used is refused with advice."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lstm_stream.records import Packed
from lstm_stream.store import DamagedError, StateError, Store


def row(sensor: str, state: bytes = b"\x00\xffstate", channels: tuple[str, ...] = ("a", "b.ü"), group="g") -> Packed:
    return Packed(group, sensor, channels, "v1-0123", state)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "state.db"


@pytest.fixture
def reopen(path) -> Iterator[Callable[..., Store]]:
    """`reopen(fresh=False)`: the store, opened as by a new process."""
    stores: list[Store] = []

    def again(fresh: bool = False) -> Store:
        for store in stores:
            store.close()
        stores.append(Store(path))
        stores[-1].open(fresh)
        return stores[-1]

    yield again
    for store in stores:
        store.close()


def test_what_is_saved_comes_back_in_order(reopen) -> None:
    rows = [row("z"), row("a", b"\0"), row("", b"shared"), row("Ω/ 'x'", b"1" * 100_000), row("z", group="other")]
    assert reopen().save(rows) == 5
    assert list(reopen().load()) == rows


def test_a_new_file_is_empty(reopen) -> None:
    assert list(reopen().load()) == []


def test_a_sensor_is_replaced_where_it_is(reopen) -> None:
    store = reopen()
    store.save([row("a"), row("b"), row("c")])
    store.save([row("b", b"new")])
    assert list(reopen().load()) == [row("a"), row("b", b"new"), row("c")]


def test_a_sensor_with_other_channels_lives_in_one_place(reopen) -> None:
    """It was moved while it warmed up; what the group shares exists for each set of channels."""
    store = reopen()
    store.save([row("a"), row("", b"of two")])
    store.save([row("a", b"moved", ("a", "b.ü", "c")), row("", b"of three", ("a", "b.ü", "c"))])
    assert sorted(p.state for p in reopen().load()) == [b"moved", b"of three", b"of two"]


def test_a_save_that_breaks_off_leaves_the_last_one(reopen) -> None:
    """Packing may fail half-way, in code the store knows nothing of; the next save works as ever."""
    store = reopen()
    store.save([row("a", b"old"), row("b", b"old")])

    def broken() -> Iterator[Packed]:
        yield row("a", b"new")
        raise ZeroDivisionError("while packing")

    with pytest.raises(ZeroDivisionError):
        store.save(broken())
    assert [p.state for p in store.load()] == [b"old", b"old"]
    assert store.save([row("a", b"newer")]) == 1
    assert [p.state for p in reopen().load()] == [b"newer", b"old"]


def test_a_row_that_cannot_be_stored_is_a_state_error(reopen) -> None:
    store = reopen()
    store.save([row("a", b"old")])
    with pytest.raises(StateError, match=re.escape(str(store.path))):
        store.save([row("a", b"new"), row("b")._replace(signature=None)])  # type: ignore[arg-type]
    assert list(store.load()) == [row("a", b"old")]


KILLED = """
import os, signal, sys
from pathlib import Path
from lstm_stream.records import Packed
from lstm_stream.store import Store

store = Store(Path(sys.argv[1]))
store.open()
store.save(Packed("g", f"s{k}", ("a",), "v1", b"first" * 2000) for k in range(200))
store.save([Packed("g", "s7", ("a",), "v1", b"second")])

def rows():
    for k in range(200):
        if k == 150:
            os.kill(os.getpid(), signal.SIGKILL)
        yield Packed("g", f"s{k}", ("a",), "v1", b"third" * 2000)

if sys.argv[2] == "inside":
    store.save(rows())
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moment", ["between", "inside"])
def test_a_kill_leaves_the_last_whole_save(reopen, path, moment) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), moment], capture_output=True, timeout=60)
    assert done.returncode == -9, done.stderr.decode()
    state = {p.sensor: p.state for p in reopen().load()}
    assert state.pop("s7") == b"second"
    assert len(state) == 199
    assert set(state.values()) == {b"first" * 2000}


def test_two_daemons_cannot_share_a_file(reopen, path) -> None:
    reopen().save([row("a")])
    with pytest.raises(StateError, match=re.escape(f"{path}: database is locked; another lstm-stream uses it")):
        Store(path).open()


def test_fresh_does_not_take_the_file_away_from_a_running_daemon(reopen, path) -> None:
    running = reopen()
    running.save([row("a", b"before")])
    with pytest.raises(StateError, match="another lstm-stream uses it"):
        Store(path).open(fresh=True)
    running.save([row("a", b"after")])
    assert list(reopen().load()) == [row("a", b"after")]


def test_fresh_keeps_the_old_file_aside(reopen, path) -> None:
    reopen().save([row("a")])
    store = reopen(fresh=True)
    assert list(store.load()) == []
    store.save([row("b")])
    assert list(reopen().load()) == [row("b")]
    aside = Store(path.with_name("state.db.old"))
    aside.open()
    assert list(aside.load()) == [row("a")]
    aside.close()


def test_fresh_after_a_kill_keeps_what_was_saved_aside(path) -> None:
    """The last save is still in the write-ahead log then."""
    subprocess.run([sys.executable, "-c", KILLED, str(path), "between"], capture_output=True, timeout=60)
    store = Store(path)
    store.open(fresh=True)
    assert list(store.load()) == []
    store.close()
    aside = Store(path.with_name("state.db.old"))
    aside.open()
    assert sum(p.state == b"second" for p in aside.load()) == 1
    aside.close()


def test_fresh_starts_where_there_is_nothing(reopen) -> None:
    assert list(reopen(fresh=True).load()) == []


@pytest.mark.parametrize("content", [b"temperature,humidity\n" * 500, b"\x00" * 8192], ids=["text", "zeros"])
def test_a_file_of_another_kind_is_refused_and_kept(reopen, path, content) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StateError, match=r"not a state file; restore a copy, or start anew with --fresh"):
        reopen()
    assert path.read_bytes() == content
    assert list(reopen(fresh=True).load()) == []
    assert path.with_name("state.db.old").read_bytes() == content


def test_a_damaged_file_is_refused_when_it_is_read(reopen, path) -> None:
    """Pages in the middle are lost: the file opens, and says so as soon as somebody reads that far."""
    store = reopen()
    store.save([row(f"s{k}", b"x" * 3000) for k in range(100)])
    store.close()
    content = bytearray(path.read_bytes())
    content[20_000:200_000] = b"\xa5" * 180_000
    path.write_bytes(content)
    with pytest.raises(StateError, match=r"damaged .* start anew with --fresh"):
        list(reopen().load())


def test_of_a_damaged_file_what_can_be_read_is_saved(reopen, path) -> None:
    store = reopen()
    store.save([row(f"s{k}", b"x" * 3000) for k in range(100)], {"line": "position", "receipts": b"1"})
    store.close()
    content = bytearray(path.read_bytes())
    content[-200_000:-50_000] = b"\xa5" * 150_000
    path.write_bytes(content)
    store = reopen()
    with pytest.raises(DamagedError, match="damaged"):
        list(store.load())
    aside, count = store.salvage()
    assert aside == path.with_name("state.db.broken")
    assert 40 < count < 100
    kept = list(reopen().load())
    assert len(kept) == count
    assert all(one.state == b"x" * 3000 for one in kept)
    assert (reopen().memory("line"), reopen().memory("receipts")) == ("position", b"1")
    assert aside.read_bytes() == bytes(content)


def test_what_is_set_aside_overwrites_nothing(reopen, path) -> None:
    for sensor in "abc":
        reopen(fresh=True).save([row(sensor)])
    names = sorted(p.name for p in path.parent.iterdir() if ".old" in p.name and "-" not in p.name)
    reopen(fresh=True)
    assert sorted(p.name for p in path.parent.iterdir() if ".old" in p.name and "-" not in p.name) == [
        "state.db.old",
        "state.db.old.1",
        "state.db.old.2",
    ]
    assert len(names) == 2


def test_the_state_of_another_version_is_refused(reopen, path) -> None:
    reopen().save([row("a")])
    reopen().close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    db.close()
    with pytest.raises(StateError, match=r"another version of lstm_stream \(schema 99, this one reads 1\).*--fresh"):
        reopen()
    with pytest.raises(StateError):  # the refusal left no lock behind
        reopen()
    assert list(reopen(fresh=True).load()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "state.db", tmp_path):
        with pytest.raises(StateError, match=re.escape(str(place)) + r": .*; check that its directory exists, is wri"):
            Store(place).open()


def test_a_store_that_is_not_open_says_so(path) -> None:
    store = Store(path)
    with pytest.raises(RuntimeError, match="not open"):
        store.save([row("a")])
    store.close()
    assert not path.exists()


def test_closing_twice_is_fine(reopen) -> None:
    store = reopen()
    store.save([row("a")])
    store.close()
    store.close()
    assert list(reopen().load()) == [row("a")]

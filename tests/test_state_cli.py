"""`lstm-stream state`: sensors looked at, taken out of one file and into another, and changed, stopped or running."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_stream.cli import main
from lstm_stream.config import Config
from lstm_stream.config.file import load
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.trainer import Trainer
from lstm_stream.records import Packed, Reading
from lstm_stream.statefile.container import Container, ContainerError, Entry, write
from lstm_stream.store import Store

GROUP = "{model: {hidden: 2}, retraining: {enabled: false, history: 128, lag: 1}}"
SHARED = "{model: {hidden: 2, weights: shared}, retraining: {enabled: false, history: 128, lag: 1}}"
START = 1767571200.0


class Plant:
    """A configuration and its state file."""

    def __init__(self, folder: Path, groups: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.path = folder / "config.yaml"
        self.path.write_text(f"state: {{path: {folder}/state.db}}\nweb: {{port: 0}}\ngroups: {groups}\n")
        self.config: Config = load(self.path)

    def fill(self, *sensors: tuple[str, str], samples: int = 70) -> Plant:
        """Sensors (group, name) that have learned something."""
        fleet = Fleet(self.config.groups, self.config.limits, Trainer())
        rng = np.random.default_rng(1)
        for k in range(samples):
            values = rng.normal(20, 1, len(sensors)).tolist()
            fleet.process([Reading(n, g, START + 60 * k, {"t": v}) for (g, n), v in zip(sensors, values, strict=True)])
        self.save(fleet.pack())
        return self

    def save(self, rows: Any) -> None:
        store = Store(self.folder / "state.db")
        store.open()
        store.save(rows)
        store.close()

    def rows(self) -> dict[tuple[str, str], Packed]:
        store = Store(self.folder / "state.db")
        store.open()
        try:
            return {(row.group, row.sensor): row for row in store.load()}
        finally:
            store.close()

    def state(self, *arguments: str | Path) -> int:
        return main(["state", str(arguments[0]), "--config", str(self.path), *map(str, arguments[1:])])


@pytest.fixture
def plant(tmp_path: Path) -> Callable[..., Plant]:
    """`plant(name, groups)`: a configuration without a state file yet."""
    return lambda name="plant", groups=f"{{default: {GROUP}, pumps: {GROUP}}}": Plant(tmp_path / name, groups)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What was printed since the last call."""
    return lambda: "".join(capsys.readouterr())


# --- a stopped file


def test_list_shows_every_sensor_in_a_line(plant: Callable[..., Plant], said: Callable[[], str]) -> None:
    one = plant().fill(("default", "a"), ("pumps", "b\x1b[2J"), samples=210)
    assert one.state("list") == 0
    head, first, second, total = said().splitlines()
    assert head.split()[:3] == ["sensor", "group", "state"]
    assert first.split()[:3] == ["a", "default", "watching"]
    assert second.startswith("b\\x1b[2J")
    assert total == "2 sensors"


def test_list_searches_and_counts(plant: Callable[..., Plant], said: Callable[[], str]) -> None:
    one = plant().fill(("default", "pump-1"), ("default", "pump-2"), ("pumps", "Pump-3"), ("pumps", "fan"))
    assert one.state("list", "--search", "pump", "--limit", "2", "--json") == 0
    found = json.loads(said())
    assert [item["sensor"] for item in found["items"]] == ["Pump-3", "pump-1"]
    assert found["total"] == 3
    assert one.state("list", "--group", "pumps", "--state", "warming", "--json") == 0
    assert json.loads(said())["total"] == 2


def test_show_tells_what_is_known_of_a_sensor(plant: Callable[..., Plant], said: Callable[[], str]) -> None:
    one = plant().fill(("default", "a"), ("pumps", "a"), ("pumps", "b"))
    assert one.state("show", "b", "--json") == 0
    facts = json.loads(said())
    assert (facts["sensor"], facts["group"], facts["count"], facts["channels"]) == ("b", "pumps", 70, ["t"])
    assert 15 < facts["latest"]["t"]["value"] < 25
    assert one.state("show", "b") == 0
    assert ["count", "70"] in [line.split() for line in said().splitlines()]
    assert one.state("show", "a") == 1
    assert "is in the groups 'default' and 'pumps'; give --group" in said()
    assert one.state("show", "c") == 1
    assert "there is no sensor 'c'; `lstm-stream state list` shows all" in said()


@pytest.mark.parametrize("groups", [f"{{default: {GROUP}}}", f"{{default: {SHARED}}}"])
def test_what_is_exported_is_the_same_where_it_is_imported(
    plant: Callable[..., Plant], said: Callable[[], str], tmp_path: Path, groups: str
) -> None:
    one, other, file = plant("one", groups).fill(("default", "a"), ("default", "b")), plant("two", groups), "e.sensors"
    assert one.state("export", "b", "-o", tmp_path / file) == 0
    assert "1 sensor, " in said()
    other.save([])
    assert other.state("import", tmp_path / file) == 0
    assert "1 sensor taken in" in said()
    expected = {key: row for key, row in one.rows().items() if key[1] != "a"}
    assert other.rows() == expected
    assert len(expected) == (2 if "shared" in groups else 1)


def test_an_export_is_safetensors(plant: Callable[..., Plant], tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    one = plant().fill(("default", "a"), ("pumps", "b"))
    assert one.state("export", "-o", tmp_path / "e") == 0
    tensors, rows = load_file(tmp_path / "e"), list(one.rows().values())
    assert [tensors[str(n)].tobytes() for n in range(2)] == [row.state for row in rows]


def test_an_import_replaces_nothing_unless_asked(
    plant: Callable[..., Plant], said: Callable[[], str], tmp_path: Path
) -> None:
    one = plant("one").fill(("default", "a"), ("default", "b"))
    other = plant("two").fill(("default", "b"), ("default", "c"), samples=5)
    before = other.rows()
    assert one.state("export", "-o", tmp_path / "e") == 0
    said()
    assert other.state("import", tmp_path / "e") == 1
    assert "sensor 'b' is in the state file already; --replace replaces it" in said()
    assert other.rows() == before
    assert other.state("import", tmp_path / "e", "--replace") == 0
    assert other.rows() == before | one.rows()


@pytest.mark.parametrize(
    ("groups", "complaint"),
    [
        (f"{{default: {GROUP}}}", "group 'pumps' is not in the configuration"),
        (f"{{default: {GROUP}, pumps: {{model: {{hidden: 3}}}}}}", "had another model, history or version"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_stored(
    plant: Callable[..., Plant], said: Callable[[], str], tmp_path: Path, groups: str, complaint: str
) -> None:
    one, other = plant("one").fill(("default", "a"), ("pumps", "b")), plant("two", groups)
    other.save([])
    assert one.state("export", "-o", tmp_path / "e") == 0
    assert other.state("import", tmp_path / "e") == 1
    assert complaint in said()
    assert other.rows() == {}


@pytest.mark.parametrize("action", ["list", "show x", "export -o e", "import e"])
def test_without_a_state_file_it_says_where_one_would_be(
    plant: Callable[..., Plant], said: Callable[[], str], action: str
) -> None:
    one = plant()
    assert one.state(*action.split()) == 1
    assert f"{one.folder}/state.db: there is no state file; run this where the daemon runs" in said()
    assert not (one.folder / "state.db").exists()


def test_a_file_that_is_no_state_is_refused(plant: Callable[..., Plant], said: Callable[[], str]) -> None:
    one = plant()
    (one.folder / "state.db").write_bytes(b"something else entirely" * 100)
    assert one.state("list") == 1
    assert "damaged or not a state file" in said()


# --- containers


ROWS = [Packed("g", "a", ("x", "y"), "v1-abc", b"12345"), Packed("g", "", ("x",), "v1-def", b"")]
ENTRIES = [Entry(*row[:4], len(row.state)) for row in ROWS]


@pytest.fixture
def container(tmp_path: Path) -> Path:
    write(tmp_path / "c", ENTRIES, [row.state for row in ROWS])
    return tmp_path / "c"


def test_a_container_gives_back_what_was_put_in(container: Path) -> None:
    with Container(container) as opened:
        assert opened.entries == ENTRIES
        assert list(opened.packed()) == ROWS


def test_every_damaged_container_is_refused(container: Path) -> None:
    whole = container.read_bytes()
    broken = [whole[:length] for length in range(len(whole))]
    broken += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, len(whole), 3)]
    taken = 0
    for content in broken:
        container.write_bytes(content)
        with suppress(ContainerError), Container(container) as opened:
            assert list(opened.packed()) == ROWS  # a letter of the version
            assert len(content) == len(whole)
            taken += 1
    assert taken < 5, taken


def test_another_format_is_named(container: Path) -> None:
    container.write_bytes(container.read_bytes().replace(b"sensors 1", b"sensors 9"))
    with pytest.raises(ContainerError, match="its format is 'lstm_stream sensors 9'; this program knows"):
        Container(container)


def test_a_state_that_is_not_as_long_as_announced_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has changed"):
        write(tmp_path / "c", ENTRIES, [b"1", b""])


# --- commands on a stopped file


def test_a_command_on_a_stopped_file_holds_and_can_be_undone(
    plant: Callable[..., Plant], said: Callable[[], str]
) -> None:
    one = plant().fill(("default", "a"), ("pumps", "b"))

    def learning() -> dict[str, str]:
        assert one.state("list", "--json") == 0
        return {item["sensor"]: item["learning"] for item in json.loads(said())["items"]}

    before = learning()
    assert one.state("pause", "a", "--comment", "trials", "--json") == 0
    reply = json.loads(said())
    assert reply["ok"]
    assert learning() == before | {"a": "paused"}
    assert one.state("undo", reply["id"], "--group", "default") == 0
    said()
    assert learning() == before
    assert one.state("forget", "--group", "pumps") == 0
    said()
    assert learning() == {"a": before["a"]}


def test_what_cannot_be_obeyed_is_said_and_fails(plant: Callable[..., Plant], said: Callable[[], str]) -> None:
    one = plant().fill(("default", "a"))
    assert one.state("rollback", "a", "--to", "7") == 1
    assert "the weights of generation 7 are not kept" in said()
    assert one.state("forget", "nobody") == 1
    assert "there is no sensor 'nobody'" in said()
    with pytest.raises(SystemExit, match="2"):
        one.state("pause")
    assert "name a SENSOR, or a --group" in said()


# --- a running daemon


@pytest.fixture
def running(plant: Callable[..., Plant], free_port: Callable[[], int]) -> Iterator[Plant]:
    """A daemon that runs, with the sensors a and b, and no broker to be found."""
    from lstm_stream.app import build

    one = plant("running")
    port, nobody = free_port(), free_port()
    one.path.write_text(one.path.read_text().replace("port: 0", f"port: {port}") + f"broker: {{port: {nobody}}}\n")
    one.config = load(one.path)
    one.fill(("default", "a"), ("pumps", "b"))
    app = build(one.config, file=one.path)
    app.open()
    thread = threading.Thread(target=app.run)
    thread.start()
    yield one
    app.stop()
    thread.join(60)
    app.close()


def test_a_running_daemon_is_asked_over_its_api(
    running: Plant, said: Callable[[], str], tmp_path: Path, wait_until: Callable[..., Any]
) -> None:
    assert running.state("list", "--json") == 0
    assert {item["sensor"] for item in json.loads(said())["items"]} == {"a", "b"}
    assert running.state("show", "b", "--json") == 0
    assert json.loads(said())["group"] == "pumps"
    assert running.state("pause", "b", "--json") == 0
    reply = json.loads(said())
    assert reply["ok"]
    assert running.state("undo", reply["id"], "--group", "pumps") == 0
    assert running.state("forget", "a") == 0
    said()
    wait_until(lambda: running.state("list") == 0 and said().splitlines()[-1] == "1 sensor", "the list without it")
    assert running.state("show", "a") == 1
    assert "there is no sensor 'a'" in said()
    assert running.state("export", "-o", tmp_path / "e") == 1
    assert "name the SENSORs to export from a running daemon" in said()
    assert running.state("export", "b", "-o", tmp_path / "e") == 0
    assert "1 sensor, " in said()
    with Container(tmp_path / "e") as container:
        assert [row.sensor for row in container.packed()] == ["b"]
    assert running.state("import", tmp_path / "e") == 1
    assert "another lstm-stream uses it; stop that one first" in said()
    url = f"http://127.0.0.1:{running.config.web.port}"
    assert main(["state", "list", "--url", url]) == 0
    assert "1 sensor" in said()
    assert main(["state", "import", "e", "--url", url]) == 1
    assert "import works on the file of a stopped daemon" in said()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--url", "ftp://x"], "--url is not a web address"),
        (["--url", "http://me:secret@x"], "--url is not a web address"),
        (["--url", "http://127.0.0.1:1"], "does the daemon run? (--url says where it is)"),
        (["--url", "http://127.0.0.1:1", "--user", "me"], "LSTM_STREAM_PASSWORD"),
    ],
)
def test_a_daemon_that_cannot_be_asked(said: Callable[[], str], arguments: list[str], complaint: str) -> None:
    assert main(["state", "list", *arguments]) == 1
    text = said()
    assert complaint in text
    assert "secret" not in text

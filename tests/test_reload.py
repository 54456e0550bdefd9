"""Another configuration for the running daemon: what can change, what is refused and why, and who notices the file."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from lstm_stream import reload
from lstm_stream.app import App, build
from lstm_stream.changes import FIXED, FREE, differences, obstacle, refusals
from lstm_stream.config import Config
from lstm_stream.config.file import parse
from lstm_stream.records import Message, Reading
from lstm_stream.reload import RefusedError, Reloader


def refused(old: str, new: str) -> list[str]:
    return [".".join(map(str, path)) for path, _ in refusals(parse(old, "old"), parse(new, "new"))]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", "log: {level: debug, format: json}"),
        ("", "groups: {default: {false_alarms: 2 per sensor per day, warmup: 400, accept_after: 1d, views: [level]}}"),
        ("", "groups: {default: {retraining: {enabled: false, epochs: 1, learning_rate: 0.1, clip: 2, patience: 0}}}"),
        ("", "groups: {pumps: {model: {hidden: 8}}}"),  # a new group
        ("groups: {pumps: {}}", ""),  # whether it has sensors the fleet knows
        ("", "sources: [{topic: 'other/{sensor}', join: 5s}, {preset: tasmota}]"),
        ("", "limits: {sensors: 5, inbox: 10, batch: 1, depth: 3}"),
        ("", "events: {topic: 'a/{sensor}', qos: 0, retain: true}\nstate: {every: 5}\nreload: {watch: 0}"),
        ("", "events: {severity: {critical: 5, at_least: {stuck: critical}}}\nmaintenance: [{groups: [a]}]"),
    ],
)
def test_what_loses_no_state_can_change(old: str, new: str) -> None:
    assert refused(old or "{}", new or "{}") == []


@pytest.mark.parametrize(
    ("new", "option"),
    [
        ("broker: {host: elsewhere}", "broker.host"),
        ("broker: {tls: {enabled: true}}", "broker.tls.enabled"),
        ("events: {status_topic: here}", "events.status_topic"),
        ("events: {files: [{path: x}]}", "events.files"),
        ("state: {path: other.db}", "state.path"),
        ("limits: {payload_bytes: 1000}", "limits.payload_bytes"),
        ("web: {port: 1}", "web.port"),
        ("groups: {default: {model: {hidden: 8}}}", "groups.default.model.hidden"),
        ("groups: {default: {model: {start_from: null}}}", "groups.default.model.start_from"),
        ("groups: {default: {profile: lean, model: {weights: shared}}}", "groups.default.profile"),
        ("groups: {default: {retraining: {history: 512}}}", "groups.default.retraining.history"),
        ("groups: {default: {retraining: {lag: 10}}}", "groups.default.retraining.lag"),
        ("groups: {default: {retraining: {every: 32}}}", "groups.default.retraining.every"),
    ],
)
def test_what_would_lose_state_is_refused(new: str, option: str) -> None:
    assert option in refused("{}", new)


def test_other_content_of_the_same_file_of_weights_is_refused() -> None:
    from lstm_stream.config.start import BASE, shipped

    one, two = (Config().groups["default"].model.model_copy() for _ in range(2))
    start = shipped("standard", 16, 1)
    assert start is not None
    two._start = start._replace(weights=bytes(len(start.weights)))
    one._start = start
    assert one.start_from == two.start_from == BASE
    group = Config().groups["default"]
    pair = [Config(groups={"default": group.model_copy(update={"model": model})}) for model in (one, two)]
    assert list(differences(*pair)) == [("groups", "default", "model", "start_from")]


def options(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """All options, a group's name as *, lists as a whole."""
    for name, option in section.model_fields.items():
        kinds = (option.annotation, *getattr(option.annotation, "__args__", ()))
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if inner is None or str(option.annotation).startswith("tuple"):
            yield prefix + name
        else:
            yield from options(inner, prefix + name + (".*." if str(option.annotation).startswith("dict") else "."))


def test_no_row_of_the_table_is_about_an_option_that_is_gone() -> None:
    every = list(options(Config))
    for pattern in (*FREE, *FIXED):
        assert any(fnmatchcase(option, pattern) for option in every), pattern


def test_what_is_not_in_the_table_is_refused() -> None:
    assert obstacle("something.new") == "it is read at the start only"


# --- the file


class Watched:
    """A configuration file, and what came of its changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.applied: list[Config] = []
        self.told: list[bool] = []
        self.refuse = ""
        self.heard = threading.Event()
        config = parse(path.read_text(), str(path))
        self.reloader = Reloader(path, config, self.apply, self.tell)

    def apply(self, config: Config) -> None:
        if self.refuse:
            raise RefusedError(self.refuse)
        self.applied.append(config)

    def tell(self, good: bool, _at: float) -> None:
        self.told.append(good)
        self.heard.set()

    def wait(self) -> bool:
        """Whether the next attempt went well."""
        assert self.heard.wait(20), "nothing was read again"
        self.heard.clear()
        return self.told[-1]


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Watched]]:
    """`watched(text)`: a file with that text, looked at all the time; `watched(path=...)`: one that is there."""
    monkeypatch.setattr(reload, "PAUSE", 0.01)
    opened: list[Reloader] = []

    def make(text: str = "reload: {watch: 10ms}\n", path: Path | None = None) -> Watched:
        if path is None:
            path = tmp_path / "config.yaml"
            path.write_text(text)
        result = Watched(path)
        result.reloader.open()
        opened.append(result.reloader)
        return result

    yield make
    for reloader in opened:
        reloader.close()


def test_a_changed_file_is_put_in_force(watched: Callable[..., Watched]) -> None:
    one = watched()
    one.path.write_text("reload: {watch: 10ms}\nlog: {level: debug}\n")
    assert one.wait()
    assert [config.log.level for config in one.applied] == ["debug"]


def test_a_changed_link_is_followed_as_kubernetes_swaps_it(watched: Callable[..., Watched], tmp_path: Path) -> None:
    for name, level in (("..1", "info"), ("..2", "warning")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(f"reload: {{watch: 10ms}}\nlog: {{level: {level}}}\n")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "config.yaml").symlink_to("..data/config.yaml")
    one = watched(path=tmp_path / "config.yaml")
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").replace(tmp_path / "..data")
    assert one.wait()
    assert one.applied[0].log.level == "warning"


def test_an_invalid_file_changes_nothing_and_is_told_with_its_lines(
    watched: Callable[..., Watched], caplog: pytest.LogCaptureFixture
) -> None:
    one = watched()
    with caplog.at_level(logging.ERROR):
        one.path.write_text("reload: {watch: 10ms}\nlog: {level: loud}\n")
        assert not one.wait()
    assert one.applied == []
    assert f"{one.path}:2:14: log.level: is 'loud'" in caplog.text
    assert "the former one stays in force" in caplog.text
    one.path.write_text("reload: {watch: 10ms}\nlog: {level: error}\n")
    assert one.wait()


def test_what_cannot_change_is_told_with_its_line_and_nothing_else_changes_either(
    watched: Callable[..., Watched], caplog: pytest.LogCaptureFixture
) -> None:
    one = watched()
    with caplog.at_level(logging.ERROR):
        one.path.write_text("reload: {watch: 10ms}\nlog: {level: debug}\nbroker:\n  host: elsewhere\n")
        assert not one.wait()
    assert one.applied == []
    assert f"{one.path}:4:3: broker.host: cannot change while running, as the session" in caplog.text


def test_what_the_daemon_itself_refuses_is_told(
    watched: Callable[..., Watched], caplog: pytest.LogCaptureFixture
) -> None:
    one = watched()
    one.refuse = "group 'pumps' has sensors"
    with caplog.at_level(logging.ERROR):
        one.reloader.ask()
        assert not one.wait()
    assert "group 'pumps' has sensors" in caplog.text


def test_a_signal_reads_a_file_that_nobody_watches(watched: Callable[..., Watched]) -> None:
    one = watched("reload: {watch: 0}\n")
    one.path.write_text("reload: {watch: 0}\nlog: {level: debug}\n")
    assert not one.heard.wait(0.1)
    one.reloader.ask()
    assert one.wait()
    assert one.applied[0].log.level == "debug"


def test_a_file_that_is_only_touched_is_not_read_again(watched: Callable[..., Watched]) -> None:
    one = watched()
    os.utime(one.path, (1, 1))
    assert not one.heard.wait(0.2)
    one.path.unlink()  # the former one stays in force, and that is told
    assert not one.wait()


# --- the daemon


@pytest.fixture
def app(mosquitto: Any, tmp_path: Path) -> Iterator[Any]:
    """A running daemon with its file at tmp_path / config.yaml, at a real broker."""
    path = tmp_path / "config.yaml"
    path.write_text(written(mosquitto, tmp_path))
    app = build(parse(path.read_text(), str(path)), file=path)
    app.open()
    thread = threading.Thread(target=app.run)
    thread.start()
    yield app
    app.stop()
    thread.join(30)
    app.close()


def written(broker: Any, folder: Path, rest: str = "") -> str:
    return (
        f"broker: {{host: {broker.host}, port: {broker.port}}}\nstate: {{path: {folder}/state.db}}\nweb: {{port: 0}}\n"
        + (rest or "sources: [{topic: 'one/{sensor}'}]\ngroups: {default: {model: {hidden: 2}}}\n")
    )


def metric(app: Any, name: str) -> float:
    lines = app.metrics.render()[0].decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"lstm_stream_{name} "))


def test_the_running_daemon_takes_other_topics_groups_and_limits(
    app: Any, mosquitto: Any, tmp_path: Path, program: Callable[[str], str], wait_until: Callable[..., Any]
) -> None:
    import subprocess

    def send(topic: str, *values: int) -> None:
        command = [program("mosquitto_pub"), "-h", mosquitto.host, "-p", str(mosquitto.port), "-q", "1", "-l"]
        subprocess.run([*command, "-t", topic], input="\n".join(map(str, values)).encode(), check=True, timeout=20)

    wait_until(lambda: app.health().checks["subscription"] == "ok", "the subscription")
    send("one/a", 1, 2, 3)
    wait_until(lambda: app.stats().samples == 3, "the first samples")
    text = written(
        mosquitto,
        tmp_path,
        "sources: [{topic: 'two/{sensor}', group: pumps}]\nlimits: {sensors: 2}\n"
        "groups: {default: {model: {hidden: 2}, warmup: 64}, pumps: {model: {hidden: 3}}}\n",
    )
    (tmp_path / "config.yaml").write_text(text)
    app.reload()
    wait_until(lambda: metric(app, "sensors_limit") == 2, "the new limit")
    wait_until(lambda: app.health().checks["subscription"] == "ok", "the new subscription")
    assert metric(app, "config_last_reload_successful") == 1
    send("one/a", 4)
    send("two/b", 1, 2)
    send("two/c", 1)
    wait_until(lambda: app.stats().rejections.get("too_many_sensors") == 1, "a sensor too many")
    stats = app.stats()
    assert stats.samples == 5  # nobody hears one/ any more
    assert "unknown_topic" not in stats.rejections


def test_a_group_that_has_sensors_cannot_go(
    app: Any, mosquitto: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, wait_until: Callable[..., Any]
) -> None:
    both = "groups: {default: {model: {hidden: 2}}, pumps: {model: {hidden: 2}}}\nsources: [{topic: 'one/{sensor}'}]\n"
    (tmp_path / "config.yaml").write_text(written(mosquitto, tmp_path, both))
    app.reload()
    wait_until(lambda: "pumps" in app._config.groups, "the group")
    app._service.ask(lambda: app._fleet.process([Reading("p", "pumps", 1e9, {"v": 1.0})])).result(20)
    (tmp_path / "config.yaml").write_text(written(mosquitto, tmp_path))
    with caplog.at_level(logging.ERROR):
        app.reload()
        wait_until(lambda: metric(app, "config_last_reload_successful") == 0, "the refusal")
    assert "groups.pumps still has sensors" in caplog.text
    assert "pumps" in app._config.groups


def test_after_a_crash_what_came_before_it_is_not_read_by_the_new_configuration(
    tmp_path: Path, free_port: Callable[[], int], wait_until: Callable[..., Any]
) -> None:
    port = free_port()

    def text(folder: Path, topic: str) -> str:
        return (
            f"broker: {{port: {port}}}\nstate: {{path: {folder}/state.db}}\nweb: {{enabled: false}}\n"
            f"sources: [{{topic: '{topic}'}}]\ngroups: {{default: {{model: {{hidden: 2}}}}}}\n"
        )

    def hear(app: App, topic: str, first: int) -> None:
        before = app.stats().samples
        for k in range(first, first + 5):
            app._inbox.put(Message(topic, f'{{"ts": {1.76e9 + 60 * k}, "t": {k % 3}}}'.encode(), 1.77e9))
        wait_until(lambda: app.stats().samples == before + 5, "the samples")

    def run(path: Path) -> tuple[App, threading.Thread]:
        app = build(parse(path.read_text(), str(path)), file=path)
        app.open()
        thread = threading.Thread(target=app.run)
        thread.start()
        return app, thread

    first, crashed = tmp_path / "first", tmp_path / "crashed"
    first.mkdir()
    path = first / "config.yaml"
    path.write_text(text(first, "one/{sensor}"))
    app, thread = run(path)
    hear(app, "one/a", 0)
    path.write_text(text(first, "two/{sensor}"))
    app.reload()
    wait_until(lambda: app._config.sources[0].topic == "two/{sensor}", "the new source")
    hear(app, "two/a", 5)
    app._service.ask(lambda: shutil.copytree(first, crashed)).result(20)  # what a power cut leaves
    app.stop()
    thread.join(30)
    app.close()
    path = crashed / "config.yaml"
    path.write_text(text(crashed, "two/{sensor}"))
    again, thread = run(path)
    again.stop()
    thread.join(30)
    again.close()
    assert again._fleet.inspect("default", "a") == app._fleet.inspect("default", "a")
    facts = again._fleet.inspect("default", "a")
    assert facts is not None
    assert facts["count"] == 10

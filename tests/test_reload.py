"""Another configuration for the running daemon: what can change, what is refused and why, and who notices the file."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from lstm_stream.reload import Actions, Files, RefusedError, Reloader


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
        ("", "metrics: {sensors: {allow: ['*'], limit: 5, top: 3, stay: 1m}}"),
        ("", "broker: {username: me, password_env: SECRET, keepalive: 30, reconnect_min: 2, receive_maximum: 9}"),
        ("broker: {tls: {enabled: true}}", "broker: {tls: {enabled: true, ca_file: ca, min_version: '1.3'}}"),
        ("broker: {tls: {enabled: true}}", "broker: {tls: {enabled: true, cert_file: a, key_file: b, server_name: c}}"),
    ],
)
def test_what_loses_no_state_can_change(old: str, new: str) -> None:
    assert refused(old or "{}", new or "{}") == []


@pytest.mark.parametrize(
    ("new", "option"),
    [
        ("broker: {host: elsewhere}", "broker.host"),
        ("broker: {port: 8883}", "broker.port"),
        ("broker: {client_id: another}", "broker.client_id"),
        ("broker: {clean_session: true}", "broker.clean_session"),
        ("broker: {protocol: '5'}", "broker.protocol"),
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
        self.secrets: list[str] = []
        self.heard, self.renewed = threading.Event(), threading.Event()
        config = parse(path.read_text(), str(path))
        self.reloader = Reloader(path, config, Actions(self.apply, self.renew, self.tell, self.hear))

    def apply(self, config: Config) -> None:
        if self.refuse:
            raise RefusedError(self.refuse)
        self.renew(config)
        self.applied.append(config)

    def renew(self, config: Config) -> None:
        for path in config.broker.files:
            try:
                self.secrets.append(path.read_text())
            except OSError as error:
                raise RefusedError(str(error)) from None

    def tell(self, good: bool, _at: float) -> None:
        self.told.append(good)
        self.heard.set()

    def hear(self, good: bool) -> None:
        self.login_is_good = good
        self.renewed.set()

    def wait(self) -> bool:
        """Whether the next attempt went well."""
        assert self.heard.wait(20), "nothing was read again"
        self.heard.clear()
        return self.told[-1]


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Watched]]:
    """`watched(text)`: a file with that text, looked at all the time; `watched(path=...)`: one that is there."""
    monkeypatch.setattr(reload, "PAUSE", 0.05)  # a file half written for as long would be read
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
    assert f"{one.path}:4:3: broker.host: cannot change while running, as what the session keeps is at" in caplog.text


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


SECRET = "reload: {{watch: 10ms}}\nbroker: {{username: me, password_file: {}}}\n"


def test_a_secret_that_is_swapped_as_kubernetes_does_is_used(watched: Callable[..., Watched], tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "password").write_text(name)
    (tmp_path / "data").symlink_to("one")
    (tmp_path / "password").symlink_to("data/password")
    one = watched(SECRET.format(tmp_path / "password"))
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").replace(tmp_path / "data")
    assert one.renewed.wait(20)
    assert (one.secrets, one.login_is_good) == (["two"], True)
    assert one.told == []  # the configuration is the same


def test_a_secret_that_cannot_be_used_is_told_and_the_next_one_is_used(
    watched: Callable[..., Watched], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "password").write_text("one")
    one = watched(SECRET.format(tmp_path / "password"))
    (tmp_path / "password").unlink()
    assert one.renewed.wait(20)
    assert not one.login_is_good
    assert "No such file" in caplog.text
    assert "the former one stays in use" in caplog.text
    one.renewed.clear()
    (tmp_path / "password").write_text("two")
    assert one.renewed.wait(20)
    assert (one.secrets, one.login_is_good) == (["two"], True)


@pytest.mark.parametrize("by_signal", [False, True])
def test_a_refused_configuration_keeps_no_secret_from_being_renewed(
    watched: Callable[..., Watched], tmp_path: Path, by_signal: bool
) -> None:
    (tmp_path / "password").write_text("one")
    text = SECRET.format(tmp_path / "password").replace("10ms", "0" if by_signal else "10ms")
    one = watched(text)
    one.path.write_text(text.replace(": me", ": me, port: 1"))
    (tmp_path / "password").write_text("three")
    if by_signal:
        one.reloader.ask()
    assert not one.wait()
    assert one.renewed.wait(20)
    assert one.secrets[-1] == "three"
    assert set(one.told) == {False}


def test_a_secret_that_may_be_read_from_now_on_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "password"
    path.write_text("one")
    with monkeypatch.context() as forbidden:  # root may read everything
        forbidden.setattr(Path, "read_bytes", lambda _: (_ for _ in ()).throw(PermissionError()))
        files = Files([path])
        assert not files.differ()
    before = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == before:  # the clock of the file system has ticks of milliseconds
        path.chmod(0o600)
    assert files.differ()


def test_a_configuration_that_names_a_secret_waits_for_it(watched: Callable[..., Watched], tmp_path: Path) -> None:
    one = watched()
    one.path.write_text(SECRET.format(tmp_path / "password"))
    assert not one.wait()
    (tmp_path / "password").write_text("secret")
    assert one.wait()
    assert one.secrets == ["secret"]


# --- the daemon


@contextmanager
def running(path: Path) -> Iterator[Any]:
    """The daemon that a file describes."""
    app = build(parse(path.read_text(), str(path)), file=path)
    app.open()
    thread = threading.Thread(target=app.run)
    thread.start()
    try:
        yield app
    finally:
        app.stop()
        thread.join(30)
        app.close()


@pytest.fixture
def app(mosquitto: Any, tmp_path: Path) -> Iterator[Any]:
    """A running daemon with its file at tmp_path / config.yaml, at a real broker."""
    path = tmp_path / "config.yaml"
    path.write_text(written(mosquitto, tmp_path))
    with running(path) as app:
        yield app


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


def test_series_of_single_sensors_come_and_go_while_it_runs(
    app: Any, mosquitto: Any, tmp_path: Path, wait_until: Callable[..., Any]
) -> None:
    def scraped() -> str:
        return app.metrics.render()[0].decode()

    def sensors(settings: str) -> None:
        rest = "sources: [{topic: 'one/{sensor}'}]\ngroups: {default: {model: {hidden: 2}}}\n"
        (tmp_path / "config.yaml").write_text(
            written(mosquitto, tmp_path, f"{rest}metrics: {{sensors: {{{settings}}}}}\n")
        )
        app.reload()

    def hear(value: int) -> None:
        for name in ("a", "b"):
            app._inbox.put(Message(f"one/{name}", str(value).encode(), 1.7e9 + 60 * value))

    hear(1)
    wait_until(lambda: app.stats().samples == 2, "the first samples")
    assert "sensor_series" not in scraped()
    sensors("allow: [a]")
    wait_until(lambda: app._config.metrics.sensors.allow == ("a",), "the list")
    hear(2)
    wait_until(lambda: 'sensor="a"' in scraped(), "the sensor")
    hear(3)
    wait_until(lambda: 'sensor_observed_value{group="default",sensor="a",channel="value"} 3' in scraped(), "its value")
    assert 'sensor="b"' not in scraped()
    sensors("top: 1, allow: [b]")
    wait_until(lambda: 'sensor_observed_value{group="default",sensor="b",channel="value"} NaN' in scraped(), "another")
    assert 'sensor_observed_value{group="default",sensor="a",channel="value"} 3' in scraped()  # in the top now
    sensors("")
    wait_until(lambda: "sensor_series" not in scraped(), "none")


def test_the_running_daemon_logs_in_with_another_password_and_says_what_is_wrong_with_one(
    mosquitto_factory: Any,
    tmp_path: Path,
    wait_until: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reload, "PAUSE", 0.05)  # a file half written for as long would be read
    broker = mosquitto_factory(users={"one": "first", "two": "second"})
    path, password = tmp_path / "config.yaml", tmp_path / "password"

    def write(user: str) -> None:
        login = f"username: {user}, password_file: {password}, reconnect_min: 0.1"
        text = written(broker, tmp_path, "sources: [{topic: 'one/{sensor}'}]\nreload: {watch: 10ms}\n")
        path.write_text(text.replace("broker: {", f"broker: {{{login}, "))

    password.write_text("first\n")
    write("one")
    with running(path) as app:
        wait_until(lambda: app.health().checks["subscription"] == "ok", "the subscription")
        with caplog.at_level(logging.INFO):
            password.write_text("wrong\n")  # the content alone
            wait_until(lambda: "check broker.username" in app.health().checks["broker"], "the broker's refusal")
        assert not app.health().ready
        assert "logging in anew" in caplog.text
        assert "wrong" not in caplog.text
        assert metric(app, "mqtt_login_current") == 1  # it is what the file says
        password.write_text("second\n")
        write("two")
        wait_until(lambda: app.health().checks["subscription"] == "ok", "the other user")
        assert metric(app, "config_last_reload_successful") == 1
        password.write_text("")
        wait_until(lambda: metric(app, "mqtt_login_current") == 0, "the complaint")
        assert f"broker.password_file: {password} is empty" in caplog.text
        assert app.health().checks["broker"] == "ok"
        assert metric(app, "mqtt_connected") == 1
    assert sum(app._session.failures.values()) == app._session.failures["login"]
    assert app._session.disconnects == 0


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

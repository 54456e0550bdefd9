"""What tests share: real servers on loopback ports of their own, how hypothesis runs, and the run on several cores.

A test that needs a server that is not installed is skipped, and fails where CI is set.
The whole suite runs in a few processes, file by file; files or folders that are named run in one, for a debugger to
reach. Before the processes start the kernels are compiled, each by one of them alone: Numba's cache on disk is no lock.
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.ports import unused_port

_HOST = "127.0.0.1"
_PATIENCE = 60.0  # seconds; far above what a start takes, for a busy machine
_WORKERS = 4  # at most: each holds the machine code of all kernels
_IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")

# How long examples take says how busy the machine is: neither a deadline nor `too_slow` may fail a test.
_UNHURRIED: Any = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("local", **_UNHURRIED)
# The same examples every time: half as many. New ones are tried everywhere else, and by `python -m tests.fuzz`.
hypothesis.settings.register_profile("ci", **_UNHURRIED, derandomize=True, print_blob=True, max_examples=50)
hypothesis.settings.load_profile("ci" if _IN_CI else "local")


# What a process compiles before the tests start. No kernel is in both: the second are those that only tests and
# `pretrain` call from Python.
_KERNELS = (
    "from lstm_stream.app import warm_kernels; warm_kernels()",
    "from tests.lstm.compiled import warm_gradients; warm_gradients()",
)
# The files that take longest for their number of tests: last, one of them would keep one process busy alone.
_FIRST = (
    "lstm/test_portable.py",
    "daemon/",
    "demo/test_demo.py",
    "page/",
    "detect/test_detection.py",
    "lstm/test_memory.py",
)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A process a core and one more for the whole suite, for many tests wait; none beside this one for named files."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return min((os.cpu_count() or 1) + 1, _WORKERS) if whole else 0


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile, where several processes are about to start."""
    option = session.config.option
    if hasattr(session.config, "workerinput") or not getattr(option, "numprocesses", 0) or option.collectonly:
        return
    root = session.config.rootpath
    processes = [subprocess.Popen([sys.executable, "-c", code], cwd=root) for code in _KERNELS]
    codes = [process.wait() for process in processes]
    if any(codes):
        pytest.exit("the kernels cannot be compiled", returncode=1)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Let what a test has logged pass between processes though it be no Unicode: half a surrogate pair becomes `?`."""
    report = yield
    return _encodable(report)


def _encodable(value: Any) -> Any:
    """The same, of the same types, with every text in it such as UTF-8 can have."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_encodable(key): _encodable(one) for key, one in value.items()}
    return type(value)(map(_encodable, value)) if type(value) in (list, tuple) else value


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first. A test that asks for a server carries its marker: `-m "not mosquitto"` leaves it out."""
    servers = {name: name for name in ("mosquitto", "prometheus", "browser")} | {"mosquitto_factory": "mosquitto"}
    for item in items:
        for name in servers.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(servers[name])
    items.sort(key=lambda item: not item.nodeid.removeprefix("tests/").startswith(_FIRST))


def _program(name: str) -> str:
    """The path of a program that a test needs."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None and _IN_CI:
        pytest.fail(f"{name} is not installed, and CI must not skip what needs it")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def _wait_until(condition: Callable[[], Any], what: str, timeout: float = _PATIENCE) -> Any:
    """The first true value of `condition`; fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout:g} s in vain for {what}")
        time.sleep(0.02)
    return value


@dataclass
class Server:
    """A program that listens on a loopback port."""

    folder: Path
    host: str = _HOST
    port: int = field(default_factory=unused_port)
    process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> Sequence[str | Path]:
        """Write its configuration; the command that starts it."""
        raise NotImplementedError

    @property
    def log(self) -> str:
        """What it has printed."""
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start and wait until it listens."""
        command = self.prepare()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        _wait_until(self._listens, f"{command[0]} to listen on {self.port}")

    def stop(self) -> None:
        """Ask it to end (SIGTERM) and wait. May be called twice."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(_PATIENCE)
            self.process = None

    def kill(self) -> None:
        """End it on the spot (SIGKILL): nothing is saved."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(_PATIENCE)
            self.process = None

    def restart(self) -> None:
        """Stop, then start on the same port with the same files."""
        self.stop()
        self.start()

    def _listens(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            pytest.fail(f"it ended with {self.process.returncode}:\n{self.log}")
        with socket.socket() as probe:
            return probe.connect_ex((self.host, self.port)) == 0


@dataclass
class Mosquitto(Server):
    """A real broker. Without `users` anyone may do anything; with `persistence` sessions outlive stop() and start()."""

    users: Mapping[str, str] = field(default_factory=dict)
    persistence: bool = False
    queue: str = "max_queued_messages 0"  # else it throws away what a client is more than a thousand messages behind
    extra: Sequence[str] = ()  # further lines of its configuration

    def prepare(self) -> Sequence[str | Path]:
        path = self.folder / "mosquitto.conf"
        path.write_text("\n".join(self._lines()) + "\n")
        return [_program("mosquitto"), "-c", path]

    def _lines(self) -> Sequence[str]:
        return [
            f"listener {self.port} {self.host}",
            f"user {getpass.getuser()}",  # it gives up root's rights otherwise, and with them the test's folder
            f"allow_anonymous {'false' if self.users else 'true'}",
            *([f"password_file {self._passwords()}"] if self.users else []),
            *(["persistence true", f"persistence_location {self.folder}/"] if self.persistence else []),
            self.queue,
            *self.extra,
        ]

    def _passwords(self) -> Path:
        path = self.folder / "passwords"
        path.touch(mode=0o600)
        for user, password in self.users.items():
            subprocess.run([_program("mosquitto_passwd"), "-b", path, user, password], check=True, capture_output=True)
        return path


@dataclass
class Prometheus(Server):
    """A real Prometheus that scrapes /metrics on a loopback port."""

    target: int = 0
    interval: str = "1s"
    rules: Sequence[Path] = ()

    def prepare(self) -> Sequence[str | Path]:
        path = self.folder / "prometheus.yml"
        path.write_text(
            f"global: {{scrape_interval: {self.interval}, scrape_timeout: {self.interval}, "
            f"evaluation_interval: {self.interval}}}\n"
            f"rule_files: {json.dumps([str(path) for path in self.rules])}\n"
            "scrape_configs:\n"
            "  - job_name: lstm_stream\n"
            f"    static_configs: [{{targets: ['{self.host}:{self.target}']}}]\n"
        )
        return [
            _program("prometheus"),
            f"--config.file={path}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={self.host}:{self.port}",
        ]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The labels and the value of every series that an instant query answers with."""
        document = self._get("query", query=expression)
        return [(series["metric"], float(series["value"][1])) for series in document["data"]["result"]]

    def wait_for(self, expression: str, timeout: float = _PATIENCE) -> list[tuple[dict[str, str], float]]:
        """The answer to `expression` as soon as it is not empty, such as `up == 1`."""
        answer: list[tuple[dict[str, str], float]] = _wait_until(lambda: self.query(expression), expression, timeout)
        return answer

    def _listens(self) -> bool:
        if not super()._listens():
            return False
        try:
            urllib.request.urlopen(f"http://{self.host}:{self.port}/-/ready", timeout=_PATIENCE).close()
        except OSError:  # it answers 503 while it opens its storage
            return False
        return True

    def _get(self, path: str, **parameters: str) -> Any:
        url = f"http://{self.host}:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=_PATIENCE) as response:
            return json.load(response)


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Gives loopback ports that nobody listens on."""
    return unused_port


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    """`wait_until(condition, what, timeout=60)`: the first true value of condition(), or a failed test."""
    return _wait_until


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Path of an installed program; the test is skipped without it, and fails in CI."""
    return _program


@pytest.fixture
def mosquitto_factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Mosquitto]]:
    """`mosquitto_factory(users={"name": "password"}, persistence=True, extra=[...])`: a broker that listens."""
    brokers: list[Mosquitto] = []

    def make(**options: Any) -> Mosquitto:
        broker = Mosquitto(tmp_path_factory.mktemp("mosquitto"), **options)
        brokers.append(broker)
        broker.start()
        return broker

    yield make
    for broker in brokers:
        broker.stop()


@pytest.fixture
def mosquitto(mosquitto_factory: Callable[..., Mosquitto]) -> Mosquitto:
    """A real broker that anyone may use: .host .port .start() .stop() .kill() .restart()."""
    return mosquitto_factory()


@pytest.fixture
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Prometheus]]:
    """`prometheus(port, interval="1s", rules=[])`: a real Prometheus: .query(promql) .wait_for(promql)."""
    servers: list[Prometheus] = []

    def make(target: int, interval: str = "1s", rules: Sequence[Path] = ()) -> Prometheus:
        folder = tmp_path_factory.mktemp("prometheus")
        server = Prometheus(folder, target=target, interval=interval, rules=rules)
        servers.append(server)
        server.start()
        return server

    yield make
    for server in servers:
        server.stop()

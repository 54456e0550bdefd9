"""The command line as a user meets it: real processes, what they print and how they end."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lstm_stream import __version__, explain, logs
from lstm_stream.config import Config
from lstm_stream.stopping import stop_on_signals

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
VERBS = ("demo", "run", "check", "replay", "explain", "evaluate", "pretrain", "state", "plot", "bench")


def cli(*arguments: str | bytes | Path, stdin: bytes = b"", cwd: Path = ROOT, **environment: str) -> Any:
    """Run `lstm-stream ARGUMENTS`; the outcome has returncode, stdout and stderr as text."""
    done = subprocess.run(
        [sys.executable, "-m", "lstm_stream", *arguments],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env=ENVIRONMENT | environment,
        timeout=300,
        check=False,
    )
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in done.stderr
    return done


# --- help


def test_help_tells_a_stranger_what_it_is_for_and_where_to_start() -> None:
    done = cli("--help")
    assert done.returncode == 0
    for word in (*VERBS, "sensors over MQTT", "start here", "exit codes"):
        assert word in done.stdout


def test_without_a_command_it_shows_the_help_and_fails() -> None:
    done = cli()
    assert done.returncode == 2
    assert "start here" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_examples(verb: str) -> None:
    done = cli(verb, "--help")
    assert done.returncode == 0
    assert f"examples:\n  lstm-stream {verb}" in done.stdout


def test_version() -> None:
    assert cli("--version").stdout == f"lstm-stream {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["fly"], "invalid choice: 'fly'"),
        (["run"], "CONFIG"),
        (["check"], "CONFIG is missing"),
        (["demo", "--duration", "long"], "--duration: must be a number above 0, not long"),
        (["demo", "--duration", "0"], "must be a number above 0"),
        (["demo", "--duration", "inf"], "must be a number above 0"),
        (["demo", "--sensors", "0"], "must be a whole number of 1 or more"),
        (["demo", "--seed", "-1"], "must be a whole number of 0 or more"),
        (["demo", "--broker", "localhost"], "must be HOST:PORT, such as localhost:1883, not localhost"),
        (["demo", "--broker", "localhost:99999"], "must be HOST:PORT"),
        (["replay", "x.csv", "--format", "xml"], "invalid choice: 'xml'"),
        (["explain", "--topic", "a/+", "--payload", "1"], "--topic: must be the topic of one message"),
        (["explain", "--topic", "a", "--payload", "@/no/file"], "--payload: cannot read /no/file: No such file"),
    ],
)
def test_wrong_usage_is_explained(arguments: list[str], complaint: str) -> None:
    done = cli(*arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert done.stdout == ""


# --- check


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def test_check_says_that_a_configuration_is_right(file: Path) -> None:
    file.write_text("web: {port: 0}\n")
    done = cli("check", file)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{file}: ok\n", "")


def test_check_prints_all_mistakes_where_they_are(file: Path) -> None:
    file.write_text("web: {port: 70000}\nbroker:\n  hots: a\n")
    done = cli("check", "config.yaml", cwd=file.parent)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "config.yaml:1:13: web.port: is 70000; must be at most 65535",
        "config.yaml:3:3: broker.hots: unknown key; did you mean host?",
    ]


def test_check_prints_the_effective_configuration_as_yaml(file: Path) -> None:
    file.write_text("groups: {default: {false_alarms: 2 per sensor per day}}\n")
    done = cli("check", file, "--print")
    assert done.returncode == 0
    printed = yaml.safe_load(done.stdout)
    assert printed["groups"]["default"]["false_alarms"] == "2 per sensor per day"
    assert printed["broker"]["port"] == 1883


def test_check_prints_the_schema_without_a_configuration() -> None:
    done = cli("check", "--schema")
    assert done.returncode == 0
    assert set(json.loads(done.stdout)["properties"]) >= {"broker", "sources", "groups"}


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    done = subprocess.run(
        f"set -o pipefail; {sys.executable} -m lstm_stream check --schema | head -c 1",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        env=ENVIRONMENT,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"{", b"")


# --- explain


def explained(*arguments: str | bytes | Path, stdin: bytes = b"") -> tuple[int, Any]:
    done = cli("explain", "--json", *arguments, stdin=stdin)
    return done.returncode, json.loads(done.stdout)


def test_explain_tells_what_becomes_of_a_message() -> None:
    payload = '{"ts": "2026-01-31T12:00:00Z", "temperature": 21.5, "pump": {"rpm": 900}}'
    done = cli("explain", "--topic", "sensors/pump-7", "--payload", payload)
    assert done.returncode == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["source", "sensors/{sensor}"] in lines
    assert ["sensor", "pump-7"] in lines
    assert ["sample", "2026-01-31T12:00:00.000Z"] in lines
    assert ["pump.rpm", "=", "900.0"] in lines
    assert lines[-1] == ["outcome", "1", "sample", "to", "score"]


def test_explain_as_json() -> None:
    code, told = explained("--topic", "sensors/a", "--payload", '{"ts": 1769860800, "t": 21.5}')
    assert code == 0
    assert (told["topic"], told["sensor"], told["group"], told["format"]) == ("sensors/a", "a", "default", "json")
    assert told["time_source"] == "ts"
    assert told["readings"] == [{"time": 1769860800.0, "time_iso": "2026-01-31T12:00:00.000Z", "values": {"t": 21.5}}]
    assert told["rejections"] == []


def test_explain_uses_the_configuration(file: Path) -> None:
    file.write_text(
        "sources: [{topic: 'plant/{site}/{sensor}', sensor: '{site}-{sensor}', group: pumps}]\ngroups: {pumps: {}}"
    )
    _, told = explained("--config", file, "--topic", "plant/oslo/p7", "--payload", "5")
    assert (told["sensor"], told["group"], told["format"]) == ("oslo-p7", "pumps", "value")


def test_explain_reads_the_payload_from_a_file_or_standard_input(tmp_path: Path) -> None:
    (tmp_path / "message").write_bytes(b"21.5")
    _, from_file = explained("--topic", "sensors/a", "--payload", f"@{tmp_path}/message")
    _, from_input = explained("--topic", "sensors/a", "--payload", "-", stdin=b"21.5")
    assert [told["readings"][0]["values"] for told in (from_file, from_input)] == [{"value": 21.5}] * 2


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("other/topic", b"1", "unknown_topic"),
        ("sensors/a", b"\xff\xfe\x00", "malformed"),
        ("sensors/a", b"{", "malformed"),
        ("sensors/a", b"[" * 100_000, "too_deep"),
        ("sensors/a", b"x" * 10_000_000, "too_large"),
        ("sensors/a", b'{"state": "on"}', "no_channels"),
        ("sensors/a", b"", "no_channels"),
    ],
)
def test_explain_says_why_a_message_is_rejected(topic: str, payload: bytes, reason: str) -> None:
    code, told = explained("--topic", topic, "--payload", "-", stdin=payload)
    assert code == 1
    assert told["readings"] == []
    assert [rejection["reason"] for rejection in told["rejections"]] == [reason]
    assert told["rejections"][0]["detail"]


def test_explain_shows_control_characters_harmlessly() -> None:
    done = cli("explain", "--topic", "sensors/a", "--payload", '{"\x1b[2Jevil\\u0007": 1}', PYTHONIOENCODING="ascii")
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    done = cli("explain", "--topic", "sensors/Kühlhaus".encode(), "--payload", b"\xff", PYTHONIOENCODING="ascii")
    assert done.returncode == 1
    assert "K\\xfchlhaus" in done.stdout


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just("ts"), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(max_size=20), st.binary(max_size=40) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_explain_can_show_anything(topic: str, payload: bytes) -> None:
    explanation = explain.explain(Config(), f"sensors/{topic}", payload, 1e9)
    text = explain.to_text(explanation)
    assert text.splitlines()[-1].startswith("outcome")
    assert all(line.isprintable() for line in text.split("\n"))
    told = json.loads(explain.to_json(explanation), parse_constant=pytest.fail)  # NaN is no JSON
    assert len(told["readings"]) == len(explanation.readings)


@pytest.mark.parametrize(
    "verb",
    [
        ["run"],
        ["replay", "x.csv", "--config"],
        ["explain", "--topic", "a", "--payload", "1", "--config"],
        ["evaluate", "faults", "--config"],
        ["pretrain", "--out", "x.safetensors", "--config"],
        ["state", "list", "--config"],
        ["plot", "x", "--config"],
    ],
)
def test_every_command_reports_a_wrong_configuration_on_stderr(verb: list[str], file: Path) -> None:
    file.write_text("web: {port: 70000}\n")
    done = cli(*verb, file)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == f"{file}:1:13: web.port: is 70000; must be at most 65535\n"


# --- run


class Daemon:
    """`lstm-stream run` in the background; `stub` is the source of a stand-in for lstm_stream.app."""

    def __init__(self, config: Path, *options: str, stub: str = "") -> None:
        code = "import sys\nfrom lstm_stream.cli import main\nsys.exit(main(sys.argv[1:]))"
        if stub:
            module = "import types\nmodule = types.ModuleType('app')\nsys.modules['lstm_stream.app'] = module\n"
            code = f"import sys\n{module}exec({stub!r}, module.__dict__)\n{code}"
        command = [sys.executable, "-c", code, "run", str(config), *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=config.parent, env=ENVIRONMENT, text=True)
        self.said: list[str] = []

    def wait_for(self, words: str) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.said.append(line)
            if words in line:
                return
        pytest.fail(f"it never said {words!r} but:\n{''.join(self.said)}")

    def end(self) -> int:
        """Wait for its end; the exit code."""
        rest = self.process.communicate(timeout=60)[1]
        self.said += rest.splitlines(keepends=True)
        return self.process.returncode


@pytest.fixture
def start() -> Iterator[Any]:
    daemons: list[Daemon] = []

    def begin(*arguments: Any, **options: Any) -> Daemon:
        daemons.append(Daemon(*arguments, **options))
        return daemons[-1]

    yield begin
    for daemon in daemons:
        daemon.process.kill()
        daemon.end()


NO_BROKER = "broker: {host: 127.0.0.1, port: 1}\nweb: {port: 0}\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_daemon_cleanly(file: Path, start: Any, number: signal.Signals) -> None:
    file.write_text(NO_BROKER)
    daemon = start(file)
    daemon.wait_for("metrics and health on http://127.0.0.1:")
    daemon.process.send_signal(number)
    assert daemon.end() == 0
    assert not any("Traceback" in line for line in daemon.said)


def test_logs_are_json_where_the_configuration_says_so(file: Path, start: Any) -> None:
    file.write_text(NO_BROKER + "log: {format: json}\n")
    daemon = start(file)
    daemon.wait_for("metrics and health on")
    daemon.process.terminate()
    assert daemon.end() == 0
    assert {json.loads(line)["level"] for line in daemon.said} >= {"info"}


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("state: {path: /dev/null/x.db}", "state.path"),
        ("broker: {username: me, password_env: LSTM_STREAM_TEST_UNSET}", "LSTM_STREAM_TEST_UNSET is not set"),
        ("broker: {username: me, password_file: /no/such/file}", "/no/such/file"),
        ("broker: {tls: {enabled: true, ca_file: /no/such/ca.pem}}", "/no/such/ca.pem"),
    ],
)
def test_a_failed_start_is_one_sentence_and_exit_code_3(file: Path, config: str, sentence: str) -> None:
    file.write_text(config + ("" if "web" in config else "\nweb: {port: 0}\n"))
    done = cli("run", file, cwd=file.parent)
    assert done.returncode == 3
    last = done.stderr.splitlines()[-1]
    assert "could not start: " in last
    assert sentence in last


def test_a_port_in_use_is_a_failed_start(file: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        file.write_text(f"web: {{port: {port}}}\n")
        done = cli("run", file, cwd=file.parent)
    assert done.returncode == 3
    assert f"could not start: web: cannot listen on 127.0.0.1:{port}" in done.stderr.splitlines()[-1]


STUB = """
import logging, threading
class App:
    stopped = threading.Event()
    def open(self): logging.getLogger("lstm_stream").info("open")
    def run(self):
        while not self.stopped.wait(0.05): pass
        logging.getLogger("lstm_stream").info("draining")
        {then}
    def stop(self): self.stopped.set()
    def reload(self): pass
    def close(self): logging.getLogger("lstm_stream").info("closed")
def build(config, fresh=False, **_): logging.getLogger("lstm_stream").info("fresh: %s", fresh); return App()
def warm_kernels(): pass
def keep_for_ever(): pass
"""


def test_a_second_signal_ends_it_at_once(file: Path, start: Any) -> None:
    file.write_text("")
    daemon = start(file, stub=STUB.format(then="threading.Event().wait(600)"))
    daemon.wait_for("open")
    daemon.process.terminate()
    daemon.wait_for("draining")
    daemon.process.send_signal(signal.SIGINT)
    assert daemon.end() == 128 + signal.SIGINT


def test_a_signal_before_the_configuration_is_read_ends_it(file: Path, start: Any) -> None:
    os.mkfifo(file)
    daemon = start(file)
    with file.open("wb"):  # as soon as the daemon opens it to read
        daemon.process.terminate()
        assert daemon.end() == 0


def test_a_signal_while_the_daemon_is_built_ends_it(file: Path, start: Any) -> None:
    file.write_text("")
    stub = """
import signal
def warm_kernels(): pass
def keep_for_ever(): pass
def build(config, **_): signal.raise_signal(signal.SIGTERM)
"""
    assert start(file, stub=stub).end() == 0


def test_signals_mean_what_they_meant_once_it_has_stopped() -> None:
    before, stopped = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)], []
    with stop_on_signals(lambda: stopped.append(True)):
        signal.raise_signal(signal.SIGINT)
    assert stopped == [True]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_defect_closes_what_is_open_and_has_its_own_exit_code(file: Path, start: Any) -> None:
    file.write_text("")
    daemon = start(file, "--fresh", stub=STUB.format(then="1 / 0"))
    daemon.wait_for("fresh: True")
    daemon.wait_for("open")
    daemon.process.terminate()
    assert daemon.end() == 4
    said = "".join(daemon.said)
    assert "stopped by a defect; please report this" in said
    assert "ZeroDivisionError" in said
    assert daemon.said[-1].endswith("closed\n")


@pytest.mark.parametrize(("verb", "extra"), [("demo", "demo"), ("replay x.csv", "plot")])
def test_a_missing_extra_is_named(verb: str, extra: str) -> None:
    room = verb.split()[0]
    code = (
        "import sys, types\nfrom lstm_stream.cli import main\n"
        "module = types.ModuleType('m')\ndef missing(*_): import no_such_package\n"
        f"module.run_{room} = missing\nsys.modules['lstm_stream.demo.main'] = module\n"
        "sys.modules['lstm_stream.replay'] = module\n"
        f"sys.exit(main({verb.split()!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, timeout=60, check=False
    )
    assert done.returncode == 3
    assert done.stderr == (
        f"lstm-stream: this needs the package no_such_package; install it with pip install 'lstm_stream[{extra}]'\n"
    )


# --- logs


@pytest.fixture
def log(request: pytest.FixtureRequest) -> Iterator[StringIO]:
    """What is logged, in the form that the test's parameter says."""
    root, ours, stream = logging.getLogger(), logging.getLogger("lstm_stream"), StringIO()
    before = root.handlers[:], root.level, ours.level
    logs.setup("info", request.param, stream)
    yield stream
    root.handlers[:], root.level, ours.level = before
    logging.captureWarnings(False)


@pytest.mark.parametrize("log", ["text"], indirect=True)
def test_text_logs_are_a_line_a_record_whatever_a_topic_holds(log: StringIO) -> None:
    logging.getLogger("lstm_stream.x").info("topic %s", "a\nb\x1b[2J\u2028")
    logging.getLogger("lstm_stream.x").debug("hidden")
    logging.getLogger("numba").info("hidden")
    assert log.getvalue().endswith("Z info lstm_stream.x: topic a\\nb\\x1b[2J\\u2028\n")
    assert log.getvalue().count("\n") == 1


@pytest.mark.parametrize("log", ["json"], indirect=True)
def test_json_logs_are_a_line_a_record_tracebacks_included(log: StringIO) -> None:
    try:
        raise ValueError("a\nb")
    except ValueError:
        logging.getLogger("lstm_stream.x").exception("failed: %s", "c\nd\ud800")
    (line,) = log.getvalue().splitlines()
    told = json.loads(line)
    assert (told["level"], told["logger"], told["message"]) == ("error", "lstm_stream.x", "failed: c\nd\ud800")
    assert "ValueError: a\nb" in told["exception"]

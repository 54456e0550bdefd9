"""Another login for a session that is there: the same session goes on, and nothing of it is lost or comes twice."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lstm_stream.config import Broker
from lstm_stream.ingest.login import read_login

USERS = {"line": "one", "other": "two", "outside": "three"}

# paho leaves the socket of a failed handshake to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def renew(line: Any, **options: Any) -> None:
    """As a reload does, with these options of the broker section in place of the former ones."""
    former: Broker = line.session._broker
    broker = Broker.model_validate({**former.model_dump(exclude_unset=True), **options})
    line.session.renew(broker, read_login(broker))


@pytest.fixture
def password(tmp_path: Path) -> Callable[[str], Path]:
    """`password("secret")`: a file that holds it, always the same one."""

    def write(text: str) -> Path:
        (tmp_path / "password").write_text(text)
        return tmp_path / "password"

    return write


@pytest.fixture
def outside(program: Callable[[str], str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`outside(broker, "mosquitto_pub", *options)`: a client of the user `outside`, for the time of the test."""
    clients: list[subprocess.Popen[str]] = []

    def start(broker: Any, name: str, *options: str) -> subprocess.Popen[str]:
        login = ["-h", broker.host, "-p", str(broker.port), "-u", "outside", "-P", USERS["outside"]]
        pipe = subprocess.PIPE
        clients.append(subprocess.Popen([program(name), *login, *options], stdin=pipe, stdout=pipe, text=True))
        return clients[-1]

    yield start
    for client in clients:
        client.kill()
        client.communicate()


@pytest.mark.parametrize("bulk", [True, False])
@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_another_user_takes_over_the_session_amid_the_messages(
    mosquitto_factory: Any, open_line: Any, password: Any, outside: Any, protocol: str, bulk: bool
) -> None:
    broker = mosquitto_factory(users=USERS)
    file = password("one")
    line = open_line(broker, protocol=protocol, username="line", password_file=file, bulk=bulk).subscribed()
    status = outside(broker, "mosquitto_sub", "-t", "lstm_stream/status")
    assert json.loads(status.stdout.readline())["state"] == "online"
    publisher = outside(broker, "mosquitto_pub", "-t", "sensors/a", "-q", "1", "-l")

    def send(first: int, last: int) -> None:
        publisher.stdin.write("".join(f"{k}\n" for k in range(first, last)))
        publisher.stdin.flush()

    send(0, 300)
    held = line.take(10)
    password("two")
    renew(line, username="other")
    send(300, 600)
    line.wait(lambda: line.session.renewals == 1 and line.session.subscribed, "the other login")
    line.session.acknowledge(held)  # they came over the connection before
    line.session.publish("lstm_stream/a/anomaly", b"{}", 1, False).wait_for_publish(20)
    rest = line.take(590, acknowledge=True)
    assert [int(message.payload) for message in held + rest] == list(range(600))
    assert (line.session.messages_received, line.session.disconnects, line.lost) == (600, 0, [])
    assert json.loads(status.stdout.readline())["state"] == "online"  # the last will was not published
    assert "as lstm_stream (p" in broker.log
    assert "u'other'" in broker.log


def test_a_login_that_differs_in_nothing_disturbs_nobody(mosquitto: Any, open_line: Any) -> None:
    line = open_line(mosquitto).subscribed()
    renew(line)
    assert line.session.connected
    assert not line.session._client._renewals


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_password_that_is_refused_is_named_and_a_right_one_ends_the_pause(
    mosquitto_factory: Any, open_line: Any, password: Any, wait_until: Any, protocol: str
) -> None:
    broker = mosquitto_factory(users=USERS)
    login = {"username": "line", "password_file": password("one")}
    line = open_line(broker, protocol=protocol, reconnect_min=0.1, reconnect_max=3600, **login).subscribed()
    password("wrong")
    renew(line, reconnect_min=1800)  # so that only a renewal can end the pause
    wait_until(lambda: line.session.failures["login"] == 1, "the refusal")
    assert "check broker.username and the password (broker's login changed at " in line.session.problem
    assert not line.session.connected
    password("one")
    renew(line)
    line.subscribed()
    assert (line.session.failures["login"], line.session.problem) == (1, "")
    assert (line.session.disconnects, line.session.renewals) == (0, 1)


def test_the_brokers_users_change_and_then_our_password(
    mosquitto_factory: Any, open_line: Any, password: Any, program: Any, wait_until: Any
) -> None:
    broker = mosquitto_factory(users=USERS)
    line = open_line(broker, username="line", password_file=password("one")).subscribed()
    file = broker.folder / "passwords"
    subprocess.run([program("mosquitto_passwd"), "-b", file, "line", "new"], check=True, capture_output=True)
    broker.process.send_signal(signal.SIGHUP)  # it sends away whose password is wrong now
    wait_until(lambda: line.session.failures["login"] >= 1, "the refusal")
    password("new")
    renew(line)
    line.subscribed()
    assert line.lost == ["hung_up"]


def test_certificates_renewed_in_place_are_shown_at_the_next_connection(
    encrypted: Any, open_line: Any, certificates: Path, tmp_path: Path, wait_until: Any
) -> None:
    broker = encrypted("broker", client=True)
    tls = {"enabled": True} | {f"{name}_file": tmp_path / name for name in ("ca", "cert", "key")}

    def put(authority: str, ours: str) -> None:
        for name, source in (("ca", authority), ("cert", f"{ours}.crt"), ("key", f"{ours}.key")):
            shutil.copy(certificates / source, tmp_path / name)

    put("client.crt", "client")  # not who has signed the broker's certificate
    line = open_line(broker, tls=tls)
    wait_until(lambda: line.session.failures["certificate"] >= 1, "the refusal")
    put("ca.crt", "client")
    renew(line)
    line.subscribed()
    put("ca.crt", "expired")
    renew(line)
    wait_until(lambda: not line.session.connected and "broker.tls.cert_file" in line.session.problem, "the refusal")
    put("ca.crt", "client")
    renew(line)
    line.subscribed()
    assert line.lost == []


def test_one_who_closes_while_the_broker_refuses_is_not_kept(
    mosquitto_factory: Any, open_line: Any, password: Any, wait_until: Any
) -> None:
    broker = mosquitto_factory(users=USERS)
    line = open_line(broker, username="line", password_file=password("one")).subscribed()
    password("wrong")
    renew(line)
    wait_until(lambda: line.session.failures["login"] >= 1, "the refusal")
    network = line.session._thread
    line.session.close(5)
    network.join(20)
    assert not network.is_alive()

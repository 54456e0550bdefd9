"""Encryption with a real broker: a certificate is checked, and what is wrong with it is said."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from lstm_stream.config import TLS, Broker, Events, Source
from lstm_stream.ingest.inbox import Inbox
from lstm_stream.ingest.login import SetupError, tls_context
from lstm_stream.ingest.mqtt import Session

_FILES = {"cafile": "ca.crt", "certfile": "broker.crt", "keyfile": "broker.key"}

# paho leaves the socket of a failed handshake to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_broker_with_a_certificate_that_is_trusted(
    encrypted: Any, open_line: Any, certificates: Path, protocol: str
) -> None:
    broker = encrypted("broker")
    open_line(broker, protocol=protocol, tls={"enabled": True, "ca_file": certificates / "ca.crt"}).subscribed()


def test_a_broker_that_asks_for_a_certificate_gets_ours(encrypted: Any, open_line: Any, certificates: Path) -> None:
    tls = {"enabled": True, "ca_file": certificates / "ca.crt"}
    ours = {"cert_file": certificates / "client.crt", "key_file": certificates / "client.key"}
    open_line(encrypted("broker", client=True), tls={**tls, **ours}).subscribed()


@pytest.mark.parametrize(
    ("certificate", "trusted", "says"),
    [
        ("broker", False, "certificate verify failed"),
        ("elsewhere", True, "IP address mismatch"),
        ("expired", True, "certificate has expired"),
    ],
)
def test_a_certificate_that_is_not_right_is_refused_with_the_reason(
    encrypted: Any, open_line: Any, wait_until: Any, certificates: Path, certificate: str, trusted: bool, says: str
) -> None:
    tls = {"enabled": True, "ca_file": certificates / "ca.crt" if trusted else None}
    line = open_line(encrypted(certificate), tls=tls)
    wait_until(lambda: says in line.session.problem, "the reason")
    assert not line.session.connected
    assert line.session.failures["certificate"] >= 1


def test_a_certificate_may_have_the_name_that_is_configured(encrypted: Any, open_line: Any, certificates: Path) -> None:
    tls = {"enabled": True, "ca_file": certificates / "ca.crt", "server_name": "elsewhere.example"}
    open_line(encrypted("elsewhere"), tls=tls).subscribed()


def test_tls_older_than_configured_is_not_spoken(mosquitto_factory: Any, open_line: Any, certificates: Path) -> None:
    files = [f"{option} {certificates}/{file}" for option, file in _FILES.items()]
    newest_of_the_broker = mosquitto_factory(extra=[*files, "tls_version tlsv1.2"])
    tls = {"enabled": True, "ca_file": certificates / "ca.crt"}
    open_line(newest_of_the_broker, tls=tls).subscribed()
    assert tls_context(TLS(enabled=True)).minimum_version is ssl.TLSVersion.TLSv1_2
    assert tls_context(TLS(enabled=True, min_version="1.3")).minimum_version is ssl.TLSVersion.TLSv1_3


def test_tls_at_the_brokers_end_alone_is_named_as_a_possible_cause(
    encrypted: Any, open_line: Any, wait_until: Any
) -> None:
    line = open_line(encrypted("broker"))
    wait_until(lambda: "is TLS on at one end only?" in line.session.problem, "the reason")


@pytest.mark.parametrize("version", ["tlsv1.2", "tlsv1.3"])
@pytest.mark.parametrize("ours", [None, "expired"])
def test_a_broker_that_does_not_take_our_certificate_is_understood(
    mosquitto_factory: Any, open_line: Any, wait_until: Any, certificates: Path, version: str, ours: str | None
) -> None:
    files = [f"{option} {certificates}/{file}" for option, file in _FILES.items()]
    broker = mosquitto_factory(extra=[*files, "require_certificate true", f"tls_version {version}"])
    shown = {"cert_file": certificates / f"{ours}.crt", "key_file": certificates / f"{ours}.key"} if ours else {}
    line = open_line(broker, tls={"enabled": True, "ca_file": certificates / "ca.crt", **shown})
    wait_until(lambda: "broker.tls.cert_file" in line.session.problem, "the reason")
    assert "at one end only" not in line.session.problem


def test_tls_at_our_end_alone_is_reported(mosquitto: Any, open_line: Any, wait_until: Any) -> None:
    line = open_line(mosquitto, tls={"enabled": True})
    wait_until(lambda: "cannot reach" in line.session.problem, "the reason")


@pytest.mark.parametrize("name", ["empty", "ca.key"])
def test_a_file_without_certificates_is_an_error_at_the_start(certificates: Path, name: str) -> None:
    broker = Broker(tls=TLS(enabled=True, ca_file=certificates / name))
    with pytest.raises(SetupError, match=r"broker\.tls\.ca_file: cannot use"):
        Session(broker, [Source()], Events(), Inbox(1)).open()


def test_an_encrypted_key_is_an_error_and_no_question_at_the_terminal(certificates: Path) -> None:
    with pytest.raises(SetupError, match="the key is encrypted"):
        tls_context(TLS(enabled=True, cert_file=certificates / "client.crt", key_file=certificates / "encrypted.key"))


def test_a_key_of_another_certificate_is_an_error_at_the_start(certificates: Path) -> None:
    with pytest.raises(SetupError, match=r"cert_file, key_file: cannot use"):
        tls_context(TLS(enabled=True, cert_file=certificates / "client.crt", key_file=certificates / "broker.key"))

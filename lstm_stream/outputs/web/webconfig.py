"""The file `web.config.yml` of exporter-toolkit: who may use the web side, and how it encrypts. Read, checked, used up.

The format is Prometheus' own (`promtool check web-config` knows it), so that one file serves all exporters of a
machine. Paths in it are relative to it. What cannot be honoured here is an error: never is a restriction ignored.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, Strict, ValidationError

from lstm_stream import tls
from lstm_stream.config.section import Section

_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_VERSIONS = {"TLS12": "1.2", "TLS13": "1.3"}
_EXCHANGES = {"ECDHE_ECDSA": "ECDHE-ECDSA", "ECDHE_RSA": "ECDHE-RSA", "RSA": ""}
_CIPHERS = {
    "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "CHACHA20_POLY1305": "CHACHA20-POLY1305",
    "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
}


class WebConfigError(ValueError):
    """A file that cannot be used. The text names the key and says what would be right; it holds no secret."""


class TLSServer(Section):
    """`tls_server_config`."""

    cert_file: Path
    key_file: Path
    client_auth_type: Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"] = "NoClientCert"
    client_ca_file: Path | None = None
    min_version: Literal["TLS12", "TLS13"] = "TLS12"
    max_version: Literal["TLS12", "TLS13"] = "TLS13"
    cipher_suites: Annotated[tuple[str, ...], Strict(False)] = ()
    prefer_server_cipher_suites: bool = True


class Headers(Section):
    """`http_server_config.headers`: sent with every answer."""

    content_security_policy: str | None = Field(default=None, alias="Content-Security-Policy")
    frame_options: Literal["deny", "sameorigin"] | None = Field(default=None, alias="X-Frame-Options")
    content_type_options: Literal["nosniff"] | None = Field(default=None, alias="X-Content-Type-Options")
    xss_protection: str | None = Field(default=None, alias="X-XSS-Protection")
    strict_transport_security: str | None = Field(default=None, alias="Strict-Transport-Security")


class HTTPServer(Section):
    """`http_server_config`."""

    http2: bool = True  # has no effect: this server speaks HTTP/1.1
    headers: Headers = Headers()


class WebConfig(Section):
    """The whole file."""

    tls_server_config: TLSServer | None = None
    http_server_config: HTTPServer = HTTPServer()
    basic_auth_users: dict[str, str] = Field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        """Those to send, by lower-case name."""
        fields = self.http_server_config.headers.model_dump(by_alias=True, exclude_none=True)
        return {name.lower(): value for name, value in fields.items()}


def load(path: Path) -> WebConfig:
    """The file. Raises WebConfigError, OSError where it cannot be read."""
    try:
        data = yaml.safe_load(path.read_text("utf-8")) or {}
        if isinstance(data.get("tls_server_config"), dict):
            data["tls_server_config"] = {k: _located(k, v, path) for k, v in data["tls_server_config"].items()}
        config = WebConfig.model_validate(data)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise WebConfigError(f"{path}:{line}: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError):
        raise WebConfigError(f"{path}: is not YAML with keys such as basic_auth_users") from None
    except ValidationError as error:
        raise WebConfigError("; ".join(_told(path, detail) for detail in error.errors(include_url=False))) from None
    for user, secret in config.basic_auth_users.items():
        if not _BCRYPT.fullmatch(secret):
            text = "is no bcrypt hash; make one with: htpasswd -nBC 10 '' | tr -d ':\\n'"
            raise WebConfigError(f"{path}: basic_auth_users: that of {user!r} {text}")
    return config


def context_of(options: TLSServer, path: Path) -> ssl.SSLContext:
    """What encrypts, as `tls_server_config` says. Raises WebConfigError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = tls.VERSIONS[_VERSIONS[options.min_version]]
    context.maximum_version = tls.VERSIONS[_VERSIONS[options.max_version]]
    context.options |= ssl.OP_NO_RENEGOTIATION
    if not options.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    place = f"{path}: tls_server_config"
    try:
        tls.show(context, options.cert_file, options.key_file)
        if options.client_ca_file is not None:
            tls.trust(context, options.client_ca_file)
    except ValueError as error:
        raise WebConfigError(f"{place}: {error}") from None
    if options.client_auth_type != "NoClientCert":
        if options.client_ca_file is None:
            raise WebConfigError(f"{place}: client_auth_type needs client_ca_file, who signs the clients' certificates")
        required = options.client_auth_type == "RequireAndVerifyClientCert"
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    elif options.client_ca_file is not None:
        raise WebConfigError(f"{place}: client_ca_file needs client_auth_type: RequireAndVerifyClientCert")
    if names := [_openssl(suite, place) for suite in options.cipher_suites]:
        context.set_ciphers(":".join(names))
    return context


def cost(secret: str) -> int:
    """How dear a bcrypt hash is to check: each step doubles the time."""
    match = _BCRYPT.fullmatch(secret)
    assert match is not None, "checked by load()"
    return int(match[1])


def _located(key: str, value: object, path: Path) -> object:
    return path.parent / value if str(key).endswith("_file") and isinstance(value, str) else value


def _openssl(suite: str, place: str) -> str:
    """The name that OpenSSL has for a cipher suite of TLS 1.2; those of TLS 1.3 are always on, as in Go."""
    exchange, _, cipher = suite.removeprefix("TLS_").partition("_WITH_")
    if exchange not in _EXCHANGES or cipher not in _CIPHERS:
        known = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
        raise WebConfigError(f"{place}: cipher_suites: {suite!r} is not offered here; write names such as {known}")
    return "-".join(filter(None, (_EXCHANGES[exchange], _CIPHERS[cipher])))


def _told(path: Path, detail: object) -> str:
    """One of pydantic's errors, without the value: it may be a secret."""
    assert isinstance(detail, dict)
    place = ".".join(map(str, detail["loc"]))
    unknown = detail["type"] == "extra_forbidden"
    return f"{path}: {place}: {'is not supported here; remove it' if unknown else detail['msg']}"

"""The broker and the session kept with it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from lstm_stream.config.section import Section, conflict
from lstm_stream.config.values import (
    Duration,
    EnvironmentName,
    File,
    Host,
    Protocol,
    Text,
    TlsVersion,
    format_duration,
)


class TLS(Section):
    """Encryption of the broker connection."""

    enabled: bool = Field(default=False, description="Encrypt the connection; the port is then usually 8883.")
    ca_file: File | None = Field(
        default=None, description="Certificates to trust (PEM). null: those the operating system trusts."
    )
    cert_file: File | None = Field(
        default=None, description="Certificate to show to the broker (PEM), if it asks for one."
    )
    key_file: File | None = Field(default=None, description="The private key of cert_file (PEM).")
    min_version: TlsVersion = Field(default="1.2", description="Oldest version of TLS to speak: 1.2 or 1.3.")
    server_name: Host | None = Field(
        default=None, description="The name that the broker's certificate must have. null: that of broker.host."
    )

    @property
    def files(self) -> tuple[Path, ...]:
        """Certificates and key, as far as they are given."""
        return tuple(path for path in (self.ca_file, self.cert_file, self.key_file) if path is not None)

    @model_validator(mode="after")
    def _complete(self) -> TLS:
        for one, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
            if getattr(self, one) and not getattr(self, other):
                raise conflict(one, f"needs {other} beside it; give both, or neither", other)
        for name in ("ca_file", "cert_file", "server_name"):
            if getattr(self, name) and not self.enabled:
                raise conflict(name, "has no effect while TLS is off; set enabled: true, or remove it", "enabled")
        return self


class Broker(Section):
    """The MQTT broker and the session kept with it."""

    host: Host = Field(default="localhost", description="Name or address of the broker.")
    port: int = Field(default=1883, ge=1, le=65535, description="TCP port of the broker; with TLS usually 8883.")
    protocol: Protocol = Field(default="3.1.1", description="Version of MQTT to speak: 3.1.1 or 5.")
    client_id: Text = Field(
        default="lstm_stream", description="Name of this session at the broker. No two clients may share one."
    )
    username: Text | None = Field(default=None, description="User to log in as. null: log in without one.")
    password_file: File | None = Field(default=None, description="File that holds the password and nothing else.")
    password_env: EnvironmentName | None = Field(
        default=None, description="Environment variable that holds the password, instead of password_file."
    )
    keepalive: Duration = Field(
        default=60.0, ge=5, le=65535, description="A connection silent for one and a half times as long counts as lost."
    )
    clean_session: bool = Field(
        default=False,
        description="true: the broker forgets what arrives while this daemon is away. false: it keeps it.",
    )
    session_expiry: Duration = Field(
        default=86400.0,
        ge=0,
        le=0xFFFFFFFF,
        description="MQTT 5: how long the broker keeps the session of an absent daemon.",
    )
    reconnect_min: Duration = Field(
        default=1.0, gt=0, description="First pause before connecting again; it doubles each time."
    )
    reconnect_max: Duration = Field(default=60.0, gt=0, description="Longest pause before connecting again.")
    receive_maximum: int = Field(
        default=1000,
        ge=1,
        le=65535,
        description="MQTT 5: messages the broker may send ahead of acknowledgement (QoS 1).",
    )
    tls: TLS = Field(default=TLS(), description="Encryption of the connection.")

    @property
    def files(self) -> tuple[Path, ...]:
        """Those that hold what lets the session in: password, certificates, key."""
        return (*((self.password_file,) if self.password_file else ()), *self.tls.files)

    @model_validator(mode="after")
    def _consistent(self) -> Broker:
        if self.password_file and self.password_env:
            raise conflict("password_env", "is given beside password_file; keep one of the two", "password_file")
        password = "password_file" if self.password_file else "password_env" if self.password_env else ""
        if password and not self.username and self.protocol == "3.1.1":
            raise conflict(password, "needs a user in MQTT 3.1.1; give username as well", "username", "protocol")
        if self.reconnect_min > self.reconnect_max:
            text = f"is longer than reconnect_max ({format_duration(self.reconnect_max)}); make it the shorter one"
            raise conflict("reconnect_min", text, "reconnect_max")
        return self

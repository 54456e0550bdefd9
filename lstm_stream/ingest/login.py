"""What a session needs to be let in: password, certificates. Nothing here ever shows a secret."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field
from typing import Any

from lstm_stream import secret, tls
from lstm_stream.config import TLS, Broker
from lstm_stream.filestate import digest


class SetupError(ValueError):
    """The session cannot even be tried. The text names the option and says what would be right."""


@dataclass(frozen=True, slots=True)
class Login:
    """What lets a session in, as it was read; two are equal where a broker could not tell them apart."""

    username: str | None
    password: str | None = field(repr=False)
    tls: TLS
    digests: tuple[bytes, ...] = field(repr=False)  # of certificates and key
    context: ssl.SSLContext | None = field(compare=False, repr=False)


def read_login(broker: Broker) -> Login:
    """What the configuration, its files and the environment say now. Raises SetupError."""
    digests = tuple(map(digest, broker.tls.files))  # before: what changes meanwhile is seen as a change later
    password = read_password(broker)
    context = tls_context(broker.tls) if broker.tls.enabled else None
    return Login(broker.username, password, broker.tls, digests, context)


def read_password(broker: Broker) -> str | None:
    """The password from its file or environment variable; None where none is configured. Raises SetupError."""
    try:
        if broker.password_env is not None:
            return secret.from_environment(broker.password_env, "broker.password_env")
        if broker.password_file is not None:
            return secret.from_file(broker.password_file, "broker.password_file")
    except ValueError as error:
        raise SetupError(str(error)) from None
    return None


def tls_context(options: TLS) -> ssl.SSLContext:
    """A context that checks the broker's certificate and name, and shows our own if there is one. Raises SetupError."""
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.name = options.server_name
    context.minimum_version = tls.VERSIONS[options.min_version]
    if options.ca_file is None:
        context.load_default_certs()  # what the system trusts
    else:
        try:
            tls.trust(context, options.ca_file)
        except ValueError as error:
            raise SetupError(f"broker.tls.ca_file: {error}") from None
    if options.cert_file is not None:
        try:
            tls.show(context, options.cert_file, options.key_file)
        except ValueError as error:
            raise SetupError(f"broker.tls.cert_file, key_file: {error}") from None
    return context


class Encryption(ssl.SSLContext):
    """For a client that takes one context for good: encrypts with the latest that it was given."""

    latest: ssl.SSLContext

    def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
        """As the latest does."""
        return self.latest.wrap_socket(sock, *args, **options)


class _Context(ssl.SSLContext):
    """Expects the name that the configuration gives, if any, instead of the address at which the broker is reached."""

    name: str | None = None

    def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
        """As the library's."""
        return super().wrap_socket(sock, *args, **{**options, **({"server_hostname": self.name} if self.name else {})})

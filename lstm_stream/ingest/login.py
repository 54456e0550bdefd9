"""What a session needs to be let in: password, certificates. Nothing here ever shows a secret."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from lstm_stream.config import TLS, Broker


class SetupError(ValueError):
    """The session cannot even be tried. The text names the option and says what would be right."""


def read_password(broker: Broker) -> str | None:
    """The password from its file or environment variable; None where none is configured. Raises SetupError."""
    if broker.password_env is not None:
        password = os.environ.get(broker.password_env)
        if not password:
            raise SetupError(f"broker.password_env: the environment variable {broker.password_env} is not set")
        return password
    if broker.password_file is not None:
        return _password_in(broker.password_file)
    return None


def _password_in(path: Path) -> str:
    try:
        password = path.read_text(encoding="utf-8").rstrip("\r\n")  # editors end the last line
    except UnicodeDecodeError:
        raise SetupError(f"broker.password_file: {path} is not text (UTF-8)") from None
    except OSError as error:
        raise SetupError(f"broker.password_file: cannot read {path}: {error.strerror}") from None
    if not password:
        raise SetupError(f"broker.password_file: {path} is empty; write the password into it")
    return password


def tls_context(tls: TLS) -> ssl.SSLContext:
    """A context that checks the broker's certificate and name, and shows our own if there is one. Raises SetupError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.ca_file is None:
        context.load_default_certs()  # what the system trusts
    else:
        try:
            context.load_verify_locations(tls.ca_file)
        except OSError as error:
            raise SetupError(f"broker.tls.ca_file: cannot use {tls.ca_file}: {_why(error)}") from None
    if tls.cert_file is not None:
        try:
            context.load_cert_chain(tls.cert_file, tls.key_file, password=_no_prompt)
        except (OSError, ValueError) as error:
            files = f"{tls.cert_file} and {tls.key_file}"
            raise SetupError(f"broker.tls.cert_file, key_file: cannot use {files}: {_why(error)}") from None
    return context


def _no_prompt() -> str:
    """Instead of OpenSSL's own, which would ask at the terminal of a daemon."""
    raise ValueError("the key is encrypted; store it without a passphrase, readable to this user alone")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"{error.reason or 'not PEM'}"
    return getattr(error, "strerror", None) or str(error)

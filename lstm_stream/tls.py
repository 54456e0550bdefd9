"""Certificates and versions of TLS, for the broker's side and the web's. Errors name the file, never a secret."""

from __future__ import annotations

import ssl
from pathlib import Path

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def trust(context: ssl.SSLContext, certificates: Path) -> None:
    """Trust what these certificates (PEM) sign. Raises ValueError: what cannot be used, and why."""
    try:
        context.load_verify_locations(certificates)
    except OSError as error:
        raise ValueError(f"cannot use {certificates}: {why(error)}") from None


def show(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    """Show this certificate, whose private key is in `key` (PEM both). Raises ValueError as trust() does."""
    try:
        context.load_cert_chain(certificate, key, password=_no_prompt)
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot use {certificate} and {key}: {why(error)}") from None


def why(error: Exception) -> str:
    """The reason alone."""
    if isinstance(error, ssl.SSLError):
        return f"{error.reason or 'not PEM'}"
    return getattr(error, "strerror", None) or str(error)


def _no_prompt() -> str:
    """Instead of OpenSSL's own, which would ask at the terminal of a daemon."""
    raise ValueError("the key is encrypted; store it without a passphrase, readable to this user alone")

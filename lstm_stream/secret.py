"""Secrets, from files or the environment only. Errors name the option and the place, never what is in it."""

from __future__ import annotations

import os
from pathlib import Path


def from_file(path: Path, option: str) -> str:
    """What a file holds, without the end of its last line. Raises ValueError."""
    try:
        secret = path.read_text(encoding="utf-8").rstrip("\r\n")  # editors end the last line
    except UnicodeDecodeError:
        raise ValueError(f"{option}: {path} is not text (UTF-8)") from None
    except OSError as error:
        raise ValueError(f"{option}: cannot read {path}: {error.strerror}") from None
    if not secret:
        raise ValueError(f"{option}: {path} is empty; write the secret into it")
    return secret


def from_environment(variable: str, option: str) -> str:
    """What an environment variable holds. Raises ValueError."""
    secret = os.environ.get(variable)
    if not secret:
        raise ValueError(f"{option}: the environment variable {variable} is not set")
    return secret

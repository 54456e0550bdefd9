"""A command for a daemon that does not run: its line is started without a broker, obeys, saves, and ends."""

from __future__ import annotations

from typing import Any

from lstm_stream.config import Config
from lstm_stream.statefile.stopped import StateVerbError


def obey_offline(config: Config, verb: str, group: str, sensor: str, argument: str, comment: str) -> dict[str, Any]:
    """What became of the command: {ok, text, id}. What the journal holds is replayed before it."""
    raise StateVerbError("start the daemon, and give the command then")

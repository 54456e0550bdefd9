"""A command for a daemon that does not run: its line is started without a broker, obeys, saves, and ends."""

from __future__ import annotations

import dataclasses
import getpass
import os
from typing import Any

from pydantic import ValidationError

from lstm_stream.config import Config
from lstm_stream.statefile.stopped import StateVerbError
from lstm_stream.store import StateError


def obey_offline(config: Config, verb: str, group: str, sensor: str, argument: str, comment: str) -> dict[str, Any]:
    """What became of the command: {ok, text, id}. What the journal holds is repeated before it, as a start does."""
    from lstm_stream.app import build
    from lstm_stream.outputs.web.queries import Order

    fields = {"verb": verb, "group": group, "sensor": sensor, "argument": argument, "comment": comment}
    try:
        reply = build(config).obey(Order.model_validate(fields), f"state {_who()}")
    except ValidationError as error:
        raise StateVerbError(error.errors()[0]["msg"]) from None
    except StateError as error:
        raise StateVerbError(str(error)) from None
    return dataclasses.asdict(reply)


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return str(os.getuid())

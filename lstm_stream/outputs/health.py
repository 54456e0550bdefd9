"""What the daemon tells about itself: types only, filled in by the app, shown by the web server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from lstm_stream.records import Event


@dataclass(frozen=True, slots=True)
class Health:
    """`healthy`: no need to restart the process. `ready`: messages flow and are scored.

    `checks` has a line for each thing looked at: `ok`, or a sentence that says what is wrong.
    """

    healthy: bool
    ready: bool
    checks: Mapping[str, str] = field(default_factory=dict)


class Status(TypedDict, total=False):
    """What the overview shows beside the checks; every part may be missing."""

    facts: Mapping[str, str | int | float]  # label -> value, such as version, broker, messages
    sensors: Mapping[str, int]  # state -> number
    alarms: Sequence[Event]  # open ones, newest first

"""What the daemon tells about itself: types only, filled in by the app, shown by the web server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Health:
    """`healthy`: no need to restart the process. `ready`: messages flow and are scored.

    `checks` has a line for each thing looked at: `ok`, or a sentence that says what is wrong.
    """

    healthy: bool
    ready: bool
    checks: Mapping[str, str] = field(default_factory=dict)

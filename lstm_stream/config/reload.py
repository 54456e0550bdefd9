"""How this file is read again while the daemon runs."""

from __future__ import annotations

from pydantic import Field

from lstm_stream.config.section import Section
from lstm_stream.config.values import Duration


class Reload(Section):
    """How this file is read again while the daemon runs."""

    watch: Duration = Field(
        default=5.0,
        ge=0,
        description="How often to look whether this file, the broker's password or certificates have changed, and to "
        "put that in force. 0: only SIGHUP does.",
    )

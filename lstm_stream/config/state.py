"""Where everything learned is kept."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from lstm_stream.config.section import Section
from lstm_stream.config.values import Duration, File


class State(Section):
    """Where everything learned is kept."""

    path: File | None = Field(
        default=Path("lstm_stream.db"),
        description="File for everything learned, kept over restarts. null: keep nothing.",
    )
    every: Duration = Field(default=60.0, gt=0, description="Time between two saves; also saved at exit.")

"""Where everything learned is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from lstm_stream.config.section import Section
from lstm_stream.config.values import Duration, File


class State(Section):
    """Where everything learned is kept."""

    path: File | None = Field(
        default=Path("lstm_stream.db"),
        description="File for everything learned, kept over restarts; others beside it have its name and more. null: "
        "keep nothing.",
    )
    durability: Literal["strict", "interval", "off"] = Field(
        default="strict",
        description="What a crash loses: strict nothing, interval what was learned since the last save, off what was "
        "since the start.",
    )
    every: Duration = Field(
        default=60.0, gt=0, description="Time between two saves; also saved at exit. With durability off: at exit only."
    )
    journal_bytes: int = Field(
        default=256 * 2**20,
        ge=2**20,
        description="Size of the journal at which the state is saved before its time: a start repeats what is in it.",
    )
    generations: int = Field(
        default=5, ge=1, le=100, description="How many generations of a sensor's weights are kept to go back to."
    )

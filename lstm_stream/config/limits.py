"""What bounds memory."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lstm_stream.config.section import Section
from lstm_stream.config.values import Duration


class Limits(Section):
    """What bounds memory."""

    sensors: int = Field(default=100_000, ge=1, description="Sensors to watch; further ones are counted and left out.")
    forget_after: Duration | None = Field(
        default=30 * 86400.0, gt=0, description="A sensor silent for so long is removed. null: never."
    )
    channels: int = Field(default=64, ge=1, description="Channels of one sensor; samples with more are rejected.")
    inbox: int = Field(
        default=100_000, ge=1, description="Messages waiting to be scored; beyond it they are dropped and counted."
    )
    inbox_bytes: int = Field(
        default=134_217_728, ge=65_536, description="Bytes that these messages may take together, topics included."
    )
    overflow: Literal["drop_newest", "drop_oldest", "block"] = Field(
        default="drop_newest",
        description="What a full inbox loses: drop_newest what comes, drop_oldest what has waited longest, block "
        "nothing, but no more is read from the broker.",
    )
    payload_bytes: int = Field(
        default=262_144, ge=16, description="Longest payload in bytes; longer ones are rejected."
    )
    depth: int = Field(
        default=16, ge=1, le=100, description="Deepest nesting of a JSON payload; deeper ones are rejected."
    )
    batch: int = Field(default=8192, ge=1, description="Messages scored at once at most.")
    future: Duration = Field(
        default=86400.0, ge=0, description="Samples stamped further ahead of their arrival are rejected."
    )

"""Metrics, health and the status page."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Strict

from lstm_stream.config.section import Section
from lstm_stream.config.values import File, Host


class Web(Section):
    """Metrics, health and the status page."""

    enabled: bool = Field(default=True, description="Serve metrics, health and the status page over HTTP.")
    host: Host = Field(
        default="127.0.0.1", description="Address to listen on. 0.0.0.0: all of the machine's, open to its network."
    )
    port: int = Field(default=9108, ge=0, le=65535, description="TCP port to listen on. 0: any free one.")
    config_file: File | None = Field(
        default=None, description="TLS and users, as in Prometheus' own web.config.yml. null: none of the two."
    )
    names: Annotated[tuple[str, ...], Strict(False)] = Field(
        default=(),
        description="Names by which browsers reach the page beyond this machine's own; against DNS rebinding.",
    )
    commands: bool | None = Field(
        default=None,
        description="Whether the page may send commands. null: where nobody but this machine reaches it, or users do.",
    )
    recorded: int = Field(
        default=1000,
        ge=0,
        le=100_000,
        description="Sensors whose samples are kept for charts, some 25 KB each and as much a channel; of more, those "
        "that alarmed last.",
    )

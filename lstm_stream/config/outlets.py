"""Where events go."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lstm_stream.config.section import Section
from lstm_stream.config.values import EventTopic, Number, StatusTopic


class Events(Section):
    """Anomaly events over MQTT."""

    topic: EventTopic = Field(
        default="lstm_stream/{sensor}/anomaly",
        description="Topic of anomaly events; {sensor} and {group} are filled in.",
    )
    qos: Annotated[Literal[0, 1, 2], Number] = Field(
        default=1, description="0: at most once, 1: at least once, 2: exactly once."
    )
    retain: bool = Field(
        default=False, description="Let the broker show the latest event of each topic to new subscribers."
    )
    status_topic: StatusTopic = Field(
        default="lstm_stream/status", description="Topic that says online or offline (retained)."
    )

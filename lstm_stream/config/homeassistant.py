"""Sensors as devices of Home Assistant, over MQTT discovery."""

from __future__ import annotations

from pydantic import Field

from lstm_stream.config.section import Section
from lstm_stream.config.values import Duration, SomeTexts, StatusTopic


class HomeAssistant(Section):
    """Which sensors Home Assistant finds by itself, and where."""

    enabled: bool = Field(default=False, description="Announce sensors to Home Assistant.")
    prefix: StatusTopic = Field(
        default="homeassistant", description="Home Assistant's prefix of discovery and of its birth message."
    )
    state_topic: StatusTopic = Field(
        default="lstm_stream/homeassistant", description="Topic below which the states of sensors are published."
    )
    groups: SomeTexts = Field(default=("*",), description="Groups to announce, as patterns: * is any text.")
    sensors: SomeTexts = Field(default=("*",), description="Sensors to announce, as patterns: * is any text.")
    limit: int = Field(default=500, ge=1, le=10_000, description="Sensors to announce at most, those known longest.")
    every: Duration = Field(default=30.0, ge=1, le=3600, description="Time between two states of a sensor.")
    units: dict[str, str] = Field(default={}, description="Units of channels, by name or pattern: {temp*: °C}.")

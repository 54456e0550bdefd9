"""What Prometheus may see of single sensors."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Strict

from lstm_stream.config.section import Section
from lstm_stream.config.values import Duration


class SensorSeries(Section):
    """Series of single sensors. Prometheus needs about 3 KB for each, and a sensor has four a channel and five more."""

    allow: Annotated[tuple[str, ...], Strict(False)] = Field(
        default=(), description="Sensors to show always, by name or pattern such as boiler-*. An empty list: none."
    )
    limit: int = Field(default=1000, ge=0, description="How many sensors `allow` may show; further ones are counted.")
    top: int = Field(
        default=0, ge=0, le=1000, description="How many of the others to show: those with the highest scores. 0: none."
    )
    stay: Duration = Field(
        default=900.0, ge=0, description="How long such a sensor is shown at least, so that its curves have no holes."
    )

    @property
    def enabled(self) -> bool:
        """Whether any sensor may be shown."""
        return bool(self.allow or self.top)


class Metrics(Section):
    """What Prometheus sees beside the sums over all sensors."""

    sensors: SensorSeries = Field(default=SensorSeries(), description="Series of single sensors.")

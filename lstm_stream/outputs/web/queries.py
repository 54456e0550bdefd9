"""What may be asked of the API: the parameters of each path, and a command's document."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from lstm_stream.records import Verb

_Text = Annotated[str, Field(max_length=1000)]
_Time = Annotated[float, Field(allow_inf_nan=False)]


class Query(BaseModel):
    """Common to all: unknown parameters are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SensorsQuery(Query):
    """Which sensors, and how they are sorted."""

    search: _Text = Field(default="", description="Part of the sensor's name; upper and lower case are alike.")
    group: _Text = Field(default="", description="Only those of this group.")
    state: Literal["", "warming", "watching", "alarmed", "silent"] = Field(default="", description="Only those.")
    sort: Literal["score", "name", "last"] = Field(
        default="score", description="score: as a multiple of the threshold."
    )
    order: Literal["asc", "desc"] | None = Field(default=None, description="By default desc, of names asc.")
    limit: int = Field(default=50, ge=1, le=500, description="How many at most.")
    offset: int = Field(default=0, ge=0, description="How many are left out first.")


class SensorQuery(Query):
    """One sensor."""

    group: _Text = Field(description="The sensor's group.")
    sensor: _Text = Field(description="The sensor's name.")


class SeriesQuery(SensorQuery):
    """One sensor's samples within a time."""

    since: _Time | None = Field(default=None, description="Data time, unix s; by default all that is recorded.")
    until: _Time | None = Field(default=None, description="Data time, unix s; by default the latest.")


class AlarmsQuery(Query):
    """Which alarms."""

    state: Literal["open", "closed", "all"] = Field(default="all", description="open, closed or all.")
    search: _Text = Field(default="", description="Part of the sensor's name, its group or a reason; or an alarm's id.")
    limit: int = Field(default=50, ge=1, le=500, description="How many at most.")
    before: _Time | None = Field(default=None, description="Only those opened before this data time, unix s.")


class ModelsQuery(Query):
    """Whose weights."""

    group: _Text = Field(description="The group.")
    sensor: _Text = Field(default="", description="The sensor; empty: what the group shares.")


class NoQuery(Query):
    """Nothing to choose."""


class Order(Query):
    """A command as it is sent."""

    verb: Verb = Field(description="What to do.")
    group: _Text = Field(min_length=1, description="The group.")
    sensor: _Text = Field(default="", description="The sensor; empty: all of the group.")
    argument: _Text = Field(default="", description="An alarm's id, a generation or a command's id, as the verb needs.")
    comment: _Text = Field(default="", description="Why, for those who read the list of commands.")

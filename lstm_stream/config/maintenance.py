"""When sensors are worked on: their alarms are not sent meanwhile."""

from __future__ import annotations

import re
from datetime import datetime, time, timezone, tzinfo
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, Strict, model_validator

from lstm_stream.config.section import Section, conflict
from lstm_stream.config.sources import ZoneName
from lstm_stream.config.values import SomeTexts, Text

DayName = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Instant = time | datetime

_TIME = r"([01]?[0-9]|2[0-3]):[0-5][0-9]"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"


def parse_instant(text: str) -> Instant:
    """A time of day such as 22:00, or a date and time such as 2026-12-01 22:00; without a zone."""
    try:
        if re.fullmatch(_TIME, text):
            return time.fromisoformat(text.zfill(5))
        if re.fullmatch(rf"{_DATE}[ T]{_TIME}", text):
            return datetime.fromisoformat(f"{text[:10]} {text[11:].zfill(5)}")
    except ValueError:
        pass  # no such day
    raise ValueError("is no time; write a time of day such as '22:00', or a date with it: '2026-12-01 22:00'")


def _instant(text: str) -> str:
    parse_instant(text)
    return text


InstantText = Annotated[Text, AfterValidator(_instant)]


class Window(Section):
    """A time in which the alarms of some sensors are not sent: once, or every week."""

    name: Text = Field(default="maintenance", max_length=100, description="What to call it in events and in the log.")
    groups: SomeTexts = Field(default=("*",), description="Groups that it is for, as patterns: * is any text.")
    sensors: SomeTexts = Field(default=("*",), description="Sensors that it is for, as patterns: * is any text.")
    start: InstantText | None = Field(
        default=None, description="When it begins: 2026-12-01 22:00, or 22:00 on each of days. null: never."
    )
    end: InstantText | None = Field(
        default=None, description="When it ends, likewise. A time of day not after start: on the next day."
    )
    days: Annotated[tuple[DayName, ...], Strict(False)] = Field(
        default=(), description="Days on which it begins: mon, tue, wed, thu, fri, sat, sun. None named: every day."
    )
    zone: ZoneName = Field(default="UTC", description="The time zone of start and end, such as Europe/Berlin.")
    learn: bool = Field(
        default=True, description="false: nothing is learned of these sensors in the meantime, nor afterwards of it."
    )

    @property
    def begins(self) -> Instant | None:
        """`start`, read."""
        return None if self.start is None else parse_instant(self.start)

    @property
    def ends(self) -> Instant | None:
        """`end`, read."""
        return None if self.end is None else parse_instant(self.end)

    @property
    def tzinfo(self) -> tzinfo:
        """Of start and end."""
        return timezone.utc if self.zone == "UTC" else ZoneInfo(self.zone)

    @model_validator(mode="after")
    def _consistent(self) -> Window:
        begins, ends = self.begins, self.ends
        for one, other in (("start", "end"), ("end", "start")):
            if getattr(self, one) and not getattr(self, other):
                raise conflict(one, f"needs {other} beside it; give both, or neither", other)
        if type(begins) is not type(ends):
            raise conflict("end", "is of another kind than start; give both a date, or neither", "start")
        if isinstance(begins, datetime) and isinstance(ends, datetime) and begins >= ends:
            raise conflict("end", "is not after start; swap the two", "start")
        if isinstance(begins, datetime) and self.days:
            raise conflict("days", "has no effect beside a date; remove one of the two", "start")
        return self

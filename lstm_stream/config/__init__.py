"""Every option, typed: what a YAML file may say, with units, defaults, limits and its documentation.

A file a section; this one puts them together. The folder refuses to do anything but describe the configuration, and
file.py loads it with line numbers. Errors between options are raised as `conflict`, so that the loader can point at
the line.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, Strict, field_validator, model_validator

from lstm_stream.config.broker import TLS as TLS
from lstm_stream.config.broker import Broker as Broker
from lstm_stream.config.commands import Commands as Commands
from lstm_stream.config.groups import VIEWS as VIEWS
from lstm_stream.config.groups import Group as Group
from lstm_stream.config.groups import Model as Model
from lstm_stream.config.groups import Retraining as Retraining
from lstm_stream.config.groups import ViewName as ViewName
from lstm_stream.config.homeassistant import HomeAssistant as HomeAssistant
from lstm_stream.config.limits import Limits as Limits
from lstm_stream.config.maintenance import Window as Window
from lstm_stream.config.metrics import Metrics as Metrics
from lstm_stream.config.outlets import EventFile as EventFile
from lstm_stream.config.outlets import Events as Events
from lstm_stream.config.outlets import Grouping as Grouping
from lstm_stream.config.outlets import Severity as Severity
from lstm_stream.config.outlets import SeverityName as SeverityName
from lstm_stream.config.outlets import Webhook as Webhook
from lstm_stream.config.reload import Reload as Reload
from lstm_stream.config.section import Section, conflict
from lstm_stream.config.sources import DEFAULT_GROUP as DEFAULT_GROUP
from lstm_stream.config.sources import Source as Source
from lstm_stream.config.sources import Timestamp as Timestamp
from lstm_stream.config.state import State as State
from lstm_stream.config.values import WEEK as WEEK
from lstm_stream.config.values import Part as Part
from lstm_stream.config.values import level_name as level_name
from lstm_stream.config.values import template_parts as template_parts
from lstm_stream.config.values import topic_levels as topic_levels
from lstm_stream.config.web import Web as Web


class Log(Section):
    """What the daemon says on stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error."
    )
    format: Literal["text", "json"] = Field(
        default="text", description="text for people, json (an object a line) for machines."
    )


class Config(Section):
    """The whole file."""

    broker: Broker = Field(default=Broker(), description="The MQTT broker and the session kept with it.")
    sources: Annotated[tuple[Source, ...], Strict(False)] = Field(
        default=(Source(),), description="What to subscribe to: one entry a kind of topic."
    )
    groups: dict[str, Group] = Field(
        default={"default": Group()}, description="Sensors of one kind, by name. A group `default` always exists."
    )
    events: Events = Field(default=Events(), description="Where anomaly events go.")
    maintenance: Annotated[tuple[Window, ...], Strict(False)] = Field(
        default=(Window(),), description="When sensors are worked on: their alarms are not sent meanwhile."
    )
    homeassistant: HomeAssistant = Field(
        default=HomeAssistant(), description="Sensors as devices of Home Assistant, over MQTT discovery."
    )
    commands: Commands = Field(default=Commands(), description="Commands over MQTT.")
    web: Web = Field(default=Web(), description="Metrics, health and the status page.")
    metrics: Metrics = Field(default=Metrics(), description="What Prometheus sees beside the sums over all sensors.")
    state: State = Field(default=State(), description="Where everything learned is kept.")
    limits: Limits = Field(default=Limits(), description="What bounds memory.")
    reload: Reload = Field(default=Reload(), description="How this file is read again while the daemon runs.")
    log: Log = Field(default=Log(), description="What the daemon says on stderr.")

    @field_validator("sources")
    @classmethod
    def _some_source(cls, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        if not sources:
            raise ValueError("is an empty list; write at least one source, or remove the key")
        return sources

    @field_validator("groups")
    @classmethod
    def _default_group(cls, groups: dict[str, Group]) -> dict[str, Group]:
        return groups if "default" in groups else {"default": Group(), **groups}

    @model_validator(mode="after")
    def _known_groups(self) -> Config:
        for index, source in enumerate(self.sources):
            if source.usual_group not in self.groups:
                text = f"is {source.group!r}, which is not in groups; add it there, or use one of: "
                raise conflict(f"sources.{index}.group", text + ", ".join(self.groups), "groups")
        return self

    @model_validator(mode="after")
    def _distinct_topics(self) -> Config:
        first: dict[str, int] = {}
        for index, source in enumerate(self.sources):
            for topic in source.topics:
                taken = first.setdefault(re.sub(r"\{[^}]*\}", _wildcard, topic), index)
                if taken != index:
                    text = f"takes the same topics as sources[{taken}], which comes first and gets them; "
                    raise conflict(f"sources.{index}.topic", text + "keep one of the two", f"sources.{taken}.topic")
        return self


def _wildcard(name: re.Match[str]) -> str:
    return "{#}" if name[0].endswith("#}") else "+"

"""Sources: which messages to subscribe to, what is in them, and whose they are."""

from __future__ import annotations

from datetime import timezone, tzinfo
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from lstm_stream.config.presets import PRESETS
from lstm_stream.config.section import Section, conflict
from lstm_stream.config.values import (
    Duration,
    Number,
    Patterns,
    SomeTexts,
    Template,
    Text,
    Texts,
    TopicPatterns,
    level_name,
    template_parts,
)

PresetName = Literal[
    "tasmota",
    "zigbee2mqtt",
    "shelly",
    "shelly-gen2",
    "esphome",
    "homeassistant-statestream",
    "telegraf",
    "thingsboard",
    "sparkplug",
    "ttn",
    "chirpstack",
    "aws-shadow",
    "zwave-js",
    "homie",
    "victron",
    "rtl433",
    "openmqttgateway",
    "hubitat",
    "meshtastic",
    "neuron",
    "opcua",
]
FormatName = Literal[
    "auto",
    "json",
    "value",
    "influx",
    "senml",
    "telegraf",
    "thingsboard",
    "sparkplug",
    "shelly",
    "opcua",
    "tags",
    "cbor",
    "msgpack",
]


DEFAULT_GROUP = "default"


def _zone(name: str) -> str:
    if name != "UTC":
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            text = "is no time zone that is known here; write a name such as Europe/Berlin, or UTC"
            raise ValueError(text + " (their data is the package tzdata)") from None
    return name


ZoneName = Annotated[Text, AfterValidator(_zone)]


class Timestamp(Section):
    """Where a sample's time comes from."""

    field: Text | None = Field(
        default=None,
        description="Key in the payload that holds the time. null: the usual names (timestamp, time, ts, ...), "
        "else the arrival.",
    )
    unit: Literal["auto", "iso", "s", "ms", "us", "ns"] = Field(
        default="auto", description="auto, iso (2026-01-31T12:00:00Z), or since 1970 in s, ms, us or ns."
    )
    zone: ZoneName = Field(default="UTC", description="The time zone of times without one, such as Europe/Berlin.")
    trust: bool = Field(
        default=True,
        description="false: the arrival counts, whatever the payload says, for clocks not set or in local time.",
    )

    @property
    def tzinfo(self) -> tzinfo:
        """The zone of times without one."""
        return timezone.utc if self.zone == "UTC" else ZoneInfo(self.zone)


class Source(Section):
    """One subscription: which topics, what they carry, whose samples they are."""

    preset: PresetName | None = Field(
        default=None,
        description="Ready-made settings for a kind of device, as in docs/formats.md; keys beside it override them.",
    )
    topic: TopicPatterns = Field(
        default="sensors/{sensor}",
        description="Topics to subscribe to, one or a list. {name} names a level, {name#} several, + and # match any.",
    )
    ignore: Texts = Field(
        default=(), description="Topics to leave out of those, as patterns: * is any text, slashes included."
    )
    availability: Patterns = Field(
        default=(), description="Topics that say whether a device is online: neither samples nor errors."
    )
    offline: Literal["alarm", "mute"] = Field(
        default="alarm",
        description="When a device that said it goes offline falls silent. alarm: the alarm says so. mute: no alarm.",
    )
    qos: Annotated[Literal[0, 1], Number] = Field(
        default=1, description="0: messages may get lost on the way. 1: they arrive at least once."
    )
    format: FormatName = Field(
        default="auto",
        description="What a payload is. auto recognises all formats of docs/formats.md, compressed ones too.",
    )
    sensor: Template | None = Field(
        default=None,
        description="Name of the sensor, such as {site}-{payload.id}. null: the device that the payload names, "
        "else {sensor} of the topic.",
    )
    channel: Template | None = Field(
        default=None,
        description="What names of channels begin with. null: {channel} of the topic, where the topic names it.",
    )
    group: Template = Field(
        default=DEFAULT_GROUP,
        description="The group, below, that these sensors belong to; or a template such as {site} or {payload.line}: "
        "of that group where there is one, else of default.",
    )
    root: Text | None = Field(
        default=None,
        description="The part of a JSON payload that holds the channels, such as uplink.data, or a choice: "
        "object|data. null: all of it.",
    )
    include: SomeTexts = Field(
        default=("*",),
        description="Channels to watch: names or patterns such as temp*, of the flattened payload.",
    )
    exclude: Texts = Field(default=(), description="Channels to leave out of those included.")
    separator: Text = Field(
        default=".", max_length=8, description="Joins the keys of nested objects: {pump: {rpm: 5}} is channel pump.rpm."
    )
    words: dict[str, Annotated[float, Number]] = Field(
        default={}, description="Texts that stand for numbers, in any case, such as {open: 1, closed: 0}."
    )
    units: bool = Field(default=False, description="true: text such as 21.5 °C is a number with its unit.")
    decimal_comma: bool = Field(
        default=False, description="true: text such as 21,5 or 1.013,25 is a number with a decimal comma."
    )
    counters: Texts = Field(
        default=(), description="Channels that only count up, as patterns: their rate per second is watched instead."
    )
    join: Duration = Field(
        default=0.0,
        ge=0,
        le=3600,
        description="How long to wait for further channels of a sensor that come in messages of their own. 0: not.",
    )
    resample: Duration = Field(
        default=0.0,
        ge=0,
        le=86400,
        description="Average what comes within such an interval, such as 1m, into one sample; instead of join. 0: not.",
    )
    timestamp: Timestamp = Field(default=Timestamp(), description="Where a sample's time comes from.")

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics, be they one or several."""
        return (self.topic,) if isinstance(self.topic, str) else self.topic

    @property
    def usual_group(self) -> str:
        """The group of sensors of which no more is known than their source."""
        return DEFAULT_GROUP if "{" in self.group else self.group

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        """The preset's settings below those that are given; sections are merged key by key."""
        preset = PRESETS.get(str(value.get("preset"))) if isinstance(value, dict) else None
        if preset is None:
            return value
        merged = {**preset, **value}
        for key in preset.keys() & value.keys():
            if isinstance(preset[key], dict) and isinstance(value[key], dict) and key != "words":
                merged[key] = {**preset[key], **value[key]}
        return merged

    @model_validator(mode="after")
    def _named(self) -> Source:
        templates = {"sensor": self.sensor or "{sensor}", "channel": self.channel or "", "group": self.group}
        for key, template in templates.items():
            for pattern in self.topics:
                levels = {level_name(level) for level in pattern.split("/")}
                for part in template_parts(template):
                    if part.names and not any(name in levels or "." in name for name in part.names):
                        name = "{" + part.names[0] + "}"
                        text = f"uses {name}, which the topic does not name; write {name} for a level of topic, "
                        raise conflict(key, text + f"or give {key} a fixed name", "topic")
        return self

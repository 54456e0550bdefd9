"""Every option, typed: what a YAML file may say, with units, defaults, limits and its documentation.

This file refuses to do anything but describe the configuration; config/file.py loads it with line numbers.
Errors between options are raised as `conflict`, so that the loader can point at the line.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, PrivateAttr, Strict, field_validator, model_validator

from lstm_stream.config.section import Section, conflict
from lstm_stream.config.sources import DEFAULT_GROUP as DEFAULT_GROUP
from lstm_stream.config.sources import Source as Source
from lstm_stream.config.sources import Timestamp as Timestamp
from lstm_stream.config.start import BASE, Start, read_start, shipped
from lstm_stream.config.values import (
    WEEK,
    Budget,
    Duration,
    EnvironmentName,
    EventTopic,
    File,
    Host,
    Number,
    Protocol,
    StatusTopic,
    Text,
    format_duration,
)
from lstm_stream.config.values import Part as Part
from lstm_stream.config.values import level_name as level_name
from lstm_stream.config.values import template_parts as template_parts
from lstm_stream.config.values import topic_levels as topic_levels
from lstm_stream.lstm.names import CellName

ViewName = Literal["forecast", "burst", "level", "surprise", "shape", "clock", "drift", "range", "stuck", "silence"]
VIEWS: tuple[ViewName, ...] = get_args(ViewName)


class TLS(Section):
    """Encryption of the broker connection."""

    enabled: bool = Field(default=False, description="Encrypt the connection; the port is then usually 8883.")
    ca_file: File | None = Field(
        default=None, description="Certificates to trust (PEM). null: those the operating system trusts."
    )
    cert_file: File | None = Field(
        default=None, description="Certificate to show to the broker (PEM), if it asks for one."
    )
    key_file: File | None = Field(default=None, description="The private key of cert_file (PEM).")

    @model_validator(mode="after")
    def _complete(self) -> TLS:
        for one, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
            if getattr(self, one) and not getattr(self, other):
                raise conflict(one, f"needs {other} beside it; give both, or neither", other)
        for name in ("ca_file", "cert_file"):
            if getattr(self, name) and not self.enabled:
                raise conflict(name, "has no effect while TLS is off; set enabled: true, or remove it", "enabled")
        return self


class Broker(Section):
    """The MQTT broker and the session kept with it."""

    host: Host = Field(default="localhost", description="Name or address of the broker.")
    port: int = Field(default=1883, ge=1, le=65535, description="TCP port of the broker; with TLS usually 8883.")
    protocol: Protocol = Field(default="3.1.1", description="Version of MQTT to speak: 3.1.1 or 5.")
    client_id: Text = Field(
        default="lstm_stream", description="Name of this session at the broker. No two clients may share one."
    )
    username: Text | None = Field(default=None, description="User to log in as. null: log in without one.")
    password_file: File | None = Field(default=None, description="File that holds the password and nothing else.")
    password_env: EnvironmentName | None = Field(
        default=None, description="Environment variable that holds the password, instead of password_file."
    )
    keepalive: Duration = Field(
        default=60.0, ge=5, le=65535, description="A connection silent for one and a half times as long counts as lost."
    )
    clean_session: bool = Field(
        default=False,
        description="true: the broker forgets what arrives while this daemon is away. false: it keeps it.",
    )
    session_expiry: Duration = Field(
        default=86400.0,
        ge=0,
        le=0xFFFFFFFF,
        description="MQTT 5: how long the broker keeps the session of an absent daemon.",
    )
    reconnect_min: Duration = Field(
        default=1.0, gt=0, description="First pause before connecting again; it doubles each time."
    )
    reconnect_max: Duration = Field(default=60.0, gt=0, description="Longest pause before connecting again.")
    receive_maximum: int = Field(
        default=1000,
        ge=1,
        le=65535,
        description="MQTT 5: messages the broker may send ahead of acknowledgement (QoS 1).",
    )
    tls: TLS = Field(default=TLS(), description="Encryption of the connection.")

    @model_validator(mode="after")
    def _consistent(self) -> Broker:
        if self.password_file and self.password_env:
            raise conflict("password_env", "is given beside password_file; keep one of the two", "password_file")
        password = "password_file" if self.password_file else "password_env" if self.password_env else ""
        if password and not self.username and self.protocol == "3.1.1":
            raise conflict(password, "needs a user in MQTT 3.1.1; give username as well", "username", "protocol")
        if self.reconnect_min > self.reconnect_max:
            text = f"is longer than reconnect_max ({format_duration(self.reconnect_max)}); make it the shorter one"
            raise conflict("reconnect_min", text, "reconnect_max")
        return self


class Model(Section):
    """The LSTM and its training."""

    cell: CellName = Field(
        default="standard",
        description="Variant of the LSTM cell: standard, peephole, coupled, elysium or ltms (which sees gaps).",
    )
    hidden: int = Field(default=16, ge=1, le=256, description="Hidden units. More cost more, and rarely find more.")
    weights: Literal["own", "shared"] = Field(
        default="own",
        description="own: each sensor learns its own weights. shared: all sensors of the group learn one set.",
    )
    seed: int = Field(default=1, ge=0, lt=2**63, description="Where the random numbers start: same seed, same scores.")
    start_from: File | None = Field(
        default=BASE,
        description="Weights that new sensors start from: a file as `lstm-stream pretrain` makes them. base: those of "
        "the package, where it has some for the model. null: random ones.",
    )
    _start: Start | None = PrivateAttr(default=None)

    def start(self, channels: int) -> Start | None:
        """The weights that sensors of so many channels start from; None where they are random."""
        return shipped(self.cell, self.hidden, channels) if self.start_from == BASE else self._start

    @model_validator(mode="after")
    def _read_start(self) -> Model:
        if self.start_from in (None, BASE) or self._start is not None:
            return self
        try:
            found = read_start(self.start_from)
        except ValueError as error:
            raise conflict("start_from", str(error)) from None
        if (found.shape.cell, found.shape.hidden) != (self.cell, self.hidden):
            text = (
                f"was made for cell {found.shape.cell} with hidden {found.shape.hidden}, but here it is {self.cell} "
                f"with {self.hidden}; write cell: {found.shape.cell} and hidden: {found.shape.hidden}, or make another "
                "file with lstm-stream pretrain"
            )
            raise conflict("start_from", text, "cell", "hidden")
        self._start = found
        return self


class Retraining(Section):
    """Online learning: when, with what, and whether to adopt."""

    enabled: bool = Field(default=True, description="Keep learning while running.")
    every: int = Field(default=512, ge=32, description="Samples of a sensor between two rounds of training.")
    history: int = Field(default=1024, ge=128, description="Latest samples of a sensor to keep and train on.")
    lag: int = Field(
        default=48, ge=1, description="Samples between the start of a round and the adoption of its weights."
    )
    epochs: int = Field(default=4, ge=1, description="Passes over the history in one round.")
    learning_rate: float = Field(default=4e-3, gt=0, le=1, description="Step size of the Adam optimiser.")
    clip: float = Field(default=1.0, gt=0, description="Largest norm of a gradient; longer ones are scaled down.")
    patience: Duration = Field(
        default=10.0, ge=0, description="How long the line waits for an overdue round of training."
    )


class Group(Section):
    """Sensors of one kind: they share hyper-parameters and, with `weights: shared`, one weight matrix."""

    false_alarms: Budget = Field(
        default=1 / WEEK,
        description="The alarm budget: how many false alarms you accept, per sensor per hour, day, week, ...",
    )
    warmup: int = Field(default=200, ge=64, description="Samples of a sensor before its first alarm.")
    accept_after: Duration = Field(
        default=3 * 86400.0, gt=0, description="An alarm open for so long is taken for the new normal."
    )
    views: Annotated[tuple[ViewName, ...], Strict(False)] = Field(
        default=VIEWS,
        description="What may raise an alarm. Leave out what your sensors do all the time, such as stuck or silence.",
    )
    profile: Literal["full", "lean"] = Field(
        default="full",
        description="full: everything known of a sensor, about 20 KB. lean: 2 KB, for fleets of a million; without the "
        "views surprise, shape and clock, and with shared weights only.",
    )
    model: Model = Field(default=Model(), description="The LSTM that forecasts.")
    retraining: Retraining = Field(default=Retraining(), description="Online learning.")

    @model_validator(mode="after")
    def _lean_means_shared(self) -> Group:
        if self.profile == "lean" and self.model.weights == "own":
            raise conflict("profile", "is lean, which needs one set of weights for all; write weights: shared", "model")
        return self

    @field_validator("views")
    @classmethod
    def _some_view(cls, views: tuple[ViewName, ...]) -> tuple[ViewName, ...]:
        if not views:
            raise ValueError("is an empty list; write at least one view, or remove the key")
        return views


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


class Web(Section):
    """Metrics, health and the status page."""

    enabled: bool = Field(default=True, description="Serve metrics, health and the status page over HTTP.")
    host: Host = Field(
        default="127.0.0.1", description="Address to listen on. 0.0.0.0: all of the machine's, open to its network."
    )
    port: int = Field(default=9108, ge=0, le=65535, description="TCP port to listen on. 0: any free one.")


class State(Section):
    """Where everything learned is kept."""

    path: File | None = Field(
        default=Path("lstm_stream.db"),
        description="File for everything learned, kept over restarts. null: keep nothing.",
    )
    every: Duration = Field(default=60.0, gt=0, description="Time between two saves; also saved at exit.")


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
    events: Events = Field(default=Events(), description="Anomaly events over MQTT.")
    web: Web = Field(default=Web(), description="Metrics, health and the status page.")
    state: State = Field(default=State(), description="Where everything learned is kept.")
    limits: Limits = Field(default=Limits(), description="What bounds memory.")
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

"""Every option, typed: what a YAML file may say, with units, defaults and limits.

This file refuses to do anything but describe and load configuration. Errors carry file:line:column.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

WEEK = 7 * 86400.0
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": WEEK}
_PERIODS = {"hour": 3600.0, "day": 86400.0, "week": WEEK, "month": 365.25 * 86400 / 12, "year": 365.25 * 86400}


def parse_duration(value: object) -> object:
    """Seconds from a number or text such as `90 s`, `5m`, `2 h`, `7d`."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9.]+)\s*([a-z]+)\s*", value)
        if match and match[2] in _UNITS:
            return float(match[1]) * _UNITS[match[2]]
        raise ValueError("not a duration; write seconds, or a number with ms, s, m, h, d or w, such as 5m")
    return value


def parse_budget(value: object) -> object:
    """False alarms per sensor and second from text such as `1 per sensor per week`."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9.]+)\s+per\s+sensor\s+per\s+([a-z]+)\s*", value)
        if match and match[2] in _PERIODS and float(match[1]) > 0:
            return float(match[1]) / _PERIODS[match[2]]
    raise ValueError("not an alarm budget; write for example: 1 per sensor per week (hour, day, week, month, year)")


Duration = Annotated[float, BeforeValidator(parse_duration)]


class Section(BaseModel):
    """Common to all sections: unknown keys are errors, values are frozen after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TLS(Section):
    """Encryption of the broker connection."""

    enabled: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


class Broker(Section):
    """The MQTT broker and the session kept with it."""

    host: str = "localhost"
    port: int = Field(1883, ge=1, le=65535)
    protocol: Literal["3.1.1", "5"] = "3.1.1"
    client_id: str = "lstm_stream"
    username: str | None = None
    password_file: Path | None = None
    password_env: str | None = None
    keepalive: Duration = Field(60.0, ge=5, le=65535)
    clean_session: bool = False
    session_expiry: Duration = Field(86400.0, ge=0)
    reconnect_min: Duration = Field(1.0, gt=0)
    reconnect_max: Duration = Field(60.0, gt=0)
    receive_maximum: int = Field(1000, ge=1, le=65535)
    tls: TLS = TLS()


class Timestamp(Section):
    """Where a sample's time comes from."""

    field: str | None = None  # None: the usual names (timestamp, time, ts, ...), else the arrival
    unit: Literal["auto", "iso", "s", "ms", "us", "ns"] = "auto"


class Source(Section):
    """One subscription: which topics, what they carry, whose samples they are."""

    topic: str = "sensors/{sensor}"
    qos: Literal[0, 1] = 1
    format: Literal["auto", "json", "value"] = "auto"
    sensor: str = "{sensor}"  # template over the topic's named levels
    group: str = "default"
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    separator: str = "."
    timestamp: Timestamp = Timestamp()


class Model(Section):
    """The LSTM and its training."""

    cell: Literal["standard"] = "standard"
    hidden: int = Field(16, ge=1, le=256)
    weights: Literal["own", "shared"] = "own"
    seed: int = Field(1, ge=0)


class Retraining(Section):
    """Online learning: when, with what, and whether to adopt."""

    enabled: bool = True
    every: int = Field(512, ge=32)  # samples of a sensor between rounds
    history: int = Field(1024, ge=64)  # samples of a sensor kept for it
    lag: int = Field(64, ge=1)  # samples between the start of a round and its adoption
    epochs: int = Field(4, ge=1)
    learning_rate: float = Field(4e-3, gt=0)
    clip: float = Field(1.0, gt=0)
    patience: Duration = Field(10.0, ge=0)  # how long the line waits for an overdue round


class Group(Section):
    """Sensors of one kind: they share hyper-parameters and, with `weights: shared`, one weight matrix."""

    false_alarms: Annotated[float, BeforeValidator(parse_budget)] = 1 / WEEK
    warmup: int = Field(400, ge=64)  # samples before the first alarm
    accept_after: Duration = Field(86400.0, gt=0)  # an alarm open so long is the new normal
    model: Model = Model()
    retraining: Retraining = Retraining()


class Events(Section):
    """Anomaly events over MQTT."""

    topic: str = "lstm_stream/{sensor}/anomaly"
    qos: Literal[0, 1, 2] = 1
    retain: bool = False
    status_topic: str = "lstm_stream/status"


class Web(Section):
    """Metrics, health and the status page."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = Field(9108, ge=0, le=65535)


class State(Section):
    """Where everything learned is kept."""

    path: Path | None = Path("lstm_stream.db")  # null: keep nothing
    every: Duration = Field(60.0, gt=0)


class Limits(Section):
    """What bounds memory."""

    sensors: int = Field(100_000, ge=1)
    channels: int = Field(32, ge=1)
    inbox: int = Field(100_000, ge=1)
    payload_bytes: int = Field(262_144, ge=16)
    depth: int = Field(16, ge=1)
    batch: int = Field(8192, ge=1)


class Log(Section):
    """What the daemon says on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Config(Section):
    """The whole file."""

    broker: Broker = Broker()
    sources: tuple[Source, ...] = (Source(),)
    groups: dict[str, Group] = {"default": Group()}
    events: Events = Events()
    web: Web = Web()
    state: State = State()
    limits: Limits = Limits()
    log: Log = Log()

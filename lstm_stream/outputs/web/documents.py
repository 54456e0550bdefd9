"""What the API answers, as types: orjson writes them, and openapi.py derives the schemas from them.

Times are unix seconds. A number that is unknown is null.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import WithJsonSchema

SensorState = Literal["warming", "watching", "alarmed", "silent"]
Learning = Literal["on", "paused", "off"]

# Columns go out as NumPy arrays, float32 where the numbers are: shorter to write and to send than Python's floats.
Numbers = Annotated[Any, WithJsonSchema({"type": "array", "items": {"type": ["number", "null"]}})]
Alarm = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "description": "An alarm's latest event as it is published (docs/events.md); `why` and `channels` are of "
            "its opening.",
            "required": [
                *("id", "sensor", "group", "state", "view", "reason", "why"),
                *("opened_unix", "severity", "channels", "acknowledged"),
            ],
            "properties": {
                "id": {"type": "string"},
                "sensor": {"type": "string"},
                "group": {"type": "string"},
                "state": {"enum": ["opened", "closed"]},
                "view": {"type": "string"},
                "reason": {"type": "string"},
                "why": {"type": "string", "description": "Why it opened: the reason, while it is open."},
                "opened_unix": {"type": ["number", "null"]},
                "closed_unix": {"type": ["number", "null"]},
                "score": {"type": ["number", "null"]},
                "threshold": {"type": ["number", "null"]},
                "generation": {"type": "integer"},
                "severity": {"type": ["string", "null"]},
                "acknowledged": {
                    "type": ["object", "null"],
                    "properties": {"by": {"type": "string"}, "at": {"type": "number"}},
                    "required": ["by", "at"],
                },
                "channels": {"type": "object"},
            },
        }
    ),
]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request was not answered, and what would be right."""

    error: str
    hint: str


@dataclass(frozen=True, slots=True)
class BrokerState:
    """The broker's connection. `problem` is empty while there is none."""

    address: str
    connected: bool
    subscribed: bool
    problem: str


@dataclass(frozen=True, slots=True)
class MessageCounts:
    """Messages since the start, and their rate over the last ten seconds."""

    total: int
    per_s: float
    dropped: int
    rejected: int


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """Samples scored since the start, and their rate over the last ten seconds."""

    total: int
    per_s: float


@dataclass(frozen=True, slots=True)
class SensorCounts:
    """Sensors by what they are doing now."""

    warming: int
    watching: int
    alarmed: int
    silent: int


@dataclass(frozen=True, slots=True)
class AlarmCounts:
    """Alarms open, those of them that nobody has acknowledged, and how many opened within a day of data time."""

    open: int
    unacknowledged: int
    opened_day: int


@dataclass(frozen=True, slots=True)
class Budget:
    """False alarms that a group asks for, per sensor and week, against all alarms that opened, real ones included.

    `kept_per_week` is null until sensors past their warm-up have been watched for a day together.
    """

    group: str
    asked_per_week: float
    kept_per_week: float | None
    sensor_weeks: float


@dataclass(frozen=True, slots=True)
class RetrainingCounts:
    """Rounds of training since the start; `last` is when the latest ended, `paused` counts sensors and groups."""

    last: float | None
    adopted: int
    rejected: int
    late: int
    failed: int
    paused: int


@dataclass(frozen=True, slots=True)
class Rates:
    """Messages a second over the last ten minutes."""

    time: Numbers
    messages: Numbers


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many sensors' samples are kept for charts, and how many may be (web.recorded)."""

    sensors: int
    limit: int


@dataclass(frozen=True, slots=True)
class Overview:
    """How the daemon is. `commands`: whether this page may send any; `data_time`: the sensors' own, the latest."""

    version: str
    now: float
    started: float
    healthy: bool
    ready: bool
    checks: dict[str, str]
    broker: BrokerState
    messages: MessageCounts
    samples: SampleCounts
    sensors: SensorCounts
    alarms: AlarmCounts
    budget: list[Budget]
    retraining: RetrainingCounts
    rates: Rates
    recorded: Recorded
    commands: bool
    data_time: float | None


@dataclass(frozen=True, slots=True)
class SensorItem:
    """A sensor in the list. `spark` has the latest scores as multiples of the threshold; empty: not recorded."""

    group: str
    sensor: str
    state: SensorState
    score: float | None
    threshold: float | None
    last: float | None
    generation: int
    channels: list[str]
    learning: Learning
    alarm: str | None
    spark: Numbers


@dataclass(frozen=True, slots=True)
class SensorList:
    """A page of the sensors that were asked for; `total` counts all of them."""

    total: int
    items: list[SensorItem]


@dataclass(frozen=True, slots=True)
class Latest:
    """A channel at the sensor's last sample."""

    value: float | None
    expected: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class SensorView:
    """One sensor. `count` are its samples, `interval` the usual time between two in s, `warmup` samples it needs."""

    group: str
    sensor: str
    state: SensorState
    score: float | None
    threshold: float | None
    last: float | None
    generation: int
    channels: list[str]
    learning: Learning
    alarm: str | None
    spark: Numbers
    count: int
    interval: float | None
    warmup: int
    recorded: bool
    open: Alarm | None
    latest: dict[str, Latest]


@dataclass(frozen=True, slots=True)
class ChannelSeries:
    """One channel's samples with what was expected; `low` is the value, or the lowest of those a point stands for."""

    value: Numbers
    low: Numbers
    expected: Numbers
    lower: Numbers
    upper: Numbers


@dataclass(frozen=True, slots=True)
class AlarmMark:
    """An alarm on a chart: `reason` is why it opened, `ended` why it closed; `closed` and it are null while open."""

    id: str
    opened: float
    closed: float | None
    view: str
    severity: str | None
    reason: str
    ended: str | None


@dataclass(frozen=True, slots=True)
class RetrainingMark:
    """The end of a round of training on a chart."""

    time: float
    generation: int
    result: str


@dataclass(frozen=True, slots=True)
class Series:
    """A sensor's recorded samples. Before `fine_since` a point stands for `step` seconds, from then on for a sample."""

    time: Numbers
    score: Numbers
    threshold: Numbers
    channels: dict[str, ChannelSeries]
    alarms: list[AlarmMark]
    retrainings: list[RetrainingMark]
    step: float
    fine_since: float | None


@dataclass(frozen=True, slots=True)
class AlarmList:
    """Alarms, the latest first."""

    items: list[Alarm]


@dataclass(frozen=True, slots=True)
class Generation:
    """One round of training: held-back losses of the former and the new weights. `kept`: it can be rolled back to."""

    generation: int
    at: float
    result: str
    champion: float | None
    challenger: float | None
    seconds: float
    current: bool
    kept: bool


@dataclass(frozen=True, slots=True)
class PackedState:
    """A sensor's state (base64), or with an empty name what its group shares; equal signatures mean equal layouts."""

    group: str
    sensor: str
    channels: list[str]
    signature: str
    state: str


@dataclass(frozen=True, slots=True)
class Learned:
    """What `lstm-stream state export` writes of a sensor."""

    items: list[PackedState]


@dataclass(frozen=True, slots=True)
class Models:
    """The history of a sensor's weights, or of those its group shares; the latest first."""

    generations: list[Generation]


@dataclass(frozen=True, slots=True)
class Sample:
    """The latest message or sample that was rejected for some reason. What it carried is not told."""

    topic: str
    detail: str
    at: float


@dataclass(frozen=True, slots=True)
class RejectionCount:
    """How often something was rejected for one reason."""

    reason: str
    count: int
    latest: Sample


@dataclass(frozen=True, slots=True)
class UnmatchedTopic:
    """A topic that no source takes."""

    topic: str
    count: int


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far a sensor's timestamps are ahead of their arrival, in s; behind: negative. The median of its latest."""

    group: str
    sensor: str
    offset: float


@dataclass(frozen=True, slots=True)
class Problems:
    """Why it may not be working."""

    rejections: list[RejectionCount]
    unmatched: list[UnmatchedTopic]
    clocks: list[ClockOffset]
    hints: list[str]


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """A command that was given, and what became of it."""

    id: str
    at: float
    by: str
    verb: str
    group: str
    sensor: str
    argument: str
    comment: str
    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class CommandList:
    """Commands, the latest first."""

    items: list[CommandRecord]


@dataclass(frozen=True, slots=True)
class CommandReply:
    """What became of a command, in a sentence."""

    ok: bool
    text: str
    id: str

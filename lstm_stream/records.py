"""The records that travel along the line.

    Message -> Reading -> Samples -> Verdicts -> Event      one by one
    Chunk   -> Rows    ->                                   many at once
                  \\-> Rejection

This file holds types only: no behaviour beyond trivial derivations, no I/O, no config.
Times are unix seconds (float64, UTC); arrays are structure-of-arrays, in arrival order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Message(NamedTuple):
    """One MQTT PUBLISH as received. `time` is its arrival (unix s)."""

    topic: str
    payload: bytes
    time: float
    retain: bool = False
    qos: int = 0
    mid: int = 0


APART = 2.0**-21
"""Seconds between the arrivals of messages that came together: two float64 of this century, so that all differ."""


class Chunk:
    """N MQTT PUBLISHes as they came from the broker, in one buffer.

    `table` (N, 6) int32 has of each where its topic begins, the topic's length, where its payload begins, the
    payload's length, the first byte of its packet (1: retained, 2: QoS 1, 8: delivered again) and its packet id;
    `arrivals` (N,) has the time of its arrival, unix s.
    """

    __slots__ = ("arrivals", "data", "session", "table")

    def __init__(self, data: bytes, table: NDArray[np.int32], arrivals: NDArray[np.float64], session: int = 0) -> None:
        self.data = data
        self.table = table
        self.arrivals = arrivals
        self.session = session  # of the packet ids

    def __len__(self) -> int:
        return len(self.table)

    @property
    def is_acknowledged(self) -> NDArray[np.bool_]:
        """Which have a QoS above 0 (N,): the broker waits to hear of them."""
        return self.table[:, 4] & 6 > 0

    def only(self, which: slice | NDArray[np.bool_]) -> Chunk:
        """Some of the messages."""
        return Chunk(self.data, self.table[which], self.arrivals[which], self.session)

    def message(self, k: int) -> Message:
        """Message number k. Of a topic that is not text, which no source takes, nothing is left."""
        start, length, payload, size, first, packet_id = self.table[k].tolist()
        qos = first >> 1 & 3
        try:
            topic = self.data[start : start + length].decode()
        except UnicodeDecodeError:
            topic = ""
        mid = self.session << 16 | packet_id if qos else 0
        content = self.data[payload : payload + size]
        return Message(topic, content, float(self.arrivals[k]), bool(first & 1), qos, mid)

    def messages(self) -> list[Message]:
        """All of them."""
        return [self.message(k) for k in range(len(self))]


class Reading(NamedTuple):
    """One sample as decoded, before it has a slot: a sensor's channels at one instant.

    `timed` is False where the payload carried no timestamp and `time` is the message's arrival.
    """

    sensor: str
    group: str
    time: float
    values: dict[str, float]
    timed: bool = True
    retain: bool = False


class Presence(NamedTuple):
    """What a device says of itself: it is there, or will not be."""

    sensor: str
    group: str
    online: bool
    at: float | None  # unix s; None where the message is retained, so of any age
    muted: bool  # the sensor's silence is then no alarm
    below: bool = False  # it speaks for all sensors below it as well: node/device


@dataclass(slots=True)
class Rows:
    """M samples of sensors of one group that have the same D channels, decoded without becoming readings.

    Sensors have numbers, and keep them: number n of a `names` is one sensor for ever.
    """

    group: str
    channels: tuple[str, ...]  # sorted
    names: list[str]  # of the sensors, by number
    number: NDArray[np.int32]  # (M,)
    at: NDArray[np.int64]  # (M,) the number of its message in the batch, increasing
    time: NDArray[np.float64]  # (M,) unix s
    values: NDArray[np.float64]  # (M, D) NaN = absent, at least one of a row is present
    arrival: NDArray[np.float64]  # (M,) of the message, unix s
    timed: NDArray[np.bool_]  # (M,) False where `time` is the arrival

    def __len__(self) -> int:
        return len(self.number)

    def only(self, which: NDArray[np.bool_]) -> Rows:
        """Some of them."""
        return Rows(
            *(self.group, self.channels, self.names, self.number[which], self.at[which], self.time[which]),
            *(self.values[which], self.arrival[which], self.timed[which]),
        )

    def reading(self, k: int) -> Reading:
        """Row k as a reading."""
        values = zip(self.channels, self.values[k].tolist(), strict=True)
        present = {name: value for name, value in values if value == value}
        sensor = self.names[self.number[k]]
        return Reading(sensor, self.group, float(self.time[k]), present, bool(self.timed[k]))


@dataclass(slots=True)
class Decoded:
    """What was in a batch of messages: samples as readings or rows, in each the order of arrival."""

    readings: list[Reading] = field(default_factory=list)
    at: list[int] = field(default_factory=list)  # of each reading: the number of its message in the batch
    arrivals: list[float] = field(default_factory=list)  # of each reading's message, unix s
    rejections: list[Rejection] = field(default_factory=list)
    rows: list[Rows] = field(default_factory=list)
    presences: list[Presence] = field(default_factory=list)  # in order of arrival


class Reason(str, Enum):
    """Why a message or sample was not scored. The value is the metrics label; keep the set small."""

    UNKNOWN_TOPIC = "unknown_topic"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    MALFORMED = "malformed"
    NO_CHANNELS = "no_channels"
    BAD_TIMESTAMP = "bad_timestamp"
    BAD_SENSOR = "bad_sensor"
    RETAINED = "retained"
    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out_of_order"
    TOO_MANY_CHANNELS = "too_many_channels"
    UNKNOWN_CHANNEL = "unknown_channel"
    TOO_MANY_SENSORS = "too_many_sensors"
    SEQUENCE_GAP = "sequence_gap"  # messages were lost before this one, which is scored all the same
    UNSUPPORTED = "unsupported"  # for want of an optional package
    INTERNAL = "internal"


class Rejection(NamedTuple):
    """Something that was not understood or not accepted: counted, shown, acknowledged, never fatal."""

    reason: Reason
    detail: str
    topic: str = ""


@dataclass(slots=True)
class Samples:
    """A batch of M samples of one group with D channels, in arrival order. A slot may occur several times."""

    slot: NDArray[np.int32]  # (M,) row of the sensor in the group's arrays
    time: NDArray[np.float64]  # (M,) unix s, increasing per slot
    values: NDArray[np.float64]  # (M, D) NaN = absent

    def __len__(self) -> int:
        return len(self.slot)


class View(int, Enum):
    """Which view of the signal leads a score."""

    NONE = 0
    FORECAST = 1
    BURST = 2
    LEVEL = 3
    SURPRISE = 4
    SHAPE = 5
    CLOCK = 6
    DRIFT = 7
    RANGE = 8
    STUCK = 9
    SILENCE = 10


@dataclass(slots=True)
class Verdicts:
    """What the detector says of a batch of samples; the row order is that of the samples."""

    expected: NDArray[np.float64]  # (M, D) in the channel's own unit
    lower: NDArray[np.float64]  # (M, D) beyond it the forecast alone would raise an alarm; NaN while unknown
    upper: NDArray[np.float64]  # (M, D)
    score: NDArray[np.float64]  # (M,) -log10 of the calibrated tail probability; 0 while too little is known
    threshold: NDArray[np.float64]  # (M,) the score at which the alarm budget is spent; inf while warming up
    contribution: NDArray[np.float64]  # (M, D) share of each channel in the leading view, sums to 1 or is all 0
    view: NDArray[np.int8]  # (M,) the leading View
    anomaly: NDArray[np.bool_]  # (M,) an alarm is open after this sample


@dataclass(frozen=True, slots=True)
class ChannelEvidence:
    """What one channel showed when an event was made. Absent observation or forecast: None."""

    actual: float | None
    expected: float | None
    lower: float | None
    upper: float | None
    contribution: float


@dataclass(frozen=True, slots=True)
class Event:
    """An alarm that opened or closed. `id` is derived from its cause, so that a repeat is recognisable."""

    id: str
    sensor: str
    group: str
    state: Literal["opened", "closed"]
    view: str  # forecast | burst | level | surprise | shape | clock | drift | range | stuck | silence
    reason: str  # a sentence for a technician
    opened: float  # data time, unix s
    closed: float | None  # data time, unix s
    score: float  # at opening; at closing: the peak
    threshold: float
    generation: int  # of the weights that made the forecast
    channels: dict[str, ChannelEvidence] = field(default_factory=dict)


class Packed(NamedTuple):
    """One sensor's whole state as bytes, to be stored or sent elsewhere.

    `sensor` is empty for what a group with shared weights keeps once. Equal signatures mean equal layouts. An empty
    state: the sensor was removed.
    """

    group: str
    sensor: str
    channels: tuple[str, ...]
    signature: str
    state: bytes


Verb = Literal["acknowledge", "normal", "accept", "pause", "resume", "rollback", "forget", "undo"]


class Command(NamedTuple):
    """What a person asks of the line. It is kept like a message, so that a restart repeats it at the same place."""

    id: str
    verb: Verb
    group: str
    sensor: str  # empty: all of the group
    by: str  # who
    at: float  # unix s, wall clock
    argument: str = ""  # of acknowledge and normal: the event's id; of rollback: the generation; of undo: the command
    comment: str = ""
    weights: bytes = b""  # of rollback: float32, as the state keeps them


STATES = ("warming", "watching", "alarmed", "silent")
"""What a sensor is doing, by the codes of an `Overview`."""


@dataclass(slots=True)
class Overview:
    """All sensors at a glance, as arrays; row k of each is the same sensor."""

    group: list[str]
    sensor: list[str]
    channels: list[tuple[str, ...]]
    state: NDArray[np.uint8]  # (S,) place in STATES
    score: NDArray[np.float32]  # (S,) of the last sample; NaN: none since the start
    threshold: NDArray[np.float32]  # (S,) of the last sample; inf while warming up, NaN: none since the start
    last: NDArray[np.float64]  # (S,) data time of the last sample, unix s
    generation: NDArray[np.int32]  # (S,) of the weights
    learning: NDArray[np.bool_]  # (S,) False: paused, or off by the configuration
    acknowledged: NDArray[np.bool_]  # (S,) somebody knows of the alarm that is open
    alarm: list[str | None]  # id of the alarm that is open


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a command; `text` is a sentence for the person."""

    ok: bool
    text: str
    events: tuple[Event, ...] = ()


class Lost(NamedTuple):
    """A round of training that ended without being heard: it came too late, or failed. A replay repeats that."""

    group: str
    sensor: str  # empty: the group's shared weights
    channels: tuple[str, ...]
    samples: int  # of the sensor or the group, before which it was to be adopted
    result: str = ""  # late | failed


class Adoption(NamedTuple):
    """How a round of training ended. `weights` (P,) float32 where they were adopted, else None."""

    group: str
    sensor: str  # empty: the group's shared weights
    channels: tuple[str, ...]
    generation: int  # in force afterwards
    result: str  # adopted | rejected | late | failed | rollback
    champion: float  # held-back loss
    challenger: float
    seconds: float
    weights: NDArray[np.float32] | None

"""What the loop of the daemon needs of its parts, and what travels through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lstm_stream.detect.fleet import Outcome
from lstm_stream.records import Adoption, Chunk, Decoded, Message, Rejection


class Inbox(Protocol):
    """Where messages wait."""

    def take(self, limit: int, timeout: float) -> list[Message | Chunk]:
        """Up to `limit` messages, waiting at most `timeout` s for the first."""
        ...


class Decoder(Protocol):
    """From payloads to samples."""

    def decode_all(self, items: Sequence[Message | Chunk]) -> Decoded:
        """What is in a batch of messages. Never raises."""
        ...


class Session(Protocol):
    """The broker."""

    @property
    def connected(self) -> bool:
        """Whether it is there now."""
        ...

    def stop_intake(self) -> None:
        """Accept no further message; the broker will deliver it again."""
        ...

    def acknowledge(self, messages: Sequence[Message | Chunk]) -> None:
        """Their effect is done."""
        ...

    def recall(self, messages: Sequence[Message | Chunk]) -> None:
        """Their effect was done by a process before this one, which may not have told the broker."""
        ...


class Observer(Protocol):
    """Told of what the line does, in the worker's thread."""

    def on_turn(self, turn: Turn) -> None:
        """A batch is through."""
        ...

    def on_upkeep(self, sensors: dict[str, int], rounds: Sequence[Adoption]) -> None:
        """Sensors by state, and the retraining rounds finished since the last call."""
        ...

    def on_save(self, seconds: float, error: str | None) -> None:
        """The state was saved, or could not be."""
        ...


@dataclass(slots=True)
class Turn:
    """One batch on its way through the line."""

    messages: Sequence[Message | Chunk]
    decoded: Decoded = field(default_factory=Decoded)
    rejections: list[Rejection] = field(default_factory=list)  # of every stage
    outcome: Outcome = field(default_factory=Outcome)
    seconds: dict[str, float] = field(default_factory=dict)  # by stage

    @property
    def samples(self) -> int:
        """How many were scored."""
        return sum(len(batch.samples) for batch in self.outcome.batches)

    @property
    def size(self) -> int:
        """How many messages it took."""
        return sum(len(item) if isinstance(item, Chunk) else 1 for item in self.messages)

    @property
    def is_awaited(self) -> bool:
        """Whether the broker waits to hear of a message."""
        return any(item.is_acknowledged.any() if isinstance(item, Chunk) else item.qos for item in self.messages)

    @property
    def latest(self) -> float | None:
        """The time of the sample that came last, unix s; None where none came."""
        d = self.decoded
        ends = [(rows.at[-1], rows.time[-1]) for rows in d.rows]
        ends += [(d.at[-1], d.readings[-1].time)] if d.readings else []
        return float(max(ends)[1]) if ends else None

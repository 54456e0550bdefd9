"""What undoing the latest commands needs, kept with the state: bounded, the oldest goes first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from lstm_stream.records import Packed

MOST = 200  # commands
BYTES = 4 * 2**20
SIGNATURE = "undo-1"


class Part(NamedTuple):
    """One sensor that a command changed; of shared weights the sensor is empty."""

    sensor: str
    channels: tuple[str, ...]
    before: bytes


class Done(NamedTuple):
    """A command that was obeyed."""

    verb: str
    group: str
    parts: tuple[Part, ...]

    @property
    def nbytes(self) -> int:
        """What it takes, about."""
        return sum(len(part.before) + len(part.sensor) + 64 for part in self.parts)


class Ledger:
    """The latest commands, by id."""

    def __init__(self) -> None:
        self._done: dict[str, Done] = {}
        self._changed: set[str] = set()  # since the state was saved

    def __contains__(self, identity: str) -> bool:
        return identity in self._done

    def __getitem__(self, identity: str) -> Done:
        return self._done[identity]

    def put(self, identity: str, done: Done) -> bool:
        """Keep it; False where it is too large to be."""
        if done.nbytes > BYTES:
            return False
        self._done[identity] = done
        self._changed.add(identity)
        while len(self._done) > MOST or sum(one.nbytes for one in self._done.values()) > BYTES:
            self.remove(next(iter(self._done)))
        return True

    def remove(self, identity: str) -> None:
        """It cannot be undone any more."""
        del self._done[identity]
        self._changed.add(identity)

    def after(self, identity: str) -> Iterator[tuple[str, Done]]:
        """Those that came later."""
        identities = list(self._done)
        for one in identities[identities.index(identity) + 1 :]:
            yield one, self._done[one]

    def pack(self) -> Iterator[Packed]:
        """What changed since `saved` was called: a row of no group for each command."""
        for identity in [
            *(one for one in self._done if one in self._changed),
            *sorted(self._changed - set(self._done)),
        ]:
            done = self._done.get(identity)
            yield Packed("", "", (identity,), SIGNATURE, b"" if done is None else _to_bytes(done))

    def saved(self) -> None:
        """What was packed is safe."""
        self._changed.clear()

    def unpack(self, packed: Packed) -> None:
        """The inverse of `pack`, one by one in order. Raises ValueError where it cannot be read."""
        if packed.signature != SIGNATURE or len(packed.channels) != 1:
            raise ValueError("what undoing needs was saved by another version")
        self._done[packed.channels[0]] = _from_bytes(packed.state)


def _to_bytes(done: Done) -> bytes:
    parts = [[part.sensor, part.channels, len(part.before)] for part in done.parts]
    head = json.dumps({"verb": done.verb, "group": done.group, "parts": parts}).encode()
    return b"\n".join((head, b"".join(part.before for part in done.parts)))


def _from_bytes(data: bytes) -> Done:
    head, _, rest = data.partition(b"\n")
    try:
        read, parts, start = json.loads(head), [], 0
        for sensor, channels, size in read["parts"]:
            parts.append(Part(sensor, tuple(channels), rest[start : start + size]))
            start += size
        return Done(read["verb"], read["group"], tuple(parts))
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"what undoing needs cannot be read: {error!r}") from None

"""From messages to readings as the service wants them: decoded, counters as rates, pieces joined or resampled.

    Decoder -> Counters -> Join or Resample -> readings

Only sources that ask for it pay for it. These remember; the decoder's explanations do not depend on it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import groupby

import orjson

from lstm_stream.config import Limits, Source
from lstm_stream.ingest.channels import Channels
from lstm_stream.ingest.chunks import joined
from lstm_stream.ingest.counters import Counters
from lstm_stream.ingest.decoder import Decoder, Explanation
from lstm_stream.ingest.fast import Fast
from lstm_stream.ingest.join import Join
from lstm_stream.ingest.resample import Resample
from lstm_stream.records import Chunk, Decoded, Message, Presence, Reading, Rejection

_log = logging.getLogger(__name__)

_FIRST = 16  # messages read at once while nothing is known
_MARGIN = 0.25  # s between a message's arrival and its being taken, at most, while the inbox is empty


class Assembly:
    """A decoder and what comes after it. Equal sequences of messages give equal readings, whatever the batches."""

    def __init__(
        self,
        sources: Sequence[Source],
        limits: Limits,
        clock: Callable[[], float] = time.time,
        groups: Collection[str] | None = None,
    ) -> None:
        self._clock = clock
        self._counters = Counters(limits.sensors)
        self._join = Join(limits.sensors)
        self._resample = Resample(limits.sensors)
        self._presences: list[Presence] = []  # since the last batch
        self._read_by(sources, Decoder(sources, limits, groups), limits)

    def configure(self, sources: Sequence[Source], limits: Limits, groups: Collection[str] | None = None) -> None:
        """Read what comes from now on by these sources; births, counters and pieces that wait are kept."""
        decoder = Decoder(sources, limits, groups)
        decoder.edges = self._decoder.edges
        for kept in (self._counters, self._join, self._resample):
            kept.most = limits.sensors
        self._read_by(sources, decoder, limits)
        self._plain &= not (self._join or self._resample)  # what waits there must come out

    _plain: bool

    def _read_by(self, sources: Sequence[Source], decoder: Decoder, limits: Limits) -> None:
        self._decoder = decoder
        self._fast = Fast(sources, limits, decoder.find)
        self._counted = {id(source): Channels(source.counters, ()) for source in sources if source.counters}
        self._plain = not self._counted and not any(source.join or source.resample for source in sources)
        self._sources = sources  # keeps the ids above alive

    def decode_all(self, items: Sequence[Message | Chunk]) -> Decoded:
        """What is in a batch of messages, as decode() says. Never raises."""
        result = Decoded()
        count = 0
        for together, some in groupby(items, lambda item: isinstance(item, Chunk)):
            if together:
                for chunk in self._pieces(joined([item for item in some if isinstance(item, Chunk)])):
                    self._decode_chunk(chunk, count, result)
                    count += len(chunk)
                continue
            for message in some:
                assert isinstance(message, Message)
                self._add(self.decode(message), message, count, result)
                count += 1
        result.rows = self._fast.rows()
        result.presences, self._presences = self._presences, []
        return result

    def _pieces(self, chunk: Chunk) -> Iterator[Chunk]:
        """All of it, as soon as something is known: what the first messages teach makes those after them cheap."""
        start, size = 0, _FIRST
        while start + size < len(chunk) and not self._fast.knows:
            yield chunk.only(slice(start, start + size))
            start, size = start + size, 4 * size
        yield chunk.only(slice(start, None)) if start else chunk

    def _decode_chunk(self, chunk: Chunk, first: int, result: Decoded) -> None:
        """A chunk whose first message is number `first` of the batch: rows as far as possible, else readings."""
        number, left = self._fast.read(chunk, first)
        for k in left.tolist():
            message = chunk.message(k)
            seen = self._decoder.explain(message)
            self._add(self._completed(message, seen), message, first + k, result)
            self._fast.learn(message, int(number[k]), seen)
        if not self._plain and len(chunk):
            last = chunk.message(len(chunk) - 1)
            self._add((self.held(last.time), []), last, first + len(chunk) - 1, result)

    @staticmethod
    def _add(decoded: tuple[list[Reading], list[Rejection]], message: Message, number: int, result: Decoded) -> None:
        readings, rejections = decoded
        result.readings += readings
        result.at += [number] * len(readings)
        result.arrivals += [message.time] * len(readings)
        result.rejections += rejections

    def decode(self, message: Message) -> tuple[list[Reading], list[Rejection]]:
        """The readings that a message completes, of any sensor, and what was rejected of it. Never raises."""
        return self._completed(message, self._decoder.explain(message))

    def _completed(self, message: Message, seen: Explanation) -> tuple[list[Reading], list[Rejection]]:
        if seen.presence is not None:
            self._presences.append(seen.presence)
        if self._plain:
            return seen.readings, seen.rejections
        readings, rejections = self.held(message.time), seen.rejections
        for reading in seen.readings:
            for result in self._passed(reading, seen.settings, message):
                if isinstance(result, Rejection):
                    rejections.append(result._replace(topic=message.topic))
                else:
                    readings.append(result)
        return readings, rejections

    def _passed(self, reading: Reading, source: Source | None, message: Message) -> Sequence[Reading | Rejection]:
        """What comes of one reading of the decoder."""
        counted = self._counted.get(id(source))
        result = reading if counted is None else self._counters.rates(reading, counted)
        if source is None or isinstance(result, Rejection):
            return [result]
        if source.resample:
            return self._resample.add(result, message.time, source.resample)
        return self._join.add(result, message.time, source.join) if source.join else [result]

    def memory(self) -> str | None:
        """What is worth keeping of what was heard, as text: births, counters, what waits. None: nothing is."""
        kept = {
            "births": self._decoder.edges.memory(),
            "counters": self._counters.memory(),
            "join": self._join.memory(),
            "resample": self._resample.memory(),
        }
        return orjson.dumps(kept).decode() if any(kept.values()) else None

    def remember(self, memory: str | None) -> None:
        """Take up what memory() said before the start. What cannot be read is told, and forgotten."""
        if memory is None:
            return
        try:
            kept = orjson.loads(memory)
            self._decoder.edges.remember(kept["births"])
            self._counters.remember(kept["counters"])
            self._join.remember(kept.get("join", []))  # files of before have none
            self._resample.remember(kept.get("resample", []))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            _log.warning("births and counters in the state cannot be read, and are learned anew: %r", error)

    def due_by(self) -> float:
        """The time (unix s) up to which no further message is on its way, while the inbox is empty."""
        return self._clock() - _MARGIN

    def held(self, now: float) -> list[Reading]:
        """The readings that had waited long enough for more by a time (unix s); by an infinite one, all."""
        return self._join.due(now) + self._resample.due(now)

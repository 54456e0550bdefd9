"""From messages to readings as the service wants them: decoded, counters as rates, pieces joined or resampled.

    Decoder -> Counters -> Join or Resample -> readings

Only sources that ask for it pay for it. These remember; the decoder's explanations do not depend on it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from lstm_stream.config import Limits, Source
from lstm_stream.ingest.channels import Channels
from lstm_stream.ingest.counters import Counters
from lstm_stream.ingest.decoder import Decoder
from lstm_stream.ingest.join import Join
from lstm_stream.ingest.resample import Resample
from lstm_stream.records import Chunk, Decoded, Message, Reading, Rejection

_MARGIN = 0.25  # s between a message's arrival and its being taken, at most, while the inbox is empty


class Assembly:
    """A decoder and what comes after it. Equal sequences of messages give equal readings, whatever the batches."""

    def __init__(self, sources: Sequence[Source], limits: Limits, clock: Callable[[], float] = time.time) -> None:
        self._decoder = Decoder(sources, limits)
        self._clock = clock
        self._counters = Counters(limits.sensors)
        self._join = Join(limits.sensors)
        self._resample = Resample(limits.sensors)
        self._counted = {id(source): Channels(source.counters, ()) for source in sources if source.counters}
        self._plain = not self._counted and not any(source.join or source.resample for source in sources)
        self._sources = sources  # keeps the ids above alive

    def decode_all(self, items: Sequence[Message | Chunk]) -> Decoded:
        """What is in a batch of messages, as decode() says. Never raises."""
        result = Decoded()
        count = 0
        for item in items:
            for message in item.messages() if isinstance(item, Chunk) else (item,):
                readings, rejections = self.decode(message)
                result.readings += readings
                result.at += [count] * len(readings)
                result.arrivals += [message.time] * len(readings)
                result.rejections += rejections
                count += 1
        return result

    def decode(self, message: Message) -> tuple[list[Reading], list[Rejection]]:
        """The readings that a message completes, of any sensor, and what was rejected of it. Never raises."""
        if self._plain:
            return self._decoder.decode(message)
        readings = self._due(message.time)
        seen = self._decoder.explain(message)
        rejections = seen.rejections
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

    def _due(self, now: float) -> list[Reading]:
        return self._join.due(now) + self._resample.due(now)

    def held(self, final: bool) -> list[Reading]:
        """The readings that have waited long enough for more, told while no messages come; or, finally, all."""
        return self._due(math.inf if final else self._clock() - _MARGIN)

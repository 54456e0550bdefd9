"""Counters become rates: what a channel counted since its previous sample, per second.

Rules:
1. The first value of a counter makes no rate, nor does one that is less than the one before: the counter began anew.
   The channel is absent from that sample.
2. A sample that is not newer than the previous one makes no rate and is not remembered.
3. After a restart the first rate is that since the value before it: what was remembered is saved.
"""

from __future__ import annotations

from typing import Any

from lstm_stream.ingest.channels import Channels
from lstm_stream.records import Reading, Reason, Rejection


class Counters:
    """The previous values of all counters, of `most` sensors at most."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._sensors: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}  # channel -> time, value

    def memory(self) -> list[Any]:
        """The previous values, as JSON can hold them."""
        return [[*key, known] for key, known in self._sensors.items()]

    def remember(self, memory: list[Any]) -> None:
        """Take up what memory() said; raises ValueError or TypeError where it is something else."""
        for group, sensor, known in memory[: self.most]:
            values = {str(name): (float(time), float(value)) for name, (time, value) in known.items()}
            self._sensors[(str(group), str(sensor))] = values

    def rates(self, reading: Reading, counters: Channels) -> Reading | Rejection:
        """The reading with rates in place of the channels that `counters` takes."""
        counted = [name for name in reading.values if counters.takes(name)]
        if not counted:
            return reading
        known = self._sensors.get((reading.group, reading.sensor))
        if known is None:
            if len(self._sensors) >= self.most:
                detail = f"{reading.sensor!r} is one sensor with counters too many; raise limits.sensors ({self.most})"
                return Rejection(Reason.TOO_MANY_SENSORS, detail)
            known = self._sensors[(reading.group, reading.sensor)] = {}
        values = dict(reading.values)
        for name in counted:
            rate = _rate(known, name, reading.time, values.pop(name))
            if rate is not None:
                values[name] = rate
        if not values:
            return Rejection(Reason.NO_CHANNELS, "counters only, and no earlier values to tell their rates from")
        return reading._replace(values=values)


def _rate(known: dict[str, tuple[float, float]], name: str, time: float, value: float) -> float | None:
    """Per second since the previous value; None where that cannot be told."""
    before = known.get(name)
    if before is not None and time <= before[0]:
        return None
    known[name] = (time, value)
    return (value - before[1]) / (time - before[0]) if before is not None and value >= before[1] else None

"""What was found: injected faults against alarms. Pure.

Rules:
1. The window of a fault is from its start to its end and `grace` beyond, for what it leaves behind: a level that
   returns is a jump, too.
2. A fault is found if an alarm of its sensor opens in its window; the delay is that of the first such alarm, from the
   start of the fault, in data time. Several alarms in one window are one find.
3. An alarm that opens in no window of its sensor is false, also where it is still open when a fault begins.
4. Only faults that began before the end of the run count.
5. The budget covers the time watched: after warm-up, outside the windows, where alone an alarm can be false.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lstm_stream.simulate import DAY, Fault, Series

_SLACK = 0.5  # s; times travel as text
WEEK = 7 * DAY


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm of the daemon; times are data time, unix s. `closed` is None while it is open."""

    sensor: str
    opened: float
    closed: float | None
    view: str
    reason: str
    score: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one fault: the alarm that found it, or None."""

    fault: Fault
    alarm: Alarm | None

    @property
    def delay(self) -> float | None:
        """Data seconds from the start of the fault to the alarm; None if it was missed."""
        return None if self.alarm is None else max(0.0, self.alarm.opened - self.fault.start)


@dataclass(frozen=True, slots=True)
class Score:
    """What became of all faults, and the alarms that belong to none."""

    outcomes: tuple[Outcome, ...]
    false_alarms: tuple[Alarm, ...]

    @property
    def injected(self) -> int:
        """Faults that began."""
        return len(self.outcomes)

    @property
    def found(self) -> int:
        """Faults with an alarm in their window."""
        return sum(outcome.alarm is not None for outcome in self.outcomes)

    @property
    def median_delay(self) -> float | None:
        """Data seconds over the faults that were found; None without one."""
        delays = [outcome.delay for outcome in self.outcomes if outcome.delay is not None]
        return statistics.median(delays) if delays else None


class Windows:
    """The windows of the faults, to look up by sensor and time."""

    def __init__(self, faults: Iterable[Fault], grace: float) -> None:
        self.grace = grace
        self._faults: dict[str, list[Fault]] = {}
        for fault in faults:
            self._faults.setdefault(fault.sensor, []).append(fault)

    def find(self, sensor: str, time: float) -> Fault | None:
        """The fault of this sensor in whose window `time` falls; the later one, should two claim it."""
        inside = [f for f in self._faults.get(sensor, ()) if f.start - _SLACK <= time <= f.end + self.grace]
        return max(inside, key=lambda fault: fault.start, default=None)

    def seconds(self, sensor: str, begin: float, end: float) -> float:
        """How much of [begin, end] lies in windows of this sensor."""
        total, reached = 0.0, begin
        for fault in sorted(self._faults.get(sensor, ()), key=lambda fault: fault.start):
            first, last = max(fault.start, reached), min(fault.end + self.grace, end)
            total += max(0.0, last - first)
            reached = max(reached, last)
        return total


def grace_of(interval: float) -> float:
    """Seconds after the end of a fault in which an alarm still counts as its own, for this sampling interval."""
    return max(3600.0, 12 * interval)


def score(faults: Iterable[Fault], alarms: Iterable[Alarm], end: float, grace: float) -> Score:
    """Which fault was found by which alarm, for a run that ended at data time `end`."""
    began = [fault for fault in faults if fault.start < end]
    windows = Windows(began, grace)
    first: dict[Fault, Alarm] = {}
    false = []
    for alarm in sorted(alarms, key=lambda alarm: alarm.opened):
        fault = windows.find(alarm.sensor, alarm.opened)
        if fault is None:
            false.append(alarm)
        else:
            first.setdefault(fault, alarm)
    return Score(tuple(Outcome(fault, first.get(fault)) for fault in began), tuple(false))


def watched_weeks(series: Sequence[Series], faults: Iterable[Fault], end: float, grace: float, warmup: int) -> float:
    """Sensor-weeks until `end` in which an alarm would be false: after `warmup` samples, outside the windows."""
    windows = Windows(faults, grace)
    seconds = 0.0
    for one in series:
        if len(one.time) >= warmup and one.time[warmup - 1] < end:
            begin = float(one.time[warmup - 1])
            seconds += end - begin - windows.seconds(one.sensor, begin, end)
    return seconds / WEEK

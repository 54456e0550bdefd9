"""How the demo says things: durations, simulated times, faults and alarms in a few words. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

from lstm_stream.demo.chronicle import Happening
from lstm_stream.demo.score import Alarm
from lstm_stream.simulate import Fault


def duration(seconds: float) -> str:
    """45 s, 12 min, 3.5 h, 20.8 d."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} d"


def moment(time: float) -> str:
    """A simulated time: Mon 01-05 14:05."""
    return f"{datetime.fromtimestamp(time, timezone.utc):%a %m-%d %H:%M}"


def fault(one: Fault) -> str:
    """What was injected: `level shift +5.2 power`."""
    size = ""
    if one.kind == "frequency_change":
        size = f" x{one.magnitude:.1f}"
    elif one.kind == "noise_burst":
        size = f" {one.magnitude:.1f}"
    elif one.magnitude:
        size = f" {one.magnitude:+.1f}"
    return f"{one.kind.replace('_', ' ')}{size} {','.join(one.channels)}"


def alarm(one: Alarm, since: float | None) -> str:
    """What was detected: `level after 12 min, 3.1 h long`; `since` is the start of its fault."""
    after = "" if since is None else f" after {duration(max(0.0, one.opened - since))}"
    lasted = "open" if one.closed is None else duration(one.closed - one.opened)
    return f"{one.view}{after}, {lasted}"


def verdict(one: Happening) -> str:
    """What came of it: found, missed, false alarm, or nothing yet."""
    if one.fault is None:
        return "false alarm"
    if one.alarm is not None:
        return "found"
    return "missed" if one.settled else ""


def story(one: Happening) -> Iterator[tuple[float, str, str]]:
    """(data time, what, more about it) of all that is known of it, in order."""
    alarm = one.alarm
    if one.fault is not None:
        yield one.fault.start, "fault injected", f": {fault(one.fault)}"
    if one.missed and one.fault is not None:
        yield one.fault.end, "fault missed", f": {fault(one.fault)}"
    if alarm is None:
        return
    if one.fault is None:
        yield alarm.opened, "false alarm opened", f": {alarm.view}"
    else:
        late = duration(max(0.0, alarm.opened - one.fault.start))
        yield alarm.opened, "alarm opened", f": {alarm.view}, {late} into {fault(one.fault)}"
    if alarm.closed is not None:
        yield alarm.closed, "alarm closed", f" after {duration(alarm.closed - alarm.opened)}"

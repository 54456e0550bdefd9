"""How the demo says things: durations, simulated times, faults and alarms in a few words. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

from lstm_stream.demo.chronicle import Happening
from lstm_stream.simulate import Fault


def duration(seconds: float) -> str:
    """45 s, 12 min, 3.5 h, 20.8 d."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} d"


def moment(time: float, form: str = "%a %m-%d %H:%M") -> str:
    """A simulated time: Mon 01-05 14:05."""
    return datetime.fromtimestamp(time, timezone.utc).strftime(form)


def fault(one: Fault) -> str:
    """What was injected: `level shift +5.2 power`; without a channel it is all of them."""
    size = ""
    if one.kind == "frequency_change":
        size = f" x{one.magnitude:.1f}"
    elif one.kind == "noise_burst":
        size = f" {one.magnitude:.1f}"
    elif one.magnitude:
        size = f" {one.magnitude:+.1f}"
    channel = f" {one.channels[0]}" if len(one.channels) == 1 else ""
    return f"{one.kind.replace('_', ' ')}{size}{channel}"


def alarm(one: Happening) -> str:
    """What was detected: `level after 12 min`."""
    if one.alarm is None:
        return ""
    if one.fault is None:
        return one.alarm.view
    return f"{one.alarm.view} after {duration(max(0.0, one.alarm.opened - one.fault.start))}"


def verdict(one: Happening) -> str:
    """What came of it: found, missed, false, or nothing yet."""
    if one.fault is None:
        return "false"
    if one.alarm is not None:
        return "found"
    return "missed" if one.settled else ""


def story(one: Happening) -> Iterator[tuple[float, str, str]]:
    """(data time, what, more about it) of all that is known of it, in order."""
    if one.fault is not None:
        yield one.fault.start, "fault injected", f": {fault(one.fault)}"
    if one.missed and one.fault is not None:
        yield one.fault.end, "fault missed", f": {fault(one.fault)}"
    if one.alarm is None:
        return
    if one.fault is None:
        yield one.alarm.opened, "false alarm opened", f": {one.alarm.view}"
    else:
        yield one.alarm.opened, "alarm opened", f": {alarm(one)} of {fault(one.fault)}"
    if one.alarm.closed is not None:
        yield one.alarm.closed, "alarm closed", f" after {duration(one.alarm.closed - one.alarm.opened)}"

"""What a person's word does to one sensor of a detector, and how it is taken back."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lstm_stream.detect import acceptance, calibration, excuses, freeze
from lstm_stream.detect.alarm import REFRACTORY
from lstm_stream.detect.detector import Detector
from lstm_stream.detect.line import DOUBT
from lstm_stream.detect.slots import SlotArrays
from lstm_stream.records import Event, View

NORMAL = ("excused", "excuses", "allowed_run", "allowed_gap", "lowest", "highest")  # what `normal` changes
TAUGHT = ("histogram", "fit")  # ... where there are no patterns
ROUNDS = 400  # blocks that an alarm is learned as at most, where there are no patterns
MARGIN = 0.25  # of what a value was out of range by

F8 = NDArray[np.float64]
Alarm = tuple[View, float]  # and when it opened, unix s


def finished(d: Detector, slot: int) -> list[Alarm]:
    """The alarms of a sensor that are over, but whose pattern is still known."""
    a, alarms = d.arrays, []
    if a.episode.shape[1] and not a.open[slot] and a.opened[slot] > 0:
        alarms.append((View(int(a.leading[slot])), float(a.opened[slot])))
    if a.silence.shape[1] and a.silence[slot, 1] > 0:
        alarms.append((View.SILENCE, float(a.silence[slot, 0])))
    return alarms


# --- was normal


def normal(d: Detector, slot: int, alarm: Alarm, now: float, by: str) -> list[Event]:
    """The pattern of this alarm, open or finished, is normal: the event that closes it, if it is open."""
    a, view = d.arrays, alarm[0]
    if view is View.SILENCE:
        return _normal_silence(d, slot, alarm, now, by)
    is_open = bool(a.open[slot])
    if a.episode.shape[1]:
        _widen(a, slot, *np.split(a.episode[slot].astype(np.float64)[-2 * len(d.channels) :], 2))
        a.hushed[slot, 0] = a.quiet[slot] > 0 or is_open  # what is still to come of it is normal, too
        if not a.hushed[slot, 0]:
            excuses.keep(a.episode[slot], a.deviation[slot], a.excused[slot], a.excuses[slot : slot + 1])
    else:
        _teach(a, slot, d.group.false_alarms)
        rows = (int(a.count[slot]) - np.arange(1, 1 + acceptance.lasted(a, slot))) % a.past_value.shape[1]
        seen = acceptance.values(a, slot, rows)
        _widen(a, slot, np.fmin.reduce(seen), np.fmax.reduce(seen))
    _allow_runs(a, slot, view, is_open)
    if not is_open:
        return []
    event = d.closing(slot, *alarm, float(a.time[slot]), f"marked normal{by}")
    if not a.episode.shape[1]:
        _close(a, slot)
        a.peak[slot], a.quiet[slot] = 0.0, 0  # whatever else comes is to be told at once
    return [event]


def _normal_silence(d: Detector, slot: int, alarm: Alarm, now: float, by: str) -> list[Event]:
    a = d.arrays
    if np.isnan(a.silent_since[slot]) or a.silent_since[slot] != alarm[1]:
        a.allowed_gap[slot] = max(a.allowed_gap[slot], freeze.ALLOWANCE * a.silence[slot, 1])
        return []
    event = d.closing(slot, *alarm, now, f"marked normal{by}")
    a.hushed[slot, 1] = True  # how long it is will be known when it ends
    return [event]


def _widen(a: SlotArrays, slot: int, low: F8, high: F8) -> None:
    """The range takes in these values (D,), NaN where there are none, and somewhat more."""
    lowest, highest = a.lowest[slot].copy(), a.highest[slot].copy()
    a.lowest[slot] = np.fmin(lowest, low - MARGIN * (lowest - low))
    a.highest[slot] = np.fmax(highest, high + MARGIN * (high - highest))


def _allow_runs(a: SlotArrays, slot: int, view: View, is_open: bool) -> None:
    """Repeated values that go on are normal to their end, those of an alarm that is over as long as they were."""
    limit = np.maximum(freeze.SHORTEST, freeze.FACTOR * a.longest[slot])
    if is_open:
        a.allowed_run[slot] = np.where(a.run[slot] >= limit, np.inf, a.allowed_run[slot])
    if view is View.STUCK and a.frozen_run.shape[1]:
        a.allowed_run[slot] = np.maximum(a.allowed_run[slot], freeze.ALLOWANCE * a.frozen_run[slot])


def _teach(a: SlotArrays, slot: int, budget: float) -> None:
    """Learn what the open alarm has shown as so many blocks that it would not even be doubtful."""
    row, peak = np.array([slot], np.int32), excuses.WIDER * a.maximum[slot]
    votes, leading = np.ones(len(View)), np.zeros(1, np.int8)
    threshold = calibration.thresholds(row, a.interval, a.strictness, a.count, budget)
    for _ in range(ROUNDS):
        if calibration.score(row, peak[None], np.zeros(1), a.fit, votes, leading)[0] < DOUBT * threshold[0]:
            break
        excuses.teach(peak, a.histogram[slot], a.fit[slot])


def _close(a: SlotArrays, slot: int) -> None:
    a.open[slot] = False
    a.maximum[slot], a.block[slot] = 0.0, 0


# --- accepted as the new normal


def accept(d: Detector, slot: int, now: float, by: str) -> tuple[list[Event], acceptance.Shift]:
    """Close what is open; the present level is normal."""
    a, events = d.arrays, []
    for alarm in d.open_alarms(slot):
        if alarm[0] is View.SILENCE:
            events += _normal_silence(d, slot, alarm, now, by)
        else:
            reason = f"accepted as the new normal{by}"
            events.append(d.closing(slot, *alarm, float(a.time[slot]), reason))
    if not a.open[slot]:
        return events, acceptance.Shift(np.zeros(len(d.channels)), 0)
    _close(a, slot)
    a.quiet[slot], a.hushed[slot, 0] = REFRACTORY, False
    return events, acceptance.accept(a, d.learner, slot)


# --- learning


def pause(d: Detector, slot: int, paused: bool) -> None:
    """Nothing is learned from what comes; the round under way leads to nothing."""
    d.arrays.paused[slot] = paused
    if paused:
        d.arrays.doubtful[slot] = True
        d.learner.drop(slot)


# --- taken back


def snapshot(a: SlotArrays, slot: int, fields: Iterable[str]) -> bytes:
    """These fields of a sensor as bytes."""
    return b"".join(getattr(a, name)[slot].tobytes() for name in fields)


def restore(a: SlotArrays, slot: int, fields: Iterable[str], data: bytes) -> bytes:
    """The inverse of `snapshot`; returns what of the bytes is left."""
    for name in fields:
        array = getattr(a, name)
        size = array[slot].nbytes
        array[slot] = np.frombuffer(data[:size], array.dtype).reshape(array.shape[1:])
        data = data[size:]
    return data


def changed_by_normal(a: SlotArrays) -> tuple[str, ...]:
    """The fields that `normal` changes."""
    return NORMAL if a.episode.shape[1] else (*NORMAL, *TAUGHT)


def take_back_normal(d: Detector, slot: int, before: bytes) -> None:
    """What was known before counts again."""
    a = d.arrays
    restore(a, slot, changed_by_normal(a), before)
    if a.hushed[slot, 0]:  # it was told that it closed: if it goes on, it is another alarm
        _close(a, slot)
        a.hushed[slot, 0], a.peak[slot], a.quiet[slot] = False, 0.0, 0


def take_back_accept(d: Detector, slot: int, before: bytes) -> None:
    """The sensor is measured by the former level again; what came since is seen from there."""
    a, channels = d.arrays, len(d.channels)
    offset = np.frombuffer(before[: 8 * channels], np.float64)
    samples, count = (int(n) for n in np.frombuffer(before[8 * channels : 8 * channels + 16], np.int64))
    if samples:
        acceptance.move(a, slot, acceptance.Shift(-offset, samples + int(a.count[slot]) - count))
        d.learner.rebuild(slot)
        a.level[slot], a.quiet[slot], a.peak[slot] = 0.0, 0, 0.0
    restore(a, slot, (*acceptance.KEPT, "allowed_gap"), before[8 * channels + 16 :])


def accepted_bytes(shift: acceptance.Shift, count: int, before: bytes) -> bytes:
    """What `take_back_accept` needs; `before` is the snapshot of acceptance.KEPT and the allowed gap."""
    return shift.offset.tobytes() + np.array([shift.samples, count], np.int64).tobytes() + before

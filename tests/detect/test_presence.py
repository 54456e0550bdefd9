"""Silences of sensors whose devices said that they go offline: told with it, or not told, until they are back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lstm_stream.detect.presence import Presences
from lstm_stream.records import Event, Presence

AT = 1_790_000_000.0
SILENT = Event("1", "G/N/D", "g", "opened", "silence", "no samples", AT + 300, None, 0.0, 0.0, 1)
BACK = replace(SILENT, id="2", state="closed", closed=AT + 900, reason="samples again")


def _said(
    online: bool, at: float | None = AT, sensor: str = "G/N/D", muted: bool = False, below: bool = False
) -> Presence:
    return Presence(sensor, "g", online, at, muted, below)


def test_the_alarm_says_when_the_device_went_offline() -> None:
    presences = Presences(10)
    presences.hear([_said(False), _said(False, AT + 50)])
    [told] = presences.told([SILENT])
    assert told.reason == "no samples; the device reported itself offline at 2026-09-21 14:13:20 UTC"
    assert presences.told([BACK]) == [BACK]


def test_a_retained_message_does_not_say_when() -> None:
    presences = Presences(10)
    presences.hear([_said(False, None)])
    assert presences.told([SILENT])[0].reason == "no samples; the device reported itself offline"


@pytest.mark.parametrize("end", [_said(True), None])
def test_online_again_or_samples_again_end_it(end: Presence | None) -> None:
    presences = Presences(10)
    presences.hear([_said(False)])
    if end is None:
        presences.told([SILENT, BACK])
    else:
        presences.hear([end])
    assert presences.told([SILENT]) == [SILENT]


def test_other_sensors_and_other_alarms_are_told_as_they_are() -> None:
    presences = Presences(10)
    presences.hear([_said(False, muted=True)])
    events = [replace(SILENT, sensor="G/N/E"), replace(SILENT, group="h"), replace(SILENT, view="forecast")]
    assert presences.told(events) == events


def test_a_node_speaks_for_its_devices_only_where_it_is_one() -> None:
    presences = Presences(10)
    presences.hear([_said(False, sensor="G/N", below=True)])
    assert "offline" in presences.told([SILENT])[0].reason
    presences.hear([_said(True, sensor="G/N", below=True), _said(False, sensor="G/N")])
    assert presences.told([SILENT]) == [SILENT]


def test_muted_neither_the_silence_nor_its_end_is_told() -> None:
    presences = Presences(10)
    presences.hear([_said(False, muted=True)])
    assert presences.told([SILENT, BACK]) == []
    assert presences.told([SILENT, BACK]) == [SILENT, BACK]


@pytest.mark.parametrize("sensor", ["G/N/D", "G/N"])
def test_a_muted_silence_is_told_if_the_device_is_back_and_nothing_comes(sensor: str) -> None:
    presences = Presences(10)
    below = sensor == "G/N"
    presences.hear([_said(False, sensor=sensor, muted=True, below=below)])
    assert presences.told([SILENT]) == []
    assert presences.overdue(AT + 1e6) == []  # as long as it is offline
    presences.hear([_said(True, AT + 1000, sensor=sensor, below=below)])
    assert presences.overdue(AT + 1299) == []
    [told] = presences.overdue(AT + 1300)
    assert told.reason == "no samples; the device is online again, yet sends none"
    assert presences.told([BACK]) == [BACK]
    assert presences.overdue(AT + 1e6) == []


def test_a_muted_silence_is_not_told_if_samples_come_or_the_device_goes_again() -> None:
    presences = Presences(10)
    presences.hear([_said(False, muted=True)])
    presences.told([SILENT])
    presences.hear([_said(True, AT + 1000), _said(False, AT + 1010, muted=True)])
    assert presences.overdue(AT + 1e6) == []
    presences.hear([_said(True, AT + 2000)])
    assert presences.told([BACK]) == []
    assert presences.overdue(AT + 1e6) == []


def test_what_is_remembered_is_bounded() -> None:
    presences = Presences(1)
    presences.hear([_said(False, sensor="other"), _said(False)])
    assert presences.told([SILENT]) == [SILENT]

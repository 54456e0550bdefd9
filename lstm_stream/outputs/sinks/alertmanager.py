"""Alarms as Alertmanager's API v2 takes them: POST /api/v2/alerts.

1. An alert is its labels: group, sensor, view and severity. To end one, the same labels are needed; those of alarms
   that opened before this process began are not known, so all severities are ended then.
2. An alert without an end is over after Alertmanager's resolve_timeout, and we tell of an alarm once: an open one is
   given an end far ahead.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from lstm_stream.config.outlets import Severity, SeverityName
from lstm_stream.outputs.events import dumps, iso, text
from lstm_stream.outputs.outbox import Letter
from lstm_stream.outputs.severity import SEVERITIES, severity_of
from lstm_stream.records import Event

NAME = "LstmStreamAnomaly"
LONGEST = 30 * 86400.0  # s that an alert stays without being ended
REMEMBERED = 10_000  # open alarms


class Alerts:
    """Makes what is posted of a letter; `rule` gives the rule of severities in force."""

    def __init__(self, rule: Callable[[], Severity]) -> None:
        self._rule = rule
        self._severity: OrderedDict[str, SeverityName] = OrderedDict()  # at opening, by cause

    def __call__(self, letter: Letter) -> bytes:
        """The body of the request."""
        event = letter.event
        cause = event.id.rpartition("-")[0]
        if event.state == "opened":
            self._severity[cause] = severity_of(event, self._rule())
            if len(self._severity) > REMEMBERED:
                self._severity.popitem(last=False)
            return dumps([_alert(event, self._severity[cause])])
        # kept: the request may have to be repeated
        known = self._severity.get(cause)
        return dumps([_alert(event, one) for one in ([known] if known else SEVERITIES)])


def _alert(event: Event, severity: SeverityName) -> dict[str, Any]:
    return {
        "labels": {
            "alertname": NAME,
            "group": text(event.group),
            "sensor": text(event.sensor),
            "view": event.view,
            "severity": severity,
        },
        "annotations": {
            "summary": f"{text(event.sensor)} does not behave like itself",
            "description": text(event.reason),
            "alarm": text(event.id.rpartition("-")[0]),
        },
        "startsAt": iso(event.opened),
        "endsAt": iso(event.opened + LONGEST if event.closed is None else max(event.closed, event.opened + 0.001)),
    }

"""Incidents: alarms that open together are told as one, and told anew when it grows or ends.

1. Alarms belong together by their group, or by how their sensors' names begin (`by`), and join an incident that is open
   within `within` seconds of data time of its latest alarm. Which belong to which follows from the events alone: the
   log of events brings it back after a restart.
2. An incident is told `wait` seconds of our clock after its first news, and after further news likewise.
3. Its letters stay in the outbox until it is told.
4. Memory is bounded: so many incidents, so many members each; the oldest incident goes, a full one is followed by
   another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from lstm_stream.config.outlets import Grouping, Severity
from lstm_stream.outputs.events import SCHEMA, dumps, iso, text
from lstm_stream.outputs.outbox import Letter
from lstm_stream.outputs.severity import severity_of, worst
from lstm_stream.records import Event

INCIDENTS, MEMBERS = 1000, 1000  # that are remembered, at most
SHOWN = 100  # members in a document, the first


class Told(NamedTuple):
    """An incident as a letter, and the letters that it stands for."""

    letter: Letter
    covers: tuple[Letter, ...]


@dataclass(slots=True)
class Incident:
    """Alarms that opened together. `members` has the latest event of each, by its cause."""

    label: str
    members: dict[str, Event] = field(default_factory=dict)
    latest: float = 0.0  # data time at which the latest opened
    news: list[Letter] = field(default_factory=list)  # not told yet
    due: float = 0.0  # monotonic time at which they will be
    told: int = 0  # members, the last time

    @property
    def first(self) -> Event:
        """The alarm that it began with."""
        return next(iter(self.members.values()))

    @property
    def opened(self) -> float:
        """Data time, unix s."""
        return min(event.opened for event in self.members.values())

    @property
    def closed(self) -> float | None:
        """Data time, unix s; None while an alarm is open."""
        ends = [event.closed for event in self.members.values()]
        known = [end for end in ends if end is not None]
        return max(known) if len(known) == len(ends) else None


class Incidents:
    """Those of one sink. `topic` gives the topic of an event, for sinks that have topics."""

    def __init__(self, settings: Grouping, rule: Severity, topic: Callable[[Event], str], version: str) -> None:
        self._settings = settings
        self._by = None if settings.by == "group" else re.compile(settings.by)
        self.rule = rule
        self._topic = topic
        self._version = version
        self._open: dict[str, list[Incident]] = {}  # by label, the latest last
        self._of: dict[str, Incident] = {}  # by cause

    def recall(self, events: Iterable[Event]) -> None:
        """Events that were told before this process began, in order."""
        for event in events:
            incident = self._join(event)
            incident.told = len(incident.members)
            self._forget_ended(incident)

    def sort(self, letters: Sequence[Letter], wall: float, monotonic: float) -> list[Told]:
        """Take letters in; the incidents that are due to be told, at wall-clock time `wall` (unix s)."""
        for letter in letters:
            incident = self._join(letter.event)
            if not incident.news:
                incident.due = monotonic + self._settings.wait
            incident.news.append(letter)
        due = [one for incidents in self._open.values() for one in incidents if one.news and one.due <= monotonic]
        told = [self._tell(incident, wall) for incident in due]
        for incident in due:
            self._forget_ended(incident)
        return sorted(told, key=lambda one: one.letter.seq)

    # --- which belongs to which

    def _join(self, event: Event) -> Incident:
        cause = event.id.rpartition("-")[0]
        incident = self._of.get(cause)
        if incident is None:
            incident = self._latest(event)
            incident.latest = max(incident.latest, event.opened)
            self._of[cause] = incident
        incident.members[cause] = event if cause not in incident.members else _ended(incident.members[cause], event)
        return incident

    def _latest(self, event: Event) -> Incident:
        """The incident that an alarm joins, or a new one."""
        label = self._label(event)
        incidents = self._open.setdefault(label, [])
        if incidents and event.state == "opened":
            last = incidents[-1]
            if len(last.members) < MEMBERS and abs(event.opened - last.latest) <= self._settings.within:
                return last
        incidents.append(Incident(label, latest=event.opened))
        self._bound()
        return self._open[label][-1]

    def _label(self, event: Event) -> str:
        if self._by is None:
            return f"group {event.group}"
        found = self._by.search(event.sensor)
        if found is None:
            return event.sensor
        return " ".join(part for part in found.groups() if part) or found[0] or event.sensor

    def _bound(self) -> None:
        if sum(map(len, self._open.values())) > INCIDENTS:
            self._forget(next(iter(self._open.values()))[0])

    def _forget_ended(self, incident: Incident) -> None:
        if incident.closed is not None and not incident.news:
            self._forget(incident)

    def _forget(self, incident: Incident) -> None:
        for cause in incident.members:
            self._of.pop(cause, None)
        left = [one for one in self._open[incident.label] if one is not incident]
        if left:
            self._open[incident.label] = left
        else:
            del self._open[incident.label]

    # --- how it is told

    def _tell(self, incident: Incident, wall: float) -> Told:
        news, incident.news = tuple(incident.news), []
        first, closed = incident.first, incident.closed
        reason = in_words(incident)
        cause = first.id.rpartition("-")[0]
        event = replace(
            first,
            id=f"{cause}-incident",
            sensor=incident.label,
            state="opened" if closed is None else "closed",
            reason=reason,
            opened=incident.opened,
            closed=closed,
            score=max(member.score for member in incident.members.values()),
            channels={},
        )
        payload = dumps(self._document(incident, event, wall))
        incident.told = len(incident.members)
        return Told(Letter(news[-1].seq, event, payload, self._topic(first)), news)

    def _document(self, incident: Incident, event: Event, wall: float) -> dict[str, Any]:
        members = list(incident.members.values())
        severities = [severity_of(member, self.rule) for member in members]
        state = "closed" if incident.closed is not None else "updated" if incident.told else "opened"
        return {
            "schema": SCHEMA,
            "version": self._version,
            "kind": "incident",
            "id": text(event.id),
            "label": text(incident.label),
            "group": text(event.group),
            "state": state,
            "severity": worst(severities),
            "reason": text(event.reason),
            "opened": iso(event.opened),
            "opened_unix": event.opened,
            "closed": iso(event.closed),
            "closed_unix": event.closed,
            "processed": iso(wall),
            "processed_unix": wall,
            "alarms": len(members),
            "alarms_open": sum(member.closed is None for member in members),
            "members": [_member(*one) for one in zip(members[:SHOWN], severities[:SHOWN], strict=True)],
        }


def in_words(incident: Incident) -> str:
    """What happened, in a sentence for a technician."""
    members = list(incident.members.values())
    sensors = len({(member.group, member.sensor) for member in members})
    first = incident.first
    if sensors == 1:
        return f"{first.sensor}: {members[-1].reason}"
    if incident.closed is not None:
        lasted = _lasting(incident.closed - incident.opened)
        return f"all {sensors} sensors of {incident.label} are back to normal after {lasted}"
    if incident.told and len(members) == incident.told:
        still = len({(m.group, m.sensor) for m in members if m.closed is None})
        return f"{still} of {sensors} sensors of {incident.label} still deviate"
    together = _lasting(incident.latest - incident.opened)
    return f"{sensors} sensors of {incident.label} changed within {together}, {first.sensor} first: {first.reason}"


def _ended(opened: Event, closed: Event) -> Event:
    """The alarm as it was when it opened, with its end: its reason says more than that of the end."""
    return replace(opened, state=closed.state, closed=closed.closed, score=max(opened.score, closed.score))


def _member(event: Event, severity: str) -> dict[str, Any]:
    return {
        "id": text(event.id),
        "sensor": text(event.sensor),
        "group": text(event.group),
        "state": event.state,
        "view": event.view,
        "severity": severity,
        "reason": text(event.reason),
        "opened": iso(event.opened),
        "closed": iso(event.closed),
        "score": event.score,
        "threshold": event.threshold,
    }


def _lasting(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"

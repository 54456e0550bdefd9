"""The verdict: what the daemon has after all its deaths, beside a run of the same messages that nobody killed.

1. Every published message is in the journal once: none was lost, none counted twice.
2. A process that goes through the whole journal in one go, from nothing, ends with the same state, bit by bit, and
   with the same events.
3. So does, for sensors whose samples bear their time, one that is fed with what was published, without any journal.
4. The events that a listener heard are those events.
"""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lstm_stream.config import Config
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.trainer import Trainer
from lstm_stream.ingest.assembly import Assembly
from lstm_stream.journal.entries import Entry, Messages, from_bytes
from lstm_stream.journal.inputs import records
from lstm_stream.journal.journal import Journal
from lstm_stream.outputs.outbox import Outbox
from lstm_stream.records import Event, Message
from lstm_stream.service import Service
from lstm_stream.store import Store

Key = tuple[str, str, tuple[str, ...]]  # group, sensor, channels
States = dict[Key, tuple[str, bytes]]


class Recorded(Journal):
    """A journal that was written by others."""

    def __init__(self, outbox: Outbox, turns: Sequence[list[Entry]]) -> None:
        super().__init__(None, outbox)
        self._turns = turns

    def replay(self, after: int) -> Iterator[list[Entry]]:
        assert after == 0
        yield from self._turns


class Nobody:
    """A broker that is not there."""

    connected = False

    def recall(self, messages: Any) -> None:
        """Not asked."""

    stop_intake = acknowledge = recall


@dataclass
class Reference:
    """A run from nothing through all turns, in this process."""

    config: Config
    events: dict[str, Event] = field(default_factory=dict)

    def run(self, turns: Sequence[list[Entry]]) -> None:
        """Go through them."""
        trainer = Trainer()
        trainer.open()
        fleet = Fleet(self.config.groups, self.config.limits, trainer)
        self.assembly = Assembly(self.config.sources, self.config.limits, groups=self.config.groups)
        journal = Recorded(Outbox([], self._hear), turns)
        nobody: Any = Nobody()
        service = Service(nobody, self.assembly, fleet, nobody, journal, None, math.inf, 1, held=self.assembly.held)
        service.replay(None)
        self.states = states_of(fleet)
        trainer.close()

    def _hear(self, event: Event) -> tuple[str, bytes]:
        self.events[event.id] = event
        return "", b""


def states_of(fleet: Fleet) -> States:
    """Everything, by sensor."""
    return {(p.group, p.sensor, p.channels): (p.signature, p.state) for p in fleet.pack() if p.state}


def turns_in(folder: Path) -> list[list[Entry]]:
    """The turns in all files of a journal that were kept. Raises ValueError where one is missing."""
    found: dict[int, bytes] = {}
    files = sorted(folder.iterdir(), key=lambda path: [int(part) for part in path.name.split("-")])
    for path in files:
        for position, record, _ in records(path):
            if position > 0 and found.setdefault(position, record) != record:
                raise ValueError(f"{path.name}: two turns have the position {position}")
    missing = set(range(1, len(found) + 1)) - found.keys()
    if missing:
        raise ValueError(f"the journal lacks the positions {sorted(missing)[:10]}")
    return [list(from_bytes(found[position])) for position in sorted(found)]


def topics_of(messages: Iterable[tuple[str, bytes]]) -> dict[str, list[bytes]]:
    """Payloads in order, by topic."""
    result: defaultdict[str, list[bytes]] = defaultdict(list)
    for topic, payload in messages:
        result[topic].append(payload)
    return dict(result)


def received(turns: Iterable[list[Entry]]) -> Iterator[tuple[str, bytes]]:
    """The messages of a journal."""
    for entries in turns:
        for entry in entries:
            if isinstance(entry, Messages):
                for chunk in entry.items:
                    messages = [chunk] if isinstance(chunk, Message) else chunk.messages()
                    yield from ((m.topic, m.payload) for m in messages)


def differences(ours: Mapping[Any, Any], theirs: Mapping[Any, Any], what: str) -> list[str]:
    """Where two mappings differ, in words."""
    wrong = [f"{what} {key} is missing" for key in theirs.keys() - ours.keys()]
    wrong += [f"{what} {key} should not be" for key in ours.keys() - theirs.keys()]
    return wrong + [f"{what} {key} differs" for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]]


def judge(folder: Path, config: Config, sent: Sequence[tuple[str, bytes]], heard: Counter[str]) -> list[str]:
    """What is wrong; nothing, if all is well."""
    turns = turns_in(folder / "kept")
    wrong = differences(topics_of(received(turns)), topics_of(sent), "what came on")
    reference = Reference(config)
    reference.run(turns)
    states, memory = final(config)
    wrong += differences(states, reference.states, "the state of")
    if memory != (reference.assembly.memory() or ""):
        wrong.append("what the assembly remembers differs")
    wrong += differences(dict.fromkeys(heard), dict.fromkeys(reference.events), "the event")
    return wrong + judge_stamped(config, sent, states)


def judge_stamped(config: Config, sent: Sequence[tuple[str, bytes]], states: States) -> list[str]:
    """What is wrong with the sensors whose samples bear their time, beside a run without any journal."""
    plain = Reference(config)
    stamped = [Message(topic, payload, 4e9, qos=1) for topic, payload in sent if topic.startswith(("own/", "shared/"))]
    plain.run([[Messages(stamped[k : k + 100])] for k in range(0, len(stamped), 100)])
    expected = {key: state for key, state in plain.states.items() if key[1]}
    ours = {key: states[key] for key in expected if key in states}
    return differences(ours, expected, "without a journal the state of")


def final(config: Config) -> tuple[States, str]:
    """What a daemon has left."""
    store = Store(Path(os.fspath(config.state.path or "")))
    store.open()
    try:
        states = {(p.group, p.sensor, p.channels): (p.signature, p.state) for p in store.load()}
        return states, str(store.memory())
    finally:
        store.close()

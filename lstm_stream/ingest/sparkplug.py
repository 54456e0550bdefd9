"""What must be remembered of Sparkplug edge nodes to understand them: births, aliases, sequence numbers, deaths.

    spBv1.0/GROUP/NBIRTH/NODE           the node's metrics: names, aliases, types     -> a sample, and remembered
    spBv1.0/GROUP/DDATA/NODE/DEVICE     what has changed, perhaps by alias alone      -> a sample of those channels
    spBv1.0/GROUP/NDEATH/NODE           the node is gone, its aliases mean nothing    -> no sample

Rules:
1. A metric whose alias no birth has explained is rejected with the advice to request a rebirth; the others are read.
2. The numbers `seq` of a node's messages count up from its birth, 255 being followed by 0. A gap is counted, with how
   many messages are missing; the message after it is read all the same: what it says is still true.
3. A birth replaces what was known. A node's birth or death ends its devices' births too.
4. A death whose bdSeq is not that of the birth belongs to an earlier session and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lstm_stream.ingest.formats import sparkplug
from lstm_stream.ingest.formats.sample import Options, Sample
from lstm_stream.ingest.formats.sparkplug import Metric, Payload
from lstm_stream.ingest.names import LONGEST_NAME
from lstm_stream.ingest.shown import shown
from lstm_stream.records import Reason, Rejection

NAMESPACE = "spBv1.0"
_TYPES = ("NBIRTH", "NDEATH", "NDATA", "DBIRTH", "DDEATH", "DDATA")
_MOST_METRICS = 1_000_000  # remembered, of all nodes together; a birth without any counts as one
_MOST_NODES = 100_000


class Address(NamedTuple):
    """A Sparkplug topic, taken apart."""

    group: str
    type: str
    node: str
    device: str | None

    @classmethod
    def parse(cls, topic: str) -> Address | None:
        """The address in a topic; None where it is none that brings samples or deaths."""
        levels = topic.split("/")
        if levels[0] != NAMESPACE or not 4 <= len(levels) <= 5 or not all(levels) or levels[2] not in _TYPES:
            return None
        device = levels[4] if len(levels) == 5 else None
        return cls(levels[1], levels[2], levels[3], device) if (levels[2][0] == "D") == (device is not None) else None

    @property
    def is_death(self) -> bool:
        """Whether it tells that something is gone."""
        return self.type.endswith("DEATH")


class _Known(NamedTuple):
    """A metric as its birth defined it."""

    name: str
    type: int


@dataclass(slots=True)
class _Birth:
    by_alias: dict[int, _Known] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return 1 + len(self.by_alias) + len(self.types)

    def memory(self) -> tuple[list[Any], dict[str, int]]:
        """Aliases and types, as JSON can hold them."""
        return [[alias, *known] for alias, known in self.by_alias.items()], self.types


@dataclass(slots=True)
class _Node:
    """An edge node: the births of itself (None) and of its devices."""

    births: dict[str | None, _Birth] = field(default_factory=dict)
    seq: int | None = None  # of its latest message
    session: int | float | bool | None = None  # bdSeq


class EdgeNodes:
    """All edge nodes heard of. Equal sequences of messages give equal results."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[str, str], _Node] = {}
        self._metrics = 0  # remembered

    def decode(self, address: Address, payload: bytes, options: Options) -> list[Sample | Rejection]:
        """The samples in a message, and what is wrong with it or was lost before it. Never raises."""
        read = sparkplug.unpacked(payload, options)
        if isinstance(read, Rejection):
            return [read]
        if address.is_death:
            self._die(address, read)
            return []
        node = self._nodes.get((address.group, address.node))
        if node is None and len(self._nodes) >= _MOST_NODES:
            return [Rejection(Reason.TOO_MANY_SENSORS, f"more than {_MOST_NODES} edge nodes of Sparkplug")]
        if node is None or address.type == "NBIRTH":
            node = self._begin(address, node, read)
        result = self._missed(address, node, read)
        node.seq = read.seq
        if address.type.endswith("BIRTH"):
            rejection = self._born(address, node, read)
            result += [rejection] if rejection else []
        named, unknown = _named(address, node, read)
        result += [unknown] if unknown else []
        return (sparkplug.samples(read, named, options) if named or not result else []) + result

    def memory(self) -> list[Any]:
        """The births, as JSON can hold them; not the numbers of messages: what is missed while away is no gap."""
        return [
            [*key, node.session, [[device, *birth.memory()] for device, birth in node.births.items()]]
            for key, node in self._nodes.items()
        ]

    def remember(self, memory: list[Any]) -> None:
        """Take up what memory() said; raises ValueError, TypeError or KeyError where it is something else."""
        for group, name, session, births in memory:
            node = self._nodes[(str(group), str(name))] = _Node(session=session)
            for device, by_alias, types in births:
                known = {int(alias): _Known(str(metric), int(kind)) for alias, metric, kind in by_alias}
                node.births[device] = _Birth(known, {str(metric): int(kind) for metric, kind in types.items()})
            self._metrics += sum(map(len, node.births.values()))

    def is_alive(self, address: Address) -> bool:
        """Whether a birth of the node or device was heard, and no death since."""
        node = self._nodes.get((address.group, address.node))
        return node is not None and address.device in node.births

    def _begin(self, address: Address, node: _Node | None, read: Payload) -> _Node:
        if node is not None:
            self._forget(node)
        node = _Node()
        if address.type == "NBIRTH":
            node.session = _session(read)
            node.seq = None if read.seq is None else (read.seq - 1) % 256  # a birth follows nothing
        self._nodes[(address.group, address.node)] = node
        return node

    def _born(self, address: Address, node: _Node, read: Payload) -> Rejection | None:
        birth = _Birth()
        for metric in read.metrics:
            for name, member in sparkplug.whole(metric.name or "", metric) if metric.members else ():
                if _is_channel(name):
                    birth.types[name] = member.type
            if metric.name and _is_channel(metric.name):
                birth.types[metric.name] = metric.type
                if metric.alias is not None:
                    birth.by_alias[metric.alias] = _Known(metric.name, metric.type)
        self._drop(node, address.device)
        if self._metrics + len(birth) > _MOST_METRICS:
            return Rejection(Reason.TOO_MANY_SENSORS, f"more than {_MOST_METRICS} metrics of Sparkplug nodes in all")
        self._metrics += len(birth)
        node.births[address.device] = birth
        return None

    def _drop(self, node: _Node, device: str | None) -> None:
        birth = node.births.pop(device, None)
        self._metrics -= len(birth) if birth is not None else 0

    def _die(self, address: Address, read: Payload) -> None:
        node = self._nodes.get((address.group, address.node))
        if node is None:
            return
        if address.device is not None:
            self._drop(node, address.device)
            node.seq = read.seq if read.seq is not None else node.seq
        elif _session(read) in (None, node.session) or node.session is None:
            self._forget(node)
            del self._nodes[(address.group, address.node)]

    def _forget(self, node: _Node) -> None:
        self._metrics -= sum(map(len, node.births.values()))
        node.births.clear()

    def _missed(self, address: Address, node: _Node, read: Payload) -> list[Sample | Rejection]:
        """What was lost before a message, as its number tells."""
        if read.seq is None or node.seq is None:
            return []
        missing = (read.seq - node.seq - 1) % 256
        if not missing:
            return []
        detail = f"{missing} messages of {_shown(address)} lost before this one (seq {read.seq} follows {node.seq})"
        return [
            Rejection(Reason.SEQUENCE_GAP, f"{detail}; its values may be old until they change, or {_rebirth(address)}")
        ]


def _named(address: Address, node: _Node, read: Payload) -> tuple[list[tuple[str, Metric, int]], Rejection | None]:
    """The metrics with their names and types, and a rejection of those without."""
    birth = node.births.get(address.device) or _Birth()
    named: list[tuple[str, Metric, int]] = []
    unknown: list[int | None] = []
    for metric in read.metrics:
        known = birth.by_alias.get(metric.alias) if metric.alias is not None and not metric.name else None
        name = metric.name or (known.name if known else "")
        if not name:
            unknown.append(metric.alias)
        for whole, member in sparkplug.whole(name, metric) if name else ():
            of_alias = known.type if known and member is metric else 0
            named.append((whole, member, of_alias or birth.types.get(whole, 0)))
    if not unknown:
        return named, None
    aliases = ", ".join(map(str, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
    detail = f"no birth of {_shown(address)} has explained the alias {aliases}; {_rebirth(address)}"
    return named, Rejection(Reason.UNKNOWN_CHANNEL, detail)


def _session(read: Payload) -> int | float | bool | None:
    return next((metric.value for metric in read.metrics if metric.name == "bdSeq"), None)


def _shown(address: Address) -> str:
    return shown("/".join(filter(None, (address.group, address.node, address.device))))


def _rebirth(address: Address) -> str:
    topic = f"{NAMESPACE}/{address.group}/NCMD/{address.node}"
    return f"request a rebirth: send Node Control/Rebirth = true to {shown(topic)}"


def _is_channel(name: str) -> bool:
    return len(name) <= LONGEST_NAME and name.isprintable()

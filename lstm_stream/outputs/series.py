"""Series of single sensors for Prometheus: opt-in, by an allow-list and a sticky top-K by score, and bounded.

    worker: take(batch) ... take(batch) -> refresh() once a second: who is shown, and a copy of what they show
    scrape: render() the latest copy

Rules:
1. The line waits for nothing here: a batch costs a few array operations, whatever is shown.
2. What is left out is counted: `sensor_series_left_out`.
3. A row belongs to a stay, one sensor's time in a slot: a sensor never shows what another has left behind.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_stream.config.metrics import SensorSeries
from lstm_stream.outputs.exposition import header, label, lines, prefixes
from lstm_stream.outputs.sticky import Sticky
from lstm_stream.records import Event, Samples, Verdicts

LOOK = 10.0  # s between two choices of who is shown, while no new sensors come
FIRST = np.float32(1e6)  # an open alarm ranks above any score
SCORE, ANOMALY = 1, 3  # of OF_SENSORS

OF_CHANNELS = {
    "observed_value": "The latest value of a channel.",
    "expected_value": "What was expected in its place.",
    "expected_lower_value": "Below it the forecast alone would raise an alarm.",
    "expected_upper_value": "Above it the forecast alone would raise an alarm.",
}
OF_SENSORS = {
    "last_sample_timestamp_seconds": "The time of the latest sample, by the sensor's own clock.",
    "anomaly_score": "The score of the latest sample, -log10 of the tail probability.",
    "anomaly_threshold": "The score at which the alarm budget is spent; NaN while warming up.",
    "anomaly": "1 while an alarm is open.",
}
SHOWN = "lstm_stream_sensor_series_shown"
LEFT_OUT = "lstm_stream_sensor_series_left_out"

F8 = NDArray[np.float64]
Mask = NDArray[np.bool_]
Key = tuple[int, int, int]  # number of the table, slot, stay


class Block:
    """Some sensors of the same channels, and the text of their series that stays the same."""

    def __init__(self, group: str, channels: tuple[str, ...], sensors: list[str], former: Block | None = None) -> None:
        self.sensors = sensors
        self._group = group
        self._channels = channels
        self._former = former
        self._texts: dict[str, dict[str, list[bytes]]] = {}  # by sensor and family

    @cached_property
    def before(self) -> dict[str, list[bytes]]:
        """What comes before the numbers of each family. Made by the first scrape that asks, of what a former made."""
        known = self._former._texts if self._former is not None else {}
        self._former = None
        texts = [known.get(sensor) or self._text(sensor) for sensor in self.sensors]
        self._texts = dict(zip(self.sensors, texts, strict=True))
        return {name: [line for text in texts for line in text[name]] for name in (*OF_SENSORS, *OF_CHANNELS)}

    def _text(self, sensor: str) -> dict[str, list[bytes]]:
        of = f'group="{label(self._group)}",sensor="{label(sensor)}"'
        each = [f'{of},channel="{label(channel)}"' for channel in self._channels]
        text = {name: prefixes(f"lstm_stream_sensor_{name}", [of]) for name in OF_SENSORS}
        return text | {name: prefixes(f"lstm_stream_sensor_{name}", each) for name in OF_CHANNELS}


class Copy(NamedTuple):
    """What some sensors show: one (n,) of each OF_SENSORS, one (n, D) of each OF_CHANNELS."""

    block: Block
    facts: F8  # (4, n)
    values: F8  # (4, n, D)


class Shown(NamedTuple):
    """What a scrape shows: never changed once it is there."""

    copies: tuple[Copy, ...]
    counts: tuple[int, int, int, int]  # shown and left out by `allow`, shown and left out by `top`


class _Table:
    """The sensors of one group with the same channels, by slot (S,), and the rows (n,) of those that are shown."""

    def __init__(self, group: str, channels: tuple[str, ...]) -> None:
        self.group = group
        self.channels = channels
        self.sensors: Sequence[str | None] = []  # by slot, kept up by their owner, and the stays of whoever is there
        self.stays = np.empty(0, np.int64)
        self.stay = np.empty(0, np.int64)  # of the sensor seen last
        self.score = np.empty(0, np.float32)
        self.peak = np.empty(0, np.float32)  # highest score since the last look
        self.alarmed = np.empty(0, np.bool_)
        self.wanted = np.empty(0, np.bool_)  # the allow-list names it
        self.row = np.empty(0, np.int32)  # -1: not shown
        self.slots: list[int] = []  # of the rows
        self.facts = np.empty((len(OF_SENSORS), 0))
        self.values = np.empty((len(OF_CHANNELS), 0, len(channels)))
        self.block = Block(group, channels, [])

    def grow(self, size: int) -> None:
        """Room for so many slots."""
        more = max(size - len(self.stay), len(self.stay) // 4)
        for name, fill in (("stay", -1), ("score", 0), ("peak", 0), ("alarmed", 0), ("wanted", 0), ("row", -1)):
            old = getattr(self, name)
            setattr(self, name, np.concatenate((old, np.full(more, fill, old.dtype))))

    def show(self, slots: list[int]) -> None:
        """These are shown from now on; who was shown before keeps what it shows."""
        if slots == self.slots and (self.row[slots] >= 0).all():
            return
        old = self.row[slots]
        kept, facts = old >= 0, np.full((len(OF_SENSORS), len(slots)), np.nan)
        values = np.full((len(OF_CHANNELS), len(slots), len(self.channels)), np.nan)
        facts[SCORE], facts[ANOMALY] = self.score[slots], self.alarmed[slots]
        facts[:, kept], values[:, kept] = self.facts[:, old[kept]], self.values[:, old[kept]]
        self.row[:] = -1
        self.row[slots] = np.arange(len(slots))
        self.slots, self.facts, self.values = slots, facts, values
        self.block = Block(self.group, self.channels, [str(self.sensors[slot]) for slot in slots], self.block)

    def settle(self, slots: NDArray[np.int32], allowed: re.Pattern[str]) -> None:
        """These slots have new sensors."""
        for slot in np.unique(slots).tolist():
            self.stay[slot], self.wanted[slot] = self.stays[slot], bool(allowed.fullmatch(str(self.sensors[slot])))
            self.score[slot] = self.peak[slot] = self.alarmed[slot] = 0
            if self.row[slot] >= 0:
                self.facts[:, self.row[slot]], self.values[:, self.row[slot]] = np.nan, np.nan
                self.row[slot] = -1  # until the next look

    def judge(self, allowed: re.Pattern[str]) -> None:
        """Another allow-list."""
        for slot in np.flatnonzero(self.there()).tolist():
            self.wanted[slot] = bool(allowed.fullmatch(str(self.sensors[slot])))

    def write(self, samples: Samples, verdicts: Verdicts) -> None:
        """The latest of each sensor stays: numpy assigns in order."""
        slot, v, known = samples.slot, verdicts, np.isfinite(verdicts.threshold)
        score = np.where(known, v.score, 0.0).astype(np.float32)
        self.score[slot], self.alarmed[slot] = score, v.anomaly
        np.maximum.at(self.peak, slot, score)
        row = self.row[slot]
        m = np.flatnonzero(row >= 0)
        if not len(m):
            return
        row = row[m]
        self.facts[:, row] = samples.time[m], v.score[m], v.threshold[m], v.anomaly[m]
        k, d = np.nonzero(~np.isnan(samples.values[m]))  # an absent channel shows what it showed last
        told = np.stack((samples.values[m], v.expected[m], v.lower[m], v.upper[m]))
        self.values[:, row[k], d] = told[:, k, d]

    def copy(self, silent: set[tuple[str, str]]) -> Copy:
        """What is shown now, with the sensors that are `silent` (group, sensor) as alarmed."""
        facts = self.facts.copy()
        if silent:
            mute = [(self.group, sensor) in silent for sensor in self.block.sensors]
            facts[ANOMALY, mute] = 1.0
        return Copy(self.block, facts, self.values.copy())

    def there(self) -> Mask:
        """Whether the sensor that was seen last in a slot still is in it (S,)."""
        mask, n = np.zeros(len(self.stay), np.bool_), min(len(self.stay), len(self.stays))
        mask[:n] = (self.stay[:n] == self.stays[:n]) & (self.stay[:n] >= 0)
        return mask


class Series:
    """What of single sensors Prometheus sees. All methods but `render` belong to the worker."""

    def __init__(self, settings: SensorSeries) -> None:
        self._settings = settings
        self._allowed = _pattern(settings.allow)
        self._sticky: Sticky[Key] = Sticky(settings.top, settings.stay)
        self._tables: dict[tuple[str, tuple[str, ...]], _Table] = {}
        self._silent: set[tuple[str, str]] = set()
        self._looked_at = -np.inf
        self._new = False  # sensors have come since
        self._counts = (0, 0, 0, 0)
        self._shown: Shown | None = None

    # --- the worker's

    def configure(self, settings: SensorSeries) -> None:
        """Show what these say from the next refresh on; who is shown then as before keeps what it shows."""
        if settings == self._settings:
            return
        self._settings, self._allowed = settings, _pattern(settings.allow)
        self._sticky.limit(settings.top, settings.stay)
        if not settings.enabled:
            self._tables, self._counts = {}, (0, 0, 0, 0)
        for table in self._tables.values():
            table.judge(self._allowed)
        self._new = True

    def take(
        self,
        group: str,
        channels: tuple[str, ...],
        sensors: Sequence[str | None],
        stay: NDArray[np.int64],
        samples: Samples,
        verdicts: Verdicts,
    ) -> None:
        """A batch of one group's samples; `sensors` and `stay` are by slot."""
        if not self._settings.enabled:
            return
        key = group, channels
        if key not in self._tables:
            self._tables[key] = _Table(group, channels)
        table, slot = self._tables[key], samples.slot
        table.sensors, table.stays = sensors, stay
        if (most := int(slot.max()) + 1) > len(table.stay):
            table.grow(most)
        new = table.stay[slot] != stay[slot]
        if new.any():
            table.settle(slot[new], self._allowed)
            self._new = True
        table.write(samples, verdicts)

    def hear(self, events: Iterable[Event]) -> None:
        """Events of silences, which no sample tells of."""
        for event in events:
            if event.view == "silence" and event.state == "opened":
                self._silent.add((event.group, event.sensor))
            elif event.view == "silence":
                self._silent.discard((event.group, event.sensor))

    def refresh(self, now: float) -> None:
        """Let scrapes see what is known at `now` (s, monotonic)."""
        if self._new or now - self._looked_at >= LOOK:
            self._looked_at, self._new = now, False
            self._choose(now)
        copies = tuple(table.copy(self._silent) for table in self._tables.values())
        self._shown = Shown(copies, self._counts) if self._settings.enabled else None

    def _choose(self, now: float) -> None:
        tables = list(self._tables.values())
        there = [table.there() for table in tables]
        room, left_out, some = self._settings.limit, 0, list[tuple[int, int]]()
        for number, table in enumerate(tables):
            wanted = np.flatnonzero(table.wanted & there[number])
            some += [(number, slot) for slot in wanted[: room - len(some)].tolist()]
            left_out += len(wanted)
        top = self._highest(tables, there, now)
        alarmed = sum(
            int((table.alarmed & ~table.wanted & here).sum()) for table, here in zip(tables, there, strict=True)
        )
        in_top = sum(bool(tables[number].alarmed[slot]) for number, slot in top)
        self._counts = len(some), left_out - len(some), len(top), alarmed - in_top
        for number, table in enumerate(tables):
            table.show(sorted(slot for n, slot in some + top if n == number))
            table.peak[:] = table.score

    def _highest(self, tables: list[_Table], there: list[Mask], now: float) -> list[tuple[int, int]]:
        size, ranked = self._settings.top, list[tuple[float, Key]]()
        if not size:
            return []
        for number, table in enumerate(tables):
            rank = table.peak + FIRST * table.alarmed
            rank[table.wanted | ~there[number]] = -np.inf
            best = np.argpartition(rank, -size)[-size:] if len(rank) > size else np.arange(len(rank))
            best = best[rank[best] > -np.inf]
            ranked += [(float(rank[slot]), (number, slot, int(table.stay[slot]))) for slot in best.tolist()]
        ranked.sort(key=lambda pair: (-pair[0], pair[1]))

        def is_there(key: Key) -> bool:
            number, slot, stay = key
            return bool(there[number][slot] and tables[number].stay[slot] == stay)

        highest = [key for _, key in ranked[:size]]
        chosen = self._sticky.choose(highest, is_there, lambda key: bool(tables[key[0]].alarmed[key[1]]), now)
        return [(number, slot) for number, slot, _ in chosen]

    # --- the scrape's

    def render(self) -> Iterator[bytes]:
        """The text of all series in pieces of whole lines; nothing where none is asked for."""
        if (shown := self._shown) is None:
            return
        yield from _count(SHOWN, "Sensors with series of their own.", shown.counts[::2])
        beyond = "Sensors the list names beyond its limit; alarmed ones not in the top."
        yield from _count(LEFT_OUT, beyond, shown.counts[1::2])
        for k, (name, documentation) in enumerate(OF_SENSORS.items()):
            yield header(f"lstm_stream_sensor_{name}", documentation)
            for copy in shown.copies:
                yield from lines(copy.block.before[name], copy.facts[k])
        for k, (name, documentation) in enumerate(OF_CHANNELS.items()):
            yield header(f"lstm_stream_sensor_{name}", documentation)
            for copy in shown.copies:
                yield from lines(copy.block.before[name], copy.values[k])


def _pattern(allow: Sequence[str]) -> re.Pattern[str]:
    """What fits any of these, or nothing."""
    return re.compile("|".join(map(fnmatch.translate, allow)) or "(?!)")


def _count(name: str, documentation: str, counts: Sequence[int]) -> Iterator[bytes]:
    yield header(name, documentation)
    yield from lines(prefixes(name, ['by="allow"', 'by="top"']), np.array(counts))

"""All sensors as columns, taken from the fleet in one go; searched and sorted without touching the fleet again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_stream.detect.detector import Detector
from lstm_stream.detect.fleet import Fleet
from lstm_stream.outputs.web.queries import SensorsQuery

STATES = ("warming", "watching", "alarmed", "silent")
_WARMING, _WATCHING, _ALARMED, _SILENT = range(4)

F4 = NDArray[np.float32]
Index = NDArray[np.intp]
Scores = Callable[[Detector], tuple[F4, F4]]  # the latest score and threshold by slot; NaN: none yet


@dataclass(slots=True)
class Table:
    """N sensors; `detector` and `slot` say where each lives."""

    detectors: list[Detector]
    names: list[str]  # N
    detector: NDArray[np.int32]  # (N,)
    slot: NDArray[np.int32]  # (N,)
    state: NDArray[np.int8]  # (N,) number in STATES
    score: F4  # (N,) NaN: none yet
    threshold: F4  # (N,) inf while warming up
    last: NDArray[np.float64]  # (N,) data time, unix s
    generation: NDArray[np.int32]  # (N,)
    lowered: bytes = b""  # the names, for searching
    starts: Index | None = None  # (N,) where each begins in `lowered`

    def __len__(self) -> int:
        return len(self.names)


def take(fleet: Fleet, scores: Scores) -> Table:
    """The table of now; on the worker's thread."""
    detectors = list(fleet.detectors.values())
    names: list[str] = []
    columns = [_columns(number, detector, scores, names) for number, detector in enumerate(detectors)]
    if not columns:
        nothing = np.empty(0)
        columns = [(nothing,) * 7]
    number, slot, state, score, threshold, last, generation = (
        np.concatenate(parts) for parts in zip(*columns, strict=True)
    )
    return Table(
        detectors,
        names,
        number.astype(np.int32),
        slot.astype(np.int32),
        state.astype(np.int8),
        score.astype(np.float32),
        threshold.astype(np.float32),
        last.astype(np.float64),
        generation.astype(np.int32),
    )


def _columns(number: int, detector: Detector, scores: Scores, names: list[str]) -> tuple[NDArray[np.generic], ...]:
    a, size = detector.arrays, len(detector.sensors)
    slot = np.flatnonzero(a.count[:size] > 0)
    here = detector.sensors
    names += [str(here[k]) for k in slot.tolist()]
    state = np.where(a.count[slot] < detector.group.warmup, _WARMING, _WATCHING)
    state[a.open[slot]] = _ALARMED
    state[~np.isnan(a.silent_since[slot])] = _SILENT
    score, threshold = scores(detector)
    return np.full(len(slot), number), slot, state, score[slot], threshold[slot], a.time[slot], a.generation[slot]


def select(table: Table, query: SensorsQuery) -> Index:
    """The rows that were asked for, all of them, sorted."""
    keep = np.ones(len(table), np.bool_)
    if query.group:
        which = [k for k, detector in enumerate(table.detectors) if detector.name == query.group]
        keep &= np.isin(table.detector, which)
    if query.state:
        keep &= table.state == STATES.index(query.state)
    if query.search:
        keep &= _found(table, query.search)
    rows = np.flatnonzero(keep)
    order = query.order or ("asc" if query.sort == "name" else "desc")
    return _sorted(table, rows, query.sort, descending=order == "desc")


def _sorted(table: Table, rows: Index, by: str, *, descending: bool) -> Index:
    if by == "name":
        ranked = sorted(rows.tolist(), key=table.names.__getitem__, reverse=descending)
        return np.array(ranked, np.intp)
    key = table.last[rows] if by == "last" else severity(table.score[rows], table.threshold[rows])
    return rows[np.argsort(-key if descending else key, kind="stable")]


def severity(score: F4, threshold: F4) -> F4:
    """Scores as multiples of their thresholds; 0 while there is none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = score / threshold
    return np.where(np.isfinite(ratio), ratio, np.float32(0.0))


def _found(table: Table, text: str) -> NDArray[np.bool_]:
    """Which names have that text in them, whatever its case: one search through all names at once."""
    if table.starts is None:
        table.lowered = "\n".join(name.replace("\n", " ") for name in table.names).lower().encode("utf-8", "replace")
        ends = np.flatnonzero(np.frombuffer(table.lowered, np.uint8) == ord("\n"))
        table.starts = np.concatenate([[0], ends + 1]).astype(np.intp)
    found = np.zeros(len(table), np.bool_)
    needle, at = text.lower().encode("utf-8", "replace"), -1
    if not len(table) or b"\n" in needle:
        return found
    starts, position = table.starts, table.lowered.find(needle)
    while position >= 0:
        at = int(np.searchsorted(starts, position, side="right")) - 1
        found[at] = True
        if at + 1 == len(starts):
            break
        position = table.lowered.find(needle, int(starts[at + 1]))
    return found

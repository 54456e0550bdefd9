"""The sensors at a glance, searched and sorted without asking the fleet again."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lstm_stream.outputs.web.queries import SensorsQuery
from lstm_stream.records import STATES, Overview

F4 = NDArray[np.float32]
Index = NDArray[np.intp]


class Table:
    """N sensors as the fleet showed them at one time."""

    def __init__(self, overview: Overview) -> None:
        self.overview = overview

    def __len__(self) -> int:
        return len(self.overview.sensor)

    def select(self, query: SensorsQuery) -> Index:
        """The rows that were asked for, all of them, sorted."""
        o = self.overview
        keep = np.ones(len(self), np.bool_)
        if query.group:
            keep &= np.fromiter((group == query.group for group in o.group), np.bool_, len(self))
        if query.state:
            keep &= o.state == STATES.index(query.state)
        if query.search:
            keep &= self._found(query.search)
        return self._sorted(np.flatnonzero(keep), query)

    def _sorted(self, rows: Index, query: SensorsQuery) -> Index:
        order = query.order or ("asc" if query.sort == "name" else "desc")
        sign = -1 if order == "desc" else 1
        if query.sort == "name":
            return rows[np.argsort(sign * self._rank[rows], kind="stable")]
        key = self.overview.last if query.sort == "last" else self._severity
        return rows[np.argsort(sign * key[rows], kind="stable")]

    @cached_property
    def _severity(self) -> F4:
        """Scores as multiples of their thresholds; 0 while there is none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = self.overview.score / self.overview.threshold
        return np.where(np.isfinite(ratio), ratio, np.float32(0.0))

    @cached_property
    def _rank(self) -> Index:
        """Each row's place among the names, sorted whatever their case."""
        rank = np.empty(len(self), np.intp)
        names = [name.casefold() for name in self.overview.sensor]
        rank[sorted(range(len(self)), key=names.__getitem__)] = np.arange(len(self))
        return rank

    @cached_property
    def _names(self) -> tuple[bytes, Index]:
        """All names in one text, in small letters, and where each begins."""
        lines = "\n".join(name.replace("\n", " ") for name in self.overview.sensor)
        text = lines.lower().encode("utf-8", "replace")
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
        return text, np.concatenate([[0], ends + 1]).astype(np.intp)

    def _found(self, part: str) -> NDArray[np.bool_]:
        """Which names have that in them, whatever its case: one search through all at once."""
        found = np.zeros(len(self), np.bool_)
        needle = part.lower().encode("utf-8", "replace")
        if not len(self) or b"\n" in needle:
            return found
        text, starts = self._names
        position = text.find(needle)
        while position >= 0:
            row = int(np.searchsorted(starts, position, side="right")) - 1
            found[row] = True
            if row + 1 == len(starts):
                break
            position = text.find(needle, int(starts[row + 1]))
        return found

"""Which channels of a payload are watched.

Rules:
1. A channel is watched if a pattern of `include` takes it and none of `exclude` does.
2. Where `include` is not given, what is a label by its name is left out: identifiers, sequence numbers, versions,
   types, times and uptimes, which are numbers but measure nothing. Given, it takes them like any other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import translate
from functools import lru_cache

from lstm_stream.ingest.labels import is_label
from lstm_stream.ingest.names import LONGEST_NAME

_REMEMBERED = 4096  # names; payloads of a source repeat theirs
_ALL = ("*",)


class Channels:
    """The include and exclude globs of a source: `*` is any text, `?` a character, `[ab]` one of those. Case counts."""

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        self._include = _any_of(include)
        self._exclude = _any_of(exclude)
        self._labels = tuple(include) != _ALL
        self._remembered = lru_cache(_REMEMBERED)(self._watched)

    def pick(self, values: Mapping[str, float]) -> dict[str, float]:
        """The values of the channels that are watched."""
        return {name: value for name, value in values.items() if len(name) <= LONGEST_NAME and self._remembered(name)}

    def takes(self, name: str) -> bool:
        """Whether a name is included and not excluded."""
        return bool(self._include.fullmatch(name)) and not self._exclude.fullmatch(name)

    def _watched(self, name: str) -> bool:
        if not name or not name.isprintable():
            return False
        return self.takes(name) and (self._labels or not is_label(name))


def _any_of(globs: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, globs)) or r"(?!)")

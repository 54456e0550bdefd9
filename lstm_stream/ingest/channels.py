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

from lstm_stream.ingest.formats.json import USUAL_TIME_FIELDS
from lstm_stream.ingest.names import LONGEST_NAME

_REMEMBERED = 4096  # names; payloads of a source repeat theirs
_ALL = ("*",)

_ANY_CASE = (
    *USUAL_TIME_FIELDS,
    *(r"(.*_)?(id|uid|uuid|guid|eui|mac|imei|imsi|iccid)", r"crc(8|16|32)?", "checksum"),
    *(r"seq", r"seq_?(no|nr|num|number|id)", r".*sequence(_?(no|nr|num|number|counter))?", r"f_?cnt(_?(up|down))?"),
    *(r"f_?port", r"_?(msg|message|packet)_?(id|no|nr|num|number|cnt|count|counter)"),
    *("ver", r"(.*_)?(version|type)", "firmware", r"(fw|hw|sw)_?(ver|version)?"),
    *(
        r".*time_?stamp",
        r".*_(ts|at)",
        r"(gw|rx|server|created|updated)_?ts",
        r".*unix_?time",
        r".*epoch",
        "bt",
        "bver",
    ),
    *(r"last_?(seen|active|update|updated|change|changed|reset|boot|contact|report|reported)",),
    *(r".*up_?time(_?(s|sec|secs|seconds|ms))?",),
)
_CAMEL_CASE = (r".*[a-z0-9](Id|ID|Uid|UID|Uuid|UUID|Eui|EUI|Version|Type)", r".*[a-z](At|Ts)")
_LABEL = re.compile(
    rf"(?:.*[./:|])?(?:(?i:{'|'.join(map('(?:{})'.format, _ANY_CASE))})|{'|'.join(_CAMEL_CASE)})", re.DOTALL
)


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


def is_label(name: str) -> bool:
    """Whether the last part of a channel's name says that it measures nothing: Body.id, f_cnt, rx.timestamp, uptime."""
    return _LABEL.fullmatch(name) is not None


def _any_of(globs: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, globs)) or r"(?!)")

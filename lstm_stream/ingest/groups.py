"""Which group a sensor belongs to, where levels of the topic or fields of the payload say so.

group: "{site}"          hall-3/pump/data                      -> hall-3, if there is such a group, else default
group: "{payload.line}"  weather,line=a temp=21.5              -> a, if there is such a group, else default
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from lstm_stream.config import DEFAULT_GROUP
from lstm_stream.ingest.formats.sample import NO_NAMES
from lstm_stream.ingest.names import Template
from lstm_stream.ingest.shown import shown

_log = logging.getLogger(__name__)

_MOST_SHOWN = 20


class Groups:
    """The template of a source's group, and the groups that there are (None: any)."""

    def __init__(self, text: str, known: Collection[str] | None) -> None:
        self._template = Template.parse(text)
        self._known = known
        self._missed: set[str] = set()

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the payload that it may use."""
        return self._template.fields

    def fixed(self, levels: Mapping[str, str]) -> str | None:
        """The group of a topic with these levels; None where the payload has a say."""
        return None if self.fields else self.of(levels, NO_NAMES)

    def of(self, levels: Mapping[str, str], fields: Mapping[str, str]) -> str:
        """The group that is named, else `default`; a name that is no group is told once."""
        try:
            name = self._template.render(levels, fields)
        except ValueError:  # the payload has no such field
            return DEFAULT_GROUP
        if self._known is None or name in self._known:
            return name
        if name not in self._missed and len(self._missed) < _MOST_SHOWN:
            self._missed.add(name)
            _log.warning("no group %s: its sensors go to %s; add it to groups", shown(name), DEFAULT_GROUP)
        return DEFAULT_GROUP

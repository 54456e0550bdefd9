"""Names of sensors and channels, made of a topic's levels and of fields of the payload.

template  {site}-{payload.id|sensor}     topic levels  {"site": "oslo", "sensor": "pump-7"}
                                         payload       {"id": "4711"}        ->  oslo-4711
                                         payload       {}                    ->  oslo-pump-7
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from lstm_stream.config import Part, template_parts
from lstm_stream.ingest.shown import shown

LONGEST_NAME = 256  # characters of a sensor's or a channel's name
_PAYLOAD = "payload."


@dataclass(frozen=True)
class Template:
    """A template as the configuration accepts it."""

    parts: tuple[Part, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """The template written as `text`; ValueError says what would be right."""
        return cls(template_parts(text))

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The fields of the payload that it may use."""
        names = (name for part in self.parts for name in part.names)
        return tuple(name.removeprefix(_PAYLOAD) for name in names if name.startswith(_PAYLOAD))

    def render(self, levels: Mapping[str, str], fields: Mapping[str, str]) -> str:
        """The name; ValueError says what it lacks."""
        return "".join([part.text or _chosen(part, levels, fields) for part in self.parts])


def _chosen(part: Part, levels: Mapping[str, str], fields: Mapping[str, str]) -> str:
    for name in part.names:
        found = fields.get(name.removeprefix(_PAYLOAD)) if name.startswith(_PAYLOAD) else levels.get(name)
        if found:
            return found
    wanted = " or ".join(name.removeprefix(_PAYLOAD) for name in part.names)
    known = ", ".join(map(shown, list(fields)[:5])) or "none that names anything"
    raise ValueError(f"the payload has no field {shown(wanted)}, which makes the name; it has {known}")


def check_name(name: str) -> str:
    """A sensor's name as it is; ValueError says why it cannot be one."""
    if not name:
        raise ValueError("the sensor's name is empty; a topic level that makes it must not be")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"the sensor's name {shown(name)} is longer than {LONGEST_NAME} characters")
    if not name.isprintable():
        raise ValueError(f"the sensor's name {shown(name)} has characters that cannot be printed; use plain text")
    return name

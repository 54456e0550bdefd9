"""Which settings of groups can be others while sensors run, and which need a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lstm_stream.config import Group
from lstm_stream.detect.directory import Directory
from lstm_stream.detect.state import ring_length


def obstacles(directory: Directory, groups: Mapping[str, Group]) -> Iterator[str]:
    """Why these groups cannot take the place of those that there are, in words; nothing where they can."""
    for name, old in directory.groups.items():
        if name in groups:
            yield from _changed(f"groups.{name}", old, groups[name])
        elif next(directory.of(name), None) is not None:
            yield f"groups.{name} still has sensors: forget them first (lstm-stream state forget), then remove it"


def _changed(where: str, old: Group, new: Group) -> Iterator[str]:
    model = [
        f"model.{key}" for key in type(old.model).model_fields if getattr(old.model, key) != getattr(new.model, key)
    ]
    others = [] if old.profile == new.profile else ["profile"]
    if ring_length(old) != ring_length(new):
        learning = [key for key in ("history", "lag") if getattr(old.retraining, key) != getattr(new.retraining, key)]
        others += [f"retraining.{key}" for key in learning]
    for key in model + others:
        yield f"{where}.{key} cannot change while running, as the sensors' state depends on it; restart with it"

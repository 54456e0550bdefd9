"""What of the configuration can change while the daemon runs, and why the rest cannot.

Rule: an option that stands in no row of the table is refused: who adds one decides here that it can change.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from pydantic import BaseModel

from lstm_stream.config import Config, Limits
from lstm_stream.config.document import Path

FREE = (
    "sources*",
    "groups.*.false_alarms",
    "groups.*.warmup",
    "groups.*.accept_after",
    "groups.*.views",
    "groups.*.retraining.enabled",
    "groups.*.retraining.every",
    "groups.*.retraining.epochs",
    "groups.*.retraining.learning_rate",
    "groups.*.retraining.clip",
    "groups.*.retraining.patience",
    "events.topic",
    "events.qos",
    "events.retain",
    "events.severity.*",
    "maintenance*",
    "state.every",
    *(f"limits.{name}" for name in Limits.model_fields if name != "payload_bytes"),
    "log.*",
    "reload.*",
    "metrics.*",
    *(f"broker.{name}" for name in ("username", "password_file", "password_env")),
    *(f"broker.{name}" for name in ("keepalive", "session_expiry", "reconnect_m??", "receive_maximum")),
    *(f"broker.tls.{name}" for name in ("ca_file", "cert_file", "key_file", "min_version", "server_name")),
)
"""Patterns of options, a group's name and a source's number as *."""

FIXED = {
    "broker.host": "what the session keeps is at the former one",
    "broker.port": "what the session keeps is at the former one",
    "broker.client_id": "the broker keeps the session, and what waits in it, under the former one",
    "broker.clean_session": "the session with the broker was made with the former one",
    "broker.protocol": "the session with the broker was made with the former one",
    "broker.tls.enabled": "whether the connection is encrypted goes with the port",
    "events.status_topic": "the broker holds the daemon's last will for the former one",
    "events.*": "the places where events go were made ready at the start",
    "web.*": "the web server was started with the former one",
    "limits.payload_bytes": "the connection is read with room for the former one",
    "state.*": "everything learned is kept in the former way",
    "groups.*.model.*": "what the group's sensors have learned fits the former model only",
    "groups.*.profile": "what is kept of the group's sensors has the form of the former one",
    "groups.*.retraining.history": "the group's sensors remember so many samples as the former one says",
    "groups.*.retraining.lag": "the group's sensors remember so many samples as the former one says",
    "*": "it is read at the start only",
}
"""Why not, by pattern; the first that fits."""


def obstacle(option: str) -> str | None:
    """Why an option, such as groups.pumps.false_alarms, cannot change while running; None if it can."""
    if any(fnmatchcase(option, pattern) for pattern in FREE):
        return None
    return next(why for pattern, why in FIXED.items() if fnmatchcase(option, pattern))


def refusals(old: Config, new: Config) -> list[tuple[Path, str]]:
    """The options that differ and cannot change while running, each with the reason."""
    found = ((path, obstacle(".".join(map(str, path)))) for path in differences(old, new))
    return [(path, why) for path, why in found if why is not None] + _pending_rounds(old, new)


def differences(old: BaseModel, new: BaseModel, path: Path = ()) -> Iterator[Path]:
    """Where two sections differ, option by option; lists as a whole. Groups only one has are no difference."""
    for name in type(old).model_fields:
        one, other = getattr(old, name), getattr(new, name)
        if one == other:
            continue
        inner = (*path, name)
        if isinstance(one, BaseModel) and isinstance(other, BaseModel):
            yield from differences(one, other, inner) if _fields(one) != _fields(other) else ((*inner, "start_from"),)
        elif isinstance(one, dict) and all(isinstance(section, BaseModel) for section in one.values()):
            for key in one.keys() & other.keys():
                yield from differences(one[key], other[key], (*inner, key))
            if inner != ("groups",):
                yield from ((*inner, key) for key in one.keys() ^ other.keys())
        else:
            yield inner


def _fields(section: BaseModel) -> dict[str, Any]:
    """What is written; equal in two models that differ: the file of weights that it names has other content."""
    return dict(section)


def _pending_rounds(old: Config, new: Config) -> list[tuple[Path, str]]:
    """A round under way is taken up after a restart from where it began, which `every` tells where it is small."""
    why = "with a value so small the rounds of training under way would begin elsewhere after a restart"
    return [
        (("groups", name, "retraining", "every"), why)
        for name in old.groups.keys() & new.groups.keys()
        if _reach(old, name) != _reach(new, name) and old.groups[name].retraining.lag == new.groups[name].retraining.lag
    ]


def _reach(config: Config, name: str) -> int:
    settings = config.groups[name].retraining
    return min(settings.lag, settings.every - 1)

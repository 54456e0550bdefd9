"""What is wrong with a configuration, in the words of someone who never heard of its types.

Turns the errors of pydantic into `what is wrong; what would be right`. Values that may be secrets are not repeated.
"""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from lstm_stream.config import Config
from lstm_stream.config.document import Path
from lstm_stream.config.values import format_duration

_SECRETS = (
    "password",
    "passwd",
    "pass",
    "pwd",
    "secret",
    "token",
    "psk",
    "passphrase",
    "key_password",
    "keyfile_password",
)
_SHOWN_LENGTH = 40


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake. Line and column count from 1; 0 where the mistake is nowhere in particular."""

    file: str
    line: int
    column: int
    path: str
    message: str
    advice: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: "
        return place + (f"{self.path}: " if self.path else "") + f"{self.message}; {self.advice}"


class ConfigError(Exception):
    """A configuration that cannot be used, with everything that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def dotted(path: Path) -> str:
    """A path as people write it: sources[0].topic."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def meant(path: Path) -> str | None:
    """The key that an unknown key was probably meant to be, in the same section."""
    section = _section(path[:-1])
    close = difflib.get_close_matches(str(path[-1]).lower(), section.model_fields if section else (), n=1, cutoff=0.7)
    return close[0] if close else None


def words(error: ErrorDetails, path: Path, value: object) -> tuple[str, str]:
    """What is wrong and what would be right, of one of pydantic's errors about a value at a path."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return "unknown key", _about_unknown(path)
    if kind in ("value_error", "conflict"):
        wrong, _, right = str(context.get("error") or context.get("text")).partition("; ")
        return wrong, right
    if kind == "string_too_short":
        return "is empty", "write some text, or remove the key"
    if kind in ("model_type", "dict_type"):
        return f"is {_kind(value)}", f"must be a section with keys such as {_known(path)}"
    if kind == "tuple_type":
        return f"is {_kind(value)}", "must be a list: each entry in its own line after `- `, or [in, brackets]"
    return f"is {_show(value, path)}", _expected(error["msg"], kind, context, value)


def _expected(message: str, kind: str, context: dict[str, Any], value: object) -> str:
    if kind == "literal_error":
        return "must be " + str(context["expected"]).replace("'", "")
    if kind in _EXPECTED:
        quoted = isinstance(value, str) and "number" in _EXPECTED[kind] and value.strip(" +-.").isdigit()
        return _EXPECTED[kind] + (", without quotes" if quoted else "")
    for limit, text in _LIMITS.items():
        if limit in context:
            return f"must be {text} {_bound(context[limit], value)}"
    return message


_EXPECTED = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text; put it in quotes",
    "path_type": "must be the name of a file",
}
_LIMITS = {
    "ge": "at least",
    "gt": "more than",
    "le": "at most",
    "lt": "less than",
    "max_length": "no longer than",
}


def _bound(limit: float, value: object) -> str:
    return format_duration(limit) if isinstance(value, str) and isinstance(limit, float) else f"{limit:.15g}"


def _about_unknown(path: Path) -> str:
    name = str(path[-1])
    if name.lower() in _SECRETS:
        return "no secrets in this file: write it to a file and name that in password_file, or use password_env"
    if known := meant(path):
        return f"did you mean {known}?"
    if places := [place for place in _options(Config, "") if place.rpartition(".")[2] == name]:
        return "did you mean " + " or ".join(places[:3]) + "?"
    return f"known here: {_known(path[:-1])}"


def _known(path: Path) -> str:
    section = _section(path)
    return ", ".join(section.model_fields) if section else "default"


def _section(path: Path) -> type[BaseModel] | None:
    """The model of the section at a path; None where there is none, or a collection of sections."""
    section: type[BaseModel] | None = Config
    collection = False
    for step in path:
        if collection:  # the step is a group's name or a source's number
            collection = False
        elif section is None or str(step) not in section.model_fields:
            return None
        else:
            annotation = section.model_fields[str(step)].annotation
            section, collection = _model(annotation), typing.get_origin(annotation) in _COLLECTIONS
    return None if collection else section


_COLLECTIONS: dict[Any, str] = {tuple: "[].", dict: ".NAME."}


def _options(section: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, option in section.model_fields.items():
        yield prefix + name
        if inner := _model(option.annotation):
            yield from _options(inner, prefix + name + _COLLECTIONS.get(typing.get_origin(option.annotation), "."))


def _model(annotation: Any) -> type[BaseModel] | None:
    """The section in an annotation such as Broker, tuple[Source, ...] or dict[str, Group]."""
    found = [kind for kind in (annotation, *typing.get_args(annotation)) if isinstance(kind, type)]
    return next((kind for kind in found if issubclass(kind, BaseModel)), None)


def _show(value: object, path: Path) -> str:
    if any("password" in str(step) or "key_file" in str(step) for step in path):
        return _kind(value)
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (int, float, str)):
        return _kind(value)
    text = repr(value) if isinstance(value, str) else f"{value}"
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 3] + "..."


def _kind(value: object) -> str:
    kinds = {dict: "a section", list: "a list", str: "text", type(None): "empty", bool: "a yes or no"}
    return kinds.get(type(value), "a number")

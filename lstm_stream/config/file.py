"""Loads a configuration file, or says everything that is wrong with it at once, with line and column."""

from __future__ import annotations

import pathlib
from typing import Any

from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails

from lstm_stream.config import Config
from lstm_stream.config.document import MAX_BYTES, Document, Path, Place, read, write
from lstm_stream.config.problems import ConfigError, Problem, dotted, meant, words

__all__ = ["ConfigError", "Problem", "effective", "load", "parse", "schema"]

_MOST_PROBLEMS = 100


def load(path: str | pathlib.Path) -> Config:
    """The configuration in a file. Raises ConfigError with every problem in it, in the order of the file."""
    return parse(_text(str(path)), str(path))


def parse(text: str, file: str) -> Config:
    """The configuration in a text; `file` is its name in errors. Raises ConfigError."""
    document = read(text)
    problems = [Problem(file, *flaw.place, dotted(flaw.path), flaw.message, flaw.advice) for flaw in document.flaws]
    if document.data is not None or not problems:
        config, found = _Validation(document, file).run()
        problems += found
        if config and not problems:
            return config
    raise ConfigError(sorted(set(problems))[:_MOST_PROBLEMS])


def effective(config: Config) -> str:
    """The whole configuration as YAML, defaults included, in human units. It holds no secrets: Config has none."""
    return write(config.model_dump(mode="json"))


def schema() -> dict[str, Any]:
    """JSON Schema of the file, for editors."""
    # Serialisation mode: defaults are then shown as people write them (1 per sensor per week).
    document = Config.model_json_schema(mode="serialization", schema_generator=_Schema)
    document["title"] = "lstm_stream configuration"
    document["patternProperties"] = {"^x-": {"description": "Ignored: a place for anchors."}}
    return {"$schema": _Schema.schema_dialect, **document}


class _Schema(GenerateJsonSchema):
    """Without titles that only repeat the key."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def _text(file: str) -> str:
    """The text of a file. Raises ConfigError."""
    try:
        with pathlib.Path(file).open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _failed(file, Place(), f"cannot be read: {reason}", "give the path of a YAML file") from None
    if len(content) > MAX_BYTES:
        raise _failed(file, Place(), f"is longer than {MAX_BYTES // 1024} KiB", "is it a configuration?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        place = Place(before.count(b"\n") + 1, len(before) - before.rfind(b"\n"))
        raise _failed(file, place, "is not UTF-8 text", "save it in the encoding UTF-8") from None


def _failed(file: str, place: Place, message: str, advice: str) -> ConfigError:
    return ConfigError([Problem(file, *place, "", message, advice)])


class _Validation:
    """Validates again and again without what was found wrong, since checks between options need valid options."""

    def __init__(self, document: Document, file: str) -> None:
        self.document = document
        self.file = file
        self.seen = {flaw.path for flaw in document.flaws}
        self.data = document.data
        if isinstance(self.data, dict):  # x-...: a place for anchors
            self.data = {key: value for key, value in self.data.items() if not key.startswith("x-")}

    def run(self) -> tuple[Config | None, list[Problem]]:
        """The configuration, as far as it is valid, and the problems."""
        problems: list[Problem] = []
        for _ in range(_MOST_PROBLEMS):
            try:
                return Config.model_validate(self.data), problems
            except ValidationError as error:
                errors = error.errors(include_url=False)
                problems += [self._problem(detail) for detail in errors if not self._doubtful(detail)]
                if all(_paths(detail)[0] in self.seen for detail in errors):
                    break  # follows from what was left out
                for detail in errors:
                    self._leave_out(detail)
        return None, problems

    def _problem(self, error: ErrorDetails) -> Problem:
        path, written = _paths(error)[0], self._written(error)
        place = self.document.keys[path] if error["type"] == "extra_forbidden" else self._place(written)
        return Problem(self.file, *place, dotted(path), *words(error, path, _at(self.data, written)))

    def _leave_out(self, error: ErrorDetails) -> None:
        path = _paths(error)[0]
        self.seen.add(path)
        if error["type"] == "extra_forbidden" and (known := meant(path)):
            self.seen.add((*path[:-1], known))
        self.data = _without(self.data, self._written(error))

    def _written(self, error: ErrorDetails) -> Path:
        """The option at fault, or if it has its default: the first of those it conflicts with that is in the file."""
        paths = _paths(error)
        return next((path for path in paths if path in self.document.values), paths[0])

    def _doubtful(self, error: ErrorDetails) -> bool:
        """Whether an error may only follow from another one: an option at fault was misspelt or wrong already."""
        paths = _paths(error)
        if error["type"] != "conflict":
            return paths[0] in self.seen
        return any(path[:length] in self.seen for path in paths for length in range(1, len(path) + 1))

    def _place(self, path: Path) -> Place:
        """Where a value stands, or else the nearest section around it."""
        while path not in self.document.values and path:
            path = path[:-1]
        return self.document.values.get(path, Place(1, 1))


def _paths(error: ErrorDetails) -> list[Path]:
    """The path of the option at fault, and of those that it conflicts with."""
    section: Path = error["loc"]
    if error["type"] != "conflict":
        return [section]
    involved = [name.split(".") for name in error["ctx"]["involved"]]
    return [section + tuple(int(step) if step.isdigit() else step for step in steps) for steps in involved]


def _at(data: Any, path: Path) -> Any:
    """The value at a path; None where nothing is written there."""
    for step in path:
        inside = isinstance(step, int) if isinstance(data, list) else isinstance(data, dict) and step in data
        data = data[step] if inside else None
    return data


def _without(data: Any, path: Path) -> Any:
    """The data without a path: without the nearest key that leads to it."""
    while path and isinstance(path[-1], int):
        path = path[:-1]
    if not path:
        return {}
    if isinstance(section := _at(data, path[:-1]), dict):
        section.pop(path[-1], None)
    return data

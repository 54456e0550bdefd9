"""Writes docs/reference/ from the code:  python -m docs.generate

tests/test_docs.py fails while the committed text is not what this writes.
"""

from __future__ import annotations

import argparse
import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lstm_stream import __version__
from lstm_stream.changes import FIXED, obstacle
from lstm_stream.cli.program import parser
from lstm_stream.config import Config
from lstm_stream.config.file import schema
from lstm_stream.outputs.web.openapi import describe

FOLDER = Path(__file__).parent / "reference"
NOTE = "<!-- Written by `python -m docs.generate` from the code; do not edit. -->\n"


def main() -> None:
    """Write all pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, "utf-8")


def pages() -> dict[str, str]:
    """Name -> text."""
    made = {"README.md": index(), "options.md": options(), "commands.md": commands()}
    return {name: NOTE + "\n" + text for name, text in (made | {"api.md": api()}).items()}


def index() -> str:
    """What there is."""
    return """# Reference

- [Options](options.md): all that a configuration may say, with defaults, limits, and what can change while running
- [Command line](commands.md): every command and its arguments
- [Events](../events.md): what is published when an alarm opens or closes, and where it can go
- [API](api.md): JSON over HTTP
- [Metrics](../metrics.md): what Prometheus sees
- [Payloads](../formats.md): what messages may look like, and the presets
"""


# --- options


def options() -> str:
    """A table a section."""
    fixed = "\n".join(f"- `{pattern}`: {why}" for pattern, why in FIXED.items() if pattern != "*")
    parts = [f"# Options\n\n{_ABOUT_OPTIONS}\n\n{fixed}"]
    definitions = schema()
    for path, section, definition in _sections(Config, definitions, definitions):
        rows = [_option(path, name, option, definitions) for name, option in definition["properties"].items()]
        if not any(rows):
            continue
        title = f"## {path.removesuffix('.') or 'The file'}\n\n{section.__doc__ or ''}"
        parts.append("\n".join([title, "", *_HEAD, *filter(None, rows)]))
    return "\n\n".join(parts) + "\n"


_ABOUT_OPTIONS = """\
All options of a configuration, as [config/full.yaml](../../config/full.yaml) shows them in YAML. `lstm-stream check
FILE` says what is wrong with a file; `lstm-stream check --schema` lets editors complete it. Durations are seconds, or a
number with ms, s, m, h, d or w.

*Running* says whether an option can change while the daemon runs: at SIGHUP, or when the file changes. If one that
cannot is changed, the log says so with its line, and the former configuration stays in force as a whole. Reasons:"""
_HEAD = ["| option | may be | default | running | meaning |", "| --- | --- | --- | --- | --- |"]


def _sections(
    section: type[BaseModel], definition: dict[str, Any], root: dict[str, Any], path: str = ""
) -> Iterator[tuple[str, type[BaseModel], dict[str, Any]]]:
    """Every section with its path, `*` for a group's name, and its schema."""
    yield path, section, definition
    for name, option in section.model_fields.items():
        inner, kind = _inner(option.annotation)
        if inner is not None:
            below = {tuple: "[].", dict: ".NAME."}.get(kind, ".")
            yield from _sections(inner, root["$defs"][inner.__name__], root, path + name + below)


def _inner(annotation: Any) -> tuple[type[BaseModel] | None, Any]:
    """The section that an option holds, and how: tuple, dict or neither."""
    origin = typing.get_origin(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, None
    for kind in typing.get_args(annotation):
        inner, how = _inner(kind)
        if inner is not None:
            return inner, origin if origin in (tuple, dict) else how
    return None, None


def _option(path: str, name: str, option: dict[str, Any], root: dict[str, Any]) -> str | None:
    """A row; None for what has a table of its own."""
    if _holds_section(option):
        return None
    plain = (path + name).replace("[]", "").replace("NAME", "*")
    why = obstacle(plain)
    cells = (
        f"`{name}`",
        _kind(option, root),
        _code(option.get("default")),
        "yes" if why is None else "no",
        option.get("description", ""),
    )
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _holds_section(option: dict[str, Any]) -> bool:
    parts = [option, option.get("items", {}), option.get("additionalProperties", {})]
    return any(isinstance(part, dict) and "$ref" in part for part in parts)


def _kind(option: dict[str, Any], root: dict[str, Any]) -> str:
    """What a value may be, in words."""
    if "$ref" in option:
        return _kind(root["$defs"][option["$ref"].rpartition("/")[2]], root)
    if "anyOf" in option:
        kinds = [_kind(one, root) for one in option["anyOf"]]
        return "a duration" if _is_duration(option) else " or ".join(dict.fromkeys(kinds))
    if "const" in option:
        return _code(option["const"])
    if "enum" in option:
        return ", ".join(dict.fromkeys(map(_code, option["enum"])))
    if "pattern" in option and "examples" in option:
        return "such as " + _code(option["examples"][0])
    limits = [
        f"{words} {option[key]}"
        for key, words in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if key in option
    ]
    if option.get("type") == "array":
        return "a list: " + _kind(option.get("items", {}), root)
    return ", ".join([_TYPES.get(str(option.get("type")), "text"), *limits])


_TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "object": "a mapping",
}


def _is_duration(option: dict[str, Any]) -> bool:
    texts = [one for one in option["anyOf"] if one.get("type") == "string"]
    return any("ms|s|m|min|h|d|w" in one.get("pattern", "") for one in texts)


def _code(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{text}`" if text else '`""`'


# --- the command line


def commands() -> str:
    """A chapter a command."""
    program = parser()
    parts = [f"# Command line\n\n{program.description}\n\n```\n{program.epilog}\n```"]
    for name, verb in _verbs(program):
        parts.append(_command(name, verb, 2))
        parts += [_command(f"{name} {action}", inner, 3) for action, inner in _verbs(verb)]
    return "\n\n".join(parts) + "\n"


def _verbs(program: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in program._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _command(name: str, verb: argparse.ArgumentParser, depth: int) -> str:
    lines = [f"{'#' * depth} lstm-stream {name}", "", str(verb.description)]
    taken = [action for action in verb._actions if not isinstance(action, argparse._SubParsersAction)]
    rows = [_argument(action) for action in taken if action.dest != "help"]
    if rows:
        lines += ["", "| argument | meaning |", "| --- | --- |", *rows]
    if verb.epilog:
        lines += ["", "```", *verb.epilog.removeprefix("examples:\n").splitlines(), "```"]
    return "\n".join(lines)


def _argument(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else str(action.metavar or "{" + ", ".join(action.choices or [action.dest]) + "}")
    shown = ", ".join(action.option_strings)
    more = " ..." if action.nargs in ("*", "+") else ""
    optional = action.nargs in ("?", "*") and not shown
    text = f"{shown} {value}{more}".strip()
    meaning = (action.help or "").replace("|", "\\|")
    return f"| `{f'[{text}]' if optional else text}` | {meaning}{' (required)' if shown and action.required else ''} |"


# --- the API


def api() -> str:
    """Paths with their parameters, then the documents."""
    document = describe(__version__)
    parts = [f"# API\n\n{_ABOUT_API}"]
    for path, methods in document["paths"].items():
        parts += [_request(path, method, how) for method, how in methods.items()]
    parts.append("## Documents")
    schemas = document["components"]["schemas"]
    parts += [_document(name, schemas[name]) for name in sorted(schemas) if "properties" in schemas[name]]
    return "\n\n".join(parts) + "\n"


_ABOUT_API = """\
JSON over HTTP below `web.host:web.port`, described by `/api/v1/openapi.json` as well. Times are unix seconds; a number
that is unknown is null. An error is a [Refusal](#refusal). Where the web side has users, every request needs one."""


def _request(path: str, method: str, how: dict[str, Any]) -> str:
    lines = [f"## {method.upper()} {path}", "", f"{how['summary']}."]
    answer = how["responses"]["200"]
    body = how.get("requestBody")
    if body:
        lines.append(f"Takes {_link(next(iter(body['content'].values()))['schema'])}.")
    lines.append(f"Answers with {_link(next(iter(answer['content'].values()))['schema'])}: {answer['description']}")
    rows = [
        f"| `{one['name']}`{' (required)' if one['required'] else ''} | {_kind(one['schema'], {})} | "
        f"{'' if one['required'] else _code(one['schema'].get('default'))} | {one['description']} |"
        for one in how.get("parameters", [])
    ]
    return "\n".join(
        [*lines, *(["", "| parameter | may be | default | meaning |", "| --- | --- | --- | --- |"] * bool(rows)), *rows]
    )


def _link(part: dict[str, Any]) -> str:
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if part.get("type") == "array":
        return "a list of " + _link(part.get("items", {}))
    if "anyOf" in part:
        return " or ".join(_link(one) for one in part["anyOf"])
    if part.get("additionalProperties"):
        return "by name, " + _link(part["additionalProperties"])
    return _kind(part, {}) if part.get("type") != "object" else "an object"


def _document(name: str, part: dict[str, Any]) -> str:
    rows = [f"| `{field}` | {_link(one)} | {one.get('description', '')} |" for field, one in part["properties"].items()]
    head = ["| field | is | meaning |", "| --- | --- | --- |"]
    return "\n".join([f"### {name}", "", part.get("description", ""), "", *head, *rows])


if __name__ == "__main__":
    main()

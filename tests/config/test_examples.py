"""The configurations we ship, and the schema: complete, right, and in step with the code."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from lstm_stream.config import Config
from lstm_stream.config.document import read
from lstm_stream.config.file import effective, load, parse, schema

EXAMPLES = Path(__file__).parents[2] / "config"
FULL = EXAMPLES / "full.yaml"
Steps = tuple[str | int, ...]


def options(section: type[BaseModel], path: Steps = ()) -> Iterator[tuple[Steps, str]]:
    """The path and description of every option, as full.yaml has them: one source, one group."""
    for name, option in section.model_fields.items():
        yield (*path, name), str(option.description)
        inside: dict[object, Steps] = {tuple: (0,), dict: ("default",)}
        for kind in (option.annotation, *typing.get_args(option.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from options(kind, (*path, name, *inside.get(typing.get_origin(option.annotation), ())))


def comment_above(lines: list[str], line: int) -> str:
    """The comment that ends in the line before a line (counted from 1), without its marks."""
    comment: list[str] = []
    while line > 1 and lines[line - 2].lstrip().startswith("#"):
        line -= 1
        comment.insert(0, lines[line - 1].strip("# "))
    return " ".join(comment)


def test_full_shows_every_option_with_its_default() -> None:
    written = read(FULL.read_text("utf-8")).keys
    assert set(written) - {("groups", "default")} == {path for path, _ in options(Config)}
    assert load(FULL) == Config()


@pytest.mark.parametrize(("path", "description"), [pytest.param(*both, id=str(both[0])) for both in options(Config)])
def test_full_describes_an_option_in_the_words_of_the_code(path: Steps, description: str) -> None:
    text = FULL.read_text("utf-8")
    place = read(text).keys[path]
    assert comment_above(text.splitlines(), place.line) == description


def test_minimal_is_minimal() -> None:
    config = load(EXAMPLES / "minimal.yaml")
    assert len((EXAMPLES / "minimal.yaml").read_text("utf-8").splitlines()) <= 10
    assert config.broker.password_env
    assert config.sources[0].sensor == "{site}-{sensor}"


# --- the schema, as an editor would use it


@pytest.fixture(scope="module")
def editor() -> jsonschema.Draft202012Validator:
    document = json.loads(json.dumps(schema()))
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


@pytest.mark.parametrize("name", ["full.yaml", "minimal.yaml"])
def test_the_schema_accepts_what_we_ship(editor: jsonschema.Draft202012Validator, name: str) -> None:
    assert list(editor.iter_errors(yaml.safe_load((EXAMPLES / name).read_text("utf-8")))) == []


@pytest.mark.parametrize(
    "text",
    [
        "broker: {keepalive: 30}",
        "broker: {keepalive: 30s, protocol: 5}",
        "groups: {a: {false_alarms: 2 per sensor per day}}",
        "x-anchors: {anything: 1}",
        "state: {path: null}",
    ],
)
def test_the_schema_accepts_what_the_program_does(editor: jsonschema.Draft202012Validator, text: str) -> None:
    parse(text, "x.yaml")
    assert list(editor.iter_errors(yaml.safe_load(text))) == []


@pytest.mark.parametrize(
    "text",
    [
        "broker: {prot: 1}",
        "broker: {port: 70000}",
        "broker: {port: text}",
        "broker: {keepalive: soon}",
        "groups: {a: {false_alarms: 1}}",
        "sources: {topic: a}",
        "log: {level: loud}",
    ],
)
def test_the_schema_marks_mistakes(editor: jsonschema.Draft202012Validator, text: str) -> None:
    assert list(editor.iter_errors(yaml.safe_load(text)))


def section_of(document: dict[str, Any], option: dict[str, Any]) -> Any:
    return document["$defs"][option["$ref"].rpartition("/")[2]]


def test_the_schema_describes_every_option_and_shows_defaults_as_people_write_them() -> None:
    document = schema()
    sections = [document, *document["$defs"].values()]
    described = [option for section in sections for option in section["properties"].values()]
    assert all("default" in option for option in described)
    assert all("description" in option or "description" in section_of(document, option) for option in described)
    assert document["$defs"]["Group"]["properties"]["false_alarms"]["default"] == "1 per sensor per week"
    assert document["$defs"]["Broker"]["properties"]["keepalive"]["default"] == "1m"


# --- the effective configuration


def test_the_effective_configuration_is_complete_and_reads_back() -> None:
    text = "groups: {pumps: {false_alarms: 3 per sensor per day}}\nstate: {every: 90}\nbroker: {protocol: 5}\n"
    config = parse(text, "x.yaml")
    printed = effective(config)
    assert "false_alarms: 3 per sensor per day" in printed
    assert "every: 90s" in printed
    assert parse(printed, "printed.yaml") == config
    assert {path for path, _ in options(Config)} <= set(read(printed).keys)


_TEXT = st.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters="{}")  # which make templates


@given(st.text(_TEXT, min_size=1, max_size=20), st.floats(0.1, 1e6))
def test_any_text_and_number_reads_back(name: str, seconds: float) -> None:
    broker = {"client_id": name, "username": name, "reconnect_min": seconds, "reconnect_max": seconds + 1}
    config = Config.model_validate({"broker": broker, "sources": [{"group": name}], "groups": {name: {}}})
    assert parse(effective(config), "printed.yaml") == config


def test_the_effective_configuration_holds_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", "hunter2")
    printed = effective(parse("broker: {username: me, password_env: BROKER_PASSWORD}", "x.yaml"))
    assert "username: me" in printed
    assert "hunter2" not in printed
    (tmp_path / "secret").write_text("hunter2")
    printed = effective(parse(f"broker: {{username: me, password_file: {tmp_path}/secret}}", "x.yaml"))
    assert f"{tmp_path}/secret" in printed
    assert "hunter2" not in printed

"""Sources: presets are complete and overridable, topics may be several, templates are checked; all is documented."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lstm_stream.config import Config, Source
from lstm_stream.config.file import ConfigError, effective, parse
from lstm_stream.config.presets import PRESETS

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENT = (DOCS / "formats.md").read_text("utf-8")
NAMES = typing.get_args(typing.get_args(Source.model_fields["preset"].annotation)[0])
FORMATS = typing.get_args(Source.model_fields["format"].annotation)


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        parse(text, "c.yaml")
    return str(error.value).splitlines()


def test_every_preset_that_is_offered_is_there() -> None:
    assert set(NAMES) == set(PRESETS)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_alone_is_a_configuration_that_reads_back(name: str) -> None:
    config = parse(f"sources: [{{preset: {name}}}]", "c.yaml")
    assert config.sources[0] != Source(preset=typing.cast(Any, name), **_defaults())
    assert parse(effective(config), "printed.yaml") == config


def _defaults() -> dict[str, Any]:
    return {
        key: field.get_default() for key, field in Source.model_fields.items() if key not in ("preset", "timestamp")
    }


@pytest.mark.parametrize("name", NAMES)
def test_all_presets_together_with_one_of_them_again_is_refused(name: str) -> None:
    sources = [{"preset": name}, {"preset": name}]
    with pytest.raises(ValidationError, match="takes the same topics"):
        Config.model_validate({"sources": sources})


def test_all_presets_can_be_used_together() -> None:
    config = Config.model_validate({"sources": [{"preset": name} for name in NAMES]})
    assert len(config.sources) == len(NAMES)


def test_what_is_written_beside_a_preset_overrides_it() -> None:
    changes = "topic: 'tele/{site}/{sensor}/SENSOR', exclude: [], timestamp: {unit: iso}, qos: 0"
    [source] = parse(f"sources: [{{preset: tasmota, {changes}}}]", "c.yaml").sources
    assert (source.topics, source.exclude, source.qos) == (("tele/{site}/{sensor}/SENSOR",), (), 0)
    assert (source.timestamp.unit, source.timestamp.trust) == ("iso", False)
    assert source.words == {"on": 1, "off": 0}


def test_an_unknown_preset_is_refused_with_those_there_are() -> None:
    [problem] = problems("sources: [{preset: tasmotta}]")
    assert problem.startswith("c.yaml:1:20: sources[0].preset: is 'tasmotta'; must be tasmota, zigbee2mqtt,")


def test_topics_may_be_several_and_each_names_the_sensor() -> None:
    [source] = parse("sources: [{topic: ['a/{sensor}', 'b/{sensor}/#']}]", "c.yaml").sources
    assert source.topics == ("a/{sensor}", "b/{sensor}/#")
    assert "uses {sensor}" in problems("sources: [{topic: ['a/{sensor}', b/c]}]")[0]
    assert "is an empty list" in problems("sources: [{topic: []}]")[0]
    assert "is not text" in problems("sources: [{topic: [1]}]")[0]
    assert (
        "takes the same topics as sources[0]"
        in problems("sources: [{topic: ['a/{x}', 'b/{x}'], sensor: s}, {topic: ['c/{sensor}', 'b/{sensor}']}]")[0]
    )


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("sensor: '{site}'", "uses {site}, which the topic does not name"),
        ("channel: '{kind}'", "uses {kind}, which the topic does not name; write {kind} for a level of topic, or give"),
        ("sensor: '{sensor'", "has a brace that is not part of a name; write names like {sensor} or {payload.id}"),
        ("topic: 'a/{x#}/{y#}/{sensor}'", "has two parts of any length (#)"),
        ("topic: 'a/{sensor#}/#'", "has two parts of any length (#)"),
        ("availability: ['a/b+']", "mixes a wildcard with text"),
        ("join: -1", "must be at least 0"),
        ("join: 2h", "must be at most"),
        ("words: {a: b}", "must be a number"),
        ("words: {a: true}", "must be a number"),
        ("format: xml", "must be auto, json"),
    ],
)
def test_mistakes_in_sources_are_told(source: str, problem: str) -> None:
    assert problem in problems(f"sources: [{{{source}}}]")[0]


@pytest.mark.parametrize(
    "source",
    [
        "{sensor: '{payload.id}', topic: a/b}",
        "{sensor: '{payload.id|sensor}'}",
        "{topic: 'a/{path#}', sensor: '{path}'}",
        "{channel: '{payload.kind}'}",
        "{sensor: boiler, topic: a/+/#}",
        "{words: {'on': 1, high: 2.5}, units: true, counters: ['*.total'], join: 500ms}",
    ],
)
def test_what_sources_may_say(source: str) -> None:
    parse(f"sources: [{source}]", "c.yaml")


def test_the_example_with_presets_is_right() -> None:
    config = parse((DOCS.parent / "config" / "smart-home.yaml").read_text("utf-8"), "smart-home.yaml")
    assert [source.group for source in config.sources] == ["climate", "power", "power", "default"]


# -- its documentation


@pytest.mark.parametrize("name", [*NAMES, *FORMATS])
def test_presets_and_formats_are_documented(name: str) -> None:
    assert f"`{name}`" in DOCUMENT


@pytest.mark.parametrize("name", NAMES)
def test_the_topics_of_a_preset_are_documented(name: str) -> None:
    row = next(line for line in DOCUMENT.splitlines() if line.startswith(f"| `{name}` |"))
    assert all(f"`{topic}`" in row for topic in Source(preset=typing.cast(Any, name)).topics)


@pytest.mark.parametrize("option", sorted(set(Source.model_fields) - {"qos", "group", "include", "separator"}))
def test_options_of_sources_are_explained(option: str) -> None:
    assert f"`{option}" in DOCUMENT

"""Groups by template: of levels of the topic, of tags and fields of the payload; what is no group is the default."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from lstm_stream.config import Config, Limits, Source
from lstm_stream.config.file import ConfigError, parse
from lstm_stream.explain import explain
from lstm_stream.ingest.assembly import Assembly
from lstm_stream.ingest.decoder import Decoder
from lstm_stream.records import Chunk, Message

AT = 1_790_000_000.0
KNOWN = ("default", "a", "b")


def _groups(source: Source, *messages: tuple[str, str]) -> list[str]:
    decoder = Decoder([source], Limits(), KNOWN)
    return [r.group for topic, payload in messages for r in decoder.decode(Message(topic, payload.encode(), AT))[0]]


def test_a_level_of_the_topic_names_the_group() -> None:
    source = Source(topic="{site}/{sensor}", group="{site}")
    assert _groups(source, ("a/x", "1"), ("b/x", "1"), ("c/x", "1")) == ["a", "b", "default"]


def test_a_tag_or_a_field_of_the_payload_names_the_group_and_is_no_channel() -> None:
    source = Source(topic="{site}/{sensor}", group="{payload.line|site}")
    lines = "m,line=a v=1 1700000000\nm,line=b v=1 1700000000\nm,line=z v=1 1700000000\nm v=1 1700000001"
    assert _groups(source, ("b/x", lines)) == ["a", "b", "default", "b"]
    [reading], [] = Decoder([source], Limits(), ("a", "7")).decode(Message("a/x", b'{"line": 7, "v": 1}', AT))
    assert (reading.group, reading.values) == ("7", {"v": 1})


def test_a_field_that_is_not_there_means_the_default() -> None:
    assert _groups(Source(topic="{sensor}", group="{payload.line}"), ("x", '{"v": 1}')) == ["default"]


def test_a_name_that_is_no_group_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _groups(Source(topic="{site}/{sensor}", group="{site}"), *[(f"c/{k}", "1") for k in range(3)], ("d/x", "1"))
    assert [record.getMessage()[:13] for record in caplog.records] == ["no group 'c':", "no group 'd':"]


def test_many_at_once_are_the_same() -> None:
    assembly = Assembly([Source(topic="{site}/{sensor}", group="{site}")], Limits(), groups=KNOWN)
    topics = [f"{site}/{k}" for site in "abc" for k in range(3)]
    for _ in range(3):
        data, table = b"", []
        for topic in topics:
            table.append((len(data), len(topic), len(data) + len(topic), 1, 0, 0))
            data += topic.encode() + b"1"
        decoded = assembly.decode_all([_chunk(data, table)])
        found = [(rows.group, rows.names[n]) for rows in decoded.rows for n in rows.number.tolist()]
        found += [(reading.group, reading.sensor) for reading in decoded.readings]
        assert sorted(found) == sorted((site.replace("c", "default"), str(k)) for site in "abc" for k in range(3))


def _chunk(data: bytes, table: list[tuple[int, ...]]) -> Chunk:
    return Chunk(data, np.array(table, np.int32), np.full(len(table), AT))


def test_explain_tells_the_group() -> None:
    config = parse("sources: [{topic: '{site}/{sensor}', group: '{site}'}]\ngroups: {a: {warmup: 100}}", "c.yaml")
    assert explain(config, "a/x", b"1", AT).group == "a"
    assert explain(config, "q/x", b"1", AT).group == "default"
    assert explain(config, "q/x", b"perhaps", AT).group == "default"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sources: [{group: '{site}'}]", "c.yaml:1:19: sources[0].group: uses {site}, which the topic does not name"),
        ("sources: [{group: '{site'}]", "c.yaml:1:19: sources[0].group: has a brace that is not part of a name"),
        ("sources: [{group: nowhere}]", "c.yaml:1:19: sources[0].group: is 'nowhere', which is not in groups"),
    ],
)
def test_mistakes_are_told(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(text, "c.yaml")
    assert str(error.value).startswith(problem)


def test_the_usual_group_of_a_template_is_the_default() -> None:
    config = Config.model_validate({"sources": [{"topic": "{site}/{sensor}", "group": "{site}"}]})
    assert config.sources[0].usual_group == "default"

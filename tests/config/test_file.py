"""Loading a file: every mistake at once, where it is, and what would be right."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_stream.config import Config
from lstm_stream.config.file import ConfigError, load, parse

FULL = (Path(__file__).parents[2] / "config" / "full.yaml").read_text("utf-8")


def problems(text: str) -> list[str]:
    """What is wrong with a text, line by line; nothing if it is right."""
    try:
        parse(text, "config.yaml")
    except ConfigError as error:
        lines = str(error).splitlines()
        assert lines, "refused without a reason"
        return lines
    return []


FIVE_MISTAKES = """\
broker:
  port: 70000
sources:
  - topic: plant/{sensor}
    group: pumps
groups:
  fans:
    false_alarms: sometimes
    model:
      hiden: 12
state:
  every: 5 minutes
"""


def test_five_mistakes_are_reported_at_once_in_order_and_place() -> None:
    assert problems(FIVE_MISTAKES) == [
        "config.yaml:2:9: broker.port: is 70000; must be at most 65535",
        "config.yaml:5:12: sources[0].group: is 'pumps', which is not in groups; "
        "add it there, or use one of: default, fans",
        "config.yaml:8:19: groups.fans.false_alarms: is not an alarm budget; "
        "write for example: 1 per sensor per week (or hour, day, month, year)",
        "config.yaml:10:7: groups.fans.model.hiden: unknown key; did you mean hidden?",
        "config.yaml:12:10: state.every: is not a duration; "
        "write seconds, or a number with ms, s, m, h, d or w, such as 5m",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        # keys
        ("borker: {}", "1:1: borker: unknown key; did you mean broker?"),
        ("web: {hots: a}", "1:7: web.hots: unknown key; did you mean host?"),
        ("web: {Port: 1}", "1:7: web.Port: unknown key; did you mean port?"),
        ("hidden: 5", "1:1: hidden: unknown key; did you mean groups.NAME.model.hidden?"),
        ("port: 5", "1:1: port: unknown key; did you mean broker.port or web.port?"),
        ("web: {zzz: 1}", "1:7: web.zzz: unknown key; known here: enabled, host, port"),
        ("web: {port: 1, port: 2}", "1:16: web.port: is given twice, first in line 1; keep one of the two"),
        ("web:\n  host: a\nweb:\n  port: 1", "3:1: web: is given twice, first in line 1; keep one of the two"),
        # values
        ("web: {port: -1}", "1:13: web.port: is -1; must be at least 0"),
        ('web: {port: "80"}', "1:13: web.port: is '80'; must be a whole number, without quotes"),
        ("web: {port: 1.5}", "1:13: web.port: is 1.5; must be a whole number"),
        ("web: {port: }", "1:12: web.port: is empty; must be a whole number"),
        ("web: {port: yes}", "1:13: web.port: is true; must be a whole number"),
        ("web: {enabled: maybe}", "1:16: web.enabled: is 'maybe'; must be true or false"),
        ("broker: {client_id: 5}", "1:21: broker.client_id: is 5; must be text; put it in quotes"),
        ("broker: {client_id: ''}", "1:21: broker.client_id: is empty; write some text, or remove the key"),
        ("broker: {keepalive: 2s}", "1:21: broker.keepalive: is '2s'; must be at least 5s"),
        ("broker: {keepalive: 2}", "1:21: broker.keepalive: is 2; must be at least 5"),
        ("sources: [{qos: true}]", "1:17: sources[0].qos: is true; must be 0 or 1"),
        (
            "sources: [{separator: 123456789}]",
            "1:23: sources[0].separator: is 123456789; must be text; put it in quotes",
        ),
        ("sources: [{separator: '123456789'}]", "1:23: sources[0].separator: is '123456789'; must be no longer than 8"),
        ("log: {level: loud}", "1:14: log.level: is 'loud'; must be debug, info, warning or error"),
        ("state: {path: 5}", "1:15: state.path: is 5; must be the name of a file"),
        (
            "groups: {default: {retraining: {clip: 0}}}",
            "1:39: groups.default.retraining.clip: is 0; must be more than 0",
        ),
        (
            "groups: {default: {retraining: {clip: x}}}",
            "1:39: groups.default.retraining.clip: is 'x'; must be a number",
        ),
        # sections
        ("web: 5", "1:6: web: is a number; must be a section with keys such as enabled, host, port"),
        ("groups: [a]", "1:9: groups: is a list; must be a section with keys such as default"),
        ("sources: {topic: a}", "1:10: sources: is a section; must be a list: each entry in its own line after `- `"),
        ("sources: []", "1:10: sources: is an empty list; write at least one source, or remove the key"),
        ("[a]", "1:1: is a list; must be a section with keys such as broker, sources,"),
        ("hello", "1:1: is text; must be a section"),
        # between options: at the one that is written
        ("broker: {reconnect_max: 500ms}", "1:25: broker.reconnect_min: is longer than reconnect_max (500ms); make it"),
        ("sources: [{topic: a/b}]", "1:19: sources[0].sensor: uses {sensor}, which the topic does not name; write"),
        # YAML itself
        ("web:\n\tport: 1", "2:1: a tab in front of text; indent with spaces"),
        ("web: {port: 1", "1:6: a bracket is not closed; close it"),
        ("web: 'x", "1:6: a quote is not closed, or not in the line; close it"),
        ("a: b: c", "1:5: a colon where none can be; check the indentation"),
        ("web:\n  port: 1\n host: a", "3:2: the indentation does not fit the lines above; align the keys"),
        ("web:\n  port: 1\nother", "3:1: a line without a colon; write key: value"),
        ("sources: [{topic: *x}]", "1:19: an alias (*) without its anchor (&); put text that begins with * in quotes"),
        ("web: @x", "1:6: a character that cannot begin a value; put the text in quotes"),
        ("a: 1\n---\nb: 1", "2:1: a second document begins (---); keep one configuration in a file"),
        ("web: {port: !env X}", "1:13: web.port: has the tag '!env'; write plain values, without !"),
        (
            "web: !!python/object:os.system {}",
            "1:6: web: has the tag 'tag:yaml.org,2002:python/object:os.system'; write",
        ),
        ("web: {port: !!int x}", "1:13: web.port: cannot be read as a number; write a shorter one, in digits"),
        ("? [a]\n: 1", "1:3: has a key that is not plain text; write keys as plain words"),
        ('broker: {host: "\\0"}', "1:16: broker.host: contains a control character; write plain text"),
        ('web: "\\UFFFFFFFF"', "1:9: cannot be read: "),
        ("web: \0", "1:6: contains the control character U+0000; remove it"),
        ("<<: 5", "1:5: <<: merges something without keys; write <<: *name_of_a_section"),
        ("%YAML 3.0\n---\na: 1", "1:1: is not YAML: found incompatible YAML document"),
    ],
)
def test_a_mistake_is_explained(text: str, problem: str) -> None:
    (found,) = problems(text)
    assert found.startswith(f"config.yaml:{problem}")
    assert "; " in found


def test_a_misspelt_key_is_not_reported_a_second_time_as_a_missing_one() -> None:
    assert len(problems("broker: {username: me, password_env: P, tls: {enabled: yes, cert_file: a, keyfile: b}}")) == 1
    assert len(problems("grops: {pumps: {}}\nsources: [{group: pumps}]")) == 1


def test_other_mistakes_do_not_hide_one_between_options() -> None:
    found = problems(
        "borker: {}\nsources: [{group: pumps, qos: 7}, {topic: a/#/b}, {topic: 'x/{sensor}', group: fans}]"
    )
    assert [line.split(": ")[1] for line in found] == [
        "borker",
        "sources[0].group",
        "sources[0].qos",
        "sources[1].topic",
        "sources[2].group",
    ]


def test_a_value_is_shown_though_the_section_around_it_is_wrong_too() -> None:
    assert "config.yaml:1:20: sources[1].qos: is 7; must be 0 or 1" in problems("sources: [x, {qos: 7}]")


# --- secrets


@pytest.mark.parametrize("key", ["password", "Password", "pass", "secret", "token"])
def test_a_password_in_the_file_is_refused_with_advice_and_never_repeated(key: str) -> None:
    (found,) = problems(f"broker:\n  username: me\n  {key}: hunter2")
    assert found.startswith(f"config.yaml:3:3: broker.{key}: unknown key; no secrets in this file")
    assert "password_file" in found
    assert "password_env" in found
    assert "hunter2" not in found


@pytest.mark.parametrize(
    "text",
    [
        "broker: mqtt://me:hunter2@host",
        "broker: {host: 'mqtt://me:hunter2@host'}",
        "broker: {username: me, password_env: hunter2!}",
        "broker: {username: me, password_file: [hunter2]}",
        "broker: {hunter: {x: hunter2}}",
        "broker: {username: me, password: 'hunter2",
        "broker: {username: me, password: hunter2: x}",
        "broker: {tls: hunter2}",
    ],
)
def test_values_that_may_be_secrets_are_not_repeated(text: str) -> None:
    found = problems(text)
    assert found
    assert "hunter2" not in "\n".join(found)


def test_a_number_for_a_password_is_not_repeated() -> None:
    (found,) = problems("broker: {username: me, password_file: 12345}")
    assert "12345" not in found


# --- YAML as people write it


def test_an_empty_file_is_all_defaults() -> None:
    assert parse("", "config.yaml") == parse("# nothing\n", "config.yaml") == Config()


def test_numbers_and_words_are_what_they_look_like() -> None:
    config = parse(
        "broker: {client_id: 12:30, username: 2026-01-31, protocol: 5, clean_session: yes}\n"
        "groups: {12: {retraining: {learning_rate: 4e-3}}, no: {}}\n"
        "sources: [{group: '12'}]\n"
        "limits: {sensors: 1_000}\n",
        "config.yaml",
    )
    assert (config.broker.client_id, config.broker.username) == ("12:30", "2026-01-31")
    assert (config.broker.protocol, config.broker.clean_session) == ("5", True)
    assert set(config.groups) == {"12", "no", "default"}
    assert config.groups["12"].retraining.learning_rate == 0.004
    assert config.limits.sensors == 1000


def test_anchors_and_merge_keys() -> None:
    text = """\
x-common: &common {qos: 0, group: pumps}
groups: {pumps: {}}
sources:
  - &first
    <<: *common
    topic: a/{sensor}
  - <<: [*first, *common]
    topic: b/{sensor}
    qos: 1
"""
    first, second = parse(text, "config.yaml").sources
    assert (first.topic, first.qos, first.group) == ("a/{sensor}", 0, "pumps")
    assert (second.topic, second.qos, second.group) == ("b/{sensor}", 1, "pumps")


def test_a_mistake_in_an_anchor_is_reported_where_it_is_written() -> None:
    text = "x-a: &a {qos: 7}\nsources:\n  - <<: *a\n    topic: x/{sensor}\n"
    assert problems(text) == ["config.yaml:1:15: sources[0].qos: is 7; must be 0 or 1"]


@pytest.mark.parametrize(
    "bomb",
    [
        "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)),
        "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 30)),
        "a: &a [*a]",
        "a: &a {<<: *a}",
        "[" * 100_000,
        "- " * 100_000,
        "{a: " * 1000,
    ],
    ids=["lists", "merges", "endless list", "endless merge", "deep", "deep dashes", "deep braces"],
)
def test_bombs_are_refused_at_once(bomb: str) -> None:
    started = time.monotonic()
    (found,) = problems(bomb)
    assert re.search("expands to too much|contains itself|nested too deeply", found)
    assert time.monotonic() - started < 60


def test_many_mistakes_are_cut_off() -> None:
    assert len(problems("".join(f"key{i}: 1\n" for i in range(1000)))) == 100


# --- files


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as error:
        load(path)
    return str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.yaml").startswith(f"{tmp_path}/none.yaml: cannot be read: No such file")
    assert "Is a directory" in refused(tmp_path)
    assert "cannot be read" in refused(Path("a\0b"))


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes("broker:\n  client_id: Kühlhaus\n".encode("latin-1"))
    assert refused(file) == f"{file}:2:15: is not UTF-8 text; save it in the encoding UTF-8"
    file.write_bytes("broker:\n  client_id: Kühlhaus\n".encode("utf-8-sig"))
    assert load(file).broker.client_id == "Kühlhaus"


def test_a_file_that_is_no_configuration(tmp_path: Path) -> None:
    file = tmp_path / "movie.yaml"
    file.write_bytes(b"#" * 1_000_000)
    assert "is longer than 256 KiB" in refused(file)


# --- nothing else ever comes out of it

FRAGMENTS = st.sampled_from(
    [
        "\t",
        ": ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "&a ",
        "*a",
        "<<: *a",
        "!x ",
        "!!int ",
        "'",
        '"',
        "|",
        "#",
        "\n",
        "  ",
        "null",
        "yes",
        "-1",
        "1e999",
        "9" * 5000,
        "'\\",
        '"\\x"',
        '"\\ud800"',
        "? ",
        "---\n",
        "{}",
        "[]",
        "\0",
        "{sensor}",
        "\x85",
    ]
)


def only_config_errors(text: str) -> None:
    for problem in problems(text):
        place, _, words = problem.partition(": ")
        assert re.fullmatch(r"config\.yaml(:[1-9][0-9]*:[1-9][0-9]*)?", place), problem
        assert "; " in words, problem
        assert "Input should" not in words, problem  # pydantic's own words


@given(st.text() | st.lists(FRAGMENTS | st.text(max_size=3)).map("".join))
def test_any_text_is_a_configuration_or_an_explained_mistake(text: str) -> None:
    only_config_errors(text)


@given(st.data())
def test_any_damage_to_a_good_file_is_explained(data: st.DataObject) -> None:
    text = FULL
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.sampled_from([0, 0, 1, 3, 20]))
        text = text[:at] + data.draw(FRAGMENTS | st.text(max_size=3)) + text[at + length :]
    only_config_errors(text)


LINES = [i for i, line in enumerate(FULL.splitlines()) if re.match(r"[ -]*\w+: *\S", line)]


@given(
    st.sampled_from(LINES), st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists)
)
def test_any_wrong_value_is_explained(line: int, value: object) -> None:
    lines = FULL.splitlines()
    lines[line] = lines[line].partition(":")[0] + ": " + repr(value).replace("None", "null")
    only_config_errors("\n".join(lines))

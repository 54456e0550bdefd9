"""Topic patterns take what MQTT says they take, and sensors get the names one would expect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from lstm_stream.ingest.topics import Pattern, covers

LEVEL = st.sampled_from(["a", "b", "", "$SYS", "ä ö", "a+b"])
TOPIC = st.lists(LEVEL, min_size=1, max_size=4).map("/".join).filter(bool)
FILTER = st.builds(
    lambda levels, tail: "/".join([*levels, *tail]),
    st.lists(st.sampled_from(["a", "b", "+", "", "$SYS"]), max_size=3),
    st.sampled_from([[], ["#"]]),
).filter(bool)


@pytest.mark.parametrize(
    ("pattern", "topic", "levels"),
    [
        ("plant/{site}/{sensor}/telemetry", "plant/oslo/pump 7/telemetry", {"site": "oslo", "sensor": "pump 7"}),
        ("plant/{site}/{sensor}/telemetry", "plant/oslo/telemetry", None),
        ("plant/{sensor}", "plant/oslo/pump", None),
        ("plant/{sensor}", "plant/", None),
        ("plant/+", "plant/", {}),
        ("plant/{sensor}/#", "plant/p1", {"sensor": "p1"}),
        ("plant/{sensor}/#", "plant/p1/a/b", {"sensor": "p1"}),
        ("plant/{sensor}/#", "plant/p1x", {"sensor": "p1x"}),
        ("plant/#", "plants/p1", None),
        ("#", "a/b", {}),
        ("zigbee2mqtt/{sensor#}", "zigbee2mqtt/hall/lamp 1", {"sensor": "hall/lamp 1"}),
        ("zigbee2mqtt/{sensor#}", "zigbee2mqtt", None),
        ("zigbee2mqtt/{sensor#}", "zigbee2mqtt/hall//lamp", None),
        ("{sensor#}", "/plant/pump", {"sensor": "/plant/pump"}),
        ("{sensor#}/rpm", "/plant/pump/rpm", {"sensor": "/plant/pump"}),
        ("{sensor#}", "/", None),
        ("a/{sensor#}", "a//pump", None),
        ("{sensor}", "/plant", None),
        ("{sensor#}/state", "hall/lamp/state", {"sensor": "hall/lamp"}),
        ("a/{path#}/b/{x}", "a/1/b/2/b/3", {"path": "1/b/2", "x": "3"}),
        ("{path#}", "$SYS/load", None),
        ("#", "", None),
        ("a.c/{sensor}", "abc/x", None),
        ("{sensor}", "two\nlines", {"sensor": "two\nlines"}),
    ],
)
def test_a_pattern_names_the_levels_of_a_topic(pattern: str, topic: str, levels: dict[str, str] | None) -> None:
    assert Pattern.parse(pattern).match(topic) == levels


@pytest.mark.parametrize("pattern", ["#", "+/broker/load", "{sensor}/broker/load"])
def test_a_leading_wildcard_leaves_the_brokers_own_topics_alone(pattern: str) -> None:
    assert Pattern.parse(pattern).match("$SYS/broker/load") is None
    assert Pattern.parse("$SYS/broker/{sensor}").match("$SYS/broker/load") == {"sensor": "load"}


@pytest.mark.parametrize(
    ("pattern", "mqtt_filter"),
    [
        ("plant/{site}/{sensor}/t", "plant/+/+/t"),
        ("a/+/#", "a/+/#"),
        ("{sensor}", "+"),
        ("/lead/{s}/", "/lead/+/"),
        ("a/{p#}", "a/#"),
        ("a/{p#}/b", "a/#"),
        ("{p#}", "#"),
    ],
)
def test_the_filter_to_subscribe_to(pattern: str, mqtt_filter: str) -> None:
    assert Pattern.parse(pattern).filter == mqtt_filter


@pytest.mark.parametrize(
    "pattern",
    ["", "a/#/b", "a+/b", "a/{x}y", "a/{x}/{x}", "a/{x#}/{x}", "{x#}/{y#}", "{x#}/#", "a/{1}", "a\nb", "$share/g/a"],
)
def test_a_bad_pattern_is_refused_with_a_reason(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"; "):
        Pattern.parse(pattern)


@given(FILTER, TOPIC)
def test_a_pattern_of_wildcards_takes_what_the_filter_takes(mqtt_filter: str, topic: str) -> None:
    taken = Pattern.parse(mqtt_filter).match(topic) is not None
    assert taken == topic_matches_sub(mqtt_filter, topic)


@given(FILTER, FILTER, TOPIC)
def test_a_covering_filter_takes_all_that_the_covered_one_takes(wide: str, narrow: str, topic: str) -> None:
    if covers(wide, narrow) and topic_matches_sub(narrow, topic):
        assert topic_matches_sub(wide, topic)


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("a/#", "a/+/c", True),
        ("a/#", "a", True),
        ("a/#", "a/#", True),
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a/#", False),
        ("a/+", "a/b/c", False),
        ("a/b/c", "a/+/c", False),
        ("#", "$SYS/#", False),
        ("+", "a/b", False),
    ],
)
def test_which_filter_covers_which(wide: str, narrow: str, expected: bool) -> None:
    assert covers(wide, narrow) is expected

"""Names are made of a topic's levels and a payload's fields, or refused with what is missing."""

from __future__ import annotations

import pytest

from lstm_stream.ingest.names import Template, check_name


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{site}-{sensor}", "oslo-pump 7"),
        ("boiler", "boiler"),
        ("{payload.id}", "4711"),
        ("{site}/{payload.dev.eui|sensor}", "oslo/pump 7"),
        ("{payload.none|payload.id|sensor}", "4711"),
        ("{none|sensor}", "pump 7"),
        ("{payload.working hours}!", "8!"),
    ],
)
def test_a_name_is_made_of_levels_and_fields(template: str, name: str) -> None:
    levels, fields = {"site": "oslo", "sensor": "pump 7"}, {"id": "4711", "empty": "", "working hours": "8"}
    assert Template.parse(template).render(levels, fields) == name


@pytest.mark.parametrize(
    "template", ["{sensor}{", "}", "{a.b}", "{0}", "{}", "{sensor!r}", "{sensor:>9}", "{a|}", "{payload.}"]
)
def test_a_stray_brace_in_a_template_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="write names like"):
        Template.parse(template)


def test_what_a_payload_lacks_is_told() -> None:
    with pytest.raises(ValueError, match=r"no field .id or eui.*it has .name."):
        Template.parse("{payload.id|payload.eui}").render({}, {"name": "x", "id": ""})


def test_the_fields_that_a_template_uses() -> None:
    assert Template.parse("{site}-{payload.a.b|sensor|payload.c}").fields == ("a.b", "c")


@pytest.mark.parametrize("text", ["", "tab\there", "nul\0", "esc\x1b[31m", "\x85", "\u202e", "x" * 257])
def test_a_name_that_cannot_be_printed_is_refused_without_repeating_it_raw(text: str) -> None:
    with pytest.raises(ValueError, match="the sensor's name") as caught:
        check_name(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200

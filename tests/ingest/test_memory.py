"""What of the messages heard is worth keeping over a restart: Sparkplug's births, and values of counters."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest

from lstm_stream.config import Limits, Source
from lstm_stream.ingest.assembly import Assembly
from lstm_stream.records import Message, Reading, Rejection
from lstm_stream.store import Store

AT = 1_790_000_000


def _assembly(**source: Any) -> Assembly:
    return Assembly([Source.model_validate(source)], Limits())


def _restarted(before: Assembly, path: Path, **source: Any) -> Assembly:
    """One that begins with what the other left in a state file."""
    store = Store(path / "state.db")
    store.open()
    assert store.memory() is None
    store.save([], {"memory": before.memory()})
    store.close()
    store.open()
    after = _assembly(**source)
    after.remember(store.memory())
    store.close()
    return after


def _sparkplug(kind: str, seq: int, *metrics: dict[str, Any], device: str = "/D") -> Message:
    payload = {"timestamp": 1000 * (AT + seq), "seq": seq, "metrics": metrics}
    return Message(f"spBv1.0/G/{kind}/N{device}", json.dumps(payload).encode(), AT + seq)


def _count(assembly: Assembly, seconds: int, total: float) -> list[Reading]:
    payload = json.dumps({"ts": AT + seconds, "n.total": total, "t": 1})
    return assembly.decode(Message("x", payload.encode(), AT + seconds))[0]


def test_aliases_are_known_after_a_restart_and_so_are_types(tmp_path: Path) -> None:
    before = _assembly(preset="sparkplug")
    before.decode(_sparkplug("NBIRTH", 0, {"name": "bdSeq", "dataType": "Int64", "value": 4}, device=""))
    before.decode(_sparkplug("DBIRTH", 1, {"name": "t", "alias": 2**63, "dataType": "Int8", "value": 1}))
    after = _restarted(before, tmp_path, preset="sparkplug")
    [reading], rejections = after.decode(_sparkplug("DDATA", 9, {"alias": 2**63, "value": 255}))
    assert (reading.sensor, reading.values) == ("G/N/D", {"t": -1.0})
    assert rejections == []  # what came meanwhile is no gap
    after.decode(_sparkplug("NDEATH", 0, {"name": "bdSeq", "dataType": "Int64", "value": 4}, device=""))
    assert after.decode(_sparkplug("DDATA", 10, {"alias": 2**63, "value": 1}))[0] == []


def test_the_first_rate_after_a_restart_is_since_the_value_before_it(tmp_path: Path) -> None:
    source = {"topic": "{sensor}", "counters": ["*.total"]}
    before = _assembly(**source)
    [reading] = _count(before, 0, 100)
    assert reading.values == {"t": 1}
    [reading] = _count(_restarted(before, tmp_path, **source), 50, 200)
    assert reading.values == {"n.total": 2.0, "t": 1.0}


def test_where_nothing_is_worth_keeping_nothing_is_kept(tmp_path: Path) -> None:
    assembly = _assembly(topic="{sensor}")
    assembly.decode(Message("x", b"1", AT))
    assert assembly.memory() is None
    store = Store(tmp_path / "state.db")
    store.open()
    store.save([])
    assert store.memory() is None
    store.close()


@pytest.mark.parametrize(
    "memory", ["", "{", "[]", "{}", '{"births": 5, "counters": []}', '{"births": [["G", "N", 1, [[null, [], 3]]]]}',
               '{"births": [], "counters": [["g", "s", {"c": [1]}]]}']
)  # fmt: skip
def test_what_cannot_be_read_is_told_and_forgotten(memory: str, caplog: pytest.LogCaptureFixture) -> None:
    assembly = _assembly(preset="sparkplug")
    with caplog.at_level(logging.WARNING):
        assembly.remember(memory)
    assert "births and counters" in caplog.text
    [result] = assembly.decode(_sparkplug("DDATA", 9, {"name": "t", "value": 1}))[0]
    assert result.values == {"t": 1.0}


def test_a_name_that_no_text_can_hold_is_not_kept() -> None:
    assembly = _assembly(preset="sparkplug")
    metrics = rb'[{"name": "\ud800", "value": NaN}, {"name": "a", "value": 1}]'
    birth = rb'{"timestamp": 1790000000000, "seq": 0, "metrics": %b}' % metrics
    readings, rejections = assembly.decode(Message("spBv1.0/G/NBIRTH/N", birth, AT))
    assert [reading.values for reading in readings] == [{"a": 1.0}]
    assert not any(isinstance(rejection, Rejection) and "defect" in rejection.detail for rejection in rejections)
    assert "ud800" not in str(assembly.memory())


def test_what_waits_to_be_joined_waits_on(tmp_path: Path) -> None:
    source = {"topic": "home/{sensor}/{channel}", "join": "2s"}
    before = _assembly(**source)
    whole = _assembly(**source)
    pieces = [Message(f"home/s{k % 2}/c{k % 3}", str(k).encode(), AT + 0.6 * k) for k in range(9)]
    expected = [reading for piece in pieces for reading in whole.decode(piece)[0]] + whole.held(math.inf)
    seen = [reading for piece in pieces[:4] for reading in before.decode(piece)[0]]
    after = _restarted(before, tmp_path, **source)
    seen += [reading for piece in pieces[4:] for reading in after.decode(piece)[0]] + after.held(math.inf)
    assert seen == expected


def test_what_waits_to_be_resampled_waits_on(tmp_path: Path) -> None:
    source = {"topic": "{sensor}", "resample": "10s"}
    before, whole = _assembly(**source), _assembly(**source)
    messages = [Message(f"s{k % 2}", str(1.5 * k if k != 3 else 1e308).encode(), AT + 4.0 * k) for k in range(9)]
    expected = [reading for message in messages for reading in whole.decode(message)[0]] + whole.held(math.inf)
    seen = [reading for message in messages[:5] for reading in before.decode(message)[0]]
    after = _restarted(before, tmp_path, **source)
    seen += [reading for message in messages[5:] for reading in after.decode(message)[0]] + after.held(math.inf)
    assert seen == expected

"""The fuzzer finds what is planted, and nothing in a few rounds."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lstm_stream.ingest.formats import json
from tests.fuzz import fuzzer, packets
from tests.fuzz.fuzzer import Fuzzer, corpus
from tests.fuzz.packets import Hostile, Splitting


def test_some_rounds_find_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzer, "LONGEST", 20.0)  # for a busy machine
    fuzz = Fuzzer(corpus(), 5)
    for _ in range(4):
        fuzz.round()
    assert fuzz.defects == []
    assert 0 < fuzz.read < fuzz.messages == 4 * fuzzer.IN_A_ROUND


def _raise(*_: Any) -> Any:
    raise KeyError("planted")


def _nan(*_: Any) -> dict[str, float]:
    return {"x": float("nan")}


def _sleep(*_: Any) -> dict[str, float]:
    time.sleep(0.02)
    return {"x": 1.0}


@pytest.mark.parametrize(
    ("planted", "longest", "told"),
    [(_raise, 60.0, "KeyError"), (_nan, 60.0, "values that are none"), (_sleep, 0.01, "took ")],
)
def test_what_is_planted_is_found(planted: Any, longest: float, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "numbers", planted)
    monkeypatch.setattr(fuzzer, "LONGEST", longest)
    monkeypatch.setattr(fuzzer, "IN_A_ROUND", 20)
    fuzz = Fuzzer([seed for seed in corpus() if seed.payload.startswith(b"{")], 1)
    for _ in range(10):
        fuzz.round()
        if fuzz.defects:
            break
    assert told in fuzz.defects[0]
    assert '"hex": "' in fuzz.defects[0]


def test_a_few_rounds_of_broken_packets_find_nothing() -> None:
    splitting, hostile = Splitting(7), Hostile(7)
    try:
        splitting.round()
        hostile.round()
    finally:
        hostile.close()
    assert (splitting.defects, hostile.defects) == ([], [])
    assert splitting.cases > 0
    assert hostile.cases > 0


def test_a_defect_of_the_splitter_is_found(monkeypatch: Any) -> None:
    monkeypatch.setattr(packets, "split_by_hand", lambda *_: ([], 0, 1))
    splitting = Splitting(7)
    splitting.round()
    assert "by hand" in splitting.defects[0]

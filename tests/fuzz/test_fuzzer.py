"""The fuzzer finds what is planted, and nothing in a few rounds."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lstm_stream.ingest.formats import json
from tests.fuzz import fuzzer
from tests.fuzz.fuzzer import Fuzzer, corpus


def test_some_rounds_find_nothing() -> None:
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
    ("planted", "told"), [(_raise, "KeyError"), (_nan, "values that are none"), (_sleep, "took 0.0 s")]
)
def test_what_is_planted_is_found(planted: Any, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "numbers", planted)
    monkeypatch.setattr(fuzzer, "LONGEST", 0.01)
    monkeypatch.setattr(fuzzer, "IN_A_ROUND", 20)
    fuzz = Fuzzer([seed for seed in corpus() if seed.payload.startswith(b"{")], 1)
    for _ in range(10):
        fuzz.round()
        if fuzz.defects:
            break
    assert told in fuzz.defects[0]
    assert '"hex": "' in fuzz.defects[0]

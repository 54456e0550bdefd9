"""The arrays of the state: every field grows, resets and travels, because it is declared."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_stream.detect.state import FieldSpec, SlotArrays, fields

SPECS = (
    FieldSpec("a", "f8", (2,), np.nan),
    FieldSpec("b", "i4", (), -1),
    FieldSpec("c", "f4", (2, 3)),
    FieldSpec("d", "?"),
)


@pytest.fixture
def arrays() -> SlotArrays:
    """Three sensors with a number of their own in every field."""
    arrays = SlotArrays(SPECS, 3)
    for slot in range(3):
        for spec in SPECS:
            getattr(arrays, spec.name)[slot] = slot + 1
    return arrays


def row(arrays, slot):
    return [getattr(arrays, spec.name)[slot].tolist() for spec in SPECS]


FRESH = ["[nan, nan]", "-1", "[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]", "False"]


def test_growing_keeps_what_is_there_and_fills_the_rest(arrays) -> None:
    before = [row(arrays, slot) for slot in range(3)]
    arrays.grow(4)
    assert arrays.capacity == 6
    assert [row(arrays, slot) for slot in range(3)] == before
    assert list(map(str, row(arrays, 5))) == FRESH
    arrays.grow(5)
    assert arrays.capacity == 6


def test_reset_is_as_new_and_touches_no_other(arrays) -> None:
    others = row(arrays, 0), row(arrays, 2)
    arrays.reset(1)
    assert list(map(str, row(arrays, 1))) == FRESH
    assert (row(arrays, 0), row(arrays, 2)) == others


def test_a_packed_row_unpacks_anywhere(arrays) -> None:
    other = SlotArrays(SPECS, 1)
    data = arrays.pack(2)
    assert len(data) == arrays.row_bytes == 16 + 4 + 24 + 1
    other.unpack(0, data)
    assert row(other, 0) == row(arrays, 2)
    assert other.pack(0) == data
    for wrong in (b"", data[:-1], data + b"\0"):
        with pytest.raises(ValueError, match=f"has 45 bytes, not {len(wrong)}"):
            other.unpack(0, wrong)


def test_the_signature_names_the_layout(small_group) -> None:
    def signature(channels=2, **settings):
        return SlotArrays(fields(channels, small_group(**settings)), 1).signature

    same = {signature(), signature(every=100), signature(warmup=500), signature(seed=5)}
    other = {signature(1), signature(hidden=4), signature(history=200), signature(weights="shared")}
    assert len(same) == 1
    assert len(same | other) == 5


def test_memory_is_that_of_the_declared_fields(small_group) -> None:
    """What a sensor costs does not depend on how many samples it sent, and is no more than its arrays."""
    arrays = SlotArrays(fields(3, small_group()), 10)
    total = sum(getattr(arrays, spec.name).nbytes for spec in arrays.specs)
    assert total == 10 * arrays.row_bytes

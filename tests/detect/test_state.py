"""The arrays of the state: every field grows, resets and travels, because it is declared."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_stream.config import Group
from lstm_stream.detect import slots
from lstm_stream.detect.slots import FieldSpec, SlotArrays
from lstm_stream.detect.state import sensor_arrays

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
        return sensor_arrays(channels, small_group(**settings)).signature

    same = {signature(), signature(every=100), signature(warmup=500), signature(seed=5)}
    other = {signature(1), signature(hidden=4), signature(history=200), signature(weights="shared")}
    assert len(same) == 1
    assert len(same | other) == 5


def test_memory_is_that_of_the_declared_fields(small_group) -> None:
    """What a sensor costs does not depend on how many samples it sent, and is no more than its arrays."""
    arrays = sensor_arrays(3, small_group(), 10)
    total = sum(getattr(arrays, spec.name).nbytes for spec in arrays.specs)
    assert total == 10 * arrays.row_bytes


def test_a_sensor_with_weights_of_its_own_takes_24_kilobytes() -> None:
    """The target, with default settings and one channel."""
    assert sensor_arrays(1, Group()).row_bytes <= 24 * 1024


def test_many_rows_are_room_that_is_there_already(monkeypatch) -> None:
    """From some megabytes on nothing is copied, up to `most`; beyond it everything is, and nothing is lost."""
    monkeypatch.setattr(slots, "STEP", 45 * 8)  # eight rows
    arrays = SlotArrays(SPECS, 1, 40)
    addresses = []
    for slot in range(100):
        arrays.grow(slot + 1)
        assert slot < arrays.capacity <= slot + 8
        assert arrays.capacity <= 40 or slot >= 40
        assert list(map(str, row(arrays, arrays.capacity - 1))) == FRESH
        arrays.b[slot] = slot
        addresses.append(arrays.b.ctypes.data)
    assert arrays.b[:100].tolist() == list(range(100))
    assert len(set(addresses[8:40])) == 1, "room for all that was announced, to the last"
    assert len(set(addresses[40:])) <= 2


def test_room_that_the_system_does_not_promise_is_not_needed(monkeypatch) -> None:
    def refuse(spec, rows, *, lazy):
        if lazy and rows > 100:
            raise OSError("Cannot allocate memory")
        return room(spec, rows, lazy=False)

    room = slots._room
    monkeypatch.setattr(slots, "STEP", 45 * 8)
    monkeypatch.setattr(slots, "_room", refuse)
    arrays = SlotArrays(SPECS, 1, 10**9)
    for slot in range(60):
        arrays.grow(slot + 1)
        arrays.b[slot] = slot
    assert arrays.b[:60].tolist() == list(range(60))


def test_many_are_packed_as_one_is(arrays) -> None:
    assert list(arrays.pack_many([2, 0, 2])) == [arrays.pack(2), arrays.pack(0), arrays.pack(2)]
    assert list(arrays.pack_many([])) == []

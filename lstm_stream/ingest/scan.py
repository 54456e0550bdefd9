"""Payloads of known shapes, read by a kernel: what is not exactly as expected is not read, and left to the decoder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lstm_stream.ingest import numbers
from lstm_stream.ingest.numbers import ISO, epoch, read_iso, read_number
from lstm_stream.ingest.shapes import IGNORED, JSON_NUMBER, OBJECT, TEXT, TIME
from lstm_stream.jit import inline, kernel_of, part

U1 = NDArray[np.uint8]
I4 = NDArray[np.int32]
F8 = NDArray[np.float64]
Mask = NDArray[np.bool_]

ABSENT, FOUND, SLOW = 0, 1, 2


@inline
def spaces(data: U1, at: int, end: int) -> int:
    """Where something else than space begins."""
    while at < end and (data[at] == 32 or data[at] == 10 or data[at] == 13 or data[at] == 9):
        at += 1
    return at


@inline
def padding(data: U1, at: int, end: int) -> bool:
    """Whether nothing follows but what is trimmed."""
    at = spaces(data, at, end)
    while at < end and data[at] == 0:
        at = spaces(data, at + 1, end)
    return at == end


@part
def wide_character(data: U1, at: int, end: int) -> int:
    """The length of the UTF-8 character of several bytes that begins at `at`; 0: it is none."""
    first = data[at]
    size = 2 if 0xC2 <= first <= 0xDF else 3 if 0xE0 <= first <= 0xEF else 4 if 0xF0 <= first <= 0xF4 else 0
    if size == 0 or at + size > end:
        return 0
    for k in range(1, size):
        if data[at + k] & 0xC0 != 0x80:
            return 0
    second = data[at + 1]
    if (first == 0xE0 and second < 0xA0) or (first == 0xED and second > 0x9F):
        return 0
    if (first == 0xF0 and second < 0x90) or (first == 0xF4 and second > 0x8F):
        return 0
    return size


@part
def after_text(data: U1, at: int, end: int) -> int:
    """Where a text ends whose content begins at `at`, past its quote; 0: it has escapes, or is none."""
    while at < end:
        byte = data[at]
        if byte == 34:
            return at + 1
        if byte == 92 or byte < 32:
            return 0
        if byte < 128:
            at += 1
        else:
            size = wide_character(data, at, end)
            if size == 0:
                return 0
            at += size
    return 0


@inline
def starts_a_number(byte: int) -> bool:
    """Whether a text that begins so may be a number: with a space, a sign, a point or a digit."""
    return byte == 32 or byte == 43 or byte == 45 or byte == 46 or 48 <= byte <= 57


@part
def says(data: U1, at: int, end: int, word: bytes) -> bool:
    """Whether that word stands there."""
    k = 0
    while k < len(word) and at + k < end and data[at + k] == word[k]:
        k += 1
    return k == len(word)


@part
def read_value(data: U1, at: int, end: int, held: int, said: bool) -> tuple[int, float, int]:
    """The value at `at` of a key that holds no time: what it is, its number, and where it ends."""
    byte = data[at]
    if byte == 34:
        stop = after_text(data, at + 1, end)
        if stop == 0 or (held != IGNORED and (said or starts_a_number(data[at + 1]))):
            return SLOW, 0.0, 0
        return ABSENT, 0.0, stop
    if byte == 110 and says(data, at, end, b"null"):
        return ABSENT, 0.0, at + 4
    if held == TEXT:
        return SLOW, 0.0, 0
    if byte == 116 and says(data, at, end, b"true"):
        return FOUND, 1.0, at + 4
    if byte == 102 and says(data, at, end, b"false"):
        return FOUND, 0.0, at + 5
    value, stop = read_number(data, at, end, True)
    return (FOUND if stop else SLOW), value, stop


@part
def read_time(data: U1, at: int, end: int, unit: int) -> tuple[float, int]:
    """The time at `at`, and where it ends; 0: none that is sure."""
    if data[at] == 34:
        time, stop = read_iso(data, at + 1, end)
        ends = stop > 0 and stop < end and data[stop] == 34 and unit <= ISO
        return time, (stop + 1 if ends else 0)
    number, stop = read_number(data, at, end, True)
    time = epoch(number, unit)
    return time, (0 if np.isnan(time) else stop)


@inline
def find_key(data: U1, at: int, end: int, guess: int, first: int, last: int, keys: I4, text: U1) -> int:
    """Which of the keys first..last-1 stands at `at`, with the quote after it; -1: none. `guess` is tried first."""
    for k in range(first - 1, last):
        key = guess if k < first else k
        start, length = keys[key, 0], keys[key, 1]
        if at + length < end and data[at + length] == 34:
            same = 0
            while same < length and data[at + same] == text[start + same]:
                same += 1
            if same == length:
                return key
    return -1


@inline
def read_object(data: U1, at: int, end: int, shape: int, shapes: I4, keys: I4, text: U1, row: F8) -> tuple[bool, float]:
    """Read an object into `row` (W,). Whether it could be, and its time (NaN: it has none)."""
    unit, said, timed = int(shapes[shape, 1]), shapes[shape, 2] > 0, shapes[shape, 3] > 0
    first, last = int(shapes[shape, 4]), int(shapes[shape + 1, 4])
    time, seen, found, key = np.nan, np.uint64(0), False, first - 1
    if data[at] != 123:
        return False, time
    while True:
        at = spaces(data, at + 1, end)
        if at >= end or data[at] != 34:
            return False, time
        key = find_key(data, at + 1, end, key + 1 if key + 1 < last else first, first, last, keys, text)
        if key < 0:
            return False, time
        bit = np.uint64(1) << np.uint64(key - first)
        if seen & bit:
            return False, time
        seen |= bit
        at = spaces(data, at + 2 + keys[key, 1], end)
        if at >= end or data[at] != 58:
            return False, time
        at = spaces(data, at + 1, end)
        if at >= end:
            return False, time
        held = int(keys[key, 2])
        if data[at] < 58 and data[at] != 34 and held >= 0:
            value, at = read_number(data, at, end, True)
            if at == 0:
                return False, time
            row[held], found = value, True
        elif held == TIME:
            time, at = read_time(data, at, end, unit)
            if at == 0:
                return False, time
        else:
            what, value, at = read_value(data, at, end, held, said)
            if what == SLOW:
                return False, time
            if what == FOUND and held >= 0:
                row[held], found = value, True
        at = spaces(data, at, end)
        if at >= end or (data[at] != 44 and data[at] != 125):
            return False, time
        if data[at] == 125:
            break
    fits = found and padding(data, at + 1, end) and not (timed and np.isnan(time))
    return fits, time


@kernel_of(numbers)
def scan(
    data: U1,
    rows: I4,
    arrivals: F8,
    future: float,
    longest: int,
    number: I4,
    shape_of: I4,
    shapes: I4,
    keys: I4,
    text: U1,
    shape: I4,
    time: F8,
    values: F8,
) -> None:
    """Read the payloads of a chunk's rows (N, 6) whose topics, of these numbers (N,), have a shape of the table.

    Fills shape (N,), -1 where a payload was not read; time (N,), unix s; values (N, W), NaN where absent. Retained
    messages, payloads beyond `longest` bytes and times beyond `future` seconds ahead are not read.
    """
    for n in range(len(rows)):
        arrival = arrivals[n]
        shape[n] = -1
        time[n] = arrival
        values[n] = np.nan
        at, end = int(rows[n, 2]), int(rows[n, 2]) + int(rows[n, 3])
        known = int(shape_of[number[n]]) if number[n] >= 0 else -1
        if known < 0 or at == end or end - at > longest or rows[n, 4] & 1:
            continue
        if shapes[known, 0] == OBJECT:
            fits, told = read_object(data, at, end, known, shapes, keys, text, values[n])
            if not fits or told - arrival > future:
                continue
            if shapes[known, 3]:
                time[n] = told
        else:
            value, stop = read_number(data, at, end, shapes[known, 0] == JSON_NUMBER)
            if stop == 0 or not padding(data, stop, end):
                continue
            values[n, 0] = value
        shape[n] = known

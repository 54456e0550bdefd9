"""MQTT 3.1.1 PUBLISH packets of a whole fleet, encoded once by NumPy, so that sending them costs next to nothing.

Each sensor has a topic `load/<number>` of its own. A round holds one message of every sensor, in the same shuffled
order each time, as of a fleet that measures at regular intervals. What must be new in each message is left to the
sender, which overwrites it in place: the time (ten digits, a point, four digits) and, with QoS 1, the packet id.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PAYLOADS = ("text", "json1", "json")
TOPICS = "load/#"
TIME = b"0000000000.0000"  # unix s, to be overwritten
MESSAGES = 1_000_000  # to encode, about
ROUNDS = (2, 200)  # at least, at most
BLOCK = 100_000  # messages encoded at once
DAY = 100  # rounds in which the sensors' daily waves repeat

Part = tuple[NDArray[np.uint8], NDArray[np.bool_]]  # (M, W) characters, and which of them to keep


class Packets(NamedTuple):
    """`data` holds N packets one after the other; `index` (N + 1, 3) where each starts, where its packet id and its
    time stand (-1: it has none). The last row only tells the end.
    """

    data: NDArray[np.uint8]
    index: NDArray[np.int64]
    sensors: int

    def __len__(self) -> int:
        return len(self.index) - 1

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write both parts as plain arrays for the sender."""
        data, index = folder / "packets.bin", folder / "packets.idx"
        self.data.tofile(data)
        self.index.tofile(index)
        return data, index


def encode(sensors: int, qos: int, payload: str, messages: int = MESSAGES, seed: int = 0) -> Packets:
    """The packets of some rounds. `payload`: text (21.37), json1 (a time and a number) or json (a time and three)."""
    rounds = min(max(messages // sensors, ROUNDS[0]), ROUNDS[1])
    order = np.random.default_rng(seed).permutation(sensors)
    blocks = []
    for start in range(0, rounds * sensors, BLOCK):
        number = np.arange(start, min(start + BLOCK, rounds * sensors))
        blocks.append(_block(order[number % sensors], number // sensors, qos, payload))
    sizes = [len(data) for data, _ in blocks]
    index = [_moved(block, at) for (_, block), at in zip(blocks, np.cumsum([0, *sizes[:-1]]), strict=True)]
    end = np.array([[sum(sizes), -1, -1]], np.int64)
    return Packets(np.concatenate([data for data, _ in blocks]), np.concatenate([*index, end]), sensors)


def _moved(index: NDArray[np.int64], by: int) -> NDArray[np.int64]:
    return np.where(index < 0, index, index + by)


def _block(sensor: NDArray[np.intp], round_: NDArray[np.intp], qos: int, payload: str) -> tuple[Part[0], Part[0]]:
    """The bytes of these messages, and their index from the block's start."""
    count = len(sensor)
    topic = [_text(count, b"load/"), _number(sensor, 7)]
    body = _payload(sensor, round_, payload)
    identity = [_text(count, b"\0\0")] if qos else []
    topic_size, body_size = _size(topic), _size(body)
    head = 2 + topic_size + 2 * qos
    remaining = head + body_size  # below 128: one byte
    start = [_text(count, bytes([0x30 | qos << 1])), _bytes(remaining, 1), _bytes(topic_size, 2)]
    before = 1 + 1  # type and remaining length
    parts = [*start, *topic, *identity, *body]
    characters = np.hstack([part for part, _ in parts])
    data = characters[np.hstack([keep for _, keep in parts])]
    size = before + remaining
    begins = np.cumsum(size) - size
    absent = np.full(count, -1)
    ids = begins + before + 2 + topic_size if qos else absent
    times = absent if payload == "text" else begins + before + head + len(b'{"timestamp":')
    return data, np.stack([begins, ids, times], axis=1).astype(np.int64)


def _payload(sensor: NDArray[np.intp], round_: NDArray[np.intp], payload: str) -> list[Part]:
    count = len(sensor)
    if payload == "text":
        return _decimal(_signal(sensor, round_, 0))
    stamp = _text(count, b'{"timestamp":' + TIME)
    names = {"json1": [b"value"], "json": [b"temperature", b"humidity", b"pressure"]}[payload]
    parts = [stamp]
    for channel, name in enumerate(names):
        parts += [_text(count, b',"' + name + b'":'), *_decimal(_signal(sensor, round_, channel))]
    return [*parts, _text(count, b"}")]


def _signal(sensor: NDArray[np.intp], round_: NDArray[np.intp], channel: int) -> NDArray[np.int64]:
    """Hundredths: a daily wave about a level of the sensor's own, with noise."""
    rng = np.random.default_rng([int(round_[0]), int(sensor[0]), channel])
    key = sensor * 7919 + channel * 104729
    level, height, phase = 800 + key % 8000, 50 + key % 211, key % DAY
    wave = height * np.sin(2 * np.pi * (round_ + phase) / DAY)
    return (level + wave + rng.normal(0, 8, len(sensor))).astype(np.int64)


# --- characters


def _text(count: int, text: bytes) -> Part:
    characters = np.broadcast_to(np.frombuffer(text, np.uint8), (count, len(text)))
    return characters, np.ones((count, len(text)), np.bool_)


def _number(value: NDArray[np.int64], width: int) -> Part:
    """Digits without leading zeros."""
    power = 10 ** np.arange(width - 1, -1, -1)
    shown = (value[:, None] >= power) | (power == 1)
    return (value[:, None] // power % 10 + ord("0")).astype(np.uint8), shown


def _decimal(hundredths: NDArray[np.int64]) -> list[Part]:
    fraction = _number(hundredths % 100 + 100, 2)[0]  # with its leading zero
    return [_number(hundredths // 100, 4), _text(len(hundredths), b"."), (fraction, np.ones(fraction.shape, np.bool_))]


def _bytes(value: NDArray[np.int64], width: int) -> Part:
    """Big-endian."""
    characters = (value[:, None] >> 8 * np.arange(width - 1, -1, -1) & 255).astype(np.uint8)
    return characters, np.ones(characters.shape, np.bool_)


def _size(parts: Sequence[Part]) -> NDArray[np.int64]:
    """Bytes of each message's part."""
    return sum((keep.sum(axis=1) for _, keep in parts), np.zeros(len(parts[0][1]), np.int64))

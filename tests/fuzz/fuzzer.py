"""Mutated messages, and what must hold of whatever becomes of them."""

from __future__ import annotations

import json
import math
import random
import time
import typing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_stream.config import Limits, Source
from lstm_stream.ingest.assembly import Assembly
from lstm_stream.ingest.decoder import Decoder, Explanation
from lstm_stream.records import Chunk, Message, Reading, Reason

CASES = Path(__file__).parents[1] / "ingest" / "cases"
LONGEST = 1.0  # s for one message
AT = 1_790_000_000.0
IN_A_ROUND = 500
LIMITS = Limits(payload_bytes=20_000, sensors=100_000)
FORMATS = typing.get_args(Source.model_fields["format"].annotation)
# What breaks parsers: ends of numbers, of nesting, of text and of lengths.
TOKENS = (
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b",",
        b":",
        b"\\",
        b"\\u0000",
        b"\xff",
        b"\x00",
        b"\n",
        b" ",
        b"=",
        b"#",
        b"-",
        b".",
    ),
    *(b"1e999", b"NaN", b"-0", b"18446744073709551616", b"9" * 40, b"null", b"true", b"[" * 40, b'{"a":' * 20),
    *(
        b"\x1f\x8b\x08",
        b"\x28\xb5\x2f\xfd",
        b"\xd9\xd9\xf7",
        b"\x9f",
        b"\xbf",
        b"\xfb",
        b"\xc2\x49",
        b"\xd8\x1c",
        b"\x7f",
    ),
    *(
        b"\xdd\xff\xff\xff\xff",
        b"\xc7\x08\x05",
        b"\xd6\xff",
        b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
        b"\x12\x02",
    ),
    *(b'"ts":', b'"time":', b'"values":', b'"fields":', b'"metrics":', b'"n":', b'"bn":', b'"v":', b"2025-02-30T25:61"),
)


class Seed(NamedTuple):
    """A message to begin with."""

    topic: str
    payload: bytes
    source: dict[str, Any]


def corpus() -> list[Seed]:
    """The golden cases."""
    seeds = []
    for path in sorted(CASES.glob("*/message.json")):
        case = json.loads(path.read_text("utf-8"))
        payload = bytes.fromhex(case["hex"]) if "hex" in case else case["payload"].encode()
        seeds.append(Seed(case["topic"], payload[:5000], case.get("sources", [{"topic": "{sensor}"}])[0]))
    return seeds


class Fuzzer:
    """The same seed makes the same messages."""

    def __init__(self, seeds: list[Seed], seed: int) -> None:
        self.seeds = seeds
        self.messages = self.read = 0
        self.slowest = 0.0
        self.defects: list[str] = []
        self._random = random.Random(seed)

    def round(self) -> None:
        """Some hundred messages at one source, whose decoder remembers what came before."""
        begin = self._random.choice(self.seeds)
        source = Source.model_validate(self._source(begin))
        decoder = Decoder([source], LIMITS)
        sent = [
            Message(self._topic(begin), self._mutated(begin.payload), AT + k, self._random.random() < 0.1)
            for k in range(IN_A_ROUND)
        ]
        for message in sent:
            began = time.perf_counter()
            seen = decoder.explain(message)
            took = time.perf_counter() - began
            self.slowest = max(self.slowest, took)
            self.messages += 1
            self.read += bool(seen.readings)
            problem = _problem(seen) or (f"took {took:.1f} s" if took > LONGEST else None)
            if problem is not None:
                self._tell(problem, source, message)
        self._compare(source, [message._replace(retain=False) for message in sent])

    def _compare(self, source: Source, sent: list[Message]) -> None:
        """The fast path reads what the decoder does, message by message."""
        fast, slow = Assembly([source], LIMITS), Assembly([source], LIMITS)
        for message in sent:
            topic = message.topic.encode()
            table = np.array([(0, len(topic), len(topic), len(message.payload), 0, 0)], np.int32)
            decoded = fast.decode_all([Chunk(topic + message.payload, table, np.array([message.time]))])
            found = decoded.readings + [rows.reading(k) for rows in decoded.rows for k in range(len(rows))]
            expected, _ = slow.decode(message)
            if list(map(_bits, found)) != list(map(_bits, expected)):
                self._tell(f"fast {found}, decoder {expected}", source, message)
                return

    def _source(self, begin: Seed) -> dict[str, Any]:
        """The source of a case, mostly."""
        choice = self._random.random()
        if choice < 0.6:
            return begin.source
        if choice < 0.8:
            return {"topic": "{a#}", "sensor": "{a}", "format": self._random.choice(FORMATS)}
        return {"topic": "{a#}", "sensor": "{payload.id|a}", "units": True, "words": {"open": 1}, "group": "{a}"}

    def _topic(self, begin: Seed) -> str:
        if self._random.random() < 0.9:
            return begin.topic
        return "".join(self._random.choice([*begin.topic, "/", "é", "$", " "]) for _ in range(20))

    def _mutated(self, payload: bytes) -> bytes:
        data = bytearray(payload)
        for _ in range(self._random.choice((0, 1, 1, 2, 3, 8))):
            self._mutate(data)
        return bytes(data[:30_000])

    def _mutate(self, data: bytearray) -> None:
        pick, at = self._random, self._random.randrange(len(data) + 1)
        end = min(len(data), at + pick.randrange(1, 12))
        match pick.randrange(8):
            case 0:
                data[at:end] = b""
            case 1:
                data[at:at] = pick.choice(TOKENS)
            case 2:
                data[at:end] = pick.choice(TOKENS)
            case 3 if at < len(data):
                data[at] ^= 1 << pick.randrange(8)
            case 4:
                data[at:at] = data[at:end] * pick.randrange(1, 200)
            case 5:
                del data[at:]
            case 6:
                other = pick.choice(self.seeds).payload
                data[at:] = other[pick.randrange(len(other) + 1) :]
            case _:
                data[at:at] = bytes(pick.randrange(256) for _ in range(pick.randrange(1, 9)))

    def _tell(self, problem: str, source: Source, message: Message) -> None:
        case = {"topic": message.topic, "hex": message.payload.hex(), "retain": message.retain}
        self.defects.append(
            f"{problem}\n  {json.dumps(case)}\n  {source.model_dump(mode='json', exclude_defaults=True)}"
        )


def _problem(seen: Explanation) -> str | None:
    """What is wrong with what became of a message."""
    for rejection in seen.rejections:
        if rejection.reason is Reason.INTERNAL:
            return rejection.detail
        if not rejection.detail.isprintable() or len(rejection.detail) > 2000:
            return f"a detail that harms a log: {rejection.detail[:200]!r}"
    for reading in seen.readings:
        if not all(map(math.isfinite, reading.values.values())) or not 0 < len(reading.values) <= LIMITS.channels:
            return f"values that are none: {reading}"
        if not math.isfinite(reading.time) or reading.time > AT + 10 * 86400:
            return f"a time that is none: {reading}"
        if not all(map(str.isprintable, (reading.sensor, *reading.values))):
            return f"names that harm a log: {reading}"
    return None


def _bits(reading: Reading) -> tuple[Any, ...]:
    return reading.sensor, reading.group, reading.time, reading.timed, sorted(reading.values.items())

"""Calls every kernel of this room as the daemon does, so that the first message does not wait for a compiler."""

from __future__ import annotations

import numpy as np

from lstm_stream.config import Events, Limits, Source
from lstm_stream.ingest.assembly import Assembly
from lstm_stream.ingest.own import OwnTopics
from lstm_stream.ingest.reader import works
from lstm_stream.ingest.receipts import Receipts, content_of
from lstm_stream.records import Chunk, Decoded

_PAYLOADS = (b"1", b'{"t":1}', b'{"ts":1,"t":1}')


def warm() -> list[Decoded]:
    """Compile the kernels, or load them from the cache; returns samples of both kinds, for those of detection."""
    works()
    content_of(b"t", b"1")
    assembly = Assembly([Source.model_validate({"topic": "{sensor}"})], Limits())
    results = []
    for time in (1e9, 1e9 + 1):
        data, rows = b"", []
        for k, payload in enumerate(_PAYLOADS):
            rows.append((len(data), 1, len(data) + 1, len(payload), 0x32, k))
            data += b"%d" % k + payload
        chunk = Chunk(data, np.array(rows, np.int32), np.full(len(rows), time))
        OwnTopics(Events()).among(chunk)
        Receipts().are_repeated(chunk)
        results.append(assembly.decode_all([chunk]))
    return results

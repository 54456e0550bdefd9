"""Chunks that came one by one, as one: while messages trickle in, each read brings but a few."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lstm_stream.records import Chunk


def joined(chunks: Sequence[Chunk]) -> Chunk:
    """All their messages, in order, to be decoded: of which session they are is lost."""
    if len(chunks) == 1:
        return chunks[0]
    starts = np.cumsum([0, *(len(chunk.data) for chunk in chunks[:-1])])
    table = np.concatenate([chunk.table for chunk in chunks])
    table[:, 0::2][:, :2] += np.repeat(starts, [len(chunk) for chunk in chunks]).astype(np.int32)[:, None]
    arrivals = np.concatenate([chunk.arrivals for chunk in chunks])
    return Chunk(b"".join([chunk.data for chunk in chunks]), table, arrivals)

"""MessagePack: the same objects and arrays as in JSON, in fewer bytes. Needs the package msgpack."""

from __future__ import annotations

from typing import Any

from lstm_stream.ingest.formats import binary, json
from lstm_stream.ingest.formats.sample import Options, Sample
from lstm_stream.records import Rejection


def decode(payload: bytes, options: Options) -> list[Sample | Rejection]:
    """The samples of a payload, in order."""
    document = parse(payload, options.depth)
    return [document] if isinstance(document, Rejection) else json.from_document(document, options)


def parse(payload: bytes, depth: int) -> Any:
    """The document in a payload, or a Rejection."""
    return binary.parse(payload, depth, "MessagePack", _read)


def _read(payload: bytes) -> Any:
    try:
        import msgpack  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise binary.MissingError from None
    return msgpack.unpackb(payload, strict_map_key=False, timestamp=3, unicode_errors="replace")

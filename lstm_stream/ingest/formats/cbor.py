"""CBOR (RFC 8949): the same objects and arrays as in JSON, in fewer bytes. Needs the package cbor2."""

from __future__ import annotations

from io import BytesIO
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
    return binary.parse(payload, depth, "CBOR", _read)


def _read(payload: bytes) -> Any:
    try:
        import cbor2
    except ImportError:
        raise binary.MissingError from None
    stream = BytesIO(payload)
    document = cbor2.CBORDecoder(stream).decode()
    if stream.tell() < len(payload):
        raise ValueError(f"{len(payload) - stream.tell()} bytes follow the first value")
    return document

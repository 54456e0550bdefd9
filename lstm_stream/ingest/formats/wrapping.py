"""Payloads wrapped in gzip or Zstandard, told by their first bytes, which no other format has."""

from __future__ import annotations

import io
import zlib
from typing import NamedTuple

from lstm_stream.records import Reason, Rejection

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
WRAPPED = (_GZIP, _ZSTD)
"""What wrapped payloads begin with."""
_WINDOW = 2**27  # bytes that Zstandard may need at most
_ADVICE = "pip install 'lstm_stream[formats]'"


class Inner(NamedTuple):
    """What was wrapped, and in what."""

    payload: bytes
    wrapping: str


def unwrapped(payload: bytes, limit: int) -> Inner | Rejection:
    """What a wrapped payload holds; never more than `limit` bytes. Wrapped twice it is refused."""
    inner = (_gunzipped if payload.startswith(_GZIP) else _from_zstd)(payload, limit)
    if isinstance(inner, Inner) and inner.payload.startswith(WRAPPED):
        return Rejection(Reason.MALFORMED, "wrapped twice; send it wrapped once")
    return inner


def inflated(payload: bytes, limit: int) -> Inner | Rejection:
    """What is compressed by zlib or gzip, once; never more than `limit` bytes."""
    reader = zlib.decompressobj(wbits=47)
    try:
        whole = reader.decompress(payload, limit + 1)
    except zlib.error as error:
        return Rejection(Reason.MALFORMED, f"not compressed by zlib or gzip: {error}")
    if len(whole) > limit:
        return _too_large(limit)
    return Inner(whole, "zlib") if reader.eof else Rejection(Reason.MALFORMED, "what is compressed is cut off")


def _gunzipped(payload: bytes, limit: int) -> Inner | Rejection:
    whole, rest = b"", payload
    while rest.startswith(_GZIP):  # members may follow each other
        reader = zlib.decompressobj(wbits=31)
        try:
            whole += reader.decompress(rest, limit + 1 - len(whole))
        except zlib.error as error:
            return Rejection(Reason.MALFORMED, f"not gzip: {error}")
        if len(whole) > limit:
            return _too_large(limit)
        if not reader.eof:
            return Rejection(Reason.MALFORMED, "the gzip is cut off")
        rest = reader.unused_data
    return Inner(whole, "gzip")


def _from_zstd(payload: bytes, limit: int) -> Inner | Rejection:
    try:
        import zstandard
    except ImportError:
        return Rejection(Reason.UNSUPPORTED, f"Zstandard needs a package that is not installed: {_ADVICE}")
    try:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        reader = decompressor.stream_reader(io.BytesIO(payload), read_across_frames=True)
        if len(reader.read(limit + 1)) > limit:
            return _too_large(limit)
        whole, rest = b"", payload  # once more: the reader does not tell whether the end is missing
        while rest:  # frames may follow each other
            frame = decompressor.decompressobj()
            whole += frame.decompress(rest)
            if not frame.eof:
                return Rejection(Reason.MALFORMED, "the Zstandard is cut off")
            rest = frame.unused_data
    except (zstandard.ZstdError, MemoryError) as error:
        return Rejection(Reason.MALFORMED, f"not Zstandard: {error}")
    return Inner(whole, "zstd")


def _too_large(limit: int) -> Rejection:
    return Rejection(Reason.TOO_LARGE, f"unpacked more than {limit} bytes are taken (limits.payload_bytes)")

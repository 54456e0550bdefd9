"""Payloads wrapped in gzip or Zstandard, told by their first bytes, which no other format has."""

from __future__ import annotations

import io
import zlib
from typing import NamedTuple

from lstm_stream.records import Reason, Rejection

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
WRAPPED = (_GZIP, _ZSTD)
"""What wrapped payloads begin with."""
_EITHER = 47  # of zlib's window bits: its own header or gzip's
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
    member = _member(payload, b"", limit, "zlib or gzip")
    return member if isinstance(member, Rejection) else Inner(member[0], "zlib")


def _gunzipped(payload: bytes, limit: int) -> Inner | Rejection:
    whole, rest = b"", payload
    while rest.startswith(_GZIP):  # members may follow each other
        member = _member(rest, whole, limit, "gzip")
        if isinstance(member, Rejection):
            return member
        whole, rest = member
    return Inner(whole, "gzip")


def _member(payload: bytes, before: bytes, limit: int, name: str) -> tuple[bytes, bytes] | Rejection:
    """`before` and what the payload's first member holds, together at most `limit` bytes; and what follows it."""
    reader = zlib.decompressobj(wbits=_EITHER)
    try:
        whole = before + reader.decompress(payload, limit + 1 - len(before))
    except zlib.error as error:
        return Rejection(Reason.MALFORMED, f"not {name}: {error}")
    if len(whole) > limit:
        return _too_large(limit)
    if not reader.eof:
        return Rejection(Reason.MALFORMED, f"the {name} is cut off")
    return whole, reader.unused_data


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

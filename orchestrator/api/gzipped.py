"""Unpacking gzip without unpacking more than is allowed."""

from __future__ import annotations

import zlib


class TooLargeError(Exception):
    """There is more inside than allowed."""


def gunzip(packed: bytes, *, limit: int) -> bytes:
    """What was packed.

    Args:
        packed: gzip, of one or several members.
        limit: most bytes it may unpack to.

    Raises:
        TooLargeError: it would be more; little more than the limit was unpacked.
        ValueError: it is not gzip, or is cut off.
    """
    parts, room = [], limit
    while packed:
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            part = unpacker.decompress(packed, room + 1)
        except zlib.error as error:
            raise ValueError(f"it is not gzip: {error}") from None
        if len(part) > room:
            raise TooLargeError
        if not unpacker.eof:
            raise ValueError("it is not gzip: it is cut off")
        parts.append(part)
        room, packed = room - len(part), unpacker.unused_data
    return b"".join(parts)

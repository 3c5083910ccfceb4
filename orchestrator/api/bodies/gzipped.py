"""Unpacking gzip without unpacking more than is allowed."""

from __future__ import annotations

import zlib

# Of one body. SDKs send one; and what follows a member is copied to be looked at.
MOST_MEMBERS = 8


class TooLargeError(Exception):
    """There is more inside than allowed."""


def gunzip(packed: bytes, *, limit: int) -> bytes:
    """What was packed.

    Args:
        packed: gzip, of one or several members.
        limit: most bytes it may unpack to.

    Raises:
        TooLargeError: it would be more; little more than the limit was unpacked.
        ValueError: it is not gzip, is cut off, or has too many members.
    """
    parts: list[bytes] = []
    room = limit
    while packed:
        if len(parts) == MOST_MEMBERS:
            raise ValueError(f"it is gzip of more than {MOST_MEMBERS} members: pack it as one")
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

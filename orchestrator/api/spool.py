"""What a client has not read yet, in memory while it is little, in a file when it is more."""

from __future__ import annotations

import asyncio
from tempfile import SpooledTemporaryFile
from types import TracebackType


class Spool:
    """A pipe of bytes between two tasks of one event loop; use as `with Spool(...) as spool`.

    Args:
        in_memory: bytes unread that are kept in memory; with more, all goes to a temporary file.
        most: bytes unread above which `put` waits.
    """

    def __init__(self, *, in_memory: int, most: int) -> None:
        self._kept = SpooledTemporaryFile(max_size=in_memory)  # noqa: SIM115 - closed in __exit__
        self._most = most
        self._read = self._written = 0
        self._over = False
        self._changed = asyncio.Condition()

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.close()

    @property
    def size(self) -> int:
        """Bytes held, in memory or on disk."""
        return self._written

    async def put(self, piece: bytes) -> None:
        """Add bytes, once there is room."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._written - self._read < self._most)
            self._kept.seek(self._written)
            self._kept.write(piece)
            self._written += len(piece)
            self._changed.notify_all()

    async def end(self) -> None:
        """Say that nothing more comes."""
        async with self._changed:
            self._over = True
            self._changed.notify_all()

    async def get(self, most: int) -> bytes:
        """The next bytes, at most so many; empty once all is read and nothing more comes."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._over or self._written > self._read)
            self._kept.seek(self._read)
            piece = self._kept.read(min(most, self._written - self._read))
            self._read += len(piece)
            if self._read == self._written:
                # All is read: what follows begins anew, and neither memory nor disk grows with what has gone.
                self._kept.seek(0)
                self._kept.truncate()
                self._read = self._written = 0
            self._changed.notify_all()
        return piece

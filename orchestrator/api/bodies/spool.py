"""What a client has not read yet, in memory while it is little, in files when it is more."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO

# Bytes of one part in memory at most; of a part in a file, this share of all that may be unread.
_IN_MEMORY_PART = 65_536
_SHARE = 16


class DiskRoom:
    """Bytes in files that all spools of a process may hold together.

    Args:
        most: how many; a spool that needs the first of them gets them, however many.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0
        self.changed = asyncio.Condition()

    def has(self, size: int) -> bool:
        """Whether so many more may be held."""
        return self.used == 0 or self.used + size <= self.most

    async def tell(self) -> None:
        """Wake up who waits for room."""
        async with self.changed:
            self.changed.notify_all()


class Spool:
    """A pipe of bytes between two tasks of one event loop; use as `async with Spool(...) as spool`.

    What is kept is cut into parts, and a part is dropped once it is read: neither memory nor disk grows with what has
    gone through.

    Args:
        in_memory: bytes that are kept in memory; what is more goes to temporary files.
        most: bytes held from which on `put` waits.
        room: for the files.
    """

    def __init__(self, *, in_memory: int, most: int, room: DiskRoom) -> None:
        self._in_memory = in_memory
        self._most = most
        self._room = room
        self._part = max(1, most // _SHARE)
        self._parts: deque[_InMemory | _InFile] = deque()
        self._bytes_in_memory = self._bytes_in_files = 0
        self._over = False

    async def __aenter__(self) -> Spool:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._parts:
            self._drop()
        # To the end, even if this task is cancelled meanwhile: others wait for the room that was given back.
        await asyncio.shield(asyncio.ensure_future(self._room.tell()))

    @property
    def size(self) -> int:
        """Bytes held, in memory or on disk."""
        return self._bytes_in_memory + self._bytes_in_files

    async def put(self, piece: bytes) -> None:
        """Add bytes, once there is room.

        Raises:
            OSError: they cannot be written to a file.
        """
        async with self._room.changed:
            await self._room.changed.wait_for(lambda: self._has_room(len(piece)))
            rest = memoryview(piece)
            while rest:
                rest = rest[self._keep(rest) :]
            self._room.changed.notify_all()

    async def end(self) -> None:
        """Say that nothing more comes."""
        async with self._room.changed:
            self._over = True
            self._room.changed.notify_all()

    async def get(self, most: int) -> bytes:
        """The next bytes, at most so many; empty once all is read and nothing more comes."""
        async with self._room.changed:
            await self._room.changed.wait_for(lambda: self._over or self._parts)
            pieces: list[bytes] = []
            while self._parts and most:
                pieces.append(self._parts[0].read(most))
                most -= len(pieces[-1])
                if not self._parts[0].unread:
                    self._drop()
            self._room.changed.notify_all()
        return b"".join(pieces)

    def _has_room(self, size: int) -> bool:
        if self.size >= self._most:
            return False
        return self._bytes_in_memory + size <= self._in_memory or self._room.has(size)

    def _keep(self, piece: memoryview) -> int:
        """Keep the beginning of a piece; how many bytes of it."""
        piece = piece[: self._part]
        if self._bytes_in_memory + len(piece[:_IN_MEMORY_PART]) <= self._in_memory:
            piece = piece[:_IN_MEMORY_PART]
            self._parts.append(_InMemory(bytes(piece)))
            self._bytes_in_memory += len(piece)
            return len(piece)
        last = self._parts[-1] if self._parts else None
        if isinstance(last, _InFile) and last.written < self._part:
            size = last.write(piece[: self._part - last.written])
        else:
            last = _InFile()
            try:
                size = last.write(piece)
            except OSError:
                last.close()
                raise
            self._parts.append(last)
        self._bytes_in_files += size
        self._room.used += size
        return size

    def _drop(self) -> None:
        part = self._parts.popleft()
        if isinstance(part, _InFile):
            self._bytes_in_files -= part.written
            self._room.used -= part.written
            part.close()
        else:
            self._bytes_in_memory -= len(part.bytes)


class _InMemory:
    def __init__(self, content: bytes) -> None:
        self.bytes = content
        self._read = 0

    @property
    def unread(self) -> int:
        return len(self.bytes) - self._read

    def read(self, most: int) -> bytes:
        piece = self.bytes[self._read : self._read + most]
        self._read += len(piece)
        return piece


class _InFile:
    def __init__(self) -> None:
        # Without a buffer: what could not be written is known at once, not when it is closed.
        self._file: IO[bytes] = TemporaryFile(buffering=0)  # noqa: SIM115 - closed in close
        self._read = self.written = 0

    @property
    def unread(self) -> int:
        return self.written - self._read

    def read(self, most: int) -> bytes:
        self._file.seek(self._read)
        piece = self._file.read(min(most, self.unread))
        self._read += len(piece)
        return piece

    def write(self, piece: memoryview) -> int:
        """Write the beginning of a piece; how many bytes of it."""
        self._file.seek(self.written)
        size = self._file.write(piece)
        self.written += size
        return size

    def close(self) -> None:
        with suppress(OSError):  # nobody will read it
            self._file.close()

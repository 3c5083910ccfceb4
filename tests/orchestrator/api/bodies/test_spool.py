"""What a client has not read yet."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Iterator

import pytest
from hypothesis import given, settings, strategies as st

from orchestrator.api.bodies.spool import DiskRoom, Spool


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=50), max_size=20),
    st.integers(1, 60),
    st.integers(1, 100),
    st.integers(1, 200),
    st.integers(1, 200),
)
def test_what_comes_out_is_what_went_in_and_nothing_is_kept_once_read(pieces, at_once, in_memory, most, room):
    async def live():
        async with Spool(in_memory=in_memory, most=most, room=DiskRoom(room)) as spool:

            async def write():
                for piece in pieces:
                    await spool.put(piece)
                    assert spool.size <= most + len(piece)
                await spool.end()

            writing = asyncio.create_task(write())
            found = []
            while piece := await spool.get(at_once):
                found.append(piece)
                await asyncio.sleep(0)
            await writing
            assert spool.size == 0
            return b"".join(found)

    assert asyncio.run(live()) == b"".join(pieces)


def test_a_writer_waits_for_a_slow_reader():
    async def live():
        async with Spool(in_memory=10, most=100, room=DiskRoom(10**6)) as spool:
            await spool.put(b"x" * 100)
            writing = asyncio.create_task(spool.put(b"y"))
            await asyncio.sleep(0.01)
            assert not writing.done()
            assert spool.size == 100
            assert await spool.get(60) == b"x" * 60
            await writing
            assert await spool.get(1000) == b"x" * 40 + b"y"
            assert spool.size == 0
            await spool.end()
            assert await spool.get(1) == b""

    asyncio.run(live())


@pytest.mark.parametrize("in_memory", [10, 10_000])
def test_what_has_gone_through_is_not_kept_for_a_reader_who_is_always_a_little_behind(in_memory):
    async def live():
        room = DiskRoom(10**6)
        async with Spool(in_memory=in_memory, most=1000, room=room) as spool:
            await spool.put(b"x" * 10)
            for _ in range(2000):
                await spool.put(b"y" * 100)
                assert room.used <= spool.size <= 10 + 100 + 1000 // 16
                assert len(await spool.get(100)) == 100

    asyncio.run(live())


def test_spools_share_the_room_for_their_files_and_each_has_its_memory():
    async def live():
        room = DiskRoom(100)
        async with (
            Spool(in_memory=10, most=1000, room=room) as one,
            Spool(in_memory=10, most=1000, room=room) as other,
        ):
            await one.put(b"a" * 90)
            await other.put(b"b" * 10)
            waiting = asyncio.create_task(other.put(b"c" * 50))
            await asyncio.sleep(0.01)
            assert not waiting.done()
            assert room.used <= 100
            while one.size:
                await one.get(100)
            await waiting
            another = asyncio.create_task(one.put(b"d" * 90))
            await asyncio.sleep(0.01)
            assert not another.done()
            another.cancel()
            assert await other.get(1000) == b"b" * 10 + b"c" * 50
        assert room.used == 0

    asyncio.run(live())


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Files can be no larger than 100,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("size", [1, 4001, 300_000])
def test_what_could_not_be_written_takes_up_no_room(size):
    async def fill(room):
        async with Spool(in_memory=0, most=2**22, room=room) as spool:
            await spool.put(b"x" * 99_999)
            await spool.put(b"y" * size)
            await spool.put(b"z" * size)

    async def live():
        room = DiskRoom(10**6)
        with pytest.raises(OSError, match="too large"):
            await fill(room)
        assert room.used == 0
        async with Spool(in_memory=0, most=2**22, room=room) as spool:
            await spool.put(b"x" * 1000)
            assert await spool.get(2000) == b"x" * 1000

    asyncio.run(live())


def test_one_that_is_cancelled_while_it_ends_gives_its_room_to_others():
    async def live():
        room = DiskRoom(100)
        filled = asyncio.Event()

        async def hold():
            async with Spool(in_memory=0, most=1000, room=room) as spool:
                await spool.put(b"a" * 100)
                filled.set()
                await asyncio.Event().wait()

        async def write():
            async with Spool(in_memory=0, most=1000, room=room) as spool:
                await spool.put(b"b" * 100)

        holding = asyncio.create_task(hold())
        await filled.wait()
        writing = asyncio.create_task(write())
        await asyncio.sleep(0.01)
        async with room.changed:  # somebody is just looking at the room
            holding.cancel()
            await asyncio.sleep(0.01)
            holding.cancel()
            await asyncio.sleep(0.01)
        await asyncio.wait_for(writing, 2)
        assert holding.cancelled()
        assert room.used == 0

    asyncio.run(live())

"""What a client has not read yet."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.api.spool import Spool


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=50), max_size=20),
    st.integers(1, 60),
    st.integers(1, 100),
    st.integers(1, 200),
)
def test_what_comes_out_is_what_went_in_and_nothing_is_kept_once_read(pieces, at_once, in_memory, most):
    async def live():
        with Spool(in_memory=in_memory, most=most) as spool:

            async def write():
                for piece in pieces:
                    await spool.put(piece)
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
        with Spool(in_memory=10, most=100) as spool:
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

"""What a client may have on log lines: an id of plain characters, and nothing else."""

from __future__ import annotations

import re

import pytest
from structlog.testing import capture_logs


async def refused(served, *given):
    """The answer to a bad request with these `X-Request-ID`s, and what was logged about it."""
    with capture_logs() as lines:
        answer = await served.client.post(
            "/v1/decisions", json={"customer_id": 5}, headers=[(b"x-request-id", value) for value in given]
        )
    assert answer.status_code == 422
    (line,) = [line for line in lines if line["event"] == "request refused"]
    assert line["request_id"] == answer.headers["x-request-id"] == answer.json()["request_id"]
    return answer.headers["x-request-id"], str(lines)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("given", [b"a", b"7", b"web-42_a.B", b"x" * 64])
def test_an_id_of_plain_characters_is_kept(ask, given):
    async def kept(served):
        found, _ = await refused(served, given)
        assert found == given.decode()

    ask(kept)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"ada@example.org",
        b"Ada Lovelace",
        b"a\nlevel=error",
        b"a\r\nx-other: b",
        b"a\n",
        b"a\x00",
        b"a\x1b[2J",
        b'{"a":1}',
        "\N{LATIN SMALL LETTER E WITH ACUTE}".encode(),
        b"\xff",
        b"x" * 65,
        b"x" * 2**20,
    ],
    ids=range(13),
)
def test_of_anything_else_an_id_is_made_and_nothing_is_logged(ask, given):
    async def replaced(served):
        found, logged = await refused(served, given)
        again, _ = await refused(served, given)
        assert re.fullmatch("[0-9a-f]{16}", found)
        assert again != found
        assert not given or repr(given.decode("latin-1"))[1:-1] not in logged
        assert len(logged) < 2000

    ask(replaced)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_second_id_is_not_looked_at(ask):
    async def first(served):
        found, logged = await refused(served, b"mine", b"not mine")
        assert found == "mine"
        assert "not mine" not in logged

    ask(first)

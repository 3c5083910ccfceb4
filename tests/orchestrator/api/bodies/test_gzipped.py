"""Unpacking gzip, bounded in bytes and in work."""

from __future__ import annotations

import gzip

import pytest

from orchestrator.api.bodies.gzipped import MOST_MEMBERS, TooLargeError, gunzip


@pytest.mark.parametrize("members", [1, 2, MOST_MEMBERS])
def test_members_behind_each_other_are_one_text(members):
    parts = [b"x" * i for i in range(members)]
    assert gunzip(b"".join(map(gzip.compress, parts)), limit=100) == b"".join(parts)


def test_more_members_than_anybody_sends_are_refused_whatever_they_hold():
    # Each member costs work on all that follows it, so a body of empty ones would take seconds.
    with pytest.raises(ValueError, match=f"more than {MOST_MEMBERS} members"):
        gunzip(gzip.compress(b"", mtime=0) * (MOST_MEMBERS + 1), limit=2**20)


def test_no_more_is_unpacked_than_allowed():
    packed = gzip.compress(bytes(2**20))
    assert gunzip(packed, limit=2**20) == bytes(2**20)
    for limit in (0, 2**20 - 1):
        with pytest.raises(TooLargeError):
            gunzip(packed, limit=limit)


@pytest.mark.parametrize(
    "packed", [b"no gzip", gzip.compress(b"cut off", mtime=0)[:-1], gzip.compress(b"x", mtime=0) + b"rest"]
)
def test_what_is_not_gzip_is_refused(packed):
    with pytest.raises(ValueError, match="not gzip"):
        gunzip(packed, limit=100)

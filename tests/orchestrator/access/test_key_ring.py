"""Keys in memory go on being read, whatever happens to the record of their use."""

import time
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from orchestrator.access.key_ring import KeyRing
from orchestrator.access.keys import new_key
from orchestrator.access.scopes import Scope
from orchestrator.errors import AccessError

NOW = 1.8e9


def until(done, *, seconds=10):
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_key_is_refused_once_revoked_although_its_use_cannot_be_kept():
    key, text = new_key("shop", scopes=frozenset({Scope.DECIDE}), now=NOW)
    keys, refused, kept = {key.id: key}, [], []

    def note(used):
        if len(refused) < 3:
            refused.append(used)
            raise OSError("the disk is full")
        kept.append(dict(used))

    ring = KeyRing(load=lambda: dict(keys), note=note, clock=lambda: NOW, every=0.005)
    with capture_logs() as lines:
        ring.start()
        try:
            ring.find(text)
            until(lambda: refused)
            keys[key.id] = replace(key, revoked_at=NOW)
            until(lambda: is_refused(ring, text))
            until(lambda: kept)
        finally:
            ring.stop()
    assert kept == [{key.id: NOW // 3600 * 3600}]
    assert [line["event"] for line in lines] == ["use of keys not kept"] * 3


def is_refused(ring, text):
    try:
        ring.find(text)
    except AccessError:
        return True
    return False


def test_keys_read_before_stay_while_they_cannot_be_read():
    key, text = new_key("shop", scopes=frozenset({Scope.DECIDE}), now=NOW)
    answers = iter([{key.id: key}])

    def load():
        for answer in answers:
            return answer
        raise OSError("no database")

    ring = KeyRing(load=load, note=lambda _: None, clock=lambda: NOW, every=0.002)
    with capture_logs() as lines:
        ring.start()
        try:
            until(lambda: lines)
            assert ring.find(text) is key
            time.sleep(0.02)
        finally:
            ring.stop()
    assert [line["event"] for line in lines] == ["keys not read"]
    with pytest.raises(AccessError, match="not known"):
        ring.find("jo_000000000000_" + "0" * 64)

"""Keys for tests, without starting the command line for each."""

from __future__ import annotations

import time
from typing import Any

from orchestrator.access.key_rows import add_key, revoke_key
from orchestrator.access.keys import new_key
from orchestrator.access.scopes import read_scopes
from orchestrator.storage.database import open_database


def make_key(database: str, scopes: str, *, now: float | None = None, **more: Any) -> str:
    """The text of a new key."""
    key, text = new_key("test", scopes=read_scopes(scopes), now=time.time() if now is None else now, **more)
    engine = open_database(database)
    with engine.begin() as connection:
        add_key(connection, key, who="test")
    engine.dispose()
    return text


def revoke(database: str, text: str) -> None:
    """Revoke the key of this text."""
    engine = open_database(database)
    with engine.begin() as connection:
        revoke_key(connection, text.split("_")[1], who="test", now=time.time())
    engine.dispose()

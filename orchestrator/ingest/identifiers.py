"""Ids of other systems' events as ids of ours."""

from __future__ import annotations

import hashlib

from orchestrator.ingest.records import MAX_ID


def fitting_id(name: str) -> str:
    """The name itself if it is short enough for an event id; else a digest of it, which no other name has."""
    return name if len(name) <= MAX_ID else f"digest {hashlib.blake2b(name.encode(), digest_size=32).hexdigest()}"

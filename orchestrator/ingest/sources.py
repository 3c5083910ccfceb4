"""The table of systems whose messages are read as they come; the API makes a route of each webhook."""

from __future__ import annotations

from orchestrator.ingest import segment
from orchestrator.ingest.webhooks import Source

SOURCES: tuple[Source, ...] = (
    # One row per system.
    Source(segment.SOURCE, segment.SegmentReader, segment.WEBHOOKS),
)

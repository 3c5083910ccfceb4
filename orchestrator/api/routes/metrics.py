"""Numbers for Prometheus."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder

from orchestrator.api.deps import ServiceDep

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    summary="Counts and latencies, as Prometheus reads them",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def read_metrics(http: Request, service: ServiceDep) -> Response:
    """Every number is explained in docs/operations.md."""
    encode, media_type = choose_encoder(http.headers.get("accept", ""))
    # On another thread: names are made for some hundred lines, while requests go on.
    text = await asyncio.to_thread(encode, service.metrics.registry)
    return Response(text, headers={"Content-Type": media_type})

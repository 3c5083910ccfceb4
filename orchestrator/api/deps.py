"""What routes are given."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from orchestrator.serving.service import Service


def service_of(request: Request) -> Service:
    """The service behind a request's application."""
    service: Service = request.app.state.service
    return service


# Async, although it waits for nothing: FastAPI runs a plain function on another thread.
async def _service(request: Request) -> Service:
    return service_of(request)


ServiceDep = Annotated[Service, Depends(_service)]

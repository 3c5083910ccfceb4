"""What routes are given."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from orchestrator.service.service import Service


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]

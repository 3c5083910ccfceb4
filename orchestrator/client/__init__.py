"""A typed client of the decision API, for Python programs: `JourneyClient`, and `AsyncJourneyClient` for asyncio.

Needs the extra `client` (httpx2). Every call can be repeated safely, and is, as long as it makes sense.
"""

from orchestrator.client.calls import Retries
from orchestrator.client.clients import AsyncJourneyClient, JourneyClient
from orchestrator.client.errors import JourneyError, RefusedError, UnreachableError

__all__ = [
    "AsyncJourneyClient",
    "JourneyClient",
    "JourneyError",
    "RefusedError",
    "Retries",
    "UnreachableError",
]

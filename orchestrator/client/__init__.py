"""A typed client of the decision API, for Python programs: `JourneyClient`, and `AsyncJourneyClient` for asyncio.

Needs the extra `client` (httpx2). Every call can be repeated safely, and is, as long as it makes sense; one that failed
in the end is in the error, to be repeated later.
"""

from orchestrator.client.call import Call
from orchestrator.client.calls import Retries
from orchestrator.client.clients import AsyncJourneyClient, JourneyClient
from orchestrator.client.errors import JourneyError, RefusedError, UnreachableError, UnreadableError

__all__ = [
    "AsyncJourneyClient",
    "Call",
    "JourneyClient",
    "JourneyError",
    "RefusedError",
    "Retries",
    "UnreachableError",
    "UnreadableError",
]

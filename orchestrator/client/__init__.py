"""A typed client of the decision API, for Python programs: `JourneyClient`, and `AsyncJourneyClient` for asyncio.

Needs the extra `client` (httpx2). Every call can be repeated safely, and is, as long as it makes sense; one that failed
in the end is in the error, to be repeated later. `FakeService` answers tests of such programs without a network.
"""

from orchestrator.client.call import Call
from orchestrator.client.calls import Retries
from orchestrator.client.clients import AsyncJourneyClient, JourneyClient
from orchestrator.client.errors import JourneyError, RefusedError, UnreachableError, UnreadableError
from orchestrator.client.fake import FakeService

__all__ = [
    "AsyncJourneyClient",
    "Call",
    "FakeService",
    "JourneyClient",
    "JourneyError",
    "RefusedError",
    "Retries",
    "UnreachableError",
    "UnreadableError",
]

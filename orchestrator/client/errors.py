"""What can go wrong when the API is asked.

JourneyError
├── RefusedError      the API refused the request; `problem` says why and what to do
├── UnreadableError   something answered, but not as the API does
└── UnreachableError  no answer came, or it broke off
"""

from __future__ import annotations

from typing import Any

from orchestrator.api.models.problems import Problem
from orchestrator.client.call import Call


class JourneyError(Exception):
    """A call did not succeed.

    What was asked may have happened all the same, unless the API refused it with another status than 503. Asking
    anew would be another request, with ids of its own. To repeat this one, so that it counts once however often it
    arrives: `journey.repeat(error.call)`; of `decide_many`, the same requests with `key=error.key`.

    Attributes:
        call: what was sent, ids and times included; none of `decide_many`.
        key: the idempotency key it was sent under, also where the client had made it; none of calls without one.
    """

    call: Call[Any] | None = None
    key: str | None = None


class RefusedError(JourneyError):
    """The API refused the request.

    Attributes:
        problem: its problem document.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.status} {problem.title}: {problem.detail}; {problem.fix}")
        self.problem = problem


class UnreadableError(JourneyError):
    """Something answered, but not as the API does: a proxy's page, a newer version, damage on the way."""


class UnreachableError(JourneyError):
    """No answer came, however often it was tried; or the lines of a batch broke off."""

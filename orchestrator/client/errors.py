"""What can go wrong when the API is asked.

JourneyError
├── RefusedError      the API refused the request; `problem` says why and what to do
└── UnreachableError  no answer came, however often it was tried
"""

from __future__ import annotations

from orchestrator.api.models.problems import Problem


class JourneyError(Exception):
    """A call did not succeed."""


class RefusedError(JourneyError):
    """The API refused the request.

    Attributes:
        problem: its problem document.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.status} {problem.title}: {problem.detail}; {problem.fix}")
        self.problem = problem


class UnreachableError(JourneyError):
    """No answer came, however often it was tried. What was asked may have happened; the same call again is safe."""

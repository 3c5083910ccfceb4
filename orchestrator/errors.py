"""Errors of the orchestrator package.

OrchestratorError
├── ConfigError        a retailer's YAML, or an environment override of it, cannot be used
├── ExpressionError    an expression that cannot be understood, with the name or part and the fix
├── EventError         an event that cannot be applied, with its record and field
├── ContextError       a request's context that cannot be encoded, with its record and field
├── WireError          another system's events that cannot be translated, with each field at fault
├── AccessError        a key, or what a key may do, that cannot be used
└── DataImportError    outside data that is missing, damaged or of another shape
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import NamedTuple

from orchestrator.database_urls import without_passwords


class OrchestratorError(Exception):
    """Anything this package refuses to do; the message says what was wrong, where, and the fix.

    No message shows the password of a database, whatever it quotes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(without_passwords(message))


class ConfigError(OrchestratorError):
    """A retailer's configuration cannot be used; `problems` holds every reason, one sentence each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(without_passwords(problem) for problem in problems)
        count = len(self.problems)
        head = "1 problem" if count == 1 else f"{count} problems"
        super().__init__(f"{head} in the configuration:\n" + "\n".join(f"  {problem}" for problem in self.problems))


class ExpressionError(OrchestratorError):
    """An expression cannot be understood, or names what is not there."""


class EventError(OrchestratorError):
    """An event cannot be applied."""


class ContextError(OrchestratorError):
    """A request's context cannot be encoded."""


class WireFault(NamedTuple):
    """One field at fault, in the sender's own words for it."""

    field: str
    problem: str
    fix: str


class WireError(OrchestratorError):
    """Another system's events cannot be translated; `faults` holds every reason."""

    def __init__(self, faults: Iterable[WireFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{f.field} {f.problem}; {f.fix}" for f in self.faults))


class AccessError(OrchestratorError):
    """A key, or what a key may do, cannot be used."""


class DataImportError(OrchestratorError):
    """Outside data is missing, damaged or of another shape."""


def suggestion(name: object, known: Iterable[str]) -> str:
    """Hint for an unknown name: the nearest known one if there is one, and what is known.

    >>> suggestion("emial", ["email", "site"])
    "did you mean 'email'? known: email, site"
    """
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}known: {', '.join(names) or 'none'}"

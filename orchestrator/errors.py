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


class Fault(NamedTuple):
    """One field at fault.

    Attributes:
        field: as the sender names it.
        problem: what is wrong with it.
        fix: what to do; empty where the problem says it.
        value: what was sent, as text, where it may be quoted to whoever sent it.
        row: which of several records, from 0.
    """

    field: str
    problem: str
    fix: str = ""
    value: str = ""
    row: int | None = None

    def __str__(self) -> str:
        """All of it as one sentence, but for the row."""
        said = f"{self.field} = {self.value}: {self.problem}" if self.value else f"{self.field} {self.problem}"
        return f"{said}; {self.fix}" if self.fix else said


class FieldError(ValueError):
    """What a validator refuses, apart from which field it is of; `problem` and `fix` as in `Fault`."""

    def __init__(self, problem: str, fix: str) -> None:
        self.problem, self.fix = problem, fix
        super().__init__(f"{problem}; {fix}")


class EventError(OrchestratorError):
    """An event cannot be applied; `fault` says which field of which record, where it is one."""

    def __init__(self, what: str | Fault) -> None:
        self.fault = what if isinstance(what, Fault) else None
        place = "" if self.fault is None or self.fault.row is None else f"record {self.fault.row}: "
        super().__init__(f"{place}{what}")


class ContextError(OrchestratorError):
    """A request's context cannot be encoded."""


class WireError(OrchestratorError):
    """Another system's events cannot be translated; `faults` holds every reason."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(map(str, self.faults)))


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

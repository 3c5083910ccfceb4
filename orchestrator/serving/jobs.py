"""What the writer thread is asked to do, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.ingest.link import Link
from orchestrator.ingest.raw import RawMessage
from orchestrator.log.decision_schema import DecisionSchema
from orchestrator.privacy.erasing import Erased
from orchestrator.profiles import Events
from orchestrator.serving.errors import ServiceError


@dataclass(frozen=True, slots=True)
class DecisionJob:
    """Decide for one customer.

    Attributes:
        customer_id: whom.
        channels: channels allowed; empty for all.
        context: what is known only now, as `ContextSchema.encode` takes it.
        request: the request as JSON, without the customer id, for the log.
        slots: results wanted for the place asked about.
        same_subject: whether two of them may be about the same category.
        key: idempotency key, if the client gave one.
        fingerprint: digest of the request, to tell a repeat from another use of `key`.
        candidates: whether the answer is to rank what could have been chosen.
    """

    customer_id: str
    channels: tuple[str, ...]
    context: Mapping[str, Any]
    request: str
    slots: int = 1
    same_subject: bool = False
    key: str | None = None
    fingerprint: str = ""
    candidates: bool = True


@dataclass(frozen=True, slots=True)
class DecisionsJob:
    """Decide many, in this order, in one transaction; each is made or refused for itself."""

    jobs: Sequence[DecisionJob]


@dataclass(frozen=True, slots=True)
class EventsJob:
    """Keep events and apply them to profiles, all or none.

    Attributes:
        events: checked.
        bodies: each as JSON, for the log.
        texts: what each states as text, by name; none where no event does.
        raw: messages that were not understood, to be kept as they are.
        links: ids said to be one customer's, in the order they were said.
    """

    events: Events
    bodies: Sequence[str]
    texts: Sequence[Mapping[str, str]] = ()
    raw: Sequence[RawMessage] = ()
    links: Sequence[Link] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A fact that followed a decision; `timestamp` in seconds since 1970 UTC, `value` in money, `slot` from 1."""

    outcome_id: str
    decision_id: str
    type: str
    value: float
    timestamp: float
    body: str
    slot: int = 1


@dataclass(frozen=True, slots=True)
class OutcomesJob:
    """Keep outcomes of decisions, all or none."""

    outcomes: Sequence[Outcome]


@dataclass(frozen=True, slots=True)
class StockFact:
    """Whether a category is in stock from `timestamp` on, in seconds since 1970 UTC."""

    stock_id: str
    category: str
    in_stock: bool
    timestamp: float


@dataclass(frozen=True, slots=True)
class StockJob:
    """Keep facts about stock, all or none."""

    facts: Sequence[StockFact]


@dataclass(frozen=True, slots=True)
class ErasureJob:
    """Erase everything about a customer; `who` asked for it."""

    customer_id: str
    who: str


@dataclass(frozen=True, slots=True)
class ProbeJob:
    """Find out whether the database takes writes."""


Job = DecisionJob | DecisionsJob | EventsJob | OutcomesJob | StockJob | ErasureJob | ProbeJob


@dataclass(frozen=True, slots=True)
class DecisionMade:
    """One decision, as it is answered.

    Attributes:
        decided_at: seconds since 1970 UTC.
        schema: its actions.
        action: index into them.
        group: what decided: `Group.label`.
        slots: action by slot where several results were asked for, as an index, and its probability given those
            before it; empty otherwise.
        joint_propensity: probability of the whole selection; None where one result was asked for.
        ranked: the best eligible actions, best score first, at most `MOST_RANKED`; empty if not asked for.
        ranked_scores: their scores.
        ranked_probabilities: their probabilities.
    """

    decision_id: str
    customer_id: str
    decided_at: float
    policy_version: str
    schema: DecisionSchema
    action: int
    propensity: float
    group: str
    slots: Sequence[tuple[int, float]]
    joint_propensity: float | None
    ranked: Sequence[int]
    ranked_scores: Sequence[float]
    ranked_probabilities: Sequence[float]


@dataclass(frozen=True, slots=True)
class Recorded:
    """Which facts of a request were new; the others were in the log already."""

    new: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class DecisionsMade:
    """An answer or a refusal per job of a `DecisionsJob`, in order."""

    answers: Sequence[DecisionMade | ServiceError]


Answer = DecisionMade | DecisionsMade | Recorded | Erased

"""What the writer thread is asked to do, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.profiles import Events
from orchestrator.service.layout import Layout
from orchestrator.storage.erasing import Erased
from policies.arrays import BoolArray, Float32Array, Float64Array


@dataclass(frozen=True, slots=True)
class DecisionJob:
    """Decide for one customer.

    Attributes:
        customer_id: whom.
        channels: channels allowed; empty for all.
        context: what is known only now, as `ContextSchema.encode` takes it.
        request: the request as JSON, without the customer id, for the log.
        key: idempotency key, if the client gave one.
        fingerprint: digest of the request, to tell a repeat from another use of `key`.
    """

    customer_id: str
    channels: tuple[str, ...]
    context: Mapping[str, Any]
    request: str
    key: str | None = None
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class EventsJob:
    """Keep events and apply them to profiles, all or none.

    Attributes:
        events: checked.
        bodies: each as JSON, for the log.
        texts: what each states as text, by name; none where no event does.
    """

    events: Events
    bodies: Sequence[str]
    texts: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A fact that followed a decision; `timestamp` in seconds since 1970 UTC, `value` in money."""

    outcome_id: str
    decision_id: str
    type: str
    value: float
    timestamp: float
    body: str


@dataclass(frozen=True, slots=True)
class OutcomesJob:
    """Keep outcomes of decisions, all or none."""

    outcomes: Sequence[Outcome]


@dataclass(frozen=True, slots=True)
class ErasureJob:
    """Erase everything about a customer; `who` asked for it."""

    customer_id: str
    who: str


Job = DecisionJob | EventsJob | OutcomesJob | ErasureJob


@dataclass(frozen=True, slots=True)
class DecisionMade:
    """One decision as it stands in the log.

    Attributes:
        action: index into `layout.actions`.
        eligible: bool (A,).
        reasons: uint8 (A,), why not eligible; 0 where eligible.
        scores: float32 (A,), expected reward.
        distribution: float64 (A,).
        features: float32 (F,).
        ranked: the best eligible actions, best score first, at most `MOST_RANKED`.
        ranked_scores: their scores.
        ranked_probabilities: their probabilities.
    """

    decision_id: str
    customer_id: str
    decided_at: float
    policy_version: str
    layout: Layout
    action: int
    propensity: float
    request: str
    eligible: BoolArray
    reasons: Any
    scores: Float32Array
    distribution: Float64Array
    features: Float32Array
    ranked: Sequence[int]
    ranked_scores: Sequence[float]
    ranked_probabilities: Sequence[float]


@dataclass(frozen=True, slots=True)
class Recorded:
    """Which facts of a request were new; the others were in the log already."""

    new: tuple[bool, ...]


Answer = DecisionMade | Recorded | Erased

"""Turning what the service answers into bodies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import to_json

from orchestrator.api.models.decisions import (
    ActionConsidered,
    ActionExplained,
    DecisionRecord,
    Explanation,
    Need,
    ScorePart,
)
from orchestrator.api.models.fields import finite_or_none, timestamp
from orchestrator.api.models.outcomes import FactReceipt, FactsResponse, OutcomeRecord
from orchestrator.decision.core import DecisionCore
from orchestrator.log.decision_log import LoggedDecisions
from orchestrator.log.decision_schema import LoggedAction
from orchestrator.serving.handlers.deciding import decisions_made
from orchestrator.serving.handlers.explaining import Contribution, Explained
from orchestrator.serving.jobs import DecisionMade, Recorded
from orchestrator.storage.tables import Row


def decision_json(made: DecisionMade) -> bytes:
    """A decision as the JSON of `DecisionResponse`."""
    return to_json(_decision(made))


def batch_decision_json(made: DecisionMade, *, line: int) -> bytes:
    """A decision as one line of a batch's answer, its end included."""
    found = _decision(made)
    if not made.ranked:
        del found["candidates"]
    return to_json({"line": line, "customer_id": made.customer_id, **found}) + b"\n"


def decision_record(
    logged: LoggedDecisions, outcomes: Sequence[Row], parts: Sequence[Sequence[Contribution]] | None
) -> DecisionRecord:
    """The only decision of a batch with all its reasons, and what followed."""
    schema = logged.schema
    (made,) = decisions_made(logged, ranked=[True])
    eligible, reasons, scores, distribution = (
        a[0].tolist() for a in (logged.eligible, logged.reasons, logged.scores, logged.distribution)
    )
    return DecisionRecord.model_validate(
        {
            **_decision(made),
            "customer_id": made.customer_id,
            "request": logged.asked(0),
            "features": dict(zip(schema.columns, logged.features[0].tolist(), strict=True)),
            "actions": [
                ActionConsidered(
                    id=action.id,
                    eligible=eligible[a],
                    reason=None if eligible[a] else schema.reasons[reasons[a]],
                    score=finite_or_none(scores[a]),
                    price=price,
                    probability=distribution[a],
                    contributions=None if parts is None else _score_parts(parts[a]),
                )
                for a, (action, price) in enumerate(zip(schema.actions, schema.action_set.cost.tolist(), strict=True))
            ],
            "outcomes": [
                OutcomeRecord(
                    outcome_id=row["outcome_id"],
                    type=row["type"],
                    value=row["value"],
                    slot=row["slot"],
                    timestamp=timestamp(row["timestamp"]),
                    received_at=timestamp(row["received_at"]),
                )
                for row in outcomes
            ],
        }
    )


def explanation(found: Explained, core: DecisionCore) -> Explanation:
    """What would be decided, action by action."""
    decided, prices = found.decided, core.actions.cost.tolist()
    return Explanation(
        policy_version=found.policy_version,
        group=found.group,
        at=timestamp(found.at),
        features=dict(zip(core.columns, decided.features[0].tolist(), strict=True)),
        actions=[
            ActionExplained(
                id=action,
                eligible=bool(decided.eligible[0, a]),
                reason=core.reasons[decided.reasons[0, a]] or None,
                score=finite_or_none(float(decided.scores[0, a])),
                price=prices[a],
                probability=float(decided.distribution[0, a]),
                contributions=_score_parts(found.contributions[a]),
                needs=[
                    Need(
                        reason=need.reason.name.lower(),
                        rule=need.rule or None,
                        change=need.change,
                        count=need.count,
                        limit=need.limit,
                        allowed_at=None if need.allowed_at is None else timestamp(need.allowed_at),
                    )
                    for need in found.needs[a]
                ],
            )
            for a, action in enumerate(core.actions.ids)
        ],
    )


def _score_parts(parts: Sequence[Contribution]) -> list[ScorePart]:
    return [ScorePart(column=part.column, value=part.value, amount=part.amount) for part in parts]


def facts_response(ids: Sequence[str], recorded: Recorded) -> FactsResponse:
    """What became of each event or outcome of a request."""
    accepted = sum(recorded.new)
    return FactsResponse(
        accepted=accepted,
        duplicates=len(ids) - accepted,
        items=[
            FactReceipt(id=fact, status="accepted" if new else "duplicate")
            for fact, new in zip(ids, recorded.new, strict=True)
        ],
    )


def _decision(made: DecisionMade) -> dict[str, Any]:
    actions = made.schema.actions
    several = {
        "slots": [{"action": _action(actions[a]), "propensity": p} for a, p in made.slots if actions[a].channel],
        "joint_propensity": made.joint_propensity,
    }
    return {
        "decision_id": made.decision_id,
        "action": _action(actions[made.action]),
        "propensity": made.propensity,
        "policy_version": made.policy_version,
        "group": made.group,
        "decided_at": timestamp(made.decided_at),
        "candidates": [
            {"id": actions[a].id, "channel": actions[a].channel or None, "score": score, "probability": probability}
            for a, score, probability in zip(made.ranked, made.ranked_scores, made.ranked_probabilities, strict=True)
        ],
        **({} if made.joint_propensity is None else several),
    }


def _action(action: LoggedAction) -> dict[str, Any]:
    return {
        "id": action.id,
        "channel": action.channel or None,
        "intent": action.intent or None,
        "subject": action.subject if action.channel else None,
        "discount": action.discount,
        "template": action.template or None,
    }

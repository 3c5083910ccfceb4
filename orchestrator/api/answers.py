"""Turning what the service answers into bodies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic_core import to_json

from orchestrator.api.models.decisions import ActionConsidered, DecisionRecord
from orchestrator.api.models.fields import finite_or_none, timestamp
from orchestrator.api.models.outcomes import FactReceipt, FactsResponse, OutcomeRecord
from orchestrator.service.jobs import DecisionMade, Recorded
from orchestrator.service.layout import LoggedAction
from orchestrator.storage.tables import Row


def decision_json(made: DecisionMade) -> bytes:
    """A decision as the JSON of `DecisionResponse`."""
    return to_json(_decision(made))


def decision_record(made: DecisionMade, outcomes: Sequence[Row]) -> DecisionRecord:
    """A decision with all its reasons, and what followed."""
    layout = made.layout
    return DecisionRecord.model_validate(
        {
            **_decision(made),
            "customer_id": made.customer_id,
            "request": json.loads(made.request),
            "features": dict(zip(layout.columns, made.features.tolist(), strict=True)),
            "actions": [
                ActionConsidered(
                    id=action.id,
                    eligible=bool(made.eligible[a]),
                    reason=None if made.eligible[a] else layout.reasons[made.reasons[a]],
                    score=finite_or_none(float(made.scores[a])),
                    probability=float(made.distribution[a]),
                )
                for a, action in enumerate(layout.actions)
            ],
            "outcomes": [
                OutcomeRecord(
                    outcome_id=row["outcome_id"],
                    type=row["type"],
                    value=row["value"],
                    timestamp=timestamp(row["timestamp"]),
                    received_at=timestamp(row["received_at"]),
                )
                for row in outcomes
            ],
        }
    )


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
    actions = made.layout.actions
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

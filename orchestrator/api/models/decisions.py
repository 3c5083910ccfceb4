"""Bodies of /v1/decisions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from orchestrator.api.models.fields import Body, Identifier, Name
from orchestrator.api.models.outcomes import OutcomeRecord
from orchestrator.api.models.problems import Problem
from orchestrator.errors import FieldError


class DecisionContext(Body):
    """What is known only at this moment; leave out what is not known."""

    device: Name | None = Field(default=None, description="`desktop`, `mobile`, `tablet`, `app` or `in_store`.")
    category: Name | None = Field(default=None, description="Category of the page or shelf in view.")
    hour: Annotated[int, Field(ge=0, le=23)] | None = Field(
        default=None, description="Hour of the day where the customer is."
    )


class DecisionRequest(Body):
    """For whom to decide, and where it can be shown."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "customer_id": "c-1042",
                    "channels": ["email", "site"],
                    "context": {"device": "mobile", "hour": 18},
                },
                {"customer_id": "c-1042", "placement": "home_hero", "context": {"category": "pantry"}},
            ]
        }
    )

    customer_id: Identifier
    channels: Annotated[list[Name], Field(min_length=1, max_length=50)] | None = Field(
        default=None, description="Channels that may be used; all if left out."
    )
    placement: Name | None = Field(default=None, description="One place to fill, instead of `channels`.")
    context: DecisionContext = DecisionContext()
    slots: Annotated[int, Field(ge=1, le=20)] = Field(
        default=1, description="Results wanted for the placement, best guesses of one draw without replacement."
    )
    same_subject: bool = Field(default=False, description="Whether two results may be about the same category.")

    @model_validator(mode="after")
    def _one_target(self) -> DecisionRequest:
        if self.channels is not None and self.placement is not None:
            raise FieldError("channels and placement are both given", "send one of them")
        if self.slots > 1 and self.placement is None:
            raise FieldError("slots above 1 are for a placement", "name the placement, or leave slots out")
        if self.channels is not None and len(set(self.channels)) < len(self.channels):
            raise FieldError("channels names one twice", "send each once")
        return self


class ActionChosen(BaseModel):
    """The action to take. `hold` means: do nothing, on purpose."""

    id: str
    channel: str | None = Field(description="None for `hold`.")
    intent: str | None
    subject: str | None = Field(description="A category, or `any`.")
    discount: float = Field(description="Share of the price, 0 to 1.")
    template: str | None


class Candidate(BaseModel):
    """An action that could have been chosen."""

    id: str
    channel: str | None
    score: float = Field(description="Expected reward, in the policy's unit.")
    probability: float = Field(description="Chance this decision gave it.")


class Slot(BaseModel):
    """One of several results."""

    action: ActionChosen
    propensity: float = Field(description="Probability with which it was drawn, given the results before it.")


class DecisionResponse(BaseModel):
    """The decision; it is in the log already."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "decision_id": "01936f3e-9d3a-7c41-a6a4-0f2a6be3c1d9",
                    "action": {
                        "id": "email.inspire.pantry",
                        "channel": "email",
                        "intent": "inspire",
                        "subject": "pantry",
                        "discount": 0.0,
                        "template": "inspire_v2",
                    },
                    "propensity": 0.83,
                    "policy_version": "7",
                    "group": "policy",
                    "decided_at": "2026-01-20T18:04:05.123456Z",
                    "candidates": [
                        {"id": "email.inspire.pantry", "channel": "email", "score": 0.41, "probability": 0.83},
                        {"id": "hold", "channel": None, "score": 0.22, "probability": 0.17},
                    ],
                }
            ]
        }
    )

    decision_id: str = Field(description="Send it back with every outcome.")
    action: ActionChosen
    propensity: float = Field(description="Probability with which this action was chosen.")
    policy_version: str
    group: Literal["policy", "random", "business_rules", "control"] = Field(
        description="Experiment group of the customer: what decided."
    )
    decided_at: datetime
    candidates: list[Candidate] = Field(
        description="Eligible actions, best score first, at most 20; always with the chosen one."
    )
    slots: list[Slot] | None = Field(
        default=None,
        description="Where several were asked for: results in order, the first of them `action`; fewer than asked "
        "for if `hold` was drawn or nothing more was eligible, and none if `action` is `hold`.",
    )
    joint_propensity: float | None = Field(
        default=None, description="Probability of this whole selection in this order, where several were asked for."
    )


class BatchDecision(DecisionResponse):
    """A line of a batch's answer."""

    line: int = Field(description="Of the request, from 1.")
    customer_id: str
    candidates: list[Candidate] = Field(default=[], description="Only if asked for.")


class BatchRefusal(BaseModel):
    """A line of a batch's answer, for a request that was refused."""

    line: int = Field(description="Of the request, from 1.")
    problem: Problem


class ScorePart(BaseModel):
    """What one thing known about the customer adds to a score."""

    column: str
    value: float = Field(description="As the policy saw it: on a scale around 1.")
    amount: float = Field(description="Added to the score, compared with what it adds to that of `hold`.")


class ActionConsidered(BaseModel):
    """One action of the catalogue as this decision saw it."""

    id: str
    eligible: bool
    reason: str | None = Field(description="Why it was not eligible.")
    score: float | None = Field(description="Expected reward less the action's price, as explored.")
    price: float | None = Field(description="Its cost, subtracted where scores are money; none in old decisions.")
    probability: float
    contributions: list[ScorePart] | None = Field(
        description="What the score owes most to, largest first; none if another policy serves by now."
    )


class Need(BaseModel):
    """Something that must change before an action may be taken."""

    reason: str
    rule: str | None = Field(description="Its name in contacts.yaml, or the condition.")
    change: str = Field(description="What would help.")
    count: int | None = Field(description="Contacts counted now, of a cap or gap.")
    limit: int | None = Field(description="Contacts at which it blocks.")
    allowed_at: datetime | None = Field(description="When time alone helps; none where it does not.")


class ActionExplained(ActionConsidered):
    """One action of the catalogue now, and what keeps it from being taken."""

    needs: list[Need] = Field(description="Everything that must change before it is eligible; empty where it is.")


class Explanation(BaseModel):
    """What would be decided now, and why; nothing was logged, and no contact counted."""

    policy_version: str
    group: Literal["policy", "random", "business_rules", "control"]
    at: datetime
    features: dict[str, float] = Field(description="What the policy sees, by column.")
    actions: list[ActionExplained] = Field(description="The whole catalogue, in the policy's order.")


class DecisionRecord(DecisionResponse):
    """Everything logged about a decision: why, and why not."""

    customer_id: str
    request: dict[str, Any] = Field(description="The request, as received.")
    features: dict[str, float] = Field(description="What the policy saw, by column.")
    actions: list[ActionConsidered] = Field(description="The whole catalogue, in the policy's order.")
    outcomes: list[OutcomeRecord] = Field(description="What followed, in the order received.")

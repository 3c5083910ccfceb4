"""What may stand in each YAML file: one pydantic model per file, unknown keys refused."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from orchestrator.config.fact_types import OUTCOMES, OutcomeType
from orchestrator.errors import suggestion

SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: Any) -> float:
    """Seconds in a duration such as `7 d`, `1 h`, `30 min` or `45 s`.

    Raises:
        ValueError: not a positive number with one of those units.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h|d)\s*", str(text))
    if not found or float(found[1]) == 0:
        raise ValueError("must be a positive duration with its unit, such as '1 h', '7 d' or '30 min'")
    return float(found[1]) * SECONDS[found[2]]


Duration = Annotated[float, BeforeValidator(seconds)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Money = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Intent = Literal["inspire", "complete_look", "offer", "back_in_stock", "recall", "service", "thank"]
GroupName = Literal["policy", "random", "business_rules", "control"]
Status = Literal["draft", "live", "paused", "archived"]


class Settings(BaseModel):
    """Strict and frozen: a key nobody reads is a mistake somebody should hear about."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Treatment(Settings):
    """What the customer gets: discount (share of the price), content template, associate minutes."""

    discount: Share = 0.0
    template: str = ""
    associate_minutes: Annotated[float, Field(ge=0, le=240)] = 0.0


class ActionTemplate(Settings):
    """One catalogue entry; `{category}` in its id makes one action per category.

    Attributes:
        targeting: who it is for, such as `buy.pantry > 0.5 and age == "25-34"`; `{category}` stands for the action's.
            What can be said is described in `orchestrator.eligibility.expressions`. None for everyone.
        requires: content fields its template prints; who lacks one does not get it.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.([a-z0-9_]+|\{category\}))*$")]
    channel: str
    intent: Intent
    subject: str | None = None
    categories: tuple[str, ...] | None = None
    treatment: Treatment = Treatment()
    targeting: Annotated[str, Field(min_length=1)] | None = None
    requires: tuple[Name, ...] = ()
    cost: Money | None = None
    valid_from: date | None = None
    valid_until: date | None = None
    status: Status = "live"

    @model_validator(mode="after")
    def _dates_in_order(self) -> ActionTemplate:
        if self.valid_from and self.valid_until and self.valid_until < self.valid_from:
            raise ValueError(f"valid_until {self.valid_until} is before valid_from {self.valid_from}; swap them")
        return self


class CatalogFile(Settings):
    """`catalog.yaml`: what can be said, and about which categories."""

    categories: Annotated[tuple[Name, ...], Field(min_length=1)]
    actions: tuple[ActionTemplate, ...]


class Channel(Settings):
    """How one channel reaches customers.

    Attributes:
        consent: `opt_in` needs a subscription, `opt_out` holds until an unsubscription, `none` asks nothing.
        contacts: whether using it interrupts the customer; a banner on a page they opened does not.
        contact_cost: money per contact, unless an action states its own.
        placements: where content can go.
    """

    consent: Literal["opt_in", "opt_out", "none"]
    contacts: bool
    contact_cost: Money
    placements: tuple[Name, ...] = ()


class ChannelsFile(Settings):
    """`channels.yaml`: the channels, in the order of their codes."""

    channels: Annotated[dict[Name, Channel], Field(min_length=1)]


class OutcomeWorth(Settings):
    """Money of one outcome: `fixed + of_value * value` (a margin rate is an `of_value`)."""

    fixed: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    of_value: Annotated[float, Field(ge=-1, le=1)] = 0.0


class Goals(Settings):
    """`goals.yaml`: what outcomes are worth, and how long after a decision they count for it.

    Attributes:
        currency: ISO 4217 code, for display.
        outcomes: money per outcome; one not listed is worth nothing.
        windows: attribution window per channel, seconds.
    """

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    outcomes: dict[OutcomeType, OutcomeWorth]
    windows: dict[str, Duration]

    def worth(self, outcome: str, *, value: float = 0.0) -> float:
        """Money of one outcome.

        Args:
            outcome: one of `OUTCOMES`.
            value: the money it carries, such as an order total.

        Raises:
            ValueError: no such outcome.
        """
        if outcome not in OUTCOMES:
            raise ValueError(f"unknown outcome {outcome!r}; {suggestion(outcome, OUTCOMES)}")
        worth = self.outcomes.get(outcome, OutcomeWorth())
        return worth.fixed + worth.of_value * value


class Exploration(Settings):
    """How a policy explores once served; part of the policy, so its version is enough to repeat a decision."""

    kind: Literal["squarecb", "epsilon_greedy", "softmax", "greedy"] = "squarecb"
    gamma_scale: Annotated[float, Field(gt=0)] = 10.0
    gamma_exponent: Share = 0.5
    epsilon: Share = 0.0
    temperature: Annotated[float, Field(gt=0)] = 1.0
    hold: Share = 0.0


class Groups(Settings):
    """Experiment groups, by a salted hash of the customer's id.

    Attributes:
        salt: another salt puts other customers into each group.
        shares: of customers per group; one not listed has none.
        business_rules: directory of the rules that decide for the group of that name; relative to the configuration.
    """

    salt: Annotated[str, Field(min_length=1)] = "journey"
    shares: dict[GroupName, Share] = {"policy": 1.0}
    business_rules: Path | None = None

    @model_validator(mode="after")
    def _whole(self) -> Groups:
        if abs((total := sum(self.shares.values())) - 1.0) > 1e-9:
            raise ValueError(f"shares add up to {total:g}; they must add up to 1")
        if self.shares.get("business_rules") and self.business_rules is None:
            raise ValueError("business_rules has a share but no rules; give the directory `journey train` put them in")
        return self


class Operations(Settings):
    """How the service looks after itself.

    Attributes:
        queue_requests: requests that may wait; more are answered 503.
        queue_bytes: memory that waiting requests may take; more are answered 503.
        request_timeout_seconds: a request that was not begun by then is answered 503, and not done.
        database_timeout_seconds: a statement or commit that PostgreSQL has not answered by then is given up: 503.
        drain_seconds: told to stop, the service says it is not ready for so long before it stops accepting.
        shutdown_seconds: and for so long it finishes what it has accepted.
        access_log: one line per request, without ids; refusals and failures are always logged.
        lift_minutes: between measurements of what experiment groups are worth, for `/metrics`; 0 for none.
        lift_days: each customer is looked at from the first decision on.
        otlp_endpoint: URL of an OpenTelemetry collector for traces; `OTEL_EXPORTER_OTLP_ENDPOINT` if empty.
    """

    queue_requests: Annotated[int, Field(ge=1)] = 4096
    queue_bytes: Annotated[int, Field(ge=2**20)] = 2**26
    request_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 10.0
    database_timeout_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 20.0
    drain_seconds: Annotated[float, Field(ge=0, le=600)] = 0.0
    shutdown_seconds: Annotated[int, Field(ge=1, le=600)] = 30
    access_log: bool = False
    lift_minutes: Annotated[float, Field(ge=0)] = 15.0
    lift_days: Annotated[float, Field(gt=0)] = 28.0
    otlp_endpoint: Annotated[str, Field(pattern=r"^(https?://.+)?$")] = ""


class Serving(Settings):
    """`serving.yaml`: the HTTP service."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    database: Annotated[str, Field(pattern=r"^(sqlite:///.+|postgresql(\+psycopg)?://.*/.+)$")] = "sqlite:///journey.db"
    champion_poll_seconds: Annotated[float, Field(gt=0)] = 2.0
    max_body_bytes: Annotated[int, Field(ge=1024)] = 1_048_576
    groups: Groups = Groups()
    operations: Operations = Operations()


class Training(Settings):
    """`training.yaml`: how policies are learned and under which name they are registered."""

    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] = "journey-policy"
    learning_rates: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (
        0.002,
        0.02,
        0.1,
        0.5,
        2,
        8,
    )
    split: Annotated[float, Field(gt=0, lt=1)] = 0.5
    interactions: tuple[Annotated[str, Field(pattern=r"^[A-Z]{2,3}$")], ...] = ("UA",)
    exploration: Exploration = Exploration()
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _interactions_once(self) -> Training:
        same = ["".join(sorted(pair)) for pair in self.interactions]
        if len(set(same)) != len(same):
            raise ValueError(f"interactions {', '.join(self.interactions)}: some are the same; name each once")
        return self


class HalfLives(Settings):
    """After how many seconds a trace of behaviour counts half.

    Attributes:
        browse: views and visits.
        purchase: purchases, spend, discounts, returns, redemptions.
        fatigue: contacts, as tiredness.
        response: contacts, opens and clicks, as response rate.
        recency: how long ago something last happened.
    """

    browse: Duration
    purchase: Duration
    fatigue: Duration
    response: Duration
    recency: Duration


class Attribute(Settings):
    """One stated fact about a customer: one of `values`, or a number that is typically `scale`."""

    values: tuple[str, ...] = ()
    scale: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Attribute:
        if bool(self.values) == (self.scale is not None):
            raise ValueError("give either 'values' (a list) or 'scale' (a number), not both and not neither")
        return self


class ProfileSettings(Settings):
    """`profiles.yaml`: what is remembered about a customer, and for how long.

    Attributes:
        half_lives: of traces of behaviour.
        want_expires: seconds after which an unanswered want is closed.
        cart_expires: seconds after which a cart is abandoned for good.
        attributes: stated facts that policies may learn from.
        content_fields: texts that templates may print, such as `first_name`; policies never see them.
    """

    half_lives: HalfLives
    want_expires: Duration
    cart_expires: Duration
    attributes: dict[Name, Attribute] = {}
    content_fields: tuple[Name, ...] = ()

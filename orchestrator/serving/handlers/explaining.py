"""Why an action is chosen or not, without deciding: nothing is written, no contact is counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time

import numpy as np
from sqlalchemy import Connection

from orchestrator.config import Retailer
from orchestrator.config.catalogue import Action
from orchestrator.config.models import GroupName
from orchestrator.decision.core import DecisionCore, Decisions, id_words
from orchestrator.decision.groups import Assignment, Experiment, Group
from orchestrator.eligibility.eligible_actions import Reason
from orchestrator.eligibility.rules.rules import Blocked
from orchestrator.log.contact_facts import ContactReader
from orchestrator.log.identifiers import decision_ids
from orchestrator.log.identities import read_owners
from orchestrator.profiles import ProfileSchema
from orchestrator.serving.errors import UnknownCustomerError
from orchestrator.serving.handlers.profiles_batch import ProfilesBatch
from orchestrator.serving.jobs import DecisionJob
from orchestrator.serving.policy_watcher import PolicyHolder
from policies.arrays import Float32Array
from policies.policy import Policy
from policies.vw.policy import VWPolicy

MOST_CONTRIBUTIONS = 5


@dataclass(frozen=True)
class Contribution:
    """What one column adds to an action's score, compared with what it adds to that of `hold`."""

    column: str
    value: float
    amount: float


@dataclass(frozen=True)
class Need:
    """Something that must change before an action may be taken.

    Attributes:
        reason: as in the log.
        rule: its name; empty where the reason says it all.
        change: what would help.
        count: contacts counted now, for a cap or gap.
        limit: contacts at which it blocks.
        allowed_at: when time alone helps, seconds since 1970; none where it does not.
    """

    reason: Reason
    rule: str
    change: str
    count: int | None = None
    limit: int | None = None
    allowed_at: float | None = None


@dataclass(frozen=True)
class Explained:
    """One customer at one moment.

    Attributes:
        at: seconds since 1970.
        policy_version: of the champion.
        group: what would decide.
        decided: one row of what the decision core found; its draw means nothing.
        needs: per action, everything that must change before it is eligible; empty where it is.
        contributions: per action, the largest; empty if the policy cannot tell.
    """

    at: float
    policy_version: str
    group: GroupName
    decided: Decisions
    needs: tuple[tuple[Need, ...], ...]
    contributions: tuple[tuple[Contribution, ...], ...]


class Explainer:
    """Explains one request at a time, on any thread.

    Args:
        core: the decision core.
        retailer: its configuration.
        policies: holds the policy that serves.
        groups: whose customers the policy decides for.
        experiment: decides for the others.
    """

    def __init__(
        self,
        core: DecisionCore,
        retailer: Retailer,
        *,
        policies: PolicyHolder,
        groups: Assignment,
        experiment: Experiment,
    ) -> None:
        self._core = core
        self._actions = retailer.catalogue.actions
        self._retailer = retailer
        self._policies = policies
        self._groups = groups
        self._experiment = experiment

    def explain(self, connection: Connection, schema: ProfileSchema, job: DecisionJob, *, now: float) -> Explained:
        """What would be decided, and why nothing else.

        Args:
            connection: in a transaction that sees one moment.
            schema: of the profiles.
            job: the request; its key is not looked at.
            now: seconds since 1970.

        Raises:
            UnknownCustomerError: no event of the customer was ever received.
            NoPolicyError: no policy serves.
        """
        served = self._policies.required()
        customer = job.customer_id
        if owner := read_owners(connection, [customer]).get(customer):
            customer = owner.customer_id
        profiles = ProfilesBatch(connection, schema, [customer])
        if not profiles.knows(customer):
            raise UnknownCustomerError("no event of this customer was ever received")
        # Its own: one that is shared learns of former actions, and belongs to one thread.
        reader = ContactReader(self._retailer)
        facts = reader.read(connection, [customer], now=now)
        contacts = reader.check(facts, [customer], now=now)
        channels = self._core.asked([job.channels])
        group = self._groups.of([customer])
        decided = self._core.decide(
            served.policy,
            states=profiles.states,
            contexts=self._core.context.encode([job.context]),
            channels=channels,
            ids=id_words(decision_ids(1, now=now)),
            now=now,
            contacts=contacts,
            experiment=self._experiment,
            groups=group,
        )
        targeted = self._core.targeted(features=decided.features, states=profiles.states, now=now)
        moment = replace(contacts.moment, targeted=targeted)
        blocked: dict[str, list[Blocked]] = {}
        for found in contacts.rules.explain(moment, 0):
            blocked.setdefault(found.action, []).append(found)
        asked = {name for name, wanted in zip(schema.channels, channels[0].tolist(), strict=True) if wanted}
        asking = [name for name, asks in zip(schema.channels, schema.asks_consent, strict=True) if asks]
        given = (decided.features[0, schema.consent_columns] > 0).tolist()
        silent = {name for name, allowed in zip(asking, given, strict=True) if not allowed}
        return Explained(
            at=now,
            policy_version=served.version,
            group=Group(group[0]).label,
            decided=decided,
            needs=tuple(
                tuple(_needs(action, asked=asked, silent=silent, blocked=blocked.get(action.id, []), now=now))
                for action in self._actions
            ),
            contributions=contributions(served.policy, decided.features[0], columns=self._core.columns),
        )


def contributions(
    policy: Policy, features: Float32Array, *, columns: tuple[str, ...]
) -> tuple[tuple[Contribution, ...], ...]:
    """Per action, what its score owes most to, compared with `hold`; empty if the policy cannot tell.

    Args:
        policy: over some or all of the columns.
        features: float32 (F,).
        columns: names of the F columns.
    """
    if not isinstance(policy, VWPolicy) or not policy.compiled:
        return tuple(() for _ in policy.actions.ids)
    position = {name: i for i, name in enumerate(columns)}
    values = features[[position[name] for name in policy.columns]]
    parts = policy.contributions(values)
    parts = parts - parts[:, :1]
    order = np.argsort(-np.abs(parts), axis=0, kind="stable")[:MOST_CONTRIBUTIONS]
    return tuple(
        tuple(
            Contribution(policy.columns[row], float(values[row]), float(parts[row, a]))
            for row in order[:, a].tolist()
            if parts[row, a] != 0.0
        )
        for a in range(len(policy.actions))
    )


def _needs(
    action: Action, *, asked: set[str], silent: set[str], blocked: Sequence[Blocked], now: float
) -> Iterator[Need]:
    if not action.channel:
        return
    today = datetime.fromtimestamp(now, UTC).date()
    if action.status != "live":
        yield Need(Reason.NOT_LIVE, "", f"set its status to live; it is {action.status}")
    if action.valid_from and today < action.valid_from:
        begins = datetime.combine(action.valid_from, time(), UTC).timestamp()
        yield Need(Reason.NOT_YET_VALID, "", f"wait until {action.valid_from}, or change valid_from", allowed_at=begins)
    if action.valid_until and today > action.valid_until:
        yield Need(Reason.NO_LONGER_VALID, "", f"change valid_until; it was {action.valid_until}")
    if action.channel not in asked:
        yield Need(Reason.CHANNEL_NOT_ASKED, "", f"ask for the channel {action.channel}")
    if action.channel in silent:
        yield Need(Reason.NO_CONSENT, "", f"an event `subscribe` of the customer for the channel {action.channel}")
    for found in blocked:
        yield Need(
            found.reason,
            found.rule,
            _CHANGES[found.reason],
            count=found.count,
            limit=found.limit,
            allowed_at=found.next_allowed,
        )


_CHANGES = {
    Reason.NOT_TARGETED: "the condition must hold for the customer",
    Reason.CONTENT_MISSING: "state the field as an attribute, as a text fit to print",
    Reason.OUT_OF_STOCK: "the category must be in stock",
    Reason.SUPPRESSED: "wait",
    Reason.CAP_REACHED: "wait, or raise the limit",
    Reason.TOO_SOON: "wait",
    Reason.QUIET_HOURS: "wait for the end of quiet hours",
    Reason.STORE_CLOSED: "wait until the store opens",
}

"""What a decision knew, rebuilt from what had been received: its features, and for whom actions were meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import Connection

from orchestrator.audit.reasons import action_of, check_targeting
from orchestrator.audit.replaying import replayed
from orchestrator.audit.rows import GROUPS, Faults
from orchestrator.config import Retailer
from orchestrator.decision.core import DecisionCore
from orchestrator.decision.groups import Assignment
from orchestrator.eligibility import Targeting
from orchestrator.log.decision_log import LoggedDecisions
from orchestrator.log.decision_schema import DecisionSchema
from orchestrator.log.facts import read_events_of
from orchestrator.log.identities import merged_at
from orchestrator.profiles import apply, features
from orchestrator.storage.tables import Row
from policies.arrays import Float32Array, IntArray

# A profile built event by event and one built at once differ in the last digits of sums.
_ALIKE = 1e-4
# Events brought together at once: each decision needs those of its customer until then.
_MOST_EVENTS = 200_000
# Seconds by which clocks of servers may differ.
_SKEW = 60.0
Events = Mapping[str, Sequence[Row]]


class FeatureAudit:
    """Rebuilds what decisions knew.

    Args:
        core: of the configuration.
        retailer: its configuration.
    """

    def __init__(self, core: DecisionCore, retailer: Retailer) -> None:
        self._core = core
        self._retailer = retailer
        self._targeting: dict[str, tuple[Targeting, IntArray]] = {}
        self._groups = Assignment(retailer.serving.groups)

    def check(self, connection: Connection, logged: LoggedDecisions, faults: Faults) -> dict[str, str]:
        """Compare, and find what could not be.

        Returns:
            Why features were not rebuilt, by decision id, where they were not.
        """
        schema = logged.schema
        if schema.columns != self._core.columns or schema.profiles != self._core.schema.features_fingerprint:
            return dict.fromkeys(faults.ids, "features not rebuilt: decided with another configuration")
        customers = list(dict.fromkeys(logged.customer_id))
        merged = merged_at(connection, customers)
        since = np.array([merged.get(customer, -np.inf) for customer in logged.customer_id])
        late = logged.decided_at <= since + _SKEW
        events: dict[str, list[Row]] = {}
        for event in read_events_of(connection, customers):
            events.setdefault(event["customer_id"], []).append(event)
        for some in _bounded(np.flatnonzero(~late).tolist(), logged, events):
            self._check_features(connection, some, logged, faults, events=events)
        self._check_groups(
            [i for i, customer in enumerate(logged.customer_id) if customer not in merged], logged, faults
        )
        why = "features not rebuilt: another customer was merged into this one since"
        return {logged.decision_id[i]: why for i in np.flatnonzero(late).tolist()}

    def _check_features(
        self,
        connection: Connection,
        places: Sequence[int],
        logged: LoggedDecisions,
        faults: Faults,
        *,
        events: Events,
    ) -> None:
        core, width = self._core, len(self._core.schema.columns)
        # Each decision stands for a customer of its own, who is known as far as the decision knew.
        told = [
            {**event, "customer_id": str(place)}
            for place, i in enumerate(places)
            for event in events.get(logged.customer_id[i], ())
            if event["sequence"] <= logged.events_until[i]
        ]
        states = core.schema.empty(len(places))
        if told:
            applied = replayed(connection, core.schema, told)
            apply(core.schema, states, replace(applied, customer=applied.customers.astype(np.int64)[applied.customer]))
        known = {int(event["customer_id"]) for event in told}
        now = logged.decided_at[places]
        expected: Float32Array = np.empty((len(places), len(core.columns)), dtype=np.float32)
        expected[:, :width] = features(core.schema, states, now)
        expected[:, width:] = core.context.encode([_context(logged.asked(i)) for i in places])
        found = logged.features[places]
        wrong = ~np.isclose(found, expected, rtol=_ALIKE, atol=_ALIKE)
        for place, i in enumerate(places):
            if place not in known:
                faults.add(i, "no event of its customer had been received, and nobody unknown is decided for")
            elif wrong[place].any():
                column = int(wrong[place].argmax())
                faults.add(
                    i,
                    f"features: {core.columns[column]} is {found[place, column]:g}; its events and its request make "
                    f"it {expected[place, column]:g}",
                )
        targeting, which = self._targeting_of(logged.schema)
        # The features that decided; the states beside them are last times and stated numbers, which are exact.
        held = np.ones((len(places), len(targeting.expressions) + 1), dtype=bool)
        held[:, :-1] = targeting.holds(features=found, states=states, now=now)
        check_targeting(logged, np.array(places), faults, targeted=held[:, which])

    def _targeting_of(self, schema: DecisionSchema) -> tuple[Targeting, IntArray]:
        """The conditions as they were when decided, and which of them each action has; int64 (A,), E for none."""
        if schema.id not in self._targeting:
            actions = tuple(action_of(action) for action in schema.actions)
            of = replace(self._retailer, catalogue=replace(self._retailer.catalogue, actions=actions))
            targeting = Targeting(of, self._core.schema)
            code = {text: i for i, text in enumerate((*targeting.expressions, ""))}
            self._targeting[schema.id] = targeting, np.array([code[action.targeting] for action in actions])
        return self._targeting[schema.id]

    def _check_groups(self, places: Sequence[int], logged: LoggedDecisions, faults: Faults) -> None:
        mine = [i for i in places if logged.experiment[i] == self._groups.experiment]
        expected = self._groups.of([logged.customer_id[i] for i in mine]).tolist() if mine else []
        for i, group in zip(mine, expected, strict=True):
            if GROUPS[logged.group_name[i]] != group:
                faults.add(i, "group_name: not the group that salt and shares put the customer into")


def _context(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"placement": asked.get("placement"), **asked.get("context", {})}


def _bounded(places: Sequence[int], logged: LoggedDecisions, events: Events) -> Iterator[list[int]]:
    """The places, some at a time, so that their customers' events together are not too many."""
    some: list[int] = []
    count = 0
    for i in places:
        more = len(events.get(logged.customer_id[i], ()))
        if some and count + more > _MOST_EVENTS:
            yield some
            some, count = [], 0
        some.append(i)
        count += more
    if some:
        yield some

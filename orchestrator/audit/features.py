"""What a decision knew, rebuilt from what had been received: its features, and for whom actions were meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import Connection

from orchestrator.audit.reasons import action_of, check_targeting
from orchestrator.audit.replaying import replayed
from orchestrator.audit.rows import Faults, asked_of, group_of, stacked
from orchestrator.config import Retailer
from orchestrator.decision.core import DecisionCore
from orchestrator.decision.groups import Assignment
from orchestrator.eligibility import Targeting
from orchestrator.log.decision_schema import Layout
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

    def why_not(self, layout: Layout) -> str:
        """Why features of decisions over this layout cannot be rebuilt; empty if they can."""
        same = layout.columns == self._core.columns and layout.profiles == self._core.schema.features_fingerprint
        return "" if same else "features not rebuilt: decided with another configuration"

    def check(self, connection: Connection, rows: Sequence[Row], layout: Layout, faults: Faults) -> dict[str, str]:
        """Compare, and find what could not be.

        Returns:
            Why features were not rebuilt, by decision id, where they were not.
        """
        if why := self.why_not(layout):
            return dict.fromkeys(faults.ids, why)
        customers = list(dict.fromkeys(row["customer_id"] for row in rows))
        merged = merged_at(connection, customers)
        left: dict[str, str] = {}
        places = []
        for i, row in enumerate(rows):
            if row["decided_at"] <= merged.get(row["customer_id"], -np.inf) + _SKEW:
                left[row["decision_id"]] = "features not rebuilt: another customer was merged into this one since"
            elif row["events_until"] is None:
                left[row["decision_id"]] = "features not rebuilt: decided before the log says what was known"
            else:
                places.append(i)
        events: dict[str, list[Row]] = {}
        for event in read_events_of(connection, customers):
            events.setdefault(event["customer_id"], []).append(event)
        for some in _bounded(places, rows, events):
            self._check_features(connection, some, rows, faults, events=events, layout=layout)
        self._check_groups([i for i, row in enumerate(rows) if row["customer_id"] not in merged], rows, faults)
        return left

    def _check_features(
        self,
        connection: Connection,
        places: Sequence[int],
        rows: Sequence[Row],
        faults: Faults,
        *,
        events: Events,
        layout: Layout,
    ) -> None:
        core, width = self._core, len(self._core.schema.columns)
        # Each decision stands for a customer of its own, who is known as far as the decision knew.
        told = [
            {**event, "customer_id": str(place)}
            for place, i in enumerate(places)
            for event in events.get(rows[i]["customer_id"], ())
            if event["sequence"] <= rows[i]["events_until"]
        ]
        states = core.schema.empty(len(places))
        if told:
            applied = replayed(connection, core.schema, told)
            apply(core.schema, states, replace(applied, customer=applied.customers.astype(np.int64)[applied.customer]))
        known = {int(event["customer_id"]) for event in told}
        now = np.array([rows[i]["decided_at"] for i in places])
        expected: Float32Array = np.empty((len(places), len(core.columns)), dtype=np.float32)
        expected[:, :width] = features(core.schema, states, now)
        expected[:, width:] = core.context.encode([_context(rows[i]) for i in places])
        logged = stacked([rows[i] for i in places], "features", np.float32)
        wrong = ~np.isclose(logged, expected, rtol=_ALIKE, atol=_ALIKE)
        for place, i in enumerate(places):
            if place not in known:
                faults.add(i, "no event of its customer had been received, and nobody unknown is decided for")
            elif wrong[place].any():
                column = int(wrong[place].argmax())
                faults.add(
                    i,
                    f"features: {core.columns[column]} is {logged[place, column]:g}; its events and its request make "
                    f"it {expected[place, column]:g}",
                )

        if layout.channels:
            targeting, which = self._targeting_of(layout)
            # The features that decided; the states beside them are last times and stated numbers, which are exact.
            held = np.ones((len(places), len(targeting.expressions) + 1), dtype=bool)
            held[:, :-1] = targeting.holds(features=logged, states=states, now=now)
            check_targeting(rows, np.array(places), layout, faults, targeted=held[:, which])

    def _targeting_of(self, layout: Layout) -> tuple[Targeting, IntArray]:
        """The conditions as they were when decided, and which of them each action has; int64 (A,), E for none."""
        if layout.id not in self._targeting:
            actions = tuple(action_of(action) for action in layout.actions)
            of = replace(self._retailer, catalogue=replace(self._retailer.catalogue, actions=actions))
            targeting = Targeting(of, self._core.schema)
            code = {text: i for i, text in enumerate((*targeting.expressions, ""))}
            self._targeting[layout.id] = targeting, np.array([code[action.targeting] for action in actions])
        return self._targeting[layout.id]

    def _check_groups(self, places: Sequence[int], rows: Sequence[Row], faults: Faults) -> None:
        mine = [i for i in places if rows[i]["experiment"] == self._groups.experiment]
        expected = self._groups.of([rows[i]["customer_id"] for i in mine]).tolist() if mine else []
        for i, group in zip(mine, expected, strict=True):
            if group_of(rows[i]) != group:
                faults.add(i, "group_name: not the group that salt and shares put the customer into")


def _context(row: Row) -> Mapping[str, Any]:
    asked = asked_of(row)
    return {"placement": asked.get("placement"), **asked.get("context", {})}


def _bounded(places: Sequence[int], rows: Sequence[Row], events: Events) -> Iterator[list[int]]:
    """The places, some at a time, so that their customers' events together are not too many."""
    some: list[int] = []
    count = 0
    for i in places:
        more = len(events.get(rows[i]["customer_id"], ()))
        if some and count + more > _MOST_EVENTS:
            yield some
            some, count = [], 0
        some.append(i)
        count += more
    if some:
        yield some

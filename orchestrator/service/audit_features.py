"""What a decision knew, rebuilt from what had been received: its features, and what they and the request forbid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import Connection

from orchestrator.config import Retailer
from orchestrator.decisions import DecisionCore
from orchestrator.eligibility import Reason
from orchestrator.groups import Assignment
from orchestrator.profiles import apply, features
from orchestrator.service.audit_rows import Faults, asked_of, group_of, stacked
from orchestrator.service.layout import Layout
from orchestrator.service.replaying import replayed
from orchestrator.storage.identities import merged_at
from orchestrator.storage.log import read_events_of
from orchestrator.storage.tables import Row
from policies.arrays import Float32Array

# A profile built event by event and one built at once differ in the last digits of sums.
_ALIKE = 1e-4
# Events brought together at once: each decision needs those of its customer until then.
_MOST_EVENTS = 200_000
# Seconds by which clocks of servers may differ.
_SKEW = 60.0
_DATES = [Reason.NOT_LIVE, Reason.NOT_YET_VALID, Reason.NO_LONGER_VALID]
Events = Mapping[str, Sequence[Row]]


class FeatureAudit:
    """Rebuilds what decisions knew.

    Args:
        core: of the configuration.
        retailer: its configuration.
    """

    def __init__(self, core: DecisionCore, retailer: Retailer) -> None:
        self._core = core
        self._placements = {p: name for name, channel in retailer.channels.items() for p in channel.placements}
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
        self._check_eligibility(rows, layout, faults)
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
            self._check_features(connection, some, rows, events, faults)
        self._check_groups([i for i, row in enumerate(rows) if row["customer_id"] not in merged], rows, faults)
        return left

    def _check_features(
        self, connection: Connection, places: Sequence[int], rows: Sequence[Row], events: Events, faults: Faults
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

    def _check_eligibility(self, rows: Sequence[Row], layout: Layout, faults: Faults) -> None:
        """Channels that were not asked for, and those without consent, are refused for that, and no others are."""
        schema = self._core.schema
        asking = [name for name, asks in zip(schema.channels, schema.asks_consent, strict=True) if asks]
        consent = stacked(rows, "features", np.float32)[:, schema.consent_columns] > 0
        reasons = stacked(rows, "reasons", np.uint8)
        channels = np.array([action.channel for action in layout.actions])
        for i, row in enumerate(rows):
            asked = self._channels(asked_of(row))
            silent = {name for name, given in zip(asking, consent[i].tolist(), strict=True) if not given}
            unasked = np.array([bool(name) and name not in asked for name in channels])
            closed = np.isin(channels, list(silent)) & ~unasked
            expected = np.where(unasked, Reason.CHANNEL_NOT_ASKED, np.where(closed, Reason.NO_CONSENT, 0))
            two = np.isin(reasons[i], [Reason.CHANNEL_NOT_ASKED, Reason.NO_CONSENT])
            wrong = np.where(expected > 0, reasons[i] != expected, two) & ~np.isin(reasons[i], _DATES)
            if wrong.any():
                action = layout.actions[int(wrong.argmax())].id
                faults.add(i, f"reasons: that of {action} does not follow from its request and the customer's consent")

    def _check_groups(self, places: Sequence[int], rows: Sequence[Row], faults: Faults) -> None:
        mine = [i for i in places if rows[i]["experiment"] == self._groups.experiment]
        expected = self._groups.of([rows[i]["customer_id"] for i in mine]).tolist() if mine else []
        for i, group in zip(mine, expected, strict=True):
            if group_of(rows[i]) != group:
                faults.add(i, "group_name: not the group that salt and shares put the customer into")

    def _channels(self, asked: Mapping[str, Any]) -> Sequence[str]:
        if asked.get("placement") is not None:
            return (self._placements[asked["placement"]],)
        return tuple(asked.get("channels") or self._core.schema.channels)


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

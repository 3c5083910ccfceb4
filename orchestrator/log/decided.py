"""What the facts that follow a decision need to know of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.log.decision_schema import Layout


@dataclass(frozen=True)
class Decided:
    """What an outcome needs to know of its decision.

    Attributes:
        customer_id: whose.
        channel: of its results, empty for `hold`.
        slots: how many results it has.
        contact: which of them is in the ledger of contacts, if any is; from 1.
    """

    customer_id: str
    channel: str
    slots: int
    contact: int


def decided_from(rows: Mapping[str, tuple[str, str, int, str | None]]) -> dict[str, Decided]:
    """From the rows of `read_decided`."""
    layouts = {body: Layout.from_json("", body) for body in {row[1] for row in rows.values()}}
    return {
        decision_id: _decided(customer, layouts[body], [a for a, _ in json.loads(slots)] if slots else [action])
        for decision_id, (customer, body, action, slots) in rows.items()
    }


def _decided(customer_id: str, layout: Layout, chosen: Sequence[int]) -> Decided:
    actions = [layout.actions[a] for a in chosen]
    # Layouts of before there were several results do not say which count, and have one.
    contact = next((slot for slot, action in enumerate(actions, start=1) if action.counted), 1)
    return Decided(customer_id, actions[0].channel, len(actions), contact)

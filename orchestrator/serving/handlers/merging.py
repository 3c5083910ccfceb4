"""Making one customer of two: their facts, and of the facts of both one profile."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from orchestrator.audit.replaying import events_of
from orchestrator.log.facts import read_states, write_rows
from orchestrator.log.identities import move_customers, move_raw_events
from orchestrator.profiles import Events, ProfileSchema, apply
from orchestrator.serving.handlers.identity import Identities
from orchestrator.serving.handlers.profiles_batch import ProfilesBatch
from orchestrator.storage.tables import identities as identities_table


@dataclass(frozen=True)
class Merged:
    """What some customers bring along into others.

    Attributes:
        customers: whom they were merged into, one per event.
        events: what had happened to them.
    """

    customers: list[str]
    events: Events

    def apply(self, schema: ProfileSchema, profiles: ProfilesBatch) -> None:
        """Let the profiles know the events, as if they had come before.

        The order of events makes no difference to a profile, so only those of the customer merged are replayed, not
        the usually much longer history of whom they were merged into.
        """
        apply(schema, profiles.states, replace(self.events, customer=profiles.rows(self.customers)))
        profiles.touch(self.customers)


def merge_customers(
    connection: Connection, schema: ProfileSchema, identities: Identities, *, now: float
) -> Merged | None:
    """Keep what the links of a batch changed, and move the facts of customers who were merged.

    Args:
        connection: in a transaction that has all customers concerned to itself.
        schema: of the profiles.
        identities: after the batch's links.
        now: seconds since 1970.

    Returns:
        What is to be applied to profiles; none if nobody was merged of whom anything was known.
    """
    write_rows(connection, identities_table, list(identities.rows(now=now)))
    move_raw_events(connection, {customer: identities.final(customer) for customer in identities.merged})
    known = sorted(read_states(connection, list(identities.merged))) if identities.merged else []
    if not known:
        return None
    events = events_of(connection, schema, known)
    moved = {customer: identities.final(customer) for customer in known}
    move_customers(connection, moved)
    return Merged([moved[customer] for customer in events.customers[events.customer].tolist()], events)

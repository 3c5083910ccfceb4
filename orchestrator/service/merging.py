"""Making one customer of two: their facts, and their profile from the facts of both."""

from __future__ import annotations

from sqlalchemy import Connection

from orchestrator.profiles import Profiles, ProfileSchema
from orchestrator.service.identity import Identities
from orchestrator.service.replaying import replay
from orchestrator.storage.identities import move_customers
from orchestrator.storage.log import read_states, write_rows
from orchestrator.storage.tables import identities as identities_table


def merge_customers(connection: Connection, schema: ProfileSchema, identities: Identities, *, now: float) -> Profiles:
    """Keep what the links of a batch changed, and move the facts of customers who were merged.

    Args:
        connection: in a transaction that has all customers concerned to itself.
        schema: of the profiles.
        identities: after the batch's links.
        now: seconds since 1970.

    Returns:
        Profiles of the customers others were merged into, by the facts of both; to be written.
    """
    write_rows(connection, identities_table, list(identities.rows(now=now)))
    known = read_states(connection, list(identities.merged)) if identities.merged else {}
    moved = {customer: identities.final(customer) for customer in known}
    move_customers(connection, moved)
    return replay(connection, schema, sorted(set(moved.values())))

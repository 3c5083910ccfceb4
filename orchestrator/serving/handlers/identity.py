"""Who is whom: an id may be another customer's, and two customers may turn out to be one.

Every id is a customer's own, or belongs to one: never to an id that belongs to somebody in turn, so there are no chains
and no rings. Linking an id to a customer

- merges, if the id was a customer of its own: all that is known of it becomes the other's, and its ids too;
- moves the id, if it belonged to a third customer (a device several people use): what happened before stays theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from orchestrator.ingest.link import Link
from orchestrator.log.facts import serialise
from orchestrator.log.identities import Owner, read_aliases, read_owners
from orchestrator.serving.jobs import EventsJob
from orchestrator.storage.dialects import dialect_of
from orchestrator.storage.tables import Row


class MovedError(Exception):
    """Another process linked ids of this batch while it waited for its locks; it must begin anew."""


@dataclass(frozen=True)
class Whose:
    """Whose the facts of one job are, each in its place; of a raw message that names nobody, nobody's."""

    events: list[str]
    raw: list[str | None]


@dataclass
class Identities:
    """Whose the ids of one batch are; links change it.

    Attributes:
        merged: into whom each customer was merged that no longer is one.
    """

    owners: dict[str, Owner]
    merged: dict[str, str] = field(default_factory=dict)
    _linked: list[tuple[str, Owner]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._aliases: dict[str, set[str]] = {}
        for alias, owner in self.owners.items():
            self._aliases.setdefault(owner.customer_id, set()).add(alias)

    def customer(self, customer_id: str) -> str:
        """Whose the id is now."""
        owner = self.owners.get(customer_id)
        return customer_id if owner is None else owner.customer_id

    def final(self, customer_id: str) -> str:
        """Who a customer of before is by now."""
        while customer_id in self.merged:
            customer_id = self.merged[customer_id]
        return customer_id

    def link(self, link: Link) -> None:
        """Let an id be a customer's; a link older than the one that holds changes nothing."""
        into, before = self.customer(link.customer_id), self.owners.get(link.alias_id)
        if self.customer(link.alias_id) == into or (before is not None and link.at <= before.linked_at):
            return
        if before is None:
            self.merged[link.alias_id] = into
            for alias in sorted(self._aliases.pop(link.alias_id, ())):
                self._give(alias, Owner(into, self.owners[alias].linked_at))
        else:
            self._aliases[before.customer_id].discard(link.alias_id)
        self._give(link.alias_id, Owner(into, link.at))

    def resolve(self, jobs: Sequence[EventsJob]) -> list[Whose]:
        """Whose the facts of each job are, once all links of all jobs are made, each in its place."""
        whose = [self._in_order(job) for job in jobs]
        return [
            Whose([self.final(of) for of in job.events], [None if of is None else self.final(of) for of in job.raw])
            for job in whose
        ]

    def rows(self, *, now: float) -> Iterator[Row]:
        """What the links changed, for the log."""
        for alias, owner in self._linked:
            yield {
                "alias_id": alias,
                "customer_id": owner.customer_id,
                "linked_at": owner.linked_at,
                "received_at": now,
            }

    def _in_order(self, job: EventsJob) -> Whose:
        ids = job.events.customers[job.events.customer].tolist()
        whose = Whose([], [])
        for made, link in enumerate(job.links):
            self._until(whose, job, ids[len(whose.events) : link.before], links=made)
            self.link(link)
        self._until(whose, job, ids[len(whose.events) :], links=len(job.links))
        return whose

    def _until(self, whose: Whose, job: EventsJob, ids: Sequence[str], *, links: int) -> None:
        """Add whose the events of these ids are, and the raw messages that came before more links were said."""
        whose.events.extend(map(self.customer, ids))
        while len(whose.raw) < len(job.raw) and job.raw[len(whose.raw)].links <= links:
            about = job.raw[len(whose.raw)].about
            whose.raw.append(None if about is None else self.customer(about))

    def _give(self, alias: str, owner: Owner) -> None:
        self.owners[alias] = owner
        self._aliases.setdefault(owner.customer_id, set()).add(alias)
        self._linked.append((alias, owner))


def lock_customers(
    connection: Connection,
    *,
    given: Iterable[str],
    logged: Iterable[str],
    links: Sequence[Link],
    keys: Iterable[str],
    fact_ids: Iterable[str],
) -> Identities:
    """Have the customers of a batch to oneself, under all ids concerned; all locks are taken at once, in one order.

    Args:
        connection: in a transaction, whose end lets go.
        given: ids in requests.
        logged: customers named by rows of the log.
        links: to be made.
        keys: idempotency keys looked up.
        fact_ids: ids of facts looked up.

    Raises:
        MovedError: not now; undo the transaction and begin again.
    """
    logged = set(logged)
    ids = sorted({*given, *logged, *(link.alias_id for link in links), *(link.customer_id for link in links)})
    found = _found(connection, ids, links)
    locked = {*ids, *found, *(owner.customer_id for owner in found.values())}
    serialise(connection, customer_ids=locked, keys=keys, fact_ids=fact_ids)
    # Only now nobody else can change them any more. Rows of the log name customers, unless they are out of date.
    if dialect_of(connection).has_company and (_found(connection, ids, links) != found or not logged.isdisjoint(found)):
        raise MovedError
    return Identities(found)


def _found(connection: Connection, ids: Sequence[str], links: Sequence[Link]) -> dict[str, Owner]:
    """Owners of the ids, and the other ids of those that may be merged into somebody."""
    owners = read_owners(connection, ids)
    if links:
        owners |= read_aliases(connection, [link.alias_id for link in links])
    return owners

"""Making every profile anew from the logged events, for a configuration that has changed; servers may go on meanwhile.

Profiles are built beside the ones in use, in `rebuilt_customers`, some customers per transaction. Whoever changes a
customer's profile meanwhile (events, outcomes, a merge, an erasure) deletes what was built of it in the same
transaction, so a row that is there is right, whenever it was built and by which run. The last transaction has the
database to itself: it builds the few that are missing and puts all in their place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, Engine, delete, func, select, update
from sqlalchemy.exc import DBAPIError

from orchestrator.audit.replaying import ReadBack, read_back
from orchestrator.config import Retailer
from orchestrator.config.event_names import ALWAYS_STATED
from orchestrator.log.administrators import AuditEntry, log_act
from orchestrator.log.facts import read_events_of, serialise, where_any, write_rows, write_stated
from orchestrator.profiles import Profiles, ProfileSchema
from orchestrator.storage.database import READ_ONLY
from orchestrator.storage.dialects import dialect_of
from orchestrator.storage.errors import StorageError
from orchestrator.storage.tables import Row, customers, rebuilt_customers, stated

# Customers of one transaction: their events are in memory at once, and servers wait for what concerns them.
BATCH = 200
# Customers looked at in one statement for who is missing.
_PAGE = 10_000
# Servers may change profiles as fast as they are built; the last transaction builds what is left.
_MOST_ROUNDS = 5


@dataclass(frozen=True)
class Rebuilt:
    """What was done.

    Attributes:
        customers: whose profiles were rebuilt; 0 where all were of this configuration already.
        events: what they were made of.
        unknown: events that name a channel, category, attribute or value which this configuration does not have; that
            part of them counts for nothing.
        found: customers an interrupted rebuild had done.
    """

    customers: int
    events: int = 0
    unknown: int = 0
    found: int = 0


def rebuild_profiles(
    engine: Engine,
    retailer: Retailer,
    *,
    who: str,
    clock: Callable[[], float],
    progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
    batch: int = BATCH,
) -> Rebuilt:
    """Make every profile what the logged events make of it under this configuration, all at once as readers see it.

    Killed at any moment and called again it goes on where it stopped. What was built for another configuration is
    discarded. Servers of the configuration of before refuse all requests from the last transaction on.

    Args:
        engine: the database.
        retailer: the configuration.
        who: asked for it.
        clock: seconds since 1970 UTC.
        progress: called with how many customers are done, of how many.
        batch: customers of one transaction.

    Raises:
        StorageError: the database was too busy or is out of reach; run it again.
    """
    rebuild = _Rebuild(retailer, batch=batch)
    try:
        rebuild.discard_others(engine)
        with engine.execution_options(**READ_ONLY).connect() as connection:
            total, found = rebuild.count(connection)
        if not total:
            return Rebuilt(0)
        done, left = 0, max(total - found, 0)
        progress(0, left)
        for _ in range(_MOST_ROUNDS):
            built = 0
            for count in rebuild.build_missing(engine):
                built, done = built + count, done + count
                progress(min(done, left), left)
            if built <= batch:
                break
        with engine.begin() as connection:
            dialect_of(connection).lock_out_others(connection)
            result = rebuild.put_in_place(connection, found=found)
            act = f"{result.customers} customers -> configuration {rebuild.layout}"
            log_act(connection, AuditEntry(clock(), who, "profiles rebuilt", act))
    except DBAPIError as error:
        cause = " ".join(str(error.orig).split())
        raise StorageError(
            f"{engine.url} is busy or out of reach ({cause}); run it again, it goes on where it stopped"
        ) from error
    return result


class _Rebuild:
    def __init__(self, retailer: Retailer, *, batch: int) -> None:
        self._schema = ProfileSchema.from_retailer(retailer)
        self._text_names = {*retailer.profiles.content_fields, *ALWAYS_STATED}
        self._batch = batch
        self.layout = self._schema.fingerprint

    def count(self, connection: Connection) -> tuple[int, int]:
        """How many customers have profiles of another configuration, and how many are built for this one."""
        other = customers.c.layout != self.layout
        total = connection.execute(select(func.count()).select_from(customers).where(other)).scalar_one()
        return total, connection.execute(select(func.count()).select_from(rebuilt_customers)).scalar_one()

    def discard_others(self, engine: Engine) -> None:
        """Delete what is not of this configuration, or not wanted any more."""
        r, last = rebuilt_customers.c, ""
        while True:
            with engine.begin() as connection:
                query = select(r.customer_id).where(r.customer_id > last, r.layout != self.layout)
                ids = list(connection.execute(query.order_by(r.customer_id).limit(self._batch)).scalars())
                if not ids:
                    return
                serialise(connection, customer_ids=ids, keys=(), fact_ids=())
                self._delete(connection, ids)
            last = ids[-1]

    def build_missing(self, engine: Engine) -> Iterator[int]:
        """Build the profiles that are missing, a transaction per batch; how many each has built."""
        last = ""
        while True:
            with engine.execution_options(**READ_ONLY).connect() as connection:
                page = self._page(connection, after=last)
                missing = self._missing(connection, page)
            if not page:
                return
            for ids in self._batches(missing):
                with engine.begin() as connection:
                    serialise(connection, customer_ids=ids, keys=(), fact_ids=())
                    # Others may have changed, merged or erased some before they were locked.
                    built = self._build(connection, self._missing(connection, ids))
                yield built
            last = page[-1]

    def put_in_place(self, connection: Connection, *, found: int) -> Rebuilt:
        """Build what is missing still, and let all that was built be the profiles; nobody else may write meanwhile."""
        last = ""
        while page := self._page(connection, after=last):
            for ids in self._batches(self._missing(connection, page)):
                self._build(connection, ids)
            last = page[-1]
        r, c = rebuilt_customers.c, customers.c
        mine = r.layout == self.layout
        sums = select(func.coalesce(func.sum(r.events), 0), func.coalesce(func.sum(r.unknown), 0)).where(mine)
        events, unknown = connection.execute(sums).one()
        put = update(customers).values(state=r.state, layout=r.layout).where(c.customer_id == r.customer_id, mine)
        placed = connection.execute(put).rowcount
        self._place_texts(connection)
        connection.execute(delete(rebuilt_customers))
        return Rebuilt(placed, int(events), int(unknown), found)

    def _page(self, connection: Connection, *, after: str) -> list[str]:
        c = customers.c
        query = select(c.customer_id).where(c.customer_id > after, c.layout != self.layout)
        return list(connection.execute(query.order_by(c.customer_id).limit(_PAGE)).scalars())

    def _missing(self, connection: Connection, customer_ids: Sequence[str]) -> list[str]:
        """Of the customers, those that exist, have a profile of another configuration, and are not built."""
        c, r = customers.c, rebuilt_customers.c
        there = select(c.customer_id).where(c.layout != self.layout)
        found = {row[0] for row in where_any(connection, there, c.customer_id, customer_ids)}
        built = select(r.customer_id).where(r.layout == self.layout)
        found -= {row[0] for row in where_any(connection, built, r.customer_id, customer_ids)}
        return [customer for customer in customer_ids if customer in found]

    def _batches(self, customer_ids: Sequence[str]) -> Iterator[Sequence[str]]:
        for start in range(0, len(customer_ids), self._batch):
            yield customer_ids[start : start + self._batch]

    def _build(self, connection: Connection, customer_ids: Sequence[str]) -> int:
        if not customer_ids:
            return 0
        rows = read_events_of(connection, customer_ids)
        told = read_back(connection, self._schema, rows)
        profiles = Profiles(self._schema)
        profiles.apply(told.events)
        states = profiles.states(customer_ids)
        number = {customer: i for i, customer in enumerate(customer_ids)}
        whose = np.array([number[row["customer_id"]] for row in rows], dtype=np.int64)
        counts = np.bincount(whose, minlength=len(states)).tolist()
        unknown = np.bincount(whose[self._unknown(told)], minlength=len(states)).tolist()
        texts = self._texts(connection, customer_ids, rows, told)
        self._delete(connection, customer_ids)
        write_rows(
            connection,
            rebuilt_customers,
            [
                {
                    "customer_id": customer,
                    "state": states[i].tobytes(),
                    "layout": self.layout,
                    "events": counts[i],
                    "unknown": unknown[i],
                    "texts": json.dumps(texts[customer], ensure_ascii=False) if customer in texts else None,
                }
                for i, customer in enumerate(customer_ids)
            ],
        )
        return len(customer_ids)

    def _unknown(self, told: ReadBack) -> list[int]:
        strange = [any(not self._is_text(name, value) for name, value in other.items()) for other in told.other]
        return np.flatnonzero(told.unknown | np.array(strange, dtype=bool)).tolist()

    def _is_text(self, name: str, value: object) -> bool:
        return name in self._text_names and isinstance(value, str)

    def _texts(
        self, connection: Connection, customer_ids: Sequence[str], rows: Sequence[Row], told: ReadBack
    ) -> dict[str, list[tuple[str, str, float]]]:
        """Name, text and time of each customer's texts that are not in `stated`: they were no texts when they came."""
        latest: dict[tuple[str, str], tuple[str, float]] = {}
        for row, other in zip(rows, told.other, strict=True):
            for name, value in other.items():
                key, at = (row["customer_id"], name), row["timestamp"]
                if self._is_text(name, value) and (key not in latest or at >= latest[key][1]):
                    latest[key] = value, at
        s = stated.c
        query = select(s.customer_id, s.name, s.stated_at)
        kept = {(row[0], row[1]): row[2] for row in where_any(connection, query, s.customer_id, customer_ids)}
        lacking: dict[str, list[tuple[str, str, float]]] = {}
        for (customer, name), (value, at) in latest.items():
            if at > kept.get((customer, name), -np.inf):
                lacking.setdefault(customer, []).append((name, value, at))
        return lacking

    def _place_texts(self, connection: Connection) -> None:
        r, last = rebuilt_customers.c, ""
        query = (
            select(r.customer_id, r.texts)
            .where(r.texts.is_not(None), r.layout == self.layout)
            .order_by(r.customer_id)
            .limit(_PAGE)
        )
        while found := connection.execute(query.where(r.customer_id > last)).all():
            told = [(customer, *text) for customer, texts in found for text in json.loads(texts)]
            names = ("customer_id", "name", "value", "stated_at")
            write_stated(connection, [dict(zip(names, one, strict=True)) for one in told])
            last = found[-1].customer_id
        # What is an attribute of profiles by now is no text.
        attributes = [name for name in self._schema.attributes if name not in self._text_names]
        connection.execute(delete(stated).where(stated.c.name.in_(attributes)))

    def _delete(self, connection: Connection, customer_ids: Sequence[str]) -> None:
        whose = rebuilt_customers.c.customer_id
        connection.execute(delete(rebuilt_customers).where(dialect_of(connection).is_any(whose, customer_ids)))

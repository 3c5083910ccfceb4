"""Erasing a customer beside running servers."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from orchestrator.privacy.erasing import Erased, erase_customer
from orchestrator.serving.handlers.identity import MovedError, lock_customers
from orchestrator.storage.dialects import dialect_of
from orchestrator.storage.errors import StorageError

_ATTEMPTS = 20


def erase_alone(engine: Engine, customer_id: str, *, who: str, clock: Callable[[], float]) -> Erased:
    """Erase a customer in a transaction of its own, which has the customer, under all ids, to itself.

    Args:
        engine: the database.
        customer_id: whom, by any id.
        who: asked for it.
        clock: seconds since 1970 UTC.

    Raises:
        StorageError: others go on and on writing about the customer; nothing was erased.
    """
    last: Exception | None = None
    for _ in range(_ATTEMPTS):
        try:
            with engine.begin() as connection:
                identities = lock_customers(connection, given=[customer_id], logged=(), links=(), keys=(), fact_ids=())
                return erase_customer(connection, identities.customer(customer_id), who=who, now=clock())
        except (MovedError, DBAPIError) as error:
            if isinstance(error, DBAPIError) and not dialect_of(engine).try_again(error.orig):
                raise
            last = error
    raise StorageError(
        "others are writing about this customer all the time; nothing was erased, run it again"
    ) from last

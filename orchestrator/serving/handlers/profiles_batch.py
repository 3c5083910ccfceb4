"""The profiles one batch touches: read once, changed in memory, written back once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import Connection

from orchestrator.log.facts import read_profile_layout, read_states, write_states
from orchestrator.serving.errors import OtherConfigurationError
from policies.arrays import Float64Array, IntArray

if TYPE_CHECKING:
    from orchestrator.profiles import ProfileSchema


class ProfilesBatch:
    """Profile rows of the customers of one batch, inside its transaction.

    Attributes:
        states: float64 (n, S), one row per customer asked for; unknown customers have an empty one.

    Raises:
        OtherConfigurationError: the profiles are not of this schema any more.
    """

    def __init__(self, connection: Connection, schema: ProfileSchema, customer_ids: Sequence[str]) -> None:
        self._connection = connection
        self._rows = {customer: row for row, customer in enumerate(dict.fromkeys(customer_ids))}
        require_layout(connection, schema)
        stored = read_states(connection, list(self._rows))
        self.states: Float64Array = schema.empty(len(self._rows))
        found = [row for customer, row in self._rows.items() if customer in stored]
        if found:
            joined = b"".join(stored[customer] for customer in self._rows if customer in stored)
            self.states[found] = np.frombuffer(joined, dtype=np.float64).reshape(len(found), -1)
        self._known = set(stored)
        self._new: set[str] = set()
        self._changed: set[str] = set()

    def knows(self, customer_id: str) -> bool:
        """Whether the customer has a profile, or gets one in this batch."""
        return customer_id in self._known or customer_id in self._new

    def rows(self, customer_ids: Sequence[str]) -> IntArray:
        """Row in `states` of each customer, int64 (len(customer_ids),)."""
        return np.fromiter((self._rows[c] for c in customer_ids), dtype=np.int64, count=len(customer_ids))

    def touch(self, customer_ids: Sequence[str]) -> None:
        """Say that the states of these customers have changed; unknown ones become known."""
        for customer in customer_ids:
            (self._changed if customer in self._known else self._new).add(customer)

    def write(self, *, layout: str, now: float) -> None:
        """Write what was touched.

        Args:
            layout: digest of the profile columns.
            now: seconds since 1970 UTC.
        """
        if self._new or self._changed:
            new, changed = (
                [
                    {
                        "customer_id": c,
                        "state": self.states[self._rows[c]].tobytes(),
                        "layout": layout,
                        "updated_at": now,
                    }
                    for c in touched
                ]
                for touched in (self._new, self._changed)
            )
            write_states(self._connection, new=new, changed=changed)


def require_layout(connection: Connection, schema: ProfileSchema) -> None:
    """Check that the profiles are of this configuration: `journey db rebuild` may have run since the server started.

    Args:
        connection: in a transaction that has its locks, or sees one moment.
        schema: of the configuration.

    Raises:
        OtherConfigurationError: they are of another one.
    """
    found = read_profile_layout(connection)
    if found not in (None, schema.fingerprint):
        raise OtherConfigurationError(
            "profiles are of another configuration since `journey db rebuild`; this server cannot go on, restart it "
            "with the new configuration"
        )

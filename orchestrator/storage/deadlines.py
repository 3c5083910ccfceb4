"""PostgreSQL connections that do not wait for ever: a server that has stopped answering is given up.

The server ends what takes too long by itself (`statement_timeout`), but not while it is stopped or its disk hangs, and
not a commit that waits for a standby; and a network that swallows packets says nothing. So the client has a clock, too.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg.errors import _WaitTimeout
from psycopg.rows import TupleRow

T = TypeVar("T")


class PatientConnection(psycopg.Connection[TupleRow]):
    """A connection that is closed, with an error, once an answer takes too long.

    What was asked for may have been done or not: whoever asked must be able to ask again.

    Attributes:
        answers_within: seconds that each exchange with the server may take, a commit too.
    """

    answers_within: float = math.inf

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **more: Any) -> T:
        """Exchange messages with the server, as psycopg does, for so long."""
        if self.answers_within == math.inf:
            return super().wait(gen, *args, **more)
        try:
            return super().wait(gen, *args, **{"timeout": self.answers_within, **more})
        except _WaitTimeout:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"the server did not answer within {self.answers_within:g} s") from None

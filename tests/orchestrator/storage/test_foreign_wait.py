"""What giving up a hanging PostgreSQL relies on inside psycopg: `Connection.wait` and its timeout."""

from __future__ import annotations

import inspect

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from orchestrator.storage.deadlines import PatientConnection


class Counting(PatientConnection):
    """Counts the exchanges that went through `wait`."""

    exchanges = 0

    def wait(self, gen, *args, **more):
        type(self).exchanges += 1
        return super().wait(gen, *args, **more)


def test_wait_takes_a_timeout_and_tells_of_it_by_an_error_of_its_own():
    parameters = inspect.signature(psycopg.Connection.wait).parameters
    assert list(parameters) == ["self", "gen", "interval", "timeout"]
    assert parameters["timeout"].default is None
    assert issubclass(psycopg.errors._WaitTimeout, Exception)


def test_statements_and_commits_pass_through_wait(postgresql):
    connection = Counting.connect(postgresql.url("postgres"))
    before = Counting.exchanges
    connection.execute("SELECT 1")
    after_statement = Counting.exchanges
    connection.commit()
    assert before < after_statement < Counting.exchanges
    connection.close()


def test_a_connection_that_is_finished_under_way_is_closed_for_good(postgresql):
    connection = PatientConnection.connect(postgresql.url("postgres"), autocommit=True)
    connection.answers_within = 0.3
    with pytest.raises(psycopg.OperationalError, match="did not answer within"):
        connection.execute("SELECT pg_sleep(5)")
    assert connection.closed
    assert connection.info.transaction_status is TransactionStatus.UNKNOWN

"""What the log says of stock, against the same told in plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy.exc import OperationalError

from orchestrator.log.facts import serialise, write_rows
from orchestrator.log.stock import StockHistory, read_out_of_stock, read_states_of_stock
from orchestrator.storage.database import open_database
from orchestrator.storage.dialects import dialect_of
from orchestrator.storage.tables import stock

# Names that sort differently by bytes, by letters and by length; few times, so that many are equal.
FACTS = st.lists(
    st.tuples(st.sampled_from(["home", "homeware", "Home", "é", "z"]), st.booleans(), st.integers(0, 5)), max_size=30
)


@pytest.fixture
def transaction(database_url):
    """Something to begin transactions with that are never committed."""
    engine = open_database(database_url)
    yield engine.connect
    engine.dispose()


def in_order(facts):
    """Facts by category, each category's oldest first; of the same time, in the order received."""
    found = {}
    for place, (category, in_stock, at) in enumerate(facts):
        found.setdefault(category, []).append((at, place, in_stock))
    return {category: sorted(of) for category, of in found.items()}


def out_of(facts):
    return {category for category, of in in_order(facts).items() if not of[-1][2]}


def since(of):
    """When the last run of facts that say the same began."""
    began = of[-1][0]
    for at, _, in_stock in reversed(of):
        if in_stock != of[-1][2]:
            break
        began = at
    return began


@given(FACTS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_newest_fact_of_each_category_holds(transaction, facts):
    with transaction() as connection:
        rows = [
            {"stock_id": f"s-{i}", "category": c, "in_stock": told, "timestamp": float(at), "received_at": 0.0}
            for i, (c, told, at) in enumerate(facts)
        ]
        write_rows(connection, stock, rows)
        seen = read_out_of_stock(connection)
        assert seen.out == out_of(facts)
        states = {state.category: (state.in_stock, state.since) for state in read_states_of_stock(connection)}
        assert states == {category: (of[-1][2], since(of)) for category, of in in_order(facts).items()}
        # The same for every moment before: after k facts it was what k facts say.
        sequences = [0, *connection.execute(stock.select().order_by(stock.c.sequence)).scalars()]
        assert seen.until == sequences[-1]
        history = StockHistory.read(connection)
        for category in ("home", "homeware", "Home", "é", "z", "never told of"):
            known = history.out_of_stock(category, np.array(sequences))
            assert known.tolist() == [category in out_of(facts[:k]) for k in range(len(facts) + 1)]
        connection.rollback()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer at a time anyway
@pytest.mark.parametrize("first_decides", [True, False])
def test_no_batch_decides_while_facts_about_stock_are_kept(transaction, first_decides):
    def decide(connection):
        serialise(connection, customer_ids=["c-1"], keys=[], fact_ids=[])

    def keep_stock(connection):
        dialect_of(connection).lock_out_others(connection)
        serialise(connection, customer_ids=["c-2"], keys=[], fact_ids=[])

    first, second = (decide, keep_stock) if first_decides else (keep_stock, decide)
    with transaction() as one, transaction() as two:
        first(one)
        two.exec_driver_sql("SET LOCAL lock_timeout = '50ms'")
        with pytest.raises(OperationalError, match="lock timeout"):
            second(two)
        two.rollback()
        one.rollback()
        second(two)

"""No table with customers in it is forgotten."""

from __future__ import annotations

import pytest

from orchestrator.privacy.personal import CUSTOMER_COLUMNS, FREE_OF_CUSTOMERS, THROUGH_DECISIONS, personal_tables
from orchestrator.storage.tables import metadata


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_every_table_is_known_to_hold_customers_or_to_be_free_of_them(table):
    names_customers = any(name in table.c for name in CUSTOMER_COLUMNS)
    known = (names_customers, table.name in THROUGH_DECISIONS, table.name in FREE_OF_CUSTOMERS)
    assert sum(known) == 1, f"say in storage/personal.py where {table.name} holds customers, or that it does not"
    assert (table in personal_tables()) == (table.name not in FREE_OF_CUSTOMERS)


def test_customers_are_found_by_an_index():
    for table in personal_tables():
        columns = [*CUSTOMER_COLUMNS, *(["decision_id"] if table.name in THROUGH_DECISIONS else [])]
        for name in columns:
            if name in table.c:
                firsts = [next(iter(keyed.columns)).name for keyed in (table.primary_key, *table.indexes)]
                assert name in firsts, f"{table.name}.{name}"

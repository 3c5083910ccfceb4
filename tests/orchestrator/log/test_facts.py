"""Transactions of several processes on one log."""

from __future__ import annotations

import threading

from orchestrator.log.facts import keep_schema, read_states, serialise, write_states
from orchestrator.storage.database import open_database


def in_threads(*works):
    """Run all at once; the first error of any is raised."""
    errors = []

    def safely(work):
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=safely, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def state(customer, number):
    return {"customer_id": customer, "state": bytes([number]), "layout": "x", "updated_at": 0.0}


def test_batches_about_the_same_customers_in_any_order_wait_but_never_for_each_other_in_a_ring(database_url):
    names = [f"c-{i}" for i in range(40)]
    engine = open_database(database_url)

    def work(order):
        for _ in range(30):
            with engine.begin() as connection:
                serialise(connection, customer_ids=order, keys=(), fact_ids=())

    in_threads(lambda: work(names), lambda: work(names[::-1]), lambda: work(names[20:] + names[:20]))
    engine.dispose()


def test_what_is_read_after_serialising_is_what_the_last_one_wrote(database_url):
    """Counting up in many transactions, of few customers (one lock each) and of many (one lock for all)."""
    few, many = ["c"], ["c", *(f"d-{i}" for i in range(2000))]
    engine = open_database(database_url)
    with engine.begin() as connection:
        write_states(connection, new=[state("c", 0)], changed=[])

    def count_up(customers):
        for _ in range(20):
            with engine.begin() as connection:
                serialise(connection, customer_ids=customers, keys=(), fact_ids=())
                number = read_states(connection, ["c"])["c"][0]
                write_states(connection, new=[], changed=[state("c", number + 1)])

    in_threads(lambda: count_up(few), lambda: count_up(few), lambda: count_up(many))
    with engine.connect() as connection:
        assert read_states(connection, ["c", "stranger"]) == {"c": bytes([60])}
    engine.dispose()


def test_batches_about_different_customers_do_not_wait_on_postgresql(postgresql):
    name = postgresql.create()
    engine = open_database(postgresql.url(name))
    with engine.begin() as one, engine.begin() as two:
        serialise(one, customer_ids=["c-1"], keys=["k-1"], fact_ids=["f-1"])
        serialise(two, customer_ids=["c-2"], keys=["k-2"], fact_ids=["f-2"])  # or this would wait and fail
    engine.dispose()
    postgresql.drop(name)


def test_a_layout_kept_before_stays(database_url):
    engine = open_database(database_url)
    for body in ("first", "second"):
        with engine.begin() as connection:
            keep_schema(connection, "a", body)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT body FROM decision_schemas").scalar_one() == "first"
    engine.dispose()


def test_any_number_of_rows_of_any_bytes_comes_back(database_url):
    rows = [{**state(f"é {i} '%s$", 0), "state": bytes(range(256)) * (i % 5)} for i in range(700)]
    engine = open_database(database_url)
    with engine.begin() as connection:
        write_states(connection, new=rows[:350], changed=[])
        write_states(connection, new=rows[350:], changed=rows[:99])
        names = [row["customer_id"] for row in rows]
        assert read_states(connection, [*names, "stranger"]) == {row["customer_id"]: row["state"] for row in rows}
    engine.dispose()

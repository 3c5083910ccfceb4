"""`journey db rebuild`: profiles of another configuration from the same events, also when it is stopped halfway."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from orchestrator.audit.auditing import audit_decisions
from orchestrator.profiles import ProfileSchema
from orchestrator.storage.database import open_database
from orchestrator.storage.errors import SchemaError
from tests.database_rows import read_rows
from tests.orchestrator.changing_shop import (
    CHANGES,
    CUSTOMERS,
    ENVIRONMENT,
    ChangingShop,
    StoppedError,
    fill,
    link,
    post,
    states_in,
    stopping_at,
)
from tests.orchestrator.conftest import random_policy

KNOWN = CUSTOMERS - 1  # one was merged into another
BUILT = "SELECT * FROM rebuilt_customers"


@pytest.fixture
def shop(tmp_path, database_url, serving, champion):
    return ChangingShop(tmp_path, database_url, serving, champion)


@pytest.fixture
def rebuilt(shop, journey):
    """`rebuilt(change)` is what the command says."""

    def run(change=""):
        said = journey("db", "rebuild", "--config", shop.configured(change), "--database", shop.url)
        assert said.code == 0, said
        return said.out

    return run


def as_told_to(of, event):
    """An event as a sender who knows only this configuration would have told it."""
    schema, event = ProfileSchema.from_retailer(of), dict(event)
    if event.get("category", schema.categories[0]) not in schema.categories:
        del event["category"]
        if event["type"] == "cart_add":
            event["type"] = "profile"
    if "attributes" in event:
        texts, known = of.profiles.content_fields, schema.attributes
        event["attributes"] = {
            name: value
            for name, value in event["attributes"].items()
            if name in texts or (name in known and (not known[name].values or value in known[name].values))
        }
    return event


@pytest.mark.parametrize("change", CHANGES)
def test_all_is_as_if_the_new_configuration_had_been_there_from_the_beginning(shop, rebuilt, tmp_path, change):
    before, after = shop.of(), shop.of(change)
    told, ids = shop.live(before, fill)

    async def read(served):
        found = [(await served.client.get(f"/v1/decisions/{i}")).json() for i in ids]
        for action in (action for decision in found for action in decision["actions"]):
            del action["contributions"]  # can be told only while the policy that decided serves
        return found

    decided = shop.live(before, read)
    assert f"rebuilt {KNOWN} customers from " in rebuilt(change)

    fresh = shop.of(change, url=f"sqlite:///{tmp_path / 'fresh.db'}").serving.database
    shop.live(
        shop.of(change, url=fresh),
        lambda served: post(served, "/v1/events", [as_told_to(after, event) for event in told]),
    )
    found, expected = states_in(shop.url), states_in(fresh)
    assert found.keys() == expected.keys()
    for customer, state in expected.items():
        np.testing.assert_allclose(found[customer], state, rtol=1e-9, atol=1e-9, err_msg=customer)
    stated = "SELECT customer_id, name, value, stated_at FROM stated ORDER BY customer_id, name"
    assert read_rows(shop.url, stated) == read_rows(fresh, stated)

    # What was decided before is as it was, and a new server goes on.
    async def decide(served):
        assert await read(served) == decided
        return [await served.decide(f"c-{i}") for i in range(1, CUSTOMERS)]

    shop.live(after, decide, version="2")
    assert shop.faults(change) == ()
    policies = {"1": random_policy(before), "2": random_policy(after)}
    engine = open_database(shop.url)
    audit = audit_decisions(engine, after, policy_of=policies.get)
    engine.dispose()
    assert (audit.faults, audit.decisions, audit.verified) == ([], 2 * KNOWN, 2 * KNOWN)
    assert audit.rebuilt == KNOWN - 1  # whoever another one was just merged into is left out
    assert shop.rows(BUILT) == []


@pytest.mark.parametrize(
    # Of twelve customers, each states a size, three state M, and seven of eight name apparel in some way.
    ("change", "count"),
    [("a value removed", 3), ("an attribute removed", CUSTOMERS), ("a category removed", 2 * CUSTOMERS + 6)],
)
def test_what_the_configuration_lacks_is_counted_and_comes_back_with_it(shop, rebuilt, change, count):
    shop.live(shop.of(), fill)
    before = states_in(shop.url)
    assert f"\n{count} events name a channel, category, attribute or value" in rebuilt(change)
    assert "events name" not in rebuilt()
    for customer, state in states_in(shop.url).items():
        np.testing.assert_allclose(state, before[customer], rtol=1e-9, atol=1e-9)


def test_the_act_is_logged_and_a_second_time_there_is_nothing_to_do(shop, rebuilt):
    shop.live(shop.of(), fill)
    assert rebuilt("a category added").splitlines()[:2] == [
        f"customers: 0 of {KNOWN}",
        f"customers: {KNOWN} of {KNOWN}",
    ]
    (act,) = shop.rows("SELECT * FROM audit_log WHERE what = 'profiles rebuilt'")
    assert act["who"].startswith("cli:")
    assert act["target"].startswith(f"{KNOWN} customers -> configuration ")
    assert rebuilt("a category added") == "all profiles are of this configuration already\n"
    assert len(shop.rows("SELECT * FROM audit_log WHERE what = 'profiles rebuilt'")) == 1


def test_a_server_and_a_check_of_the_new_configuration_say_what_to_run(shop, journey):
    shop.live(shop.of(), fill)
    with pytest.raises(SchemaError, match=r"another configuration .*run `journey db rebuild`"):
        shop.live(shop.of("a value added"), fill)
    said = journey("db", "check", "--config", shop.configured("a value added"), "--database", shop.url)
    assert (said.code, "`journey db rebuild`" in said.err) == (1, True)


@pytest.mark.parametrize("customers", [0, 2, 6, KNOWN])
def test_stopped_anywhere_it_goes_on_and_until_then_nothing_has_changed(shop, rebuilt, customers):
    shop.live(shop.of(), fill)
    known = shop.rows("SELECT * FROM customers ORDER BY customer_id")
    with pytest.raises(StoppedError):
        shop.rebuild("a category added", progress=stopping_at(customers))
    assert shop.rows("SELECT * FROM customers ORDER BY customer_id") == known
    assert len(shop.built()) == customers
    said = rebuilt("a category added")
    assert (f"{customers} customers had been done" in said) == (customers > 0)
    assert f"customers: {KNOWN - customers} of {KNOWN - customers}" in said
    counted = shop.rows("SELECT count(*) AS n FROM events")[0]["n"]
    assert f"rebuilt {KNOWN} customers from {counted} events" in said
    assert shop.faults("a category added") == ()


KILLED = """
import os, signal, sys, time
from pathlib import Path
from orchestrator.load import load_retailer
from orchestrator.audit.rebuilding import rebuild_profiles
from orchestrator.storage.database import open_database
kill = lambda done, total: done >= 4 and os.kill(os.getpid(), signal.SIGKILL)
retailer = load_retailer(Path(sys.argv[1]), environment={})
rebuild_profiles(open_database(sys.argv[2]), retailer, who="me", clock=time.time, progress=kill, batch=2)
"""


def test_killed_it_goes_on(shop):
    shop.live(shop.of(), fill)
    command = [sys.executable, "-c", KILLED, str(shop.configured("a category added")), shop.url]
    assert subprocess.run(command, check=False, env=ENVIRONMENT).returncode == -signal.SIGKILL
    assert shop.faults() == ()
    assert shop.rebuild("a category added").found == 4
    assert shop.faults("a category added") == ()


def test_what_was_built_for_another_configuration_is_discarded(shop):
    shop.live(shop.of(), fill)
    with pytest.raises(StoppedError):
        shop.rebuild("a value added", progress=stopping_at(8))
    change = "a value added in front"  # as many numbers, other meanings
    assert shop.rebuild(change).found == 0
    assert shop.faults(change) == ()
    assert shop.rows(BUILT) == []


def test_what_was_built_is_discarded_when_the_configuration_is_restored(shop):
    shop.live(shop.of(), fill)
    with pytest.raises(StoppedError):
        shop.rebuild("a value added", progress=stopping_at(8))
    assert shop.rebuild().customers == 0
    assert shop.rows(BUILT) == []


def test_an_interrupted_rebuild_keeps_nothing_of_who_was_erased_or_merged(shop, journey):
    shop.live(shop.of(), fill)
    with pytest.raises(StoppedError):
        shop.rebuild("a category added", progress=stopping_at(KNOWN))
    options = ("--config", shop.configured(), "--database", shop.url)
    exported = [json.loads(line) for line in journey("customers", "export", "c-2", *options).out.splitlines()]
    assert [row["table"] for row in exported].count("rebuilt_customers") == 1
    assert journey("customers", "erase", "c-2", "--yes", *options).code == 0
    shop.live(shop.of(), lambda served: post(served, "/v1/batch", link("c-4", "c-3")))
    assert len(shop.built()) == KNOWN - 3
    assert shop.built().isdisjoint({"c-2", "c-3", "c-4"})
    assert shop.rebuild("a category added").customers == KNOWN - 2
    assert shop.faults("a category added") == ()
    assert states_in(shop.url).keys().isdisjoint({"c-2", "c-3"})

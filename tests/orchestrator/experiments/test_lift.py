"""What groups are worth: every fact counts for the right customer, group and time, and once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from orchestrator.config import Groups
from orchestrator.decision.groups import Assignment
from orchestrator.errors import OrchestratorError
from orchestrator.experiments.lift import measure_lift
from orchestrator.storage.database import open_database

START = 1_768_996_800.0
DAY = 86400.0


@pytest.fixture
def lived(serving, retailer):
    """Live with half the customers in control; returns what was decided and how to measure."""
    groups = Groups.model_validate({"salt": "x", "shares": {"policy": 0.5, "control": 0.5}})
    of = replace(retailer, serving=retailer.serving.model_copy(update={"groups": groups}))
    clock = [START]
    customers = [f"c-{i}" for i in range(120)]

    async def live():
        async with serving(of, clock=lambda: clock[0]) as served:
            await served.know(*customers)
            first = await asyncio.gather(*(served.decide(c) for c in customers))
            clock[0] = START + 3 * DAY
            second = await asyncio.gather(*(served.decide(c) for c in customers[:60]))

            def bought(i, day, value):
                at = datetime.fromtimestamp(START + day * DAY, UTC).isoformat()
                return {"event_id": f"p-{i}-{day}", "customer_id": customers[i], "type": "purchase", "value": value} | {
                    "timestamp": at
                }

            events = [bought(i, 2, 40.0 + 60 * (first[i]["group"] == "policy")) for i in range(120)]
            events += [bought(i, -1, 1e6) for i in range(120)]  # before the first decision
            answer = await served.client.post("/v1/events", json=events)
            assert answer.status_code == 200, answer.text
            told = []
            for i in range(0, 120, 10):
                # The same purchase once more, as an outcome under the event's id; and one that only outcomes know.
                told += [
                    {
                        "outcome_id": f"p-{i}-2",
                        "decision_id": first[i]["decision_id"],
                        "type": "purchase",
                        "value": 40.0,
                    },
                    {"outcome_id": f"a-{i}", "decision_id": first[i]["decision_id"], "type": "accept"},
                ]
            answer = await served.client.post("/v1/outcomes", json=told)
            assert answer.status_code == 200, answer.text
            clock[0] = START + 8 * DAY
            events = [bought(i, 8, 1e6) for i in range(120)]  # after the week
            answer = await served.client.post("/v1/events", json=events)
            assert answer.status_code == 200, answer.text
            return first, second

    first, second = asyncio.run(live())

    def measure(of=of, **more):
        engine = open_database(of.serving.database, create=False)
        given = {"window": 7 * DAY, "now": START + 20 * DAY, **more}
        try:
            return measure_lift(engine, of.goals, experiment=Assignment(of.serving.groups).experiment, **given)
        finally:
            engine.dispose()

    return of, first, second, measure


def test_money_is_counted_per_customer_by_hand(lived):
    of, first, second, measure = lived
    found = measure()
    assert [g.group for g in found.groups] == ["control", "policy"]
    assert found.reference == "control"
    costs = {a.id: a.cost for a in of.catalogue.actions}
    for result in found.groups:
        mine = [i for i, made in enumerate(first) if made["group"] == result.group]
        paid = 0.0
        for i in mine:
            paid += 0.25 * (100.0 if result.group == "policy" else 40.0)
            paid += of.goals.worth("accept") * (i % 10 == 0)
            paid -= costs[first[i]["action"]["id"]]
            if i < 60:
                paid -= costs[second[i]["action"]["id"]]
        assert result.customers == len(mine)
        assert result.money == pytest.approx(paid / len(mine))
        contacts = sum(first[i]["action"]["id"] != "hold" for i in mine)
        contacts += sum(second[i]["action"]["id"] != "hold" for i in mine if i < 60)
        assert result.contacts == pytest.approx(contacts / len(mine))
    control, policy = found.groups
    assert control.contacts == 0.0
    assert control.lift is None
    assert policy.lift is not None
    assert policy.lift.value[-1] == pytest.approx(policy.money - control.money)
    assert policy.lift.lower[-1] < policy.lift.value[-1] < policy.lift.upper[-1]


def test_customers_wait_until_their_window_is_over(lived):
    _, _, _, measure = lived
    early = measure(now=START + 6 * DAY)
    assert (early.waiting, early.groups) == (120, ())
    assert measure(window=2 * DAY, now=START + 2 * DAY).waiting == 0


def test_a_group_nobody_is_in_is_refused_with_those_there_are(lived):
    _, _, _, measure = lived
    with pytest.raises(OrchestratorError, match=r"'random'.*policy, control"):
        measure(against="random")
    with pytest.raises(OrchestratorError, match=r"no such group: 'contrl'; did you mean 'control'"):
        measure(against="contrl")
    assert measure(against="policy").reference == "policy"


def test_decisions_of_another_experiment_compare_nobody(lived):
    of, _, _, measure = lived
    for changed in ({"salt": "y"}, {"shares": {"policy": 0.6, "control": 0.4}}):
        groups = of.serving.groups.model_copy(update=changed)
        other = replace(of, serving=of.serving.model_copy(update={"groups": groups}))
        found = measure(of=other)
        assert (found.reference, found.groups, found.waiting) == ("", (), 0)


def test_bounds_of_one_moment_do_not_depend_on_who_came_later(lived):
    _, _, _, measure = lived
    first, later = measure(now=START + 8 * DAY), measure(now=START + 20 * DAY)
    np.testing.assert_array_equal(first.groups[1].lift.lower, later.groups[1].lift.lower)
    wider = measure(tightest=10)
    assert wider.groups[1].lift.lower[-1] != later.groups[1].lift.lower[-1]


def test_the_command_prints_a_table_and_draws(lived, tmp_path, capsys, monkeypatch):
    of, _, _, _ = lived
    from orchestrator.cli import lifting

    monkeypatch.setenv("JOURNEY__SERVING__GROUPS__SALT", "x")
    monkeypatch.setenv("JOURNEY__SERVING__GROUPS__SHARES", "{policy: 0.5, control: 0.5}")
    monkeypatch.setattr(lifting.time, "time", lambda: START + 20 * DAY)
    lifting.lift_command(config=of.directory, database=of.serving.database, days=7, out=tmp_path / "lift.svg")
    said = capsys.readouterr().out
    assert "control" in said
    assert "policy" in said
    assert "USD per customer" in said
    assert (tmp_path / "lift.svg").read_text().count("policy minus control") == 1
    lifting.lift_command(config=of.directory, database=of.serving.database, days=300, out=tmp_path / "none.svg")
    said = capsys.readouterr().out
    assert "120 wait" in said
    assert "no plot is written" in said
    assert not (tmp_path / "none.svg").exists()


def test_with_one_group_only_the_command_says_so_at_once_and_what_to_do(retailer, tmp_path, capsys, monkeypatch):
    from orchestrator.cli import lifting

    for shares, group in (("{policy: 1.0}", "policy"), ("{policy: 0.0, control: 1.0}", "control")):
        monkeypatch.setenv("JOURNEY__SERVING__GROUPS__SHARES", shares)
        # There is nothing to wait for: no customer was decided on yet, and there is not even a database.
        url = f"sqlite:///{tmp_path / 'nowhere.db'}"
        lifting.lift_command(config=retailer.directory, database=url, days=28, out=tmp_path / "lift.svg")
        said = capsys.readouterr().out
        assert f"one group only, {group}: nothing to compare with; no plot is written" in said
        assert "groups.shares" in said
        assert "look again" not in said
        assert not (tmp_path / "lift.svg").exists()

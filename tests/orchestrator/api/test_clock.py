"""The service has one clock, and it is the one it was given."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # about clocks, not the log

# Years from today, so that whatever reads the machine's clock shows.
THEN = datetime(2041, 3, 5, 12, tzinfo=UTC).timestamp()


def at(seconds):
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def test_facts_decisions_and_ids_carry_the_given_time(serving):
    async def test():
        async with serving(clock=lambda: THEN) as served:
            await served.know("c-1")
            made = await served.decide("c-1")
            outcome = {"outcome_id": "o-1", "decision_id": made["decision_id"], "type": "click", "timestamp": at(THEN)}
            answer = await served.client.post("/v1/outcomes", json=outcome)
            assert answer.status_code == 200, answer.text
            record = (await served.client.get(f"/v1/decisions/{made['decision_id']}")).json()
            policy = (await served.client.get("/v1/policy")).json()
            return made, record, policy, served.rows("events")

    made, record, policy, events = asyncio.run(test())
    said = [made["decided_at"], record["outcomes"][0]["received_at"], policy["since"]]
    assert {datetime.fromisoformat(time).timestamp() for time in said} == {THEN}
    assert {row["received_at"] for row in events} == {THEN}
    # The first 48 bits of an id are milliseconds since 1970.
    assert int(made["decision_id"].replace("-", "")[:12], 16) == int(THEN * 1000)


@pytest.mark.parametrize("path", ["/v1/events", "/v1/outcomes"])
@pytest.mark.parametrize("many", [False, True])
def test_the_future_begins_a_day_after_the_given_time(serving, path, many):
    async def test():
        async with serving(clock=lambda: THEN) as served:
            await served.know("c-1")
            decision = (await served.decide("c-1"))["decision_id"]
            statuses = []
            for name, ahead in (("a", 86_399), ("b", 86_401)):
                event = {"event_id": name, "customer_id": "c-1", "type": "visit"}
                outcome = {"outcome_id": name, "decision_id": decision, "type": "click"}
                fact = {**(event if path.endswith("events") else outcome), "timestamp": at(THEN + ahead)}
                answer = await served.client.post(path, json=[fact] if many else fact)
                statuses.append(answer.status_code)
            return statuses, answer.json()

    statuses, problem = asyncio.run(test())
    assert statuses == [200, 422]
    (error,) = problem["errors"]
    assert error["field"] == ("[0].timestamp" if many else "timestamp")
    assert "clock" in error["fix"]

"""The fake service answers as the real one does, as far as it goes."""

from __future__ import annotations

import asyncio
import doctest

import pytest

from orchestrator.client import AsyncJourneyClient, FakeService, JourneyClient, RefusedError, Retries, fake

QUICK = Retries(first_wait=0.001, longest_wait=0.01)


def test_its_example_runs():
    assert doctest.testmod(fake).attempted > 3
    assert doctest.testmod(fake).failed == 0


def calls(journey):
    """What a program does: a client's answers, which the fake and the real service must both give."""
    told = journey.send_events([{"event_id": "e-1", "customer_id": "c-1", "type": "visit"}])
    again = journey.send_events([{"event_id": "e-1", "customer_id": "c-1", "type": "visit"}])
    first, second = (journey.decide("c-1", key="letter-1") for _ in range(2))
    followed = journey.send_outcomes([{"outcome_id": "o-1", "decision_id": first.decision_id, "type": "click"}])
    lines = [line.customer_id for line in journey.decide_many([{"customer_id": "c-1"}, {"customer_id": "c-1"}])]
    stock = journey.send_stock([{"category": "home", "in_stock": False}])
    return (
        (told.accepted, again.duplicates, followed.accepted, stock.accepted),
        first.decision_id == second.decision_id,
        lines,
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_program_cannot_tell_it_from_the_real_service(server):
    made_up = FakeService()
    with JourneyClient(made_up.url, transport=made_up.transport) as journey:
        found = calls(journey)
    with server() as running, JourneyClient(running.url) as journey:
        assert found == calls(journey)
    assert list(made_up.facts["/v1/events"]) == ["e-1"]
    assert [asked["customer_id"] for asked in made_up.decisions] == ["c-1"] * 3


def test_it_refuses_as_told_and_is_asked_again_where_that_helps():
    made_up = FakeService()
    made_up.choose("email.thank", channel="email", intent="thank")

    async def ask():
        async with AsyncJourneyClient(made_up.url, transport=made_up.transport, retries=QUICK) as journey:
            made_up.refuse(503, "overloaded", times=2)
            assert (await journey.decide("c-1")).action.intent == "thank"
            made_up.refuse(404, "unknown-customer")
            with pytest.raises(RefusedError, match="told to refuse"):
                await journey.decide("c-2")

    asyncio.run(ask())

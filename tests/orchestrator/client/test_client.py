"""The Python client, against the real API; how it tries again, against scripted answers."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from datetime import UTC, datetime
from urllib.parse import quote

import httpx2
import pytest

from orchestrator.api.models.decisions import BatchDecision, BatchRefusal
from orchestrator.client import (
    AsyncJourneyClient,
    JourneyClient,
    JourneyError,
    RefusedError,
    Retries,
    UnreachableError,
    UnreadableError,
)
from tests.test_dependencies import loaded_by
from tests.test_docs import example, run_python

QUICK = Retries(first_wait=0.001, longest_wait=0.01)


def test_the_whole_loop_over_the_network(server):
    with server() as running, JourneyClient(running.url) as journey:
        receipt = journey.send_events(
            [
                {"customer_id": "c-1", "type": "purchase", "category": "pantry", "value": 31.5},
                {"customer_id": "c-1", "type": "subscribe", "channel": "email", "timestamp": datetime.now(UTC)},
            ]
        )
        assert receipt.accepted == 2
        made = journey.decide("c-1", channels=["email", "site"], context={"device": "mobile", "hour": 18}, key="k-1")
        assert made.action.channel in {None, "email", "site"}
        assert (
            journey.decide("c-1", channels=["email", "site"], context={"device": "mobile", "hour": 18}, key="k-1")
            == made
        )
        assert journey.send_outcomes([{"decision_id": made.decision_id, "type": "click"}]).accepted == 1
        record = journey.decision(made.decision_id)
        assert (record.propensity, [o.type for o in record.outcomes]) == (made.propensity, ["click"])
        assert journey.send_stock([{"category": "home", "in_stock": False}]).accepted == 1
        assert [told.category for told in journey.stock().categories if not told.in_stock] == ["home"]
        several = journey.decide("c-1", placement="home_hero", slots=3, same_subject=True)
        assert several.slots is not None
        assert len(journey.explain("c-1", channels=["site"]).actions) > 20
        with pytest.raises(RefusedError, match="404 Unknown customer") as refused:
            journey.decide("nobody")
        assert refused.value.problem.fix
        lines = list(journey.decide_many([{"customer_id": "c-1"}, {"customer_id": "nobody"}] * 300))
        assert [line.line for line in lines] == list(range(1, 601))
        assert {type(line) for line in lines[::2]} == {BatchDecision}
        assert {type(line) for line in lines[1::2]} == {BatchRefusal}


def test_the_same_loop_on_an_event_loop_waits_until_there_is_a_policy(serving, champion):
    ready, champion.current = champion.current, None

    async def live():
        async with serving() as served:
            transport = httpx2.ASGITransport(app=served.app)
            patient = Retries(attempts=50, first_wait=0.01, longest_wait=2.0)
            async with AsyncJourneyClient("http://localhost", transport=transport, retries=patient) as journey:
                await journey.send_events([{"customer_id": f"c-{i}", "type": "visit"} for i in range(3)])
                asking = asyncio.create_task(journey.decide("c-1"))
                await asyncio.sleep(0.05)
                assert not asking.done()
                champion.current = ready
                made = await asking
                assert (await journey.decision(made.decision_id)).decision_id == made.decision_id
                assert (
                    await journey.send_outcomes([{"decision_id": made.decision_id, "type": "accept"}])
                ).accepted == 1
                sold_out = {"stock_id": "s-1", "category": "home", "in_stock": False, "timestamp": datetime.now(UTC)}
                receipt = await journey.send_stock([sold_out, sold_out])
                assert [one.status for one in receipt.items] == ["accepted", "duplicate"]
                since = [one.since for one in (await journey.stock()).categories if not one.in_stock]
                assert since == [sold_out["timestamp"]]
                assert (await journey.explain("c-2")).policy_version == "1"
                asked = [{"customer_id": f"c-{i}"} for i in range(4)]
                lines = [line async for line in journey.decide_many(asked, candidates=True, key="night")]
                assert [isinstance(line, BatchDecision) for line in lines] == [True, True, True, False]
                assert len(lines[0].candidates) == 20
                again = [line async for line in journey.decide_many(asked[:3], key="night")]
                assert [one.decision_id for one in again] == [one.decision_id for one in lines[:3]]
                with pytest.raises(RefusedError):
                    await journey.decide("c-9")

    asyncio.run(live())


PROBLEM = {"type": "urn:x", "title": "Temporarily unavailable", "status": 503, "detail": "busy", "fix": "wait"}
DONE = {"accepted": 1, "duplicates": 0, "items": [{"id": "e", "status": "accepted"}]}


def scripted(*answers):
    """A transport that gives these answers, and what it was sent."""
    left, sent = list(answers), []

    def answer(request):
        sent.append(request)
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return httpx2.MockTransport(answer), sent


def busy(**headers):
    return httpx2.Response(503, json=PROBLEM, headers=headers)


def test_what_failed_is_sent_again_to_the_last_byte():
    transport, sent = scripted(
        httpx2.ConnectError("gone"), busy(), httpx2.ReadTimeout("slow"), httpx2.Response(200, json=DONE)
    )
    with JourneyClient("http://t", transport=transport, retries=QUICK, key="jo_1_x") as journey:
        assert journey.send_events([{"customer_id": "c", "type": "visit"}]).accepted == 1
    assert len({request.content for request in sent}) == 1
    assert len(sent) == 4
    (event,) = json.loads(sent[0].content)
    assert event["event_id"]
    assert datetime.fromisoformat(event["timestamp"]).tzinfo
    assert {request.headers["Authorization"] for request in sent} == {"Bearer jo_1_x"}


def test_a_decision_is_repeated_under_one_key_also_without_one_of_its_own():
    refusal = httpx2.Response(422, json={**PROBLEM, "status": 422, "title": "Invalid request"})
    transport, sent = scripted(busy(), busy(), refusal)
    with (
        JourneyClient("http://t", transport=transport, retries=QUICK) as journey,
        pytest.raises(RefusedError, match="422"),
    ):
        journey.decide("c-1")
    assert len({request.headers["Idempotency-Key"] for request in sent}) == 1
    assert len(sent) == 3


@pytest.mark.parametrize("answers", [(busy(),) * 5, (busy(**{"Retry-After": "3600"}),)])
def test_patience_ends_with_the_last_refusal_or_if_asked_to_wait_too_long(answers):
    transport, sent = scripted(*answers)
    with (
        JourneyClient("http://t", transport=transport, retries=QUICK) as journey,
        pytest.raises(RefusedError, match="busy"),
    ):
        journey.decide("c-1")
    assert len(sent) == len(answers)


def test_nobody_there_is_said_with_the_attempts_made():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with JourneyClient(url, retries=QUICK) as journey, pytest.raises(UnreachableError, match="after 5 attempts"):
            journey.decide("c-1")


def test_an_answer_of_something_in_between_is_a_refusal_in_its_words():
    transport, _ = scripted(httpx2.Response(403, text="<h1>Proxy says no</h1>"))
    with JourneyClient("http://t", transport=transport) as journey, pytest.raises(RefusedError, match="Proxy says no"):
        journey.decide("c-1")


class Broken(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """Some lines, and then no more."""

    def __init__(self, *lines):
        self._lines = lines

    def __iter__(self):
        yield from self._lines
        raise httpx2.ReadError("reset")

    async def __aiter__(self):
        for line in self._lines:
            yield line
        raise httpx2.ReadError("reset")


def all_lines(journey, asked, found):
    """What `decide_many` answers, into `found`, by either client."""
    if isinstance(journey, JourneyClient):
        with journey:
            found.extend(journey.decide_many(asked, key="night"))
        return

    async def live():
        async with journey:
            async for line in journey.decide_many(asked, key="night"):
                found.append(line)

    asyncio.run(live())


EITHER = pytest.mark.parametrize("kind", [JourneyClient, AsyncJourneyClient])


@EITHER
def test_a_batch_is_tried_again_until_its_first_line_and_then_says_how_to_go_on(kind):
    refused = json.dumps({"line": 1, "problem": PROBLEM}).encode() + b"\n"
    transport, sent = scripted(
        httpx2.ConnectError("refused"),
        busy(),
        httpx2.Response(200, stream=Broken()),
        httpx2.Response(200, stream=Broken(refused)),
    )
    found = []
    with pytest.raises(UnreachableError, match="the same requests with key=") as failed:
        all_lines(kind("http://t", transport=transport, retries=QUICK), iter([{"customer_id": "c-1"}]), found)
    assert failed.value.key == "night"
    assert [line.line for line in found] == [1]
    assert {(request.headers["Idempotency-Key"], request.content) for request in sent} == {
        ("night", b'{"customer_id": "c-1"}\n')
    }
    assert len(sent) == 4


@EITHER
def test_a_batch_that_nobody_answers_says_how_often_it_was_tried(kind):
    transport, sent = scripted(*[httpx2.ConnectError("refused")] * QUICK.attempts)
    with pytest.raises(UnreachableError, match="no answer after 5 attempts"):
        all_lines(kind("http://t", transport=transport, retries=QUICK), [{"customer_id": "c-1"}], [])
    assert len(sent) == QUICK.attempts


def test_waits_double_up_to_the_longest_and_clients_come_back_apart():
    patient = Retries(attempts=9, first_wait=1.0, longest_wait=10.0)
    for attempt, longest in enumerate((1, 2, 4, 8, 10, 10), start=1):
        waits = [patient.wait(attempt, None) for _ in range(50)]
        assert all(longest / 2 <= wait <= longest for wait in waits)
        assert len(set(waits)) > 1
    # Also those that were told the same: what is drawn comes on top, never before what was asked for.
    told = [patient.wait(1, "7") for _ in range(50)]
    assert all(7.5 <= wait <= 8.0 for wait in told)
    assert len(set(told)) > 1
    assert patient.wait(9, None) is None


def test_the_client_is_light():
    heavy = ("numpy", "fastapi", "sqlalchemy", "mlflow", "vowpal_wabbit_next", "policies")
    assert loaded_by("import orchestrator.client", *heavy) == []


def test_the_examples_of_the_docs_run(server):
    short, whole = (example("JourneyClient", page) for page in ("README.md", "docs/channel-engineer.md"))
    with server() as running:
        assert len(run_python(short.replace("http://127.0.0.1:8080", running.url)).splitlines()) == 1
        said = run_python(whole.replace("http://127.0.0.1:8080", running.url)).splitlines()
    assert len(said) == 3
    assert "decision_id" in said[1]
    assert "problem" in said[2]
    announced = re.search(r"# (.*)\n\s+for line in journey.decide_many", whole)
    assert announced
    assert "refusal" in announced[1]


@pytest.mark.parametrize(
    "ask",
    [
        lambda journey: journey.send_events([{"customer_id": "c", "type": "purchase", "value": 9.0}]),
        lambda journey: journey.send_outcomes([{"decision_id": "d", "type": "click"}]),
        lambda journey: journey.decide("c"),
    ],
)
@pytest.mark.parametrize("last", [httpx2.ReadTimeout("slow"), httpx2.Response(504, text="gateway timeout")])
def test_what_failed_in_the_end_is_in_the_error_and_can_be_repeated_to_the_last_byte(ask, last):
    transport, sent = scripted(*[last] * QUICK.attempts, httpx2.Response(403, text="enough"))
    with JourneyClient("http://t", transport=transport, retries=QUICK) as journey:
        with pytest.raises(JourneyError) as failed:
            ask(journey)
        with pytest.raises(RefusedError, match="enough"):
            journey.repeat(failed.value.call)
    assert len(sent) == QUICK.attempts + 1
    assert len({(request.content, request.headers.get("Idempotency-Key")) for request in sent}) == 1
    assert failed.value.key == sent[0].headers.get("Idempotency-Key")


def test_what_failed_on_an_event_loop_can_be_repeated_too():
    transport, sent = scripted(*[httpx2.ReadTimeout("slow")] * QUICK.attempts, httpx2.Response(200, json=DONE))

    async def live():
        async with AsyncJourneyClient("http://t", transport=transport, retries=QUICK) as journey:
            with pytest.raises(UnreachableError) as failed:
                await journey.send_events([{"customer_id": "c", "type": "visit"}])
            return await journey.repeat(failed.value.call)

    assert asyncio.run(live()).accepted == 1
    assert len({request.content for request in sent}) == 1


def test_a_batch_that_failed_tells_the_key_it_made():
    transport, sent = scripted(*[httpx2.ReadTimeout("slow")] * QUICK.attempts)
    with (
        JourneyClient("http://t", transport=transport, retries=QUICK) as journey,
        pytest.raises(UnreachableError) as failed,
    ):
        list(journey.decide_many([{"customer_id": "c"}]))
    assert failed.value.key
    assert {request.headers["Idempotency-Key"] for request in sent} == {failed.value.key}


STRANGE = [
    lambda: httpx2.Response(200, text="<h1>Please log in</h1>"),
    lambda: httpx2.Response(200, json={"accepted": "many"}),
    lambda: httpx2.Response(200, stream=httpx2.ByteStream(b"not gzip"), headers={"Content-Encoding": "gzip"}),
]


@EITHER
@pytest.mark.parametrize("strange", STRANGE)
def test_an_answer_that_is_not_the_apis_is_an_error_of_the_clients_own(kind, strange):
    transport, sent = scripted(strange(), strange())
    with pytest.raises(UnreadableError, match="/v1/decisions/batch") as failed:
        all_lines(kind("http://t", transport=transport), [{"customer_id": "c-1"}], [])
    assert failed.value.key == "night"

    async def live():
        async with AsyncJourneyClient("http://t", transport=transport) as journey:
            await journey.decide("c-1", key="k")

    def wait():
        with JourneyClient("http://t", transport=transport) as journey:
            journey.decide("c-1", key="k")

    with pytest.raises(UnreadableError, match="/v1/decisions") as failed:
        wait() if kind is JourneyClient else asyncio.run(live())
    assert failed.value.call.key == "k"
    assert len(sent) == 2


@pytest.mark.parametrize("decision_id", ["../customers/c-1", "a/b?c#d", "%2e%2e"])
def test_an_id_never_leads_to_another_path(decision_id):
    transport, sent = scripted(httpx2.Response(404, text="none"))
    with JourneyClient("http://t", transport=transport) as journey, pytest.raises(RefusedError):
        journey.decision(decision_id)
    assert sent[0].url.raw_path == b"/v1/decisions/" + quote(decision_id, safe="").encode()


@pytest.mark.parametrize("decision_id", ["", ".", ".."])
def test_what_cannot_be_an_id_is_not_asked_for(decision_id):
    transport, sent = scripted()
    with JourneyClient("http://t", transport=transport) as journey, pytest.raises(ValueError, match="decision_id"):
        journey.decision(decision_id)
    assert sent == []


def test_repeating_a_failed_batch_says_how_a_batch_is_repeated():
    def refuse(request):
        return httpx2.Response(422, text="no")

    transport = httpx2.MockTransport(refuse)
    with JourneyClient("http://t", transport=transport, retries=QUICK) as journey:
        with pytest.raises(RefusedError) as failed:
            list(journey.decide_many([{"customer_id": "c-1"}]))
        with pytest.raises(ValueError, match=r"decide_many.*key=error\.key"):
            journey.repeat(failed.value.call)

    async def repeat():
        async with AsyncJourneyClient("http://t", transport=transport) as journey:
            await journey.repeat(failed.value.call)

    with pytest.raises(ValueError, match=r"decide_many.*key=error\.key"):
        asyncio.run(repeat())

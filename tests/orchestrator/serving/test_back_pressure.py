"""A database that does not take writes: requests are refused in time, memory stays bounded, and then all is well."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
from dataclasses import replace

import pytest

from orchestrator.ingest.segment import SegmentReader
from orchestrator.ingest.webhooks import Delivery
from orchestrator.profiles import Events, ProfileSchema
from orchestrator.serving.job_sizes import bytes_of
from orchestrator.serving.jobs import DecisionJob, EventsJob, Outcome, OutcomesJob, StockFact, StockJob
from tests.orchestrator.serving.locks import locked


@pytest.fixture
def impatient(retailer):
    """A service of little room and little patience."""

    def make(**operations):
        changed = retailer.serving.operations.model_copy(update={"request_timeout_seconds": 0.3, **operations})
        return replace(retailer, serving=retailer.serving.model_copy(update={"operations": changed}))

    return make


def kinds(answers):
    return [answer.json()["type"].rpartition(":")[2] if answer.status_code != 200 else "done" for answer in answers]


def test_while_nothing_can_be_written_requests_are_refused_and_never_done_later(serving, impatient):
    of = impatient(queue_requests=4)

    async def test():
        async with serving(of) as served:
            await served.know("c-1")

            def ask(i):
                return served.client.post(
                    "/v1/decisions", json={"customer_id": "c-1"}, headers={"Idempotency-Key": f"k-{i}"}
                )

            with locked(of):
                first = asyncio.create_task(ask(0))
                await asyncio.sleep(0.05)  # it is with the database by now
                answers = await asyncio.gather(first, *(ask(i) for i in range(1, 10)))
            again = await ask(0)
            return answers, again, served.rows("decisions"), served.rows("contacts")

    answers, again, decisions, _ = asyncio.run(test())
    assert {answer.status_code for answer in answers} == {503}
    assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in answers)
    said = kinds(answers)
    assert said.count("overloaded") == 5
    assert said.count("waited-too-long") == 5
    # Only what was asked again, after the lock, was ever decided.
    assert again.status_code == 200, again.text
    assert [row["decision_id"] for row in decisions] == [again.json()["decision_id"]]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # about memory, not the log
def test_memory_is_bounded_while_large_requests_pour_in(serving, impatient):
    of = impatient(queue_bytes=2**20, request_timeout_seconds=3.0)
    events = [
        {"event_id": f"e-{i}", "customer_id": "c-1", "type": "profile", "attributes": {"home_store": f"s{i:099}"}}
        for i in range(300)
    ]
    body = json.dumps(events).encode()
    requests = 40

    async def test():
        async with serving(of) as served:

            async def send():
                return await served.client.post(
                    "/v1/events", content=body, headers={"Content-Type": "application/json"}
                )

            await send()
            tracemalloc.start()
            try:
                with locked(of):
                    sending = [asyncio.create_task(send()) for _ in range(requests)]
                    answers = await asyncio.gather(*sending)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            async with asyncio.timeout(20):
                while (after := await send()).status_code == 503:  # what was in the way is not quite gone yet
                    await asyncio.sleep(0.02)
            return answers, peak, after

    answers, peak, after = asyncio.run(test())
    assert set(kinds(answers)) <= {"overloaded", "waited-too-long"}
    assert kinds(answers).count("overloaded") > requests / 2
    # All of them at once would take some 13 MB.
    assert peak < 5 * 2**20
    assert after.status_code == 200, after.text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_sizes_of_jobs_are_about_what_they_take(retailer):
    schema, count = ProfileSchema.from_retailer(retailer), 100

    def decision(i):
        request = json.dumps({"channels": ["email"], "context": {"hour": i}})
        return DecisionJob(customer_id=f"c-{i}", channels=("email",), context={"hour": i}, request=request)

    def event(i):
        records = [
            {"event_id": f"e-{i}-{j}", "customer_id": f"c-{i}", "type": "visit", "timestamp": "2026-01-01T00:00:00Z"}
            for j in range(20)
        ]
        return EventsJob(events=Events.from_records(schema, records), bodies=[json.dumps(r) for r in records])

    def outcome(i):
        made = [Outcome(f"o-{i}-{j}", f"d-{i}", "click", 0.0, float(i), json.dumps({"n": i + j})) for j in range(20)]
        return OutcomesJob(made)

    def stock(i):
        return StockJob([StockFact(f"s-{i}-{j}", "home", bool(j % 2), float(i)) for j in range(20)])

    def translated(i, *messages):
        found = SegmentReader(retailer, schema).read(Delivery(messages), received=float(i + 10**9))
        return EventsJob(found.events, found.bodies, texts=found.texts, raw=found.raw, links=found.links)

    def odd(i):
        return translated(
            i, {"type": "track", "messageId": f"m-{i}", "userId": "c", "event": "?", "properties": "x" * 50_000}
        )

    def small_and_odd(i):
        return translated(i, {"type": "track", "messageId": f"m-{i}", "userId": "c", "event": "?"})

    def odd_traits(i):
        return translated(
            i, {"type": "identify", "userId": "c", "traits": {f"timezone{i}": "x", "timezone": "y" * 20_000}}
        )

    def linked(i):
        pairs = [{"type": "alias", "previousId": f"an-{i}-{j}", "userId": f"c-{i}-{j}"} for j in range(100)]
        return translated(i, *pairs)

    def stated(i):
        texts = [{"first_name": f"{i} {j}".rjust(90)} for j in range(20)]
        return replace(event(i), texts=texts)

    for make in (decision, event, outcome, stock, odd, small_and_odd, odd_traits, linked, stated):
        make(0)
        tracemalloc.start()
        try:
            jobs = [make(i) for i in range(count)]
            used, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        said = sum(bytes_of(job) for job in jobs)
        assert 0.8 * used < said < 8 * used, (make.__name__, used / count, said / count)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("ending", ["finished", "left"])
def test_what_has_come_of_a_body_takes_up_room_until_all_is_there_or_given_up(serving, impatient, declared, ending):
    of = impatient(queue_bytes=2**18)
    of = replace(of, serving=of.serving.model_copy(update={"max_body_bytes": 2**16}))
    whole = json.dumps({"event_id": "e-1", "customer_id": "c-1", "type": "visit"}).encode().ljust(2**16)

    async def test():
        async with serving(of) as served:
            await served.know("c-1")
            go_on, service = asyncio.Event(), served.app.state.service

            async def slowly():
                yield whole[: 2**15]
                yield whole[2**15 : -1000]
                await go_on.wait()
                if ending == "left":
                    raise ConnectionResetError
                yield whole[-1000:]

            async def send():
                headers = {"Content-Type": "application/json"} | ({"Content-Length": str(2**16)} if declared else {})
                return await served.client.post("/v1/events", content=slowly(), headers=headers)

            sending = [asyncio.create_task(send()) for _ in range(10)]
            refused = []
            for done in asyncio.as_completed(sending):
                refused.append(await done)
                if len(refused) == 6:
                    break
            assert kinds(refused) == ["overloaded"] * 6
            state = service.metrics.queue()
            assert state.bytes == 4 * (2**16 - 1000) <= state.most_bytes
            go_on.set()
            answers = [answer for answer in await asyncio.gather(*sending) if answer not in refused]
            assert {answer.status_code for answer in answers} == {200 if ending == "finished" else 400}
            assert service.metrics.queue().bytes == 0
            await served.decide("c-1")

    asyncio.run(test())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("declared", [True, False])
def test_bodies_that_only_announce_to_be_large_keep_nobody_out(serving, impatient, declared):
    of = impatient(queue_bytes=2**20)

    async def test():
        async with serving(of) as served:
            await served.know("c-1")
            go_on = asyncio.Event()

            async def stalled():
                yield b"{"
                await go_on.wait()
                yield b'"customer_id": "c-1"}'.ljust(2**20 - 1 if declared else 100)

            async def send():
                headers = {"Content-Type": "application/json"} | ({"Content-Length": str(2**20)} if declared else {})
                return await served.client.post("/v1/decisions", content=stalled(), headers=headers)

            sending = [asyncio.create_task(send()) for _ in range(50)]
            await asyncio.sleep(0.1)
            assert served.app.state.service.metrics.queue().bytes == 0
            await served.decide("c-1")
            go_on.set()
            answers = await asyncio.gather(*sending)
            if declared:  # large indeed
                assert set(kinds(answers)) <= {"done", "overloaded"}
            else:
                assert kinds(answers) == ["done"] * 50

    asyncio.run(test())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # about memory
@pytest.mark.parametrize("context", [{}, {"context": {"page": {f"name{i}": f"value {i}" for i in range(200)}}}])
def test_packed_messages_count_for_what_they_take_and_are_kept_whole_or_not_at_all(serving, impatient, context):
    of = impatient(queue_bytes=2**23, request_timeout_seconds=10.0)
    count, requests = 250, 40

    def packed(request):
        odd = {"type": "track", "userId": "c", "event": "x", "properties": {"a": 1, "c": [{}] * 40}}
        messages = [{"messageId": f"m-{request}-{i}", **odd} for i in range(count)]
        return gzip.compress(json.dumps({"batch": messages, **context}).encode())

    bodies = [packed(i) for i in range(requests)]

    async def test():
        async with serving(of) as served:

            async def send(body):
                return await served.client.post("/v1/batch", content=body, headers={"Content-Encoding": "gzip"})

            assert (await send(packed("before"))).status_code == 200
            tracemalloc.start()
            try:
                with locked(of):
                    sending = [asyncio.create_task(send(body)) for body in bodies]
                    await asyncio.sleep(1)
                    used, _ = tracemalloc.get_traced_memory()
                    state = served.app.state.service.metrics.queue()
            finally:
                tracemalloc.stop()
            answers = await asyncio.gather(*sending)
            assert served.app.state.service.metrics.queue().bytes == 0
            return used, state, answers, served.rows("raw_events")

    used, state, answers, rows = asyncio.run(test())
    assert used < state.bytes + 2**20 < state.most_bytes + 2**21, (used, state)
    assert set(kinds(answers)) == {"done", "overloaded"}
    assert len(rows) == (kinds(answers).count("done") + 1) * count


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("path", ["/v1/decisions", "/v1/events", "/v1/batch"])
def test_who_leaves_in_the_middle_of_a_body_is_at_fault_himself(serving, path):
    async def test():
        async with serving() as served:
            assert (await left_in_the_middle_of_a_body(served.app, path))["status"] == 400
            assert served.app.state.service.metrics.queue().bytes == 0

    asyncio.run(test())


async def left_in_the_middle_of_a_body(app, path):
    """How an answer to it begins; as a server says it to an application."""
    received = iter([{"type": "http.request", "body": b"{" * 5000, "more_body": True}, {"type": "http.disconnect"}])
    sent = []

    async def receive():
        return next(received)

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"10000")],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }
    await app(scope, receive, send)
    return sent[0]

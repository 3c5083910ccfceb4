"""/v1/customers: what is held about a customer, taken along and erased."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from orchestrator.audit.integrity import check_database
from orchestrator.log.facts import serialise
from orchestrator.privacy.customer_acts import acts_on_customer
from orchestrator.privacy.erasing import erase_customer
from orchestrator.profiles import ProfileSchema
from orchestrator.storage.database import open_database
from tests.api_keys import make_key
from tests.database_rows import read_rows
from tests.held_customers import FORMER, everything, fill, ids_besides
from tests.orchestrator.talkative import Talkative

WHOLE = "jane/doe «42»"


@pytest.fixture(autouse=True)
def talkative(champion):
    """Every decision that may be a contact is one."""
    policy = champion.load(None)
    speaks = Talkative(actions=policy.actions, columns=policy.columns)
    champion.load = lambda _: speaks


def path(customer, more=""):
    return f"/v1/customers/{quote(customer, safe='')}{more}"


def lines(answer):
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def checked(retailer):
    engine = open_database(retailer.serving.database)
    found = check_database(engine, ProfileSchema.from_retailer(retailer), sample=100)
    engine.dispose()
    assert found.faults == ()


def test_what_is_known_of_a_customer(ask):
    async def test(served):
        await fill(served.client, "someone else", decisions=1)
        made = await fill(served.client, WHOLE, decisions=12)
        answer = await served.client.get(path(WHOLE))
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert found["customer_id"] == WHOLE
        assert found["features"]["age=25-34"] == 1
        assert found["features"]["buy.pantry"] > 0
        assert found["consent"]["email"] is True
        assert set(found["consent"]) == set(served.retailer.channels)
        assert found["stated"] == {"timezone": "Europe/Berlin", "home_store": f"store-of-{WHOLE}"}
        assert [d["decision_id"] for d in found["decisions"]] == made[:1:-1]
        read = (await served.client.get(f"/v1/decisions/{made[-1]}")).json()
        assert found["decisions"][0]["action"] == read["action"]["id"]
        # As of now: what is read changes nothing.
        assert read_rows(served.retailer.serving.database, "SELECT 1 FROM audit_log") == []

    ask(test)


def test_an_export_holds_every_row_by_the_names_of_its_columns(ask):
    async def test(served):
        await fill(served.client, "someone else")
        made = await fill(served.client, WHOLE)
        answer = await served.client.get(path(WHOLE, "/export"))
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        rows = lines(answer)
        counts = Counter(row["table"] for row in rows)
        expected = {"customers": 1, "events": 11, "stated": 2, "decisions": 2, "outcomes": 4, "contacts": 2}
        assert counts == {**expected, "idempotency": 2, "identities": 3, "raw_events": 2, "end": 1}
        assert rows[-1] == {"table": "end", "rows": len(rows) - 1}
        of = {table: [row for row in rows if row["table"] == table] for table in counts}
        assert {row["event_id"] for row in of["events"]} >= {f"{WHOLE}-e{i}" for i in (1, 2, 3)}
        assert {row["alias_id"] for row in of["identities"]} == set(ids_besides(WHOLE))
        assert {row["customer_id"] for table in ("events", "raw_events") for row in of[table]} == {WHOLE}
        assert FORMER not in answer.text
        assert [row["decision_id"] for row in of["decisions"]] == sorted(made)
        record = (await served.client.get(f"/v1/decisions/{of['decisions'][0]['decision_id']}")).json()
        decision = of["decisions"][0]
        assert decision["action"] == record["action"]["id"]
        explained = {"price", "contributions"}  # which are not held, but worked out
        said = [{name: a[name] for name in a.keys() - explained} for a in record["actions"]]
        assert decision["actions"] == said
        assert decision["features"] == record["features"]
        assert decision["request"] == record["request"]
        assert datetime.fromisoformat(decision["decided_at"]) == datetime.fromisoformat(record["decided_at"])
        assert of["customers"][0]["state"]["attribute_values"]
        assert "someone else" not in answer.text

    ask(test)


def test_an_erased_customer_is_gone_and_only_counts_are_left(ask, retailer):
    async def test(served):
        others = await fill(served.client, "someone else")
        before = everything(retailer.serving.database)
        mine = await fill(served.client, WHOLE)
        day = datetime.now(UTC).date().isoformat()
        chosen = Counter(row["action"] for row in served.rows("contacts") if row["customer_id"] == WHOLE)
        answer = await served.client.delete(path(WHOLE))
        assert answer.status_code == 200, answer.text
        assert answer.json()["wiped"] is True
        assert answer.json()["erased"] == {
            **{"customers": 1, "events": 11, "stated": 2, "decisions": 2, "outcomes": 4, "contacts": 2},
            # Also what says that the device was another one's, and what that one sent by it.
            **{"idempotency": 2, "identities": 3 + 1, "raw_events": 2 + 1, "rebuilt_customers": 0},
        }
        left = everything(retailer.serving.database)
        for trace in (WHOLE, json.dumps(WHOLE)[1:-1], *mine, *ids_besides(WHOLE)):
            assert trace not in left
        assert FORMER in left
        assert all(made in left for made in others)
        assert before.count("someone else") == left.count("someone else")
        kept = served.rows("decision_statistics")
        assert {row["action"]: row["decisions"] for row in kept} == chosen
        assert {(row["day"] <= day, row["policy_version"], row["experiment_group"]) for row in kept} == {
            (True, "1", "policy")
        }
        for method, about in (
            ("GET", path(WHOLE)),
            ("GET", path(WHOLE, "/export")),
            ("GET", f"/v1/decisions/{mine[0]}"),
        ):
            assert (await served.client.request(method, about)).status_code == 404
        assert (await served.client.post("/v1/decisions", json={"customer_id": WHOLE})).status_code == 404
        late = {"outcome_id": "late", "decision_id": mine[0], "type": "click"}
        assert (await served.client.post("/v1/outcomes", json=late)).status_code == 404
        # Erasing again finds nothing; coming back is like coming for the first time.
        assert set((await served.client.delete(path(WHOLE))).json()["erased"].values()) == {0}
        await fill(served.client, WHOLE)
        await served.client.delete(path(WHOLE))
        assert sum(row["decisions"] for row in served.rows("decision_statistics")) == 4
        await served.decide("someone else")

    ask(test)
    checked(retailer)


def test_who_exported_and_erased_is_kept_but_not_whom(serving, database_url):
    key = {"X-API-Key": make_key(database_url, "customers,events,decide,outcomes")}

    async def test():
        async with serving(dev=False) as served:
            served.client.headers.update(key)
            await fill(served.client, "c-1")
            await fill(served.client, "c-2")
            for customer in ("c-1", "c-2", "c-1"):
                lines(await served.client.get(path(customer, "/export")))
            assert (await served.client.get(path("c-3", "/export"))).status_code == 404
            await served.client.delete(path("c-1"))

    asyncio.run(test())
    rows = read_rows(database_url, "SELECT at, who, what, target FROM audit_log ORDER BY sequence")[1:]
    acts = {}
    for row in rows:
        acts.setdefault((row["at"], row["what"]), set()).add(row["target"])
    exported = "customer exported"
    assert [what for _, what in acts] == [exported, exported, exported, "customer erased"]
    assert {row["who"] for row in rows} == {key["X-API-Key"].split("_")[1]}
    one, two, again, erased = acts.values()
    assert one == again == erased
    assert one.isdisjoint(two)
    assert "c-1" not in "".join(row["target"] for row in rows)


def test_acts_are_found_under_every_id_the_customer_had_then(serving, database_url):
    async def test():
        async with serving() as served:
            await fill(served.client, "c-1")
            await fill(served.client, "c-2")
            device, second, number = ids_besides("c-1")
            lines(await served.client.get(path(device, "/export")))
            assert found(device, "c-1", second, number) == {("customer exported",)}
            # Before it is erased, also what was done under another id before that was the customer's.
            visit = {"event_id": "e", "customer_id": "an-1", "type": "visit"}
            assert (await served.client.post("/v1/events", json=visit)).status_code == 200
            lines(await served.client.get(path("an-1", "/export")))
            both = {"type": "identify", "userId": "c-1", "anonymousId": "an-1"}
            assert (await served.client.post("/v1/batch", json={"batch": [both]})).status_code == 200
            assert found("c-1", "an-1", device) == {("customer exported", "customer exported")}
            await served.client.delete(path("an-1"))
            assert found("c-1", device) == found("an-1") == {("customer exported", "customer erased")}
            assert found("c-2", FORMER) == {()}

    def found(*ids):
        engine = open_database(database_url)
        with engine.connect() as connection:
            acts = {tuple(act.what for act in acts_on_customer(connection, i, last=100)) for i in ids}
        engine.dispose()
        return acts

    asyncio.run(test())


def test_other_keys_may_not(serving, database_url):
    key = {"X-API-Key": make_key(database_url, "events,decide,outcomes,explain,policy,metrics")}

    async def test():
        async with serving(dev=False) as served:
            for method, about in (("GET", path("c-1")), ("GET", path("c-1", "/export")), ("DELETE", path("c-1"))):
                answer = await served.client.request(method, about, headers=key)
                assert answer.status_code == 403
                assert "'customers'" in answer.json()["fix"]

    asyncio.run(test())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("customer", ["", "a" * 201, "a\x01b"])
def test_an_impossible_id_is_refused(ask, customer):
    async def test(served):
        for method in ("GET", "DELETE"):
            answer = await served.client.request(method, path(customer))
            assert answer.status_code == 422, answer.text
            assert answer.json()["errors"][0]["field"] == "path customer_id"

    ask(test)


def test_erasing_while_others_write_about_the_customer_leaves_a_sound_log(serving, retailer):
    """Two servers; facts about the customer go on coming while it is erased again and again."""

    async def test():
        async with serving() as one, serving() as two:
            refused = []

            async def keep_writing(served, name):
                for i in range(25):
                    event = {"event_id": f"{name}-{i}", "customer_id": "c-1", "type": "visit"}
                    answers = [await served.client.post("/v1/events", json=event)]
                    answers.append(await served.client.post("/v1/decisions", json={"customer_id": "c-1"}))
                    if answers[-1].status_code == 200:
                        fact = {"outcome_id": f"o-{name}-{i}", "decision_id": answers[-1].json()["decision_id"]}
                        answers.append(await served.client.post("/v1/outcomes", json={**fact, "type": "click"}))
                    refused.extend(answer.text for answer in answers if answer.status_code not in (200, 404))

            async def keep_erasing(served):
                for _ in range(10):
                    answer = await served.client.delete(path("c-1"))
                    refused.extend([answer.text] if answer.status_code != 200 else [])
                    await asyncio.sleep(0.01)

            await asyncio.gather(
                *(keep_writing(served, f"{i}-{n}") for i, served in enumerate((one, two)) for n in range(3)),
                keep_erasing(one),
                keep_erasing(two),
            )
            assert refused == []
            await one.client.delete(path("c-1"))
            assert "c-1" not in everything(retailer.serving.database).split("\n")

    asyncio.run(test())
    checked(retailer)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_byte_of_the_erased_is_left_in_the_files(ask, retailer, tmp_path: Path):
    """Many customers whose rows share pages, which are split and joined as they come and go."""

    async def test(served):
        names = [f"customer-{i * 7919 % 1000:03d}-{i:x}" for i in range(60)]
        for turn, name in enumerate(names):
            await fill(served.client, name, decisions=1, texts={"home_store": f"store of {name}" * (1 + turn % 4)})
            if turn % 3 == 2:
                gone = names[turn - turn % 7 - 2]
                assert (await served.client.delete(path(gone))).json()["wiped"] is True
                for file in tmp_path.iterdir():
                    assert f"{gone}-e1".encode() not in file.read_bytes()
                    for text in (f"store of {gone}", *ids_besides(gone)):
                        assert text.encode() not in file.read_bytes()

    ask(test)
    checked(retailer)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_an_outcome_that_waits_for_an_erasure_is_of_no_decision_then(ask, retailer):
    url = retailer.serving.database

    async def test(served):
        (made, _) = await fill(served.client, "c-1")
        engine = open_database(url)
        with engine.begin() as connection:
            serialise(connection, customer_ids=["c-1"], keys=(), fact_ids=())
            fact = {"outcome_id": "late", "decision_id": made, "type": "dismiss"}
            answer = asyncio.create_task(served.client.post("/v1/outcomes", json=fact))
            while not read_rows(url, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
                assert not answer.done()
                await asyncio.sleep(0.01)
            erase_customer(connection, "c-1", who="test", now=0.0)
        engine.dispose()
        assert (await answer).status_code == 404, (await answer).text
        assert "c-1" not in everything(url).split("\n")

    ask(test)
    checked(retailer)


def test_an_export_that_nobody_reads_keeps_nothing_from_being_erased(serving):
    async def test():
        async with serving() as served:
            await served.know("c-1")
            left = []

            async def unread(message):
                if message["type"] == "http.response.body":
                    left.append(message)
                    await asyncio.Event().wait()

            async def nothing_more():
                await asyncio.Event().wait()

            scope = {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.4"},
                "http_version": "1.1",
                "method": "GET",
                "path": "/v1/customers/c-1/export",
                "raw_path": b"/v1/customers/c-1/export",
                "query_string": b"",
                "headers": [(b"host", b"localhost")],
                "state": {},
            }
            exports = [asyncio.create_task(served.app({**scope}, nothing_more, unread)) for _ in range(30)]
            async with asyncio.timeout(20):
                while len(left) < len(exports):  # more than there are connections to the database
                    await asyncio.sleep(0.01)
                answer = await served.client.delete("/v1/customers/c-1")
            assert answer.json()["wiped"] is True
            for export in exports:
                export.cancel()
            await asyncio.gather(*exports, return_exceptions=True)

    asyncio.run(test())

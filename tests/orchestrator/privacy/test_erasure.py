"""A customer, from the first event to the erasure: no log line ever says who, and no file does afterwards."""

from __future__ import annotations

import asyncio
import json
import signal

import httpx2

from orchestrator.audit.integrity import check_database
from orchestrator.profiles import ProfileSchema
from orchestrator.storage.database import open_database
from tests.held_customers import everything, fill, number_of

WHO = "zoe.zebra-4711"
NUMBER = str(number_of(WHO))
JSON = {"content-type": "application/json"}


async def misuse(client, decision):
    """Everything there is to ask, wrongly; each time with the customer's id in it."""
    sent = [
        ("GET", f"/v1/{WHO}", None),
        ("GET", f"/v1/policy?customer={WHO}", None),
        ("PUT", f"/v1/customers/{WHO}", None),
        ("GET", f"/v1/decisions/{WHO}", None),
        ("POST", f"/v1/decisions/{decision}", {"customer_id": WHO}),
        ("POST", "/v1/decisions", {"customer_id": f"{WHO}-unknown"}),
        ("POST", "/v1/decisions", {"customer_id": WHO, "channels": [WHO]}),
        ("POST", "/v1/decisions", {"customer_id": WHO, "context": {"device": WHO}}),
        ("POST", "/v1/decisions", {"customer_id": WHO, WHO: 1}),
        ("POST", "/v1/events", {"customer_id": WHO, "event_id": WHO, "type": WHO}),
        ("POST", "/v1/events", {"customer_id": WHO, "event_id": 1, "type": "visit"}),
        ("POST", "/v1/events", [{"customer_id": WHO, "event_id": WHO, "type": "visit"}] * 2),
        ("POST", "/v1/events", {"customer_id": WHO, "event_id": WHO, "type": "profile", "attributes": {"age": WHO}}),
        ("POST", "/v1/outcomes", {"outcome_id": WHO, "decision_id": WHO, "type": "click"}),
        ("POST", "/v1/outcomes", {"outcome_id": WHO, "decision_id": decision, "type": WHO}),
        ("GET", f"/v1/customers/{WHO}-unknown", None),
        ("GET", f"/v1/customers/{WHO}-unknown/export", None),
    ]
    for method, path, body in sent:
        answer = await client.request(method, path, json=body, headers={"X-API-Key": WHO, "Cookie": WHO})
        assert answer.status_code < 500, answer.text
    for content, headers in ((f'{{"customer_id": "{WHO}"', JSON), (WHO, {"content-type": WHO})):
        assert (await client.post("/v1/events", content=content, headers=headers)).status_code in (400, 415)


def test_nothing_the_system_wrote_names_an_erased_customer(server, retailer, tmp_path):
    url = retailer.serving.database

    async def test(base):
        async with httpx2.AsyncClient(base_url=base, timeout=20) as client:
            await fill(client, "somebody-else")
            (decision, _) = await fill(client, WHO)
            await misuse(client, decision)
            assert (await client.get(f"/v1/customers/{NUMBER}")).json()["features"]["view.home"] > 0
            assert (await client.get(f"/v1/customers/{WHO}")).status_code == 200
            exported = await client.get(f"/v1/customers/{WHO}/export")
            assert json.loads(exported.text.splitlines()[-1])["table"] == "end"
            assert WHO in everything(url)
            answer = (await client.delete(f"/v1/customers/{WHO}")).json()
            assert answer["wiped"] is True

    with server() as running:
        asyncio.run(test(running.url))
        # While the server runs, with its write-ahead log: not only after everything was tidied up.
        left = everything(url)
        assert (WHO in left, NUMBER in left) == (False, False)
        files = [file for file in tmp_path.rglob("*") if file.is_file()]
        if url.startswith("sqlite"):
            assert {file.name for file in files} >= {"journey.db", "journey.db-wal"}
        for file in files:
            for text in (WHO, NUMBER):
                assert text.encode() not in file.read_bytes(), file
        running.process.send_signal(signal.SIGTERM)
        log = "".join(running.whole_log())
    assert "request refused" in log
    assert WHO not in log
    assert NUMBER not in log
    engine = open_database(url)
    assert check_database(engine, ProfileSchema.from_retailer(retailer), sample=10).faults == ()
    engine.dispose()

"""Erasing somebody whose device was another customer's before."""

from __future__ import annotations

from tests.held_customers import everything

DEVICE = "device-55"


def message(identity, minute, **more):
    return {"messageId": identity, "timestamp": f"2026-01-20T10:{minute:02}:00Z", **more}


def identify(user, minute, **traits):
    return message(f"i-{user}", minute, type="identify", userId=user, anonymousId=DEVICE, traits=traits)


def view(minute, **ids):
    about = {"event": "Product Viewed", "properties": {"category": "home"}}
    return message(f"v-{minute}", minute, type="track", **about, **ids)


def test_nothing_of_the_former_customer_says_the_id_of_the_erased_any_more(ask, tmp_path):
    async def test(served):
        batch = [view(0, anonymousId=DEVICE), identify("alice", 1), view(2, userId="alice", anonymousId=DEVICE)]
        batch += [identify("bob", 3, age="25-34"), view(4, anonymousId=DEVICE)]
        assert (await served.client.post("/v1/batch", json={"batch": batch})).status_code == 200
        own = {"event_id": "own", "customer_id": DEVICE, "type": "visit"}
        assert (await served.client.post("/v1/events", json=own)).status_code == 200
        cloud = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "visit", "subject": DEVICE}
        answer = await served.client.post(
            "/v1/events", json=cloud, headers={"content-type": "application/cloudevents+json"}
        )
        assert answer.status_code == 200
        answer = await served.client.delete(f"/v1/customers/{DEVICE}")
        assert answer.json()["wiped"] is True
        left = everything(served.retailer.serving.database)
        assert (DEVICE in left, "bob" in left) == (False, False)
        assert {row["customer_id"] for row in served.rows("events")} == {"alice"}
        assert len(served.rows("events")) == 3
        for file in tmp_path.iterdir():
            assert DEVICE.encode() not in file.read_bytes()

    ask(test)

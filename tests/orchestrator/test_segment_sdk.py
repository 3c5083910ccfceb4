"""Segment's own Python SDK against a running server of ours: only its host is told."""

from __future__ import annotations

import httpx2
import pytest
from segment.analytics import Client

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.mark.parametrize("packed", [False, True])
def test_what_the_sdk_sends_is_in_the_next_decision(server, packed):
    failures = []
    with server() as running:
        sdk = Client("a-write-key", host=running.url, gzip=packed, on_error=lambda error, _: failures.append(error))
        sdk.track(anonymous_id="an-1", event="Product Viewed", properties={"category": "drinks"})
        sdk.identify("c-1042", {"age": "25-34", "email_subscribed": True}, anonymous_id="an-1")
        sdk.track("c-1042", "Order Completed", {"revenue": 59.9, "products": [{"category": "home", "price": 59.9}]})
        sdk.page("c-1042", "Home")
        sdk.flush()
        sdk.join()
        assert failures == []
        made = httpx2.post(f"{running.url}/v1/decisions", json={"customer_id": "an-1"}).json()
        record = httpx2.get(f"{running.url}/v1/decisions/{made['decision_id']}").json()
    known = record["features"]
    assert record["customer_id"] == "c-1042"
    assert known["view.drinks"] > 0
    assert (known["age=25-34"], known["email.consent"], known["known.visit"]) == (1, 1, 1)
    assert known["buy.home"] > 0
    assert known["spend"] > 0

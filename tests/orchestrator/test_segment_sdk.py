"""Segment's own Python SDK against a running server of ours: only its host and write key are told."""

from __future__ import annotations

import httpx2
import pytest
from segment.analytics import Client

from tests.api_keys import make_key
from tests.database_rows import read_rows

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def tell(url, key, *, packed=False):
    """What the SDK reports as failed when it sends what a customer did."""
    failures = []
    sdk = Client(key, host=url, gzip=packed, on_error=lambda error, _: failures.append(error))
    sdk.track(anonymous_id="an-1", event="Product Viewed", properties={"category": "drinks"})
    sdk.identify("c-1042", {"age": "25-34", "email_subscribed": True}, anonymous_id="an-1")
    sdk.track("c-1042", "Order Completed", {"revenue": 59.9, "products": [{"category": "home", "price": 59.9}]})
    sdk.page("c-1042", "Home")
    sdk.flush()
    sdk.join()
    return failures


def check_decision(url, key=None):
    """A decision knows what was told."""
    headers = {"X-API-Key": key} if key else {}
    made = httpx2.post(f"{url}/v1/decisions", json={"customer_id": "an-1"}, headers=headers).json()
    record = httpx2.get(f"{url}/v1/decisions/{made['decision_id']}", headers=headers).json()
    known = record["features"]
    assert record["customer_id"] == "c-1042"
    assert known["view.drinks"] > 0
    assert (known["age=25-34"], known["email.consent"], known["known.visit"]) == (1, 1, 1)
    assert known["buy.home"] > 0
    assert known["spend"] > 0


@pytest.mark.parametrize("packed", [False, True])
def test_what_the_sdk_sends_is_in_the_next_decision(server, packed):
    with server() as running:
        assert tell(running.url, "any-write-key", packed=packed) == []
        check_decision(running.url)


def test_the_write_key_of_the_sdk_is_a_key_of_ours(server, database_url):
    of_sdk, of_shop = (make_key(database_url, scopes) for scopes in ("events", "decide,explain"))
    with server(dev=False) as running:
        # Neither a key nobody made nor one of another scope gets anything in, and the SDK is told.
        for wrong, status in (("a-write-key", 401), (of_sdk[:-1], 401), (of_shop, 403)):
            failures = tell(running.url, wrong)
            assert failures, wrong
            assert all(str(status) in str(failure) for failure in failures)
        assert read_rows(database_url, "SELECT 1 FROM events UNION ALL SELECT 1 FROM raw_events") == []
        assert tell(running.url, of_sdk) == []
        check_decision(running.url, of_shop)

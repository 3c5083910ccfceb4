"""What is said of a customer is not repeated in errors, which gateways and clients log."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SAID = "oracular-spectacular"


@pytest.mark.parametrize(
    "more",
    [
        {"attributes": {"age": SAID}},
        {"attributes": {"age": f"x': not known; {SAID}"}},
        {"attributes": {"timezone": SAID}},
        {"attributes": {"store_distance": SAID}},
        {"attributes": {"age": SAID + "\n"}},
        {"attributes": {"age": [SAID]}},
        {"attributes": {"unheard_of": SAID}},
        {"attributes": SAID},
        {"timestamp": SAID},
        {"type": "purchase", "value": SAID},
        {"customer_id": SAID + "\x07"},
        {"customer_id": SAID * 20},
    ],
)
@pytest.mark.parametrize("many", [False, True])
def test_a_refused_event_is_not_quoted(ask, more, many):
    async def test(served):
        event = {"event_id": "e-1", "customer_id": "c-1", "type": "profile", **more}
        answer = await served.client.post("/v1/events", json=[event] if many else event)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["field"].startswith("[0]." if many else tuple(more))
        assert SAID not in answer.text

    ask(test)


def test_amounts_are_not_quoted_either(ask):
    async def test(served):
        event = {"event_id": "e-1", "customer_id": "c-1", "type": "profile", "attributes": {"store_distance": -4711.5}}
        answer = await served.client.post("/v1/events", json=event)
        assert answer.status_code == 422
        assert "4711" not in answer.text
        assert "store_distance" in answer.text

    ask(test)


def test_a_path_with_an_id_in_it_is_not_quoted(ask):
    async def test(served):
        for method, path in (("GET", f"/v1/{SAID}"), ("PUT", f"/v1/decisions/{SAID}"), ("GET", f"/{SAID}/x")):
            answer = await served.client.request(method, path)
            assert answer.status_code in (404, 405)
            assert SAID not in answer.text
        assert SAID not in (await served.client.get(f"/v1/decisions/{SAID}")).text

    ask(test)

"""Whose a message is that was not understood: it goes along when ids are linked, and goes when its customer does."""

from __future__ import annotations

import json

from tests.held_customers import everything


def odd(identity, **ids):
    """A message of a name nobody knows."""
    said = {"email": f"{identity}@mail.invalid"}
    return {"type": "track", "event": "Support Ticket", "messageId": identity, "properties": said, **ids}


def identify(user, anonymous, at="2026-01-20T10:00:00Z"):
    return {"type": "identify", "messageId": f"{user} {anonymous}", "userId": user, "anonymousId": anonymous} | {
        "timestamp": at
    }


async def send(served, *messages):
    answer = await served.client.post("/v1/batch", json={"batch": list(messages)})
    assert (answer.status_code, answer.json()) == (200, {"success": True}), answer.text


async def erase(served, customer):
    answer = await served.client.delete(f"/v1/customers/{customer}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def export(served, customer):
    answer = await served.client.get(f"/v1/customers/{customer}/export")
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def owners(served):
    return {row["message_id"]: row["customer_id"] for row in served.rows("raw_events")}


def test_one_of_a_customer_whose_id_is_a_number_goes_with_the_customer(ask):
    async def test(served):
        await send(served, odd("zoe", userId=104299), odd("yan", userId=104300))
        assert (await erase(served, "104299"))["erased"]["raw_events"] == 1
        left = everything(served.retailer.serving.database)
        assert ("zoe@mail" in left, "104299" in left, "yan@mail" in left) == (False, False, True)

    ask(test)


def test_one_that_names_only_a_previous_id_is_of_that_one(ask):
    async def test(served):
        await send(served, {"type": "alias", "messageId": "m", "previousId": "prev-7"})
        assert owners(served) == {"m": "prev-7"}
        assert (await erase(served, "prev-7"))["erased"]["raw_events"] == 1
        assert "prev-7" not in everything(served.retailer.serving.database)

    ask(test)


def test_one_goes_under_any_id_it_names(ask):
    both = {"userId": "u-1", "anonymousId": "an-1"}

    async def test(served):
        for erased in ("u-1", "an-1", "u-0"):
            # Of a kind nobody knows, so the ids are not linked.
            await send(served, {"type": "screem", "messageId": erased, "previousId": "u-0", **both})
            assert owners(served) == {erased: "u-1"}
            await erase(served, erased)
            assert served.rows("raw_events") == []

    ask(test)


def test_one_of_a_device_stays_with_whom_it_was_of_when_the_device_changes_hands(ask):
    async def test(served):
        await send(served, odd("first", anonymousId="an-1"))
        assert owners(served) == {"first": "an-1"}
        # Only odd messages are known of it, so there is no profile to merge.
        await send(served, identify("alice", "an-1"))
        await send(served, odd("second", anonymousId="an-1"))
        assert owners(served) == {"first": "alice", "second": "alice"}
        await send(served, identify("bob", "an-1", "2026-01-20T11:00:00Z"), odd("third", anonymousId="an-1"))
        assert owners(served) == {"first": "alice", "second": "alice", "third": "bob"}
        for customer, theirs in (("alice", {"first", "second"}), ("bob", {"third"})):
            rows = await export(served, customer)
            assert {row["message_id"] for row in rows if row["table"] == "raw_events"} == theirs
        assert "alice" not in json.dumps(await export(served, "bob"))
        assert (await erase(served, "alice"))["erased"]["raw_events"] == 2
        assert owners(served) == {"third": "bob"}

    ask(test)


def test_one_is_whose_the_id_was_where_it_stands_in_its_batch(ask):
    async def test(served):
        messages = [
            odd("before", anonymousId="an-1"),
            identify("alice", "an-1"),
            odd("between", anonymousId="an-1"),
            # A link without an event, and odd itself.
            {**odd("link", userId="bob", anonymousId="an-1"), "timestamp": "2026-01-20T11:00:00Z"},
            odd("after", anonymousId="an-1"),
        ]
        await send(served, *messages)
        assert owners(served) == {"before": "alice", "between": "alice", "link": "bob", "after": "bob"}
        # One that says late whose the device had been is about its own customer all the same.
        await send(served, {**odd("late", userId="carl", anonymousId="an-1"), "timestamp": "2026-01-20T10:30:00Z"})
        assert owners(served)["late"] == "carl"
        assert "late@mail" not in json.dumps(await export(served, "bob"))

    ask(test)


def test_one_is_renamed_with_its_customer(ask):
    async def test(served):
        await send(served, odd("m", userId="u-1"))
        await send(served, {"type": "alias", "messageId": "a", "userId": "u-9", "previousId": "u-1"})
        await send(served, {"type": "alias", "messageId": "b", "userId": "u-10", "previousId": "u-9"})
        assert owners(served) == {"m": "u-10"}

    ask(test)

"""The contact policy through the API: it holds, whoever asks, whenever, and however often."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from orchestrator.audit.integrity import check_database
from orchestrator.config import ContactPolicy
from orchestrator.decision.core import DecisionCore
from orchestrator.profiles import ProfileSchema
from orchestrator.storage.database import open_database
from tests.database_rows import change, read_rows
from tests.orchestrator.talkative import Talkative

HOUR, DAY = 3600.0, 86400.0
NOON = datetime(2026, 6, 15, 12, tzinfo=UTC).timestamp()
DAILY = {"caps": [{"name": "daily", "limit": 1, "window": "1 d"}]}
ONE_SENT = {
    "reserved_for": "6 h",
    "caps": [{"name": "one_sent", "limit": 1, "window": "7 d", "counts": "sent"}],
}


class Clock:
    """Stands still until it is turned."""

    def __init__(self, now=NOON):
        self.now = now

    def __call__(self):
        return self.now


class Ticking(Clock):
    """Every reading is a little later, so that equal times are of one batch."""

    def __call__(self):
        self.now += 0.002
        return self.now


def iso(seconds):
    return datetime.fromtimestamp(seconds, UTC).isoformat()


@pytest.fixture
def under(serving, retailer, champion):
    """`under(policy, test)` runs `test(served, clock)` against a service that says whatever it may."""

    def run(policy, test, *, clock=None, of=retailer):
        clock = clock or Clock()
        of = replace(of, contacts=ContactPolicy.model_validate(policy))
        core = DecisionCore(of, ProfileSchema.from_retailer(of))
        champion.load = lambda _: Talkative(core.actions, core.columns)

        async def inside():
            async with serving(of, clock=clock) as served:
                return await test(served, clock)

        result = asyncio.run(inside())
        assert checked(of) == ()
        return result

    return run


def checked(retailer):
    """What `journey db check` finds wrong."""
    engine = open_database(retailer.serving.database)
    try:
        return check_database(engine, ProfileSchema.from_retailer(retailer), sample=1000).faults
    finally:
        engine.dispose()


async def tell(served, customer, kind, at, *, name=None, **more):
    event = {"event_id": name or f"{kind}-{customer}-{at}", "customer_id": customer, "type": kind, "timestamp": iso(at)}
    answer = await served.client.post("/v1/events", json={**event, **more})
    assert answer.status_code == 200, answer.text


async def subscribe(served, *customers):
    for customer in customers:
        await tell(served, customer, "subscribe", NOON - 40 * DAY, channel="email")


async def report(served, made, kind, at, name=None):
    body = {"outcome_id": name or f"{kind}-{made['decision_id']}-{at}", "decision_id": made["decision_id"]}
    answer = await served.client.post("/v1/outcomes", json={**body, "type": kind, "timestamp": iso(at)})
    assert answer.status_code == 200, answer.text


async def reasons(served, made):
    """Reason by action id, as `GET /v1/decisions/{id}` says it."""
    record = (await served.client.get(f"/v1/decisions/{made['decision_id']}")).json()
    return {action["id"]: action["reason"] for action in record["actions"]}


def channel(made):
    return made["action"]["channel"]


def test_three_channels_that_ask_at_once_share_one_cap(under):
    customers = [f"c-{i}" for i in range(15)]
    channels = ("email", "site", "store")
    everything = {"caps": [{"name": "daily", "channels": channels, "limit": 1, "window": "1 d"}]}

    async def test(served, clock):
        await subscribe(served, *customers)
        asked = [served.decide(c, channels=[ch]) for c in customers for ch in channels]
        made = await asyncio.gather(*asked)
        said = Counter(row["customer_id"] for row in served.rows("contacts"))
        assert said == dict.fromkeys(customers, 1)
        # The first asked gets it, and the test tests something: many were decided in one batch.
        assert [channel(m) for m in made[::3]] == ["email"] * len(customers)
        assert {channel(m) for m in made[1::3] + made[2::3]} == {None}
        assert Counter(row["decided_at"] for row in served.rows("decisions")).most_common(1)[0][1] > 3
        told = await reasons(served, made[1])
        assert (told["site.inspire.home"], told["email.inspire.home"]) == ("cap_reached", "channel_not_asked")
        assert told["hold"] is None

    under(everything, test, clock=Ticking())


def test_a_cap_ends_exactly_when_its_window_does(under):
    async def test(served, clock):
        await subscribe(served, "c-1")
        assert channel(await served.decide("c-1", channels=["email"])) == "email"
        clock.now += DAY - 1
        assert channel(await served.decide("c-1", channels=["email", "store"])) is None
        # A banner on a page the customer opened is no contact.
        assert channel(await served.decide("c-1", channels=["site"])) == "site"
        clock.now += 1
        assert channel(await served.decide("c-1", channels=["email"])) == "email"
        assert [row["channel"] for row in served.rows("contacts")] == ["email", "email"]

    under(DAILY, test)


def test_a_repeated_key_takes_no_second_place_under_a_cap(under):
    async def test(served, clock):
        await subscribe(served, "c-1")

        def ask(key):
            body = {"customer_id": "c-1", "channels": ["email"]}
            return served.client.post("/v1/decisions", json=body, headers={"Idempotency-Key": key})

        answers = await asyncio.gather(*(ask("k-1") for _ in range(4)))
        answers.append(await ask("k-1"))
        assert {a.json()["decision_id"] for a in answers} == {answers[0].json()["decision_id"]}
        assert channel((await ask("k-2")).json()) == "email"
        assert channel((await ask("k-3")).json()) is None
        assert channel((await ask("k-1")).json()) == "email"
        assert len(served.rows("contacts")) == 2

    under({"caps": [{"name": "two", "limit": 2, "window": "1 d"}]}, test)


def test_a_contact_holds_its_place_until_it_is_reported_or_late(under):
    async def test(served, clock):
        await subscribe(served, "c-1", "c-2", "c-3")
        first = {c: await served.decide(c, channels=["email"]) for c in ("c-1", "c-2", "c-3")}
        clock.now += HOUR
        for customer in first:
            assert channel(await served.decide(customer, channels=["email"])) is None
        # It failed, so the place is free; it was sent, so it is taken for the window; nothing is said, so it waits.
        await report(served, first["c-1"], "failed", clock.now)
        await report(served, first["c-2"], "sent", clock.now)
        said = {c: channel(await served.decide(c, channels=["email"])) for c in first}
        assert said == {"c-1": "email", "c-2": None, "c-3": None}
        clock.now = NOON + 6 * HOUR
        assert channel(await served.decide("c-3", channels=["email"])) == "email"
        # The first was sent after all, too late for its reservation: a fact, and it counts.
        await report(served, first["c-3"], "sent", clock.now)
        clock.now += 6 * DAY
        said = {c: channel(await served.decide(c, channels=["email"])) for c in first}
        assert said == {"c-1": "email", "c-2": None, "c-3": None}
        clock.now = NOON + HOUR + 7 * DAY
        # Decided before the window began, but sent within it.
        said = {c: channel(await served.decide(c, channels=["email"])) for c in ("c-2", "c-3")}
        assert said == {"c-2": "email", "c-3": None}

    under(ONE_SENT, test)


def test_reports_are_kept_as_they_come_and_the_earliest_counts(under):
    async def test(served, clock):
        await subscribe(served, "c-1")
        made = await served.decide("c-1", channels=["email"])
        for kind, after in (("sent", 60), ("seen", 300), ("sent", 30), ("sent", 90), ("seen", 400), ("failed", 20)):
            await report(served, made, kind, NOON + after)
        (row,) = served.rows("contacts")
        assert (row["sent_at"], row["seen_at"], row["cancelled_at"]) == (NOON + 30, NOON + 300, NOON + 20)
        assert row["last_at"] >= NOON + 300
        change(served.retailer.serving.database, "UPDATE contacts SET sent_at = sent_at - 1")
        (fault,) = checked(served.retailer)
        assert fault == "contacts: 1 rows have a sent_at that no 'sent' outcome says, or lack it"
        change(served.retailer.serving.database, "UPDATE contacts SET sent_at = sent_at + 1")
        # A decision that is no contact has nothing to report.
        banner = await served.decide("c-1", channels=["site"])
        await report(served, banner, "seen", NOON)
        assert len(served.rows("contacts")) == 1
        # What was sent tires, like any event.
        clock.now += 1
        record = await served.client.get(f"/v1/decisions/{(await served.decide('c-1'))['decision_id']}")
        assert record.json()["features"]["email.fatigue"] > 0

    under(ONE_SENT, test)


def test_it_is_night_by_the_clock_the_customer_stated(under):
    policy = {
        "time_zone": "America/New_York",
        "quiet_hours": [{"name": "night", "channels": ["email"], "from": "21:00", "to": "08:00"}],
    }

    async def test(served, clock):
        zones = {"c-1": None, "c-2": "Asia/Tokyo", "c-3": "Europe/Berlin"}
        await subscribe(served, *zones)
        for customer, zone in zones.items():
            if zone:
                await tell(served, customer, "profile", NOON - DAY, attributes={"timezone": zone, "age": "25-34"})
        # Noon in UTC is 8:00 in New York, 21:00 in Tokyo, 14:00 in Berlin.
        said = {c: channel(await served.decide(c, channels=["email"])) for c in zones}
        assert said == {"c-1": "email", "c-2": None, "c-3": "email"}
        assert (await reasons(served, await served.decide("c-2")))["email.thank"] == "quiet_hours"
        # Moving: the latest statement holds, and a late message about earlier changes nothing.
        await tell(served, "c-3", "profile", NOON - HOUR, attributes={"timezone": "Asia/Tokyo"})
        await tell(served, "c-3", "profile", NOON - 2 * HOUR, attributes={"timezone": "Europe/Berlin"})
        assert channel(await served.decide("c-3", channels=["email"])) is None

    under(policy, test)


def test_a_store_is_open_by_its_own_hours(under):
    hours = {
        "channels": ["store"],
        "hours": {"every_day": "08:00-20:00"},
        "stores": {"tiny": {"hours": {"every_day": "10:00-12:00"}}},
    }

    async def test(served, clock):
        await served.know("c-1", "c-2", "c-3")
        await tell(served, "c-2", "profile", NOON, attributes={"home_store": "tiny"})
        await tell(served, "c-3", "profile", NOON, attributes={"home_store": "another"})
        said = {c: channel(await served.decide(c, channels=["store"])) for c in ("c-1", "c-2", "c-3")}
        assert said == {"c-1": "store", "c-2": None, "c-3": "store"}

    under({"store_hours": hours}, test)


def test_an_outcome_is_followed_by_silence(under):
    policy = {
        "suppressions": [
            {"name": "returned", "after": ["return"], "for": "3 d", "intents": ["offer"]},
            {"name": "dismissed", "after": ["dismiss"], "for": "1 d", "channels": ["store"]},
            {"name": "failing", "after": ["failed"], "for": "1 d", "channels": ["email"]},
        ]
    }

    async def test(served, clock):
        await subscribe(served, "c-1", "c-2")
        made = await served.decide("c-1", channels=["store"])
        await report(served, made, "dismiss", NOON)
        mail = await served.decide("c-1", channels=["email"])
        await report(served, mail, "failed", NOON)
        # Told as an event, without any decision, and as an outcome.
        await tell(served, "c-2", "return", NOON, value=20.0)
        told = await reasons(served, await served.decide("c-1"))
        assert (told["store.service"], told["email.thank"], told["email.offer.home"]) == ("suppressed",) * 3
        assert told["site.offer.home"] is None
        told = await reasons(served, await served.decide("c-2"))
        assert (told["email.offer.home"], told["site.offer.home"], told["email.thank"]) == ("suppressed",) * 2 + (None,)
        clock.now = NOON + DAY
        told = await reasons(served, await served.decide("c-1"))
        assert (told["store.service"], told["email.thank"]) == (None, None)
        assert (await reasons(served, await served.decide("c-2")))["site.offer.home"] == "suppressed"
        clock.now = NOON + 3 * DAY
        assert (await reasons(served, await served.decide("c-2")))["site.offer.home"] is None

    under(policy, test)


@pytest.fixture
def careful(retailer):
    """The retailer, whose thanks print a first name and whose help is for frequent visitors."""

    def changed(action):
        if action.id == "email.thank":
            return replace(action, requires=("first_name",))
        return replace(action, targeting="days_since.visit < 2") if action.id == "store.service" else action

    actions = tuple(changed(action) for action in retailer.catalogue.actions)
    return replace(
        retailer,
        catalogue=replace(retailer.catalogue, actions=actions),
        profiles=retailer.profiles.model_copy(update={"content_fields": ("first_name",)}),
    )


def test_nobody_is_thanked_without_a_name_to_print(under, careful):
    async def test(served, clock):
        await subscribe(served, "c-1", "c-2", "c-3")
        for customer, name in (("c-2", "{{name}}"), ("c-3", "Anna")):
            attributes = {"first_name": name, "age": "25-34"}
            await tell(served, customer, "profile", NOON, attributes=attributes)
        told = [(await reasons(served, await served.decide(c)))["email.thank"] for c in ("c-1", "c-2", "c-3")]
        assert told == ["content_missing", "content_missing", None]
        # Sent again under its id, an event changes nothing; as a new one, it does.
        again = {"name": f"profile-c-3-{NOON}", "attributes": {"first_name": "Bea"}}
        await tell(served, "c-3", "profile", NOON, **again)
        assert {row["value"] for row in served.rows("stated") if row["customer_id"] == "c-3"} == {"Anna"}

    under({}, test, of=careful)


def test_an_action_is_for_whom_its_targeting_says(under, careful):
    async def test(served, clock):
        await served.know("c-3")  # visits now
        await subscribe(served, "c-1", "c-2")
        await tell(served, "c-1", "visit", NOON - DAY)
        await tell(served, "c-2", "visit", NOON - 3 * DAY)
        made = await asyncio.gather(*(served.decide(c) for c in ("c-1", "c-2", "c-3")))
        told = [(await reasons(served, m))["store.service"] for m in made]
        assert told == [None, "not_targeted", None]

    under({}, test, of=careful)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # refused before any database sees it
@pytest.mark.parametrize(
    ("attributes", "field", "hint"),
    [
        ({"timezone": "Europe/Berln"}, "attributes.timezone", "did you mean 'Europe/Berlin'"),
        ({"timezone": 2}, "attributes.timezone", "a text"),
        ({"first_name": 5}, "attributes.first_name", "a text"),
        ({"first_name": "Anna", "agee": "25-34"}, "attributes.agee", "did you mean 'age'"),
    ],
)
def test_a_wrong_text_is_refused(under, careful, attributes, field, hint):
    async def test(served, clock):
        event = {"event_id": "e", "customer_id": "c", "type": "profile", "attributes": attributes}
        answer = await served.client.post("/v1/events", json=event)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == field
        assert hint in answer.json()["errors"][0]["fix"]
        assert served.rows("stated") == served.rows("events") == []

    under({}, test, of=careful)


def test_contacts_count_though_their_action_left_the_catalogue(under, retailer):
    async def before(served, clock):
        await subscribe(served, "c-1", "c-2")
        made = await served.decide("c-1", channels=["store"])
        assert channel(made) == "store"
        return made["action"]["id"]

    gone = under(DAILY, before)
    rest = tuple(action for action in retailer.catalogue.actions if action.id != gone)

    async def after(served, clock):
        assert channel(await served.decide("c-1", channels=["email", "store"])) is None
        assert channel(await served.decide("c-2", channels=["email", "store"])) is not None

    under(DAILY, after, of=replace(retailer, catalogue=replace(retailer.catalogue, actions=rest)))


def test_two_services_share_one_cap(serving, retailer, champion):
    of = replace(retailer, contacts=ContactPolicy.model_validate(DAILY))
    core = DecisionCore(of, ProfileSchema.from_retailer(of))
    champion.load = lambda _: Talkative(core.actions, core.columns)
    customers = [f"c-{i}" for i in range(12)]

    async def test():
        async with serving(of) as one, serving(of) as two:
            await one.know(*customers)
            await asyncio.gather(*(s.decide(c, channels=["store"]) for c in customers for s in (one, two, one, two)))
            return Counter(row["customer_id"] for row in one.rows("contacts"))

    assert asyncio.run(test()) == dict.fromkeys(customers, 1)


@pytest.mark.slow
def test_two_server_processes_share_one_cap(server, retailer):
    customers = [f"c-{i}" for i in range(60)]

    def send(connection, path, body):
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        content = json.loads(answer.read())
        assert answer.status == 200, content
        return content

    def ask(port, channel, wrong):
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            try:
                for customer in customers:
                    send(connection, "/v1/decisions", {"customer_id": customer, "channels": [channel]})
            except (AssertionError, OSError, http.client.HTTPException) as error:
                wrong.append(error)

    with server(contacts=DAILY) as one, server(contacts=DAILY) as two:
        with closing(http.client.HTTPConnection("127.0.0.1", one.port, timeout=60)) as connection:
            events = [
                {"event_id": f"s-{c}", "customer_id": c, "type": "subscribe", "channel": "email"} for c in customers
            ]
            send(connection, "/v1/events", events)
        wrong = []
        pairs = [(running.port, name) for running in (one, two) for name in ("email", "store")] * 2
        threads = [threading.Thread(target=ask, args=(*pair, wrong)) for pair in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    said = Counter(row["customer_id"] for row in read_rows(retailer.serving.database, "SELECT * FROM contacts"))
    assert max(said.values()) == 1
    # A random policy, asked eight times, is silent all the time for few; so the cap was contested.
    assert len(said) > len(customers) * 0.9


def test_the_ledger_names_every_contact_as_it_was_decided(under):
    async def test(served, clock):
        await subscribe(served, "c-1")
        made = [await served.decide("c-1", channels=[name]) for name in ("email", "site", "store")]
        rows = {row["decision_id"]: row for row in served.rows("contacts")}
        # Site offers are counted by a rule, so a banner with one is in the ledger, others are not.
        expected = {m["decision_id"] for m in made if channel(m) != "site" or m["action"]["intent"] == "offer"}
        assert rows.keys() == expected
        for m in made:
            if row := rows.get(m["decision_id"]):
                action = m["action"]
                assert (row["action"], row["channel"], row["intent"]) == (action["id"], channel(m), action["intent"])
                assert (row["customer_id"], row["decided_at"], row["sent_at"]) == ("c-1", NOON, None)
        kept = np.array([row["decided_at"] for row in served.rows("decisions")])
        assert (kept == NOON).all()

    under({"caps": [{"name": "offers", "intents": ["offer"], "limit": 9, "window": "1 d"}]}, test)

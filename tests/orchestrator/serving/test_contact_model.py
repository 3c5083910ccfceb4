"""The whole service against a model that looks at one fact at a time: random days, every reason compared."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from orchestrator.config import ContactPolicy
from orchestrator.decision.core import DecisionCore
from orchestrator.profiles import ProfileSchema
from tests.orchestrator.talkative import Talkative

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
TICK = 2.0**-9
START = datetime(2026, 3, 7, 12, tzinfo=UTC).timestamp()  # New York's clocks change that night
CUSTOMERS = ("c-1", "c-2", "c-3")
ZONES = ("Europe/Berlin", "Asia/Tokyo")
POLICY = {
    "time_zone": "America/New_York",
    "reserved_for": "6 h",
    "caps": [
        {"name": "all", "limit": 4, "window": "2 d"},
        {"name": "mails", "channels": ["email"], "limit": 2, "window": "1 d", "counts": "sent"},
        {"name": "alerts", "channels": ["store"], "limit": 2, "window": "12 h", "counts": "seen"},
        {"name": "offers", "intents": ["offer"], "limit": 1, "window": "1 d"},
    ],
    "gaps": [{"name": "apart", "channels": ["store"], "gap": "2 h"}],
    "quiet_hours": [{"name": "night", "channels": ["email"], "from": "21:00", "to": "08:00"}],
    "suppressions": [
        {"name": "returned", "after": ["return"], "for": "5 h", "intents": ["offer", "inspire"]},
        {"name": "dismissed", "after": ["dismiss", "failed"], "for": "2 h", "channels": ["store"]},
    ],
}
CONTACTING = ("email", "store")
SECONDS = {"min": MINUTE, "h": HOUR, "d": DAY}


@dataclass
class Contact:
    action: object
    decided: float
    reported: dict[str, float] = field(default_factory=dict)

    def counts(self, counts, window, now):
        sent, seen, cancelled = (self.reported.get(kind) for kind in ("sent", "seen", "failed"))
        gone = sent if sent is not None else seen
        if counts == "decided":
            return now < self.decided + window and (cancelled is None or gone is not None)
        moment = gone if counts == "sent" else seen
        if moment is not None:
            return now < moment + window
        last_known = sent if counts == "seen" and sent is not None else self.decided
        return cancelled is None and now < last_known + 6 * HOUR


@dataclass
class Person:
    contacts: dict[str, Contact] = field(default_factory=dict)
    outcomes: list[tuple[str, float]] = field(default_factory=list)
    stated: dict[str, tuple[float, str]] = field(default_factory=dict)
    visited: float = float("-inf")

    def why_not(self, action, now):
        """The reason the model expects, of what is no matter of dates, channels asked or consent."""
        if action.targeting and not (max(now, self.visited) - self.visited) / DAY < 1:
            return "not_targeted"
        if action.requires and self.stated.get("first_name", (0, ""))[1] in ("", "{name}"):
            return "content_missing"
        for rule in POLICY["suppressions"]:
            late = any(kind in rule["after"] and now < at + span(rule["for"]) for kind, at in self.outcomes)
            if late and covers(rule, action):
                return "suppressed"
        for kind, window, reason in (("caps", "window", "cap_reached"), ("gaps", "gap", "too_soon")):
            for rule in POLICY[kind]:
                mine = [c for c in self.contacts.values() if covers(rule, c.action)]
                counted = sum(c.counts(rule.get("counts", "decided"), span(rule[window]), now) for c in mine)
                if covers(rule, action) and counted >= rule.get("limit", 1):
                    return reason
        zone = self.stated.get("timezone", (0, "America/New_York"))[1]
        if action.channel == "email" and not 8 <= datetime.fromtimestamp(now, ZoneInfo(zone)).hour < 21:
            return "quiet_hours"
        return None


def span(duration):
    number, unit = duration.split()
    return int(number) * SECONDS[unit]


def covers(rule, action):
    if not action.channel:
        return False
    channels, intents = rule.get("channels"), rule.get("intents")
    if not (channels or intents):
        return action.channel in CONTACTING
    return action.channel in (channels or action.channel) and action.intent in (intents or action.intent)


class Days:
    """Random days of some customers, lived by the service and by the model."""

    def __init__(self, seed, actions):
        self.draw = random.Random(seed)  # noqa: S311
        self.now = START
        self.actions = {action.id: action for action in actions}
        self.people = {customer: Person() for customer in CUSTOMERS}
        self.made, self.facts = [], 0
        self.keys = {}
        self.met = set()

    def clock(self):
        # Every reading is later, so that ids, which begin with the time, are in the order of batches.
        self.now += TICK
        return self.now

    def name(self):
        self.facts += 1
        return f"fact-{self.facts}"

    async def begin(self, served):
        for customer in CUSTOMERS:
            await self.event(served, customer, "subscribe", START - 9 * DAY, channel="email")

    async def event(self, served, customer, kind, at, **more):
        event = {"event_id": self.name(), "customer_id": customer, "type": kind, "timestamp": iso(at), **more}
        for _ in range(1 + (self.draw.random() < 0.2)):  # sometimes sent again
            answer = await served.client.post("/v1/events", json=event)
            assert answer.status_code == 200, answer.text

    async def step(self, served):
        kinds = (self.decide, self.report, self.happen, self.state, self.wait)
        await self.draw.choices(kinds, weights=(5, 6, 1, 1, 3))[0](served)

    async def wait(self, _served):
        # The next reading is often whole hours after a decision, so that windows are met where they end.
        base = self.draw.choice([self.now, *(m["at"] for m in self.made[-3:])])
        later = base + self.draw.choice((30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, 12 * HOUR, DAY)) - TICK
        self.now = max(self.now, later)

    async def state(self, served):
        customer, at = self.draw.choice(CUSTOMERS), self.earlier()
        name = self.draw.choice(("timezone", "first_name"))
        value = self.draw.choice(ZONES if name == "timezone" else ("Anna", "{name}"))
        await self.event(served, customer, "profile", at, attributes={name: value})
        stated = self.people[customer].stated
        if at >= stated.get(name, (float("-inf"), ""))[0]:
            stated[name] = (at, value)

    async def happen(self, served):
        customer, at = self.draw.choice(CUSTOMERS), self.earlier()
        person = self.people[customer]
        if self.draw.random() < 0.5:
            await self.event(served, customer, "visit", at)
            person.visited = max(person.visited, at)
        else:
            await self.event(served, customer, "return", at, value=1.0)
            person.outcomes.append(("return", at))

    async def report(self, served):
        if not self.made:
            return
        about = self.draw.choice(self.made[-8:])
        kind, at = self.draw.choice(("sent", "sent", "seen", "failed", "dismiss")), self.earlier()
        body = {"outcome_id": self.name(), "decision_id": about["id"], "type": kind, "timestamp": iso(at)}
        for _ in range(1 + (self.draw.random() < 0.2)):
            answer = await served.client.post("/v1/outcomes", json=body)
            assert answer.status_code == 200, answer.text
        person = self.people[about["customer"]]
        person.outcomes.append((kind, at))
        if about["id"] in person.contacts and kind != "dismiss":
            reported = person.contacts[about["id"]].reported
            reported[kind] = min(at, reported.get(kind, at))

    async def decide(self, served):
        asked = []
        for _ in range(self.draw.choice((1, 1, 3, 6))):
            body = {"customer_id": self.draw.choice(CUSTOMERS)}
            if self.draw.random() < 0.7:
                body["channels"] = [self.draw.choice(("email", "site", "store"))]
            asked.append((f"k-{self.name()}", body))
        if self.keys and self.draw.random() < 0.3:
            asked.append(self.draw.choice(list(self.keys.items())))  # asked again, maybe days later

        def send(key, body):
            return served.client.post("/v1/decisions", json=body, headers={"Idempotency-Key": key})

        answers = [answer.json() for answer in await asyncio.gather(*(send(*one) for one in asked))]
        pairs = zip(answers, asked, strict=True)
        of_id = {made["decision_id"]: body for made, (key, body) in pairs if key not in self.keys}
        self.keys.update(asked)
        logged = {row["decision_id"]: row for row in served.rows("decisions") if row["decision_id"] in of_id}
        assert len(logged) == len(of_id)
        for decision_id in sorted(of_id):
            record = (await served.client.get(f"/v1/decisions/{decision_id}")).json()
            self.check(record, logged[decision_id]["decided_at"], of_id[decision_id])

    def check(self, record, at, body):
        person = self.people[record["customer_id"]]
        for action in record["actions"]:
            if action["reason"] in ("not_live", "not_yet_valid", "no_longer_valid", "no_consent"):
                continue
            known = self.actions[action["id"]]
            expected = person.why_not(known, at) if known.channel else None
            if known.channel and known.channel not in body.get("channels", [known.channel]):
                expected = "channel_not_asked"
            assert action["reason"] == expected, (action["id"], at - START, person)
            self.met.add(expected)
        chosen = self.actions[record["action"]["id"]]
        self.made.append({"id": record["decision_id"], "customer": record["customer_id"], "at": at})
        if chosen.channel in CONTACTING or chosen.intent == "offer":
            person.contacts[record["decision_id"]] = Contact(chosen, at)

    def earlier(self):
        return round(self.now - self.draw.choice((0, 0, 10 * MINUTE, 2 * HOUR, DAY)), 3)


def iso(seconds):
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def changed(action):
    if action.id == "email.thank":
        return replace(action, requires=("first_name",))
    return replace(action, targeting="days_since.visit < 1") if action.id == "store.service" else action


@pytest.mark.parametrize("seed", [1, 2])
def test_every_reason_is_what_a_model_of_single_facts_expects(serving, retailer, champion, seed):
    actions = tuple(changed(action) for action in retailer.catalogue.actions)
    of = replace(
        retailer,
        catalogue=replace(retailer.catalogue, actions=actions),
        profiles=retailer.profiles.model_copy(update={"content_fields": ("first_name",)}),
        contacts=ContactPolicy.model_validate(POLICY),
    )
    core = DecisionCore(of, ProfileSchema.from_retailer(of))
    champion.load = lambda _: Talkative(core.actions, core.columns)
    days = Days(seed, actions)

    async def live():
        async with serving(of, clock=days.clock) as served:
            await days.begin(served)
            for _ in range(120):
                await days.step(served)
            return served.rows("contacts")

    kept = asyncio.run(live())
    expected = {name: c for person in days.people.values() for name, c in person.contacts.items()}
    assert {row["decision_id"] for row in kept} == expected.keys()
    for row in kept:
        reported = expected[row["decision_id"]].reported
        told = {"sent": row["sent_at"], "seen": row["seen_at"], "failed": row["cancelled_at"]}
        assert {kind: at for kind, at in told.items() if at is not None} == pytest.approx(reported)
    # The test tests something.
    assert days.met >= {
        None,
        "content_missing",
        "suppressed",
        "cap_reached",
        "too_soon",
        "quiet_hours",
        "channel_not_asked",
    }
    assert len(days.made) > 60

"""10,000 mixed requests to two servers on one database, one of them killed and started again in the middle.

Every client repeats what was not answered, to the other server, until it is: under the same ids and keys, as it should.
Meanwhile devices change hands, customers are merged, and others are erased and come again. Then nothing that was
acknowledged may be missing, nothing may count twice, no cap may have been passed, and nothing of the erased is left.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from orchestrator.audit.auditing import audit_decisions
from orchestrator.audit.integrity import check_database
from orchestrator.decision.core import DecisionCore
from orchestrator.profiles import ProfileSchema
from orchestrator.storage.database import open_database
from tests.database_rows import read_rows
from tests.held_customers import everything
from tests.orchestrator.conftest import random_policy

pytestmark = pytest.mark.slow

REQUESTS, CLIENTS, CUSTOMERS = 10_000, 24, 300
# Of several customers in turn; known before they are anybody's.
DEVICES = [f"device-{i}" for i in range(60)]
# Who are erased again and again, and their devices.
FLEETING = [f"fleeting-{i:02}" for i in range(12)]
DAY = 86400.0
# Name, what it is about, limit: all within a day, from when a contact was decided.
CAPS = (("store", lambda row: row["channel"] == "store", 2), ("overall", lambda row: row["channel"] != "site", 4))
CONTACTS = {
    "caps": [
        {"name": "store_daily", "channels": ["store"], "limit": 2, "window": "1 d"},
        {"name": "overall_daily", "channels": ["store", "email"], "limit": 4, "window": "1 d"},
    ]
}
REPORTS = ("click", "accept", "purchase", "dismiss", "sent", "seen", "failed")
VANISHED = (OSError, http.client.HTTPException, ValueError)


class Servers:
    """Two servers under fixed places; the one in a place may change."""

    def __init__(self, ports):
        self.ports = list(ports)
        self.left = REQUESTS
        self.half = threading.Event()
        self._lock = threading.Lock()

    def take(self):
        """One request of those that are left, if any."""
        with self._lock:
            self.left -= 1
            if self.left <= REQUESTS // 2:
                self.half.set()
            return self.left >= 0


class Client:
    """Makes requests of all kinds until there are none left, and remembers what was acknowledged."""

    def __init__(self, number, servers):
        self.number, self.servers = number, servers
        self.draws = random.Random(number)  # noqa: S311
        self.open = {}
        self.decisions, self.facts, self.wrong = {}, set(), []
        self.asked, self.erased = {}, 0
        self.retries = 0
        self.turn = 0

    def ask(self, method, path, body, headers):
        """The answer, from whichever server gives one; the same request until one does."""
        first = self.draws.randrange(2)
        for attempt in range(400):
            port = self.servers.ports[(first + attempt) % 2]
            connection = self.open.setdefault(port, http.client.HTTPConnection("127.0.0.1", port, timeout=60))
            try:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
                if answer.status not in {500, 503} and (answer.status != 200 or whole(path, body, content)):
                    return answer.status, content
            except VANISHED:
                self.open.pop(port).close()
            self.retries += 1
            time.sleep(0.01 * min(attempt, 10))
        raise AssertionError(f"{path} was never answered")

    def post(self, path, body, **headers):
        sent = {"content-type": "application/json", **headers}
        status, content = self.ask("POST", path, json.dumps(body), sent)
        if status != 200:
            self.wrong.append((path, status, content))
            return None
        return json.loads(content)

    def work(self):
        kinds = (self.decide, self.decide, self.decide, self.tell, self.tell, self.report, self.report, self.batch)
        while self.servers.take():
            self.turn += 1
            kind = self.draws.choice((*kinds, self.explain, self.look))
            rare = {0: self.merge, 1: self.identify, 2: self.identify, 3: self.come_and_go}
            rare.get(self.draws.randrange(50), kind)()
        self.close()

    def close(self):
        for connection in self.open.values():
            connection.close()

    def customer(self):
        # A few are asked about all the time, so that clients meet.
        if self.draws.random() < 0.1:
            return self.draws.choice(DEVICES)
        return f"c-{min(self.draws.randrange(CUSTOMERS), self.draws.randrange(CUSTOMERS))}"

    def request(self):
        more = [{}, {"channels": ["store"]}, {"channels": ["email", "store"]}, {"placement": "home_hero", "slots": 3}]
        return {"customer_id": self.customer(), **self.draws.choice(more)}

    def decide(self):
        key = f"{self.number}-{self.turn}"
        request = self.request()
        made = self.post("/v1/decisions", request, **{"Idempotency-Key": key})
        if made:
            self.decisions[f"dev {key}"] = made
            self.asked[made["decision_id"]] = request["customer_id"]

    def batch(self):
        key, lines = f"b-{self.number}-{self.turn}", [self.request() for _ in range(5)]
        body = "\n".join(map(json.dumps, lines))
        headers = {"content-type": "application/x-ndjson", "Idempotency-Key": key}
        status, content = self.ask("POST", "/v1/decisions/batch", body, headers)
        if status != 200:
            self.wrong.append((status, content))
            return
        for made in map(json.loads, content.splitlines()):
            self.decisions[f"dev/{made['line']} {key}"] = made
            self.asked[made["decision_id"]] = lines[made["line"] - 1]["customer_id"]

    def tell(self):
        kinds = ({"type": "view", "category": "pantry"}, {"type": "purchase", "value": 20.0}, {"type": "visit"})
        events = [
            {"event_id": f"e-{self.number}-{self.turn}-{i}", "customer_id": self.customer(), **self.draws.choice(kinds)}
            for i in range(self.draws.choice((1, 1, 4)))
        ]
        if self.post("/v1/events", events):
            self.facts |= {event["event_id"] for event in events}

    def report(self):
        if self.decisions:
            decision = self.draws.choice(list(self.decisions.values()))["decision_id"]
            outcome = {"outcome_id": f"o-{self.number}-{self.turn}", "decision_id": decision, "value": 5.0}
            if self.post("/v1/outcomes", {**outcome, "type": self.draws.choice(REPORTS)}):
                self.facts.add(outcome["outcome_id"])

    def send(self, **message):
        """A message of an event SDK; whether it was taken."""
        sent = {"messageId": f"m-{self.number}-{self.turn}", "timestamp": datetime.now(UTC).isoformat(), **message}
        return self.post("/v1/batch", {"batch": [sent]})

    def pair(self):
        """Two customers, of the half of whom ids are linked; the busy ones more likely."""
        first = min(self.draws.randrange(CUSTOMERS), self.draws.randrange(CUSTOMERS)) // 4 * 4
        return f"c-{first}", f"c-{first + 1}"

    def identify(self):
        user = self.draws.choice(self.pair())
        if self.send(type="identify", userId=user, anonymousId=self.draws.choice(DEVICES), traits={"age": "25-34"}):
            self.facts.add(f"m-{self.number}-{self.turn}")

    def merge(self):
        user, previous = self.pair()
        self.send(type="alias", userId=user, previousId=previous)

    def come_and_go(self):
        who = self.draws.choice(FLEETING)
        known = self.draws.choice((who, f"device of {who}"))
        if self.draws.random() < 0.3:
            status, content = self.ask("DELETE", f"/v1/customers/{known.replace(' ', '%20')}", None, {})
            self.erased += status == 200
            if status != 200:
                self.wrong.append((status, content))
            return
        self.send(type="identify", userId=who, anonymousId=f"device of {who}")
        self.send(type="track", event="Song Played", anonymousId=known, messageId=f"odd-{self.number}-{self.turn}")
        headers = {"content-type": "application/json"}
        status, content = self.ask("POST", "/v1/decisions", json.dumps({"customer_id": known}), headers)
        # Somebody else may have erased them in between.
        if status not in {200, 404}:
            self.wrong.append((status, content))

    def explain(self):
        self.post("/v1/explain", self.request())

    def look(self):
        if self.decisions:
            made = self.draws.choice(list(self.decisions.values()))
            status, content = self.ask("GET", f"/v1/decisions/{made['decision_id']}", None, {})
            if status != 200 or json.loads(content)["propensity"] != made["propensity"]:
                self.wrong.append((status, content))


def whole(path, body, content):
    """Whether an answer is complete: of a batch, every line, and none refused for a moment only."""
    if not path.endswith("/batch"):
        return True
    lines = [json.loads(line) for line in content.splitlines()]
    return len(lines) == body.count("\n") + 1 and all(line.get("problem", {}).get("status") != 503 for line in lines)


def test_nothing_is_lost_doubled_or_over_a_cap_when_a_server_is_killed_under_a_mixed_load(server, retailer):
    with ExitStack() as stack:
        one, two = (stack.enter_context(server(CONTACTS)) for _ in range(2))
        servers = Servers([one.port, two.port])
        clients = [Client(i, servers) for i in range(CLIENTS)]
        everybody = [f"c-{i}" for i in range(CUSTOMERS)] + DEVICES
        known = [{"event_id": f"k-{who}", "customer_id": who, "type": "visit"} for who in everybody]
        consent = [
            {"event_id": f"s-{who}", "customer_id": who, "type": "subscribe", "channel": "email"} for who in everybody
        ]
        assert clients[0].post("/v1/events", known + consent)
        clients[0].facts |= {event["event_id"] for event in known + consent}
        threads = [threading.Thread(target=client.work) for client in clients]
        for thread in threads:
            thread.start()
        assert servers.half.wait(300)
        one.process.kill()
        one.process.wait()
        servers.ports[0] = stack.enter_context(server(CONTACTS)).port
        for thread in threads:
            thread.join()
        erase_fleeting(clients, retailer.serving.database)

    url = retailer.serving.database
    assert [wrong for client in clients for wrong in client.wrong] == []
    assert sum(client.retries for client in clients) > 0
    # Decisions: one per key, the one that was answered.
    answered = {key: made for client in clients for key, made in client.decisions.items()}
    keys = read_rows(url, "SELECT key, decision_id FROM idempotency")
    assert {row["key"]: row["decision_id"] for row in keys} == {k: made["decision_id"] for k, made in answered.items()}
    rows = {
        row["decision_id"]: row for row in read_rows(url, "SELECT decision_id, customer_id, propensity FROM decisions")
    }
    assert rows.keys() == {made["decision_id"] for made in answered.values()}
    assert all(rows[made["decision_id"]]["propensity"] == made["propensity"] for made in answered.values())
    # Facts: each once.
    facts = set().union(*(client.facts for client in clients))
    logged = Counter(row["id"] for row in read_rows(url, "SELECT event_id AS id FROM events"))
    told = Counter(row["id"] for row in read_rows(url, "SELECT outcome_id AS id FROM outcomes"))
    assert max(logged.values()) == max(told.values()) == 1
    assert {fact for fact in facts if not fact.startswith("o-")} == {
        fact for fact in logged if not fact.startswith("o-")
    }
    assert {fact for fact in facts if fact.startswith("o-")} == set(told)
    # Caps, counted by hand: a contact that failed gives its place back, so at each moment those alive then count.
    asked = {decision: customer for client in clients for decision, customer in client.asked.items()}
    assert over_cap(url, asked) == []
    engine = open_database(url)
    try:
        core = DecisionCore(retailer, ProfileSchema.from_retailer(retailer))
        checked = check_database(engine, core.schema, sample=2 * CUSTOMERS)
        policy = random_policy(retailer)
        audit = audit_decisions(engine, retailer, policy_of=lambda _: policy)
    finally:
        engine.dispose()
    owners = Owners(url)
    assert {row["customer_id"] for row in rows.values()} <= owners.customers
    assert owners.merged > len(DEVICES)
    assert (checked.faults, checked.replayed) == ((), len(owners.customers))
    # Features of decisions before a merge cannot be rebuilt; everything else of them can be checked.
    assert (audit.faults, audit.verified) == ([], len(rows))
    assert audit.rebuilt + audit.skipped.total() == len(rows)
    assert audit.rebuilt > len(rows) / 4


def erase_fleeting(clients, url):
    """Nothing is left of them, by any id, once they do not come again."""
    assert sum(client.erased for client in clients) > 0
    # A device is its own customer from an erasure until somebody is seen on it again.
    for who in (name for fleeting in FLEETING for name in (fleeting, f"device of {fleeting}")):
        status, content = clients[0].ask("DELETE", f"/v1/customers/{quote(who)}", None, {})
        assert (status, json.loads(content)["wiped"]) == (200, True)
    clients[0].close()
    assert "fleeting-" not in everything(url)


class Owners:
    """Whose everything was when; as the log of links says."""

    def __init__(self, url):
        self.links = defaultdict(list)
        for row in read_rows(url, "SELECT alias_id, customer_id, received_at FROM identities ORDER BY sequence"):
            self.links[row["alias_id"]].append((row["received_at"], row["customer_id"]))
        self.customers = {row["customer_id"] for row in read_rows(url, "SELECT customer_id FROM customers")}
        self.merged = len(self.links)

    def of_id(self, identity, at):
        """Whose an id was."""
        return next((owner for since, owner in reversed(self.links[identity]) if since <= at), identity)

    def of_fact(self, identity, then, now):
        """Whose something was by `now` that happened under an id `then`; it goes along when customers are merged."""
        owner = self.of_id(identity, then)
        while self.links[owner] and self.links[owner][0][0] <= now:
            owner = self.links[owner][0][1]
        return owner


def over_cap(url, asked):
    """Contacts decided although as many as allowed were alive then, of whoever was that customer by then."""
    owners = Owners(url)
    failed = {
        row["decision_id"]: row["received_at"]
        for row in read_rows(url, "SELECT decision_id, MIN(received_at) AS received_at FROM outcomes "
                                  "WHERE type = 'failed' GROUP BY decision_id")
    }  # fmt: skip
    contacts = defaultdict(list)
    for row in read_rows(url, "SELECT decision_id, customer_id, channel, decided_at FROM contacts ORDER BY decided_at"):
        contacts[row["customer_id"]].append(row)
        # What the links say is what became of it.
        decided = (asked[row["decision_id"]], row["decided_at"])
        assert owners.of_fact(*decided, float("inf")) == row["customer_id"]
    wrong, most = [], Counter()
    for customer, rows in contacts.items():
        for name, about, limit in CAPS:
            mine = [row for row in rows if about(row)]
            for i, row in enumerate(mine):
                now = row["decided_at"]
                whose = owners.of_id(asked[row["decision_id"]], now)
                alive = [
                    earlier
                    for earlier in mine[:i]
                    if earlier["decided_at"] > now - DAY
                    and owners.of_fact(asked[earlier["decision_id"]], earlier["decided_at"], now) == whose
                    and failed.get(earlier["decision_id"], float("inf")) > now
                ]
                most[name] = max(most[name], len(alive) + 1)
                if len(alive) >= limit:
                    wrong.append((customer, name, row))
    # The load was such that caps mattered.
    assert most == {"store": 2, "overall": 4}
    return wrong

"""Two server processes on one database, one of them killed: every fact once, one decision per key."""

from __future__ import annotations

import http.client
import json
import signal
import threading
from collections import Counter
from contextlib import closing

import pytest

from orchestrator.audit.integrity import check_database
from orchestrator.profiles import ProfileSchema
from orchestrator.storage.database import open_database
from tests.database_rows import read_rows

pytestmark = pytest.mark.slow

CUSTOMERS = 12
CLIENTS = 8
TURNS = 40
VANISHED = (OSError, http.client.HTTPException)


class Client:
    """Sends everything to all servers at once, under the same ids, and goes on with those that are left."""

    def __init__(self, number, ports):
        self.number = number
        self.connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=30) for port in ports]
        self.decisions, self.facts, self.wrong = {}, Counter(), []
        self.turn = 0

    def post(self, path, body, **headers):
        """The answers that came."""
        answers, live = [], []
        for connection in self.connections:
            try:
                sent = {"content-type": "application/json", **headers}
                connection.request("POST", path, json.dumps(body), sent)
                live.append(connection)
            except VANISHED:
                connection.close()
        self.connections = []
        for connection in live:
            try:
                answer = connection.getresponse()
                content = json.loads(answer.read())
            except (*VANISHED, ValueError):
                connection.close()
                continue
            self.connections.append(connection)
            answers.append(content)
            if answer.status != 200:
                self.wrong.append((answer.status, content))
        return answers

    def work(self):
        for self.turn in range(1, TURNS + 1):
            customer, name = f"c-{self.turn % CUSTOMERS}", f"{self.number}-{self.turn}"
            made = self.post("/v1/decisions", {"customer_id": customer}, **{"Idempotency-Key": name})
            if any(answer != made[0] for answer in made):
                self.wrong.append(made)
            self.decisions[name] = made[0]
            event = {"event_id": f"e-{name}", "customer_id": customer, "type": "view", "category": "pantry"}
            self.count(f"e-{name}", self.post("/v1/events", event))
            outcome = {"outcome_id": f"o-{name}", "decision_id": made[0]["decision_id"], "type": "purchase", "value": 2}
            self.count(f"o-{name}", self.post("/v1/outcomes", outcome))

    def count(self, fact, answers):
        """How often a fact was acknowledged as new; counted as such by the log below."""
        self.facts[fact] = sum(answer.get("accepted", 0) for answer in answers)


def test_facts_and_keys_sent_to_two_servers_at_once_are_kept_once_though_one_is_killed(server, retailer):
    with server() as one, server() as two:
        with closing(http.client.HTTPConnection("127.0.0.1", one.port, timeout=30)) as connection:
            events = [{"event_id": f"k-{i}", "customer_id": f"c-{i}", "type": "visit"} for i in range(CUSTOMERS)]
            connection.request("POST", "/v1/events", json.dumps(events), {"content-type": "application/json"})
            assert connection.getresponse().status == 200
        clients = [Client(i, [one.port, two.port]) for i in range(CLIENTS)]
        threads = [threading.Thread(target=client.work) for client in clients]
        for thread in threads:
            thread.start()
        # Looked at in the middle of the work, the log is as sound as at its end.
        assert check(retailer).faults == ()
        while sum(client.turn for client in clients) < CLIENTS * TURNS // 2:
            threads[0].join(0.005)
            assert two.process.poll() is None
        one.process.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join()
        left = [len(client.connections) for client in clients]
        for client in clients:
            for connection in client.connections:
                connection.close()

    assert left == [1] * CLIENTS
    assert [wrong for client in clients for wrong in client.wrong] == []
    url = retailer.serving.database
    # One decision per key: the one that was answered, by whichever server, and none beside them.
    answered = {key: made["decision_id"] for client in clients for key, made in client.decisions.items()}
    assert len(answered) == CLIENTS * TURNS
    kept = read_rows(url, "SELECT key, decision_id FROM idempotency")
    assert {row["key"].removeprefix("dev "): row["decision_id"] for row in kept} == answered
    made = [row["decision_id"] for row in read_rows(url, "SELECT decision_id FROM decisions")]
    assert sorted(made) == sorted(answered.values())
    # Every fact once, and at most one of the two servers said it was new (the killed one may have said nothing).
    facts = {fact: count for client in clients for fact, count in client.facts.items()}
    logged = Counter(row["event_id"] for row in read_rows(url, "SELECT event_id FROM events"))
    assert logged == {**dict.fromkeys(facts, 1), **{f"k-{i}": 1 for i in range(CUSTOMERS)}}
    assert Counter(facts.values()).keys() <= {0, 1}
    assert list(facts.values()).count(0) <= CLIENTS  # those in flight when the one was killed
    checked = check(retailer)
    assert (checked.faults, checked.replayed) == ((), CUSTOMERS)


def check(retailer):
    engine = open_database(retailer.serving.database)
    try:
        return check_database(engine, ProfileSchema.from_retailer(retailer), sample=2 * CUSTOMERS)
    finally:
        engine.dispose()

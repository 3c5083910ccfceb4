"""A server killed or stopped while clients are busy: what was acknowledged is in the log, once."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
from collections import Counter
from contextlib import closing

import numpy as np
import pytest

from orchestrator.audit.integrity import check_database
from orchestrator.profiles import EVENT_TYPES, Events, Profiles, ProfileSchema
from orchestrator.storage.database import open_database
from tests.database_rows import read_rows

pytestmark = pytest.mark.slow

CUSTOMERS = 40
CLIENTS = 16
ENOUGH = 400


class Client:
    """Sends decisions, events and outcomes one after the other and remembers what was acknowledged."""

    def __init__(self, number, port):
        self.number = number
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.decisions, self.events, self.outcomes = {}, [], []
        self.refused = []

    def post(self, path, body, **headers):
        sent = {"content-type": "application/json", **headers}
        self.connection.request("POST", path, json.dumps(body), sent)
        answer = self.connection.getresponse()
        content = json.loads(answer.read())
        if answer.status != 200:
            self.refused.append((answer.status, content))
        return answer.status, content

    def work(self, stop):
        turn = 0
        try:
            while not stop.is_set():
                turn += 1
                customer, name = f"c-{turn % CUSTOMERS}", f"{self.number}-{turn}"
                status, made = self.post("/v1/decisions", {"customer_id": customer}, **{"Idempotency-Key": name})
                if status == 200:
                    self.decisions[name] = made
                event = {"event_id": f"e-{name}", "customer_id": customer, "type": "view", "category": "pantry"}
                if self.post("/v1/events", event)[0] == 200:
                    self.events.append(event["event_id"])
                outcome = {"outcome_id": f"o-{name}", "decision_id": made.get("decision_id", "?"), "type": "accept"}
                if self.post("/v1/outcomes", outcome)[0] == 200:
                    self.outcomes.append(outcome["outcome_id"])
        except (OSError, http.client.HTTPException):
            return  # the server is gone: what was not acknowledged may be in the log or not


def know(port):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        events = [{"event_id": f"k-{i}", "customer_id": f"c-{i}", "type": "visit"} for i in range(CUSTOMERS)]
        connection.request("POST", "/v1/events", json.dumps(events), {"content-type": "application/json"})
        assert connection.getresponse().read()


def under_load(running, end):
    """Let clients work until enough is acknowledged, then `end()` the server under them."""
    know(running.port)
    clients = [Client(i, running.port) for i in range(CLIENTS)]
    stop = threading.Event()
    threads = [threading.Thread(target=c.work, args=(stop,)) for c in clients]
    for thread in threads:
        thread.start()
    while sum(len(c.decisions) for c in clients) < ENOUGH:
        assert running.process.poll() is None
        threads[0].join(0.01)
    end()
    running.process.wait(30)
    stop.set()
    for thread in threads:
        thread.join()
    for client in clients:
        client.connection.close()
    return clients


def rows(retailer, query):
    return [tuple(row.values()) for row in read_rows(retailer.serving.database, query)]


def check_log(retailer, clients):
    logged = Counter(row[0] for row in rows(retailer, "SELECT decision_id FROM decisions"))
    acknowledged = [made["decision_id"] for c in clients for made in c.decisions.values()]
    assert len(acknowledged) >= ENOUGH
    assert len(set(acknowledged)) == len(acknowledged)
    assert [d for d in acknowledged if logged[d] != 1] == []
    # Every key has exactly the decision that was answered for it.
    keys = dict(rows(retailer, "SELECT key, decision_id FROM idempotency"))
    answered = {f"dev {k}": m["decision_id"] for c in clients for k, m in c.decisions.items()}
    assert answered.items() <= keys.items()
    assert len(keys) == len(logged)
    for table, name, kept in (("events", "event_id", "events"), ("outcomes", "outcome_id", "outcomes")):
        stored = Counter(row[0] for row in rows(retailer, f"SELECT {name} FROM {table}"))  # noqa: S608
        assert [i for c in clients for i in getattr(c, kept) if stored[i] != 1] == []
    check_profiles(retailer)
    engine = open_database(retailer.serving.database)
    checked = check_database(engine, ProfileSchema.from_retailer(retailer), sample=2 * CUSTOMERS)
    engine.dispose()
    assert (checked.faults, checked.replayed) == ((), CUSTOMERS)


def check_profiles(retailer):
    """Every profile is what the logged events, and no others, make of it."""
    schema = ProfileSchema.from_retailer(retailer)
    logged = rows(retailer, "SELECT event_id, customer_id, type, timestamp, body FROM events ORDER BY sequence")
    event_id, customer_id, kind, timestamp, body = zip(*logged, strict=True)
    categories = [json.loads(b).get("category") for b in body]
    profiles = Profiles(schema)
    profiles.apply(
        Events.from_columns(
            customer_id=np.array(customer_id, dtype=object),
            event_id=np.array(event_id, dtype=object),
            timestamp=np.array(timestamp),
            type=np.array([EVENT_TYPES.index(k) for k in kind]),
            category=np.array([schema.categories.index(c) if c else -1 for c in categories]),
        )
    )
    stored = dict(rows(retailer, "SELECT customer_id, state FROM customers"))
    assert set(stored) == set(customer_id) == {f"c-{i}" for i in range(CUSTOMERS)}
    states = np.array([np.frombuffer(state) for state in stored.values()])
    np.testing.assert_allclose(states, profiles.states(list(stored)), rtol=1e-9)


def test_a_killed_server_has_logged_everything_it_acknowledged(server, retailer):
    with server() as running:
        clients = under_load(running, lambda: running.process.send_signal(signal.SIGKILL))
    check_log(retailer, clients)
    # The next server starts on the same file, and a repeat still gets the first answer.
    with server() as running, closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)) as connection:
        name, made = next(iter(clients[0].decisions.items()))
        customer = f"c-{int(name.split('-')[1]) % CUSTOMERS}"
        headers = {"content-type": "application/json", "Idempotency-Key": name}
        connection.request("POST", "/v1/decisions", json.dumps({"customer_id": customer}), headers)
        assert json.loads(connection.getresponse().read()) == made


def test_a_terminated_server_finishes_what_it_accepted(server, retailer):
    with server() as running:
        clients = under_load(running, running.process.terminate)
        code = running.process.returncode
    check_log(retailer, clients)
    assert code in (0, -signal.SIGTERM)
    # Nobody was told of a fault: requests were answered, or their connection closed between requests.
    assert [r for c in clients for r in c.refused if r[0] != 503] == []
    # And nothing was decided whose answer was not sent.
    assert len(rows(retailer, "SELECT 1 FROM decisions")) == sum(len(c.decisions) for c in clients)


def ready(port):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())["checks"]["running"]["ok"]


def test_a_draining_server_says_so_while_it_answers_and_then_finishes_what_it_accepted(server, retailer):
    said = []

    def end():
        running.process.terminate()
        while (answer := ready(running.port)) == (200, True):  # the signal is on its way
            pass
        said.append(answer)
        # It goes on: whoever has not heard yet that it is not ready is answered.
        know(running.port)

    with server(drain_seconds=1.0) as running:
        assert ready(running.port) == (200, True)
        clients = under_load(running, end)
    check_log(retailer, clients)
    assert said == [(503, False)]
    assert [r for c in clients for r in c.refused if r[0] != 503] == []
    assert len(rows(retailer, "SELECT 1 FROM decisions")) == sum(len(c.decisions) for c in clients)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # about signals, not the log
def test_a_second_signal_ends_the_draining(server):
    with server(drain_seconds=600) as running:
        running.process.terminate()
        while ready(running.port) == (200, True):
            pass
        assert running.process.poll() is None
        running.process.terminate()
        assert running.process.wait(30) in (0, -signal.SIGTERM)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("chunked", [False, True])
def test_ten_megabytes_are_refused_before_they_are_read(server, chunked):
    with server() as running:
        with closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)) as connection:
            connection.putrequest("POST", "/v1/events")
            connection.putheader("content-type", "application/json")
            if chunked:
                connection.putheader("transfer-encoding", "chunked")
            else:
                connection.putheader("content-length", str(10_000_000))
            connection.endheaders()
            sent = 0
            try:
                while chunked and sent < 10_000_000:
                    connection.send(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
                    sent += 0x10000
            except OSError:
                pass  # refused already
            answer = connection.getresponse()
            assert answer.status == 413
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["connection"] == "close"
        with socket.create_connection(("127.0.0.1", running.port), timeout=20) as other:
            other.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            assert other.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_log_of_a_server_is_json_lines(server):
    with server() as running:
        assert [json.loads(line)["event"] for line in running.lines]

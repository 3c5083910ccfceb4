"""Links in every order, split anyhow, against a model that keeps a list of every customer's events and ids."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from orchestrator.ingest.link import Link
from orchestrator.ingest.raw import RawMessage
from orchestrator.log.identities import Owner
from orchestrator.profiles import Events
from orchestrator.serving.handlers.identity import Identities
from orchestrator.serving.jobs import EventsJob

IDS = st.sampled_from("abcde")
STEPS = st.lists(st.one_of(IDS, st.tuples(IDS, IDS, st.integers(0, 6))), max_size=25)


class Model:
    """Whose each id is; what happened to whom."""

    def __init__(self):
        self.owner, self.since, self.whose = {i: i for i in "abcde"}, dict.fromkeys("abcde", -1), []

    def happen(self, identity):
        self.whose.append(self.owner[identity])

    def link(self, alias, customer, at):
        before, into = self.owner[alias], self.owner[customer]
        if before == into or at <= self.since[alias]:
            return
        if before == alias:  # a customer: everything of it
            self.owner = {i: into if owner == alias else owner for i, owner in self.owner.items()}
            self.whose = [into if whose == alias else whose for whose in self.whose]
        self.owner[alias], self.since[alias] = into, at


def job(steps):
    """One request of these steps: what happens to an id is an event and a message that was not understood."""
    ids, links, raw = [], [], []
    for step in steps:
        if isinstance(step, str):
            ids.append(step)
            ids_named = {"user_id": None, "anonymous_id": step, "previous_id": None}
            raw.append(RawMessage("a", f"m-{len(ids)}", "", "", "{}", **ids_named, links=len(links)))
        else:
            links.append(Link(alias_id=step[0], customer_id=step[1], at=float(step[2]), before=len(ids)))
    events = Events.from_columns(
        customer_id=np.array(ids, dtype=object),
        event_id=np.array([f"e-{i}" for i in range(len(ids))], dtype=object),
        timestamp=np.zeros(len(ids)),
        type="visit",
    )
    return EventsJob(events=events, bodies=[""] * len(ids), links=links, raw=raw)


@given(STEPS, st.lists(st.sampled_from(["event", "job", "batch"]), max_size=25))
def test_ids_events_and_profiles_are_whose_the_model_says_however_requests_are_split(steps, cuts):
    model, owners, kept = Model(), {}, []
    batches = [[[]]]
    for i, step in enumerate(steps):
        cut = cuts[i] if i < len(cuts) else "event"
        if cut == "job":
            batches[-1].append([])
        elif cut == "batch":
            batches.append([[]])
        batches[-1][-1].append(step)
        if isinstance(step, str):
            model.happen(step)
        else:
            model.link(*step)
    for batch in batches:
        identities = Identities(dict(owners))
        whose = identities.resolve([job(steps) for steps in batch])
        assert [of_job.raw for of_job in whose] == [of_job.events for of_job in whose]
        kept = [identities.final(customer) for customer in kept] + [c for of_job in whose for c in of_job.events]
        # As read back from the log: of several rows of an id, the last one holds.
        owners |= {r["alias_id"]: Owner(r["customer_id"], r["linked_at"]) for r in identities.rows(now=0.0)}
        assert owners == identities.owners
        assert owners.keys().isdisjoint(owner.customer_id for owner in owners.values())
    assert kept == model.whose
    assert {i: owners[i].customer_id if i in owners else i for i in "abcde"} == model.owner

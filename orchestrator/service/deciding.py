"""Deciding a batch of requests: one columnar call, one row of the log each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from orchestrator.decisions import DecisionCore, Decisions, id_words
from orchestrator.service.contact_facts import ContactReader
from orchestrator.service.errors import KeyReusedError, ServiceError, UnknownCustomerError
from orchestrator.service.identifiers import decision_ids
from orchestrator.service.jobs import DecisionJob, DecisionMade
from orchestrator.service.layout import Layout
from orchestrator.service.profiles_batch import ProfilesBatch
from orchestrator.service.ranking import rank
from orchestrator.service.serving_policy import PolicyHolder, ServedPolicy
from orchestrator.storage.log import read_decisions, read_key_uses, write_rows
from orchestrator.storage.tables import Row, contacts, decisions, idempotency
from policies.arrays import BoolArray


class Decider:
    """Decides batches of requests inside the caller's transaction.

    Args:
        core: the decision core.
        layout: what the positions of the core's arrays mean; in the log already.
        policies: holds the policy that serves. A batch takes it once, so each decision is of one version.
        contacts: reads what contact rules look at.
    """

    def __init__(self, core: DecisionCore, *, layout: Layout, policies: PolicyHolder, contacts: ContactReader) -> None:
        self._core = core
        self._contacts = contacts
        self._layout = layout
        self._policies = policies

    def decide(
        self, connection: Connection, profiles: ProfilesBatch, jobs: Sequence[DecisionJob], *, now: float
    ) -> list[DecisionMade | ServiceError]:
        """Decide and log; one answer or refusal per job, in order."""
        answers: dict[int, DecisionMade | ServiceError] = {}
        first_use = self._answer_repeats(connection, jobs, answers)
        fresh = []
        for i, job in enumerate(jobs):
            if i in answers or first_use.get(job.key, i) != i:
                continue
            if profiles.knows(job.customer_id):
                fresh.append(i)
            else:
                answers[i] = UnknownCustomerError("no event of this customer was ever received")
        if fresh:
            made = self._decide_fresh(connection, profiles, [jobs[i] for i in fresh], now=now)
            answers.update(zip(fresh, made, strict=True))
        for i, job in enumerate(jobs):
            if i not in answers:  # a repeat of a key first used in this very batch
                first = first_use[job.key]
                answers[i] = answers[first] if jobs[first].fingerprint == job.fingerprint else _reused()
        return [answers[i] for i in range(len(jobs))]

    def _answer_repeats(
        self, connection: Connection, jobs: Sequence[DecisionJob], answers: dict[int, DecisionMade | ServiceError]
    ) -> dict[str | None, int]:
        """Answer keys used before from the log; return the first job in this batch of each other key."""
        first_use: dict[str | None, int] = {}
        keyed = [(i, job) for i, job in enumerate(jobs) if job.key is not None]
        if not keyed:
            return first_use
        used = read_key_uses(connection, [job.key for _, job in keyed if job.key is not None])
        logged = read_decisions(connection, [decision_id for _, decision_id in used.values()])
        for i, job in keyed:
            if job.key not in used:
                first_use.setdefault(job.key, i)
                continue
            fingerprint, decision_id = used[job.key]
            answers[i] = made_from_row(logged[decision_id]) if fingerprint == job.fingerprint else _reused()
        return first_use

    def _decide_fresh(
        self, connection: Connection, profiles: ProfilesBatch, jobs: Sequence[DecisionJob], *, now: float
    ) -> list[DecisionMade | ServiceError]:
        try:
            served = self._policies.required()
        except ServiceError as refusal:
            return [refusal] * len(jobs)
        ids = decision_ids(len(jobs), now=now)
        facts = self._contacts.read(connection, [job.customer_id for job in jobs], now=now)
        made: dict[int, DecisionMade] = {}
        rows: list[Row] = []
        for turn in _turns([job.customer_id for job in jobs]) if self._contacts.counts else [list(range(len(jobs)))]:
            whom, named = [jobs[i] for i in turn], [ids[i] for i in turn]
            customer_ids = [job.customer_id for job in whom]
            decided = self._core.decide(
                served.policy,
                states=profiles.states[profiles.rows(customer_ids)],
                contexts=self._core.context.encode([job.context for job in whom]),
                channels=self._core.asked([job.channels for job in whom]),
                ids=id_words(named),
                now=now,
                contacts=self._contacts.check(facts, customer_ids, now=now),
            )
            rows += _rows(whom, named, decided, version=served.version, layout=self._layout.id, now=now)
            made.update(zip(turn, self._made(whom, named, decided, served=served, now=now), strict=True))
            reached = np.flatnonzero(self._contacts.is_contact[decided.action])
            codes = decided.action[reached]  # the rules' codes of the catalogue's actions are their columns
            facts = facts.with_contacts([customer_ids[i] for i in reached.tolist()], action=codes, now=now)
        write_rows(connection, decisions, rows)
        keys = [
            {"key": job.key, "fingerprint": job.fingerprint, "decision_id": decision_id}
            for job, decision_id in zip(jobs, ids, strict=True)
            if job.key is not None
        ]
        write_rows(connection, idempotency, keys)
        write_rows(connection, contacts, list(_contact_rows(rows, self._layout, self._contacts.is_contact)))
        return [made[i] for i in range(len(jobs))]

    def _made(
        self, jobs: Sequence[DecisionJob], ids: Sequence[str], decided: Decisions, *, served: ServedPolicy, now: float
    ) -> Iterator[DecisionMade]:
        ranking = rank(decided.scores, decided.distribution, decided.eligible, decided.action)
        for i, (job, decision_id) in enumerate(zip(jobs, ids, strict=True)):
            yield DecisionMade(
                decision_id=decision_id,
                customer_id=job.customer_id,
                decided_at=now,
                policy_version=served.version,
                layout=self._layout,
                action=int(decided.action[i]),
                propensity=float(decided.propensity[i]),
                request=job.request,
                eligible=decided.eligible[i],
                reasons=decided.reasons[i],
                scores=decided.scores[i],
                distribution=decided.distribution[i],
                features=decided.features[i],
                ranked=ranking.actions[i],
                ranked_scores=ranking.scores[i],
                ranked_probabilities=ranking.probabilities[i],
            )


def made_from_row(row: Row) -> DecisionMade:
    """A decision as read back from the log by `read_decisions`."""
    layout = Layout.from_json(row["layout_id"], row["layout"])
    packed = np.frombuffer(row["eligible"], dtype=np.uint8)
    eligible = np.unpackbits(packed, count=len(layout.actions)).astype(bool)
    scores = np.frombuffer(row["scores"], dtype=np.float32)
    distribution = np.frombuffer(row["distribution"], dtype=np.float64)
    ranking = rank(scores[None], distribution[None], eligible[None], np.array([row["action"]]))
    return DecisionMade(
        decision_id=row["decision_id"],
        customer_id=row["customer_id"],
        decided_at=row["decided_at"],
        policy_version=row["policy_version"],
        layout=layout,
        action=row["action"],
        propensity=row["propensity"],
        request=row["request"],
        eligible=eligible,
        reasons=np.frombuffer(row["reasons"], dtype=np.uint8),
        scores=scores,
        distribution=distribution,
        features=np.frombuffer(row["features"], dtype=np.float32),
        ranked=ranking.actions[0],
        ranked_scores=ranking.scores[0],
        ranked_probabilities=ranking.probabilities[0],
    )


def _rows(
    jobs: Sequence[DecisionJob], ids: Sequence[str], decided: Decisions, *, version: str, layout: str, now: float
) -> Iterator[Row]:
    features = _split(decided.features)
    eligible = _split(np.packbits(decided.eligible, axis=1))
    reasons = _split(decided.reasons)
    scores = _split(decided.scores)
    distribution = _split(decided.distribution)
    actions, propensities = decided.action.tolist(), decided.propensity.tolist()
    for i, (job, decision_id) in enumerate(zip(jobs, ids, strict=True)):
        yield {
            "decision_id": decision_id,
            "customer_id": job.customer_id,
            "decided_at": now,
            "policy_version": version,
            "layout_id": layout,
            "action": actions[i],
            "propensity": propensities[i],
            "request": job.request,
            "features": features[i],
            "eligible": eligible[i],
            "reasons": reasons[i],
            "scores": scores[i],
            "distribution": distribution[i],
        }


def _contact_rows(rows: Sequence[Row], layout: Layout, is_contact: BoolArray) -> Iterator[Row]:
    """What the ledger keeps of those decisions that are contacts."""
    for row in rows:
        if is_contact[row["action"]]:
            action = layout.actions[row["action"]]
            yield {
                "decision_id": row["decision_id"],
                "customer_id": row["customer_id"],
                "action": action.id,
                "channel": action.channel,
                "intent": action.intent,
                "decided_at": row["decided_at"],
                "last_at": row["decided_at"],
            }


def _turns(customer_ids: Sequence[str]) -> list[list[int]]:
    """Who is decided for together: the first decision of each customer, then the second of each, and so on.

    Each customer is there at most once per turn, so that a decision knows the contacts decided before it in the same
    batch, in the order asked.
    """
    asked: Counter[str] = Counter()
    turns: list[list[int]] = []
    for i, customer in enumerate(customer_ids):
        if asked[customer] == len(turns):
            turns.append([])
        turns[asked[customer]].append(i)
        asked[customer] += 1
    return turns


def _split(array: NDArray[Any]) -> list[bytes]:
    """The bytes of each row."""
    whole = array.tobytes()
    width = len(whole) // len(array)
    return [whole[start : start + width] for start in range(0, len(whole), width)]


def _reused() -> KeyReusedError:
    return KeyReusedError("this Idempotency-Key was first used with another request")

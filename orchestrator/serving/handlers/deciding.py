"""Deciding a batch of requests: one columnar call, one row of the log each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from sqlalchemy import Connection

from orchestrator.decision.core import DecisionCore, Decisions, id_words
from orchestrator.decision.groups import Assignment, Experiment, Group, GroupArray
from orchestrator.decision.ranking import rank
from orchestrator.log.contact_facts import ContactReader
from orchestrator.log.decision_schema import Layout
from orchestrator.log.facts import read_decisions, read_key_uses, write_rows
from orchestrator.log.identifiers import decision_ids
from orchestrator.serving.errors import KeyReusedError, ServiceError, UnknownCustomerError
from orchestrator.serving.handlers.profiles_batch import ProfilesBatch
from orchestrator.serving.jobs import DecisionJob, DecisionMade
from orchestrator.serving.policy_watcher import PolicyHolder, ServedPolicy
from orchestrator.serving.telemetry.batch_metrics import BatchTally
from orchestrator.storage.tables import Row, contacts, decisions, idempotency
from policies.exploration.slots import NOTHING, Slots

_LABELS = {int(group): group.label for group in Group}
_RULED = int(Group.BUSINESS_RULES)


class Decider:
    """Decides batches of requests inside the caller's transaction.

    Args:
        core: the decision core.
        layout: what the positions of the core's arrays mean; in the log already.
        policies: holds the policy that serves. A batch takes it once, so each decision is of one version.
        contacts: reads what contact rules look at.
        groups: whose customers the policy decides for.
        experiment: decides for the others.
    """

    def __init__(
        self,
        core: DecisionCore,
        *,
        layout: Layout,
        policies: PolicyHolder,
        contacts: ContactReader,
        groups: Assignment,
        experiment: Experiment,
    ) -> None:
        self._core = core
        self._groups = groups
        self._experiment = experiment
        self._rules = experiment.fingerprint
        self._contacts = contacts
        self._layout = layout
        self._policies = policies

    def decide(
        self,
        connection: Connection,
        profiles: ProfilesBatch,
        jobs: Sequence[DecisionJob],
        *,
        now: float,
        tally: BatchTally,
    ) -> list[DecisionMade | ServiceError]:
        """Decide and log; one answer or refusal per job, in order."""
        answers: dict[int, DecisionMade | ServiceError] = {}
        first_use = self._answer_repeats(connection, jobs, answers)
        tally.repeats += sum(isinstance(answer, DecisionMade) for answer in answers.values())
        fresh = []
        for i, job in enumerate(jobs):
            if i in answers or first_use.get(job.key, i) != i:
                continue
            if profiles.knows(job.customer_id):
                fresh.append(i)
            else:
                answers[i] = UnknownCustomerError("no event of this customer was ever received")
        if fresh:
            made = self._decide_fresh(connection, profiles, [jobs[i] for i in fresh], now=now, tally=tally)
            answers.update(zip(fresh, made, strict=True))
        for i, job in enumerate(jobs):
            if i not in answers:  # a repeat of a key first used in this very batch
                first = first_use[job.key]
                tally.repeats += jobs[first].fingerprint == job.fingerprint
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
            answers[i] = (
                made_from_row(logged[decision_id], ranked=job.candidates)
                if fingerprint == job.fingerprint
                else _reused()
            )
        return first_use

    def _decide_fresh(
        self,
        connection: Connection,
        profiles: ProfilesBatch,
        jobs: Sequence[DecisionJob],
        *,
        now: float,
        tally: BatchTally,
    ) -> list[DecisionMade | ServiceError]:
        try:
            served = self._policies.required()
        except ServiceError as refusal:
            return [refusal] * len(jobs)
        ids = decision_ids(len(jobs), now=now)
        facts = self._contacts.read(connection, [job.customer_id for job in jobs], now=now)
        # Later events of these customers come after its `last_event`: sequences only grow, and nobody else may add any.
        tally.lap("reading")
        made: dict[int, DecisionMade] = {}
        groups = self._groups.of([job.customer_id for job in jobs])
        slots = np.array([job.slots for job in jobs])
        turns = _turns([job.customer_id for job in jobs]) if self._contacts.counts else [list(range(len(jobs)))]
        for turn in turns:
            whom, named = [jobs[i] for i in turn], [ids[i] for i in turn]
            customer_ids = [job.customer_id for job in whom]
            places = np.array(turn)
            decided = self._core.decide(
                served.policy,
                states=profiles.states[profiles.rows(customer_ids)],
                contexts=self._core.context.encode([job.context for job in whom]),
                channels=self._core.asked([job.channels for job in whom]),
                ids=id_words(named),
                now=now,
                contacts=self._contacts.check(facts, customer_ids, now=now),
                experiment=self._experiment,
                groups=groups[places],
                slots=slots[places],
                same_subject=np.array([job.same_subject for job in whom]),
                counted=self._contacts.is_contact,
            )
            tally.decisions(decided, groups=groups[places])
            of_turn = list(
                self._made(
                    whom,
                    named,
                    decided,
                    served=served,
                    groups=groups[places],
                    events_until=facts.last_event,
                    stock_until=facts.stock.until,
                    now=now,
                )
            )
            made.update(zip(turn, of_turn, strict=True))
            if turn is not turns[-1]:
                reached = [(m.customer_id, found[0]) for m in of_turn if (found := self._contact_in(m))]
                codes = np.array([a for _, a in reached], dtype=np.int64)  # of the catalogue's actions: their columns
                facts = facts.with_contacts([customer for customer, _ in reached], action=codes, now=now)
        tally.lap("deciding")
        rows = [_row(made[i]) for i in range(len(jobs))]
        write_rows(connection, decisions, rows)
        keys = [
            {"key": job.key, "fingerprint": job.fingerprint, "decision_id": decision_id}
            for job, decision_id in zip(jobs, ids, strict=True)
            if job.key is not None
        ]
        write_rows(connection, idempotency, keys)
        write_rows(connection, contacts, list(self._contact_rows(made.values())))
        tally.lap("writing")
        return [made[i] for i in range(len(jobs))]

    def _contact_in(self, made: DecisionMade) -> tuple[int, int] | None:
        """The action of a decision that is a contact, and its slot from 1; several slots have one at most."""
        chosen = [action for action, _ in made.slots] or [made.action]
        return next(((a, slot) for slot, a in enumerate(chosen, start=1) if self._contacts.is_contact[a]), None)

    def _contact_rows(self, made: Iterable[DecisionMade]) -> Iterator[Row]:
        """What the ledger keeps of those decisions that are contacts."""
        for decision in made:
            if reached := self._contact_in(decision):
                action = self._layout.actions[reached[0]]
                yield {
                    "decision_id": decision.decision_id,
                    "customer_id": decision.customer_id,
                    "action": action.id,
                    "channel": action.channel,
                    "intent": action.intent,
                    "slot": reached[1],
                    "decided_at": decision.decided_at,
                    "last_at": decision.decided_at,
                }

    def _made(
        self,
        jobs: Sequence[DecisionJob],
        ids: Sequence[str],
        decided: Decisions,
        *,
        served: ServedPolicy,
        groups: GroupArray,
        events_until: int,
        stock_until: int,
        now: float,
    ) -> Iterator[DecisionMade]:
        # Many at once are not ranked: that would cost more than all the rest.
        wanted = [i for i, job in enumerate(jobs) if job.candidates]
        ranking = rank(
            decided.scores[wanted], decided.distribution[wanted], decided.eligible[wanted], decided.action[wanted]
        )
        ranked = iter(zip(ranking.actions, ranking.scores, ranking.probabilities, strict=True))
        joint = [] if decided.slots is None else decided.slots.joint.tolist()
        # As lists, since to take one number out of an array costs as much as a line of code.
        actions, propensities, codes = (a.tolist() for a in (decided.action, decided.propensity, groups))
        for i, (job, decision_id, code) in enumerate(zip(jobs, ids, codes, strict=True)):
            best, scores, probabilities = next(ranked) if job.candidates else ((), (), ())
            yield DecisionMade(
                decision_id=decision_id,
                customer_id=job.customer_id,
                decided_at=now,
                policy_version=served.version,
                layout=self._layout,
                action=actions[i],
                propensity=propensities[i],
                request=job.request,
                eligible=decided.eligible[i],
                reasons=decided.reasons[i],
                scores=decided.scores[i],
                distribution=decided.distribution[i],
                features=decided.features[i],
                group=_LABELS[code],
                experiment=self._groups.experiment,
                events_until=events_until,
                stock_until=stock_until,
                rules=self._rules if code == _RULED else "",
                slots=_slots(decided.slots, i) if job.slots > 1 else (),
                joint_propensity=joint[i] if job.slots > 1 else None,
                ranked=best,
                ranked_scores=scores,
                ranked_probabilities=probabilities,
            )


def made_from_row(row: Row, *, ranked: bool = True) -> DecisionMade:
    """A decision as read back from the log by `read_decisions`; `ranked` says whether to rank what could be chosen."""
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
        group=row["group_name"] or Group.POLICY.label,
        experiment=row["experiment"] or "",
        events_until=row["events_until"] or 0,
        stock_until=row["stock_until"] or 0,
        rules=row["rules"] or "",
        slots=[(action, propensity) for action, propensity in json.loads(row["slots"] or "[]")],
        joint_propensity=row["joint_propensity"],
        ranked=ranking.actions[0] if ranked else (),
        ranked_scores=ranking.scores[0] if ranked else (),
        ranked_probabilities=ranking.probabilities[0] if ranked else (),
    )


def _row(made: DecisionMade) -> Row:
    """A decision as the log keeps it."""
    return {
        "decision_id": made.decision_id,
        "customer_id": made.customer_id,
        "decided_at": made.decided_at,
        "policy_version": made.policy_version,
        "layout_id": made.layout.id,
        "action": made.action,
        "propensity": made.propensity,
        "request": made.request,
        "features": made.features.tobytes(),
        "eligible": np.packbits(made.eligible).tobytes(),
        "reasons": made.reasons.tobytes(),
        "scores": made.scores.tobytes(),
        "distribution": made.distribution.tobytes(),
        "group_name": made.group,
        "experiment": made.experiment,
        "events_until": made.events_until,
        "stock_until": made.stock_until,
        "rules": made.rules or None,
        "slots": json.dumps(made.slots) if made.slots else None,
        "joint_propensity": made.joint_propensity,
    }


def _slots(slots: Slots | None, i: int) -> list[tuple[int, float]]:
    """Actions with their propensities, up to the first empty slot."""
    assert slots is not None  # noqa: S101 - several were asked for
    found = zip(slots.action[i].tolist(), slots.propensity[i].tolist(), strict=True)
    return [(action, propensity) for action, propensity in found if action != NOTHING]


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


def _reused() -> KeyReusedError:
    return KeyReusedError("this Idempotency-Key was first used with another request")

"""Deciding a batch of requests: one columnar call, one row of the log each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from sqlalchemy import Connection

from orchestrator.decision.core import DecisionCore, Decisions, id_words
from orchestrator.decision.groups import Assignment, Experiment, Group, GroupArray
from orchestrator.decision.ranking import rank
from orchestrator.log.contact_facts import ContactFacts, ContactReader
from orchestrator.log.decision_log import LoggedDecisions, read_decisions, write_decisions
from orchestrator.log.decision_schema import DecisionSchema
from orchestrator.log.facts import read_key_uses, write_rows
from orchestrator.log.identifiers import decision_ids
from orchestrator.serving.errors import KeyReusedError, ServiceError, UnknownCustomerError
from orchestrator.serving.handlers.profiles_batch import ProfilesBatch
from orchestrator.serving.jobs import DecisionJob, DecisionMade
from orchestrator.serving.policy_watcher import PolicyHolder, ServedPolicy
from orchestrator.serving.telemetry.batch_metrics import BatchMetrics
from orchestrator.storage.tables import Row, contacts, idempotency
from policies.exploration.slots import NOTHING, Slots

_LABELS = {int(group): group.label for group in Group}
_RULED = int(Group.BUSINESS_RULES)


class Decider:
    """Decides batches of requests inside the caller's transaction.

    Args:
        core: the decision core.
        schema: what the positions of the core's arrays mean; in the log already.
        policies: holds the policy that serves. A batch takes it once, so each decision is of one version.
        contacts: reads what contact rules look at.
        groups: whose customers the policy decides for.
        experiment: decides for the others.
    """

    def __init__(
        self,
        core: DecisionCore,
        *,
        schema: DecisionSchema,
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
        self._schema = schema
        self._policies = policies

    def decide(
        self,
        connection: Connection,
        profiles: ProfilesBatch,
        jobs: Sequence[DecisionJob],
        *,
        now: float,
        tally: BatchMetrics,
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
        batches = list(read_decisions(connection, [decision_id for _, decision_id in used.values()]))
        logged = {decision_id: (batch, i) for batch in batches for i, decision_id in enumerate(batch.decision_id)}
        for i, job in keyed:
            if job.key not in used:
                first_use.setdefault(job.key, i)
                continue
            fingerprint, decision_id = used[job.key]
            batch, row = logged[decision_id]
            repeated = decisions_made(batch.take([row]), ranked=[job.candidates])
            answers[i] = next(repeated) if fingerprint == job.fingerprint else _reused()
        return first_use

    def _decide_fresh(
        self,
        connection: Connection,
        profiles: ProfilesBatch,
        jobs: Sequence[DecisionJob],
        *,
        now: float,
        tally: BatchMetrics,
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
        batches: list[tuple[LoggedDecisions, list[tuple[int, int, int]]]] = []
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
            logged = self._logged(whom, named, decided, served=served, groups=groups[places], facts=facts, now=now)
            made.update(zip(turn, decisions_made(logged, ranked=[job.candidates for job in whom]), strict=True))
            reached = list(self._contacts_in(logged))
            batches.append((logged, reached))
            if turn is not turns[-1]:
                codes = np.array(
                    [a for _, a, _ in reached], dtype=np.int64
                )  # of the catalogue's actions: their columns
                facts = facts.with_contacts([customer_ids[row] for row, _, _ in reached], action=codes, now=now)
        tally.lap("deciding")
        for logged, _ in batches:
            write_decisions(connection, logged)
        keys = [
            {"key": job.key, "fingerprint": job.fingerprint, "decision_id": decision_id}
            for job, decision_id in zip(jobs, ids, strict=True)
            if job.key is not None
        ]
        write_rows(connection, idempotency, keys)
        write_rows(connection, contacts, [row for logged, reached in batches for row in self._rows(logged, reached)])
        tally.lap("writing")
        return [made[i] for i in range(len(jobs))]

    def _contacts_in(self, logged: LoggedDecisions) -> Iterator[tuple[int, int, int]]:
        """Row, action and slot (from 1) of each decision that is a contact; several slots have one at most."""
        for row, first in enumerate(logged.action.tolist()):
            chosen = [action for action, _ in logged.slots[row]] or [first]
            slot = next((slot for slot, a in enumerate(chosen, start=1) if self._contacts.is_contact[a]), 0)
            if slot:
                yield row, chosen[slot - 1], slot

    def _rows(self, logged: LoggedDecisions, reached: Iterable[tuple[int, int, int]]) -> Iterator[Row]:
        """What the ledger keeps of those decisions that are contacts."""
        for row, a, slot in reached:
            action, at = self._schema.actions[a], float(logged.decided_at[row])
            yield {
                "decision_id": logged.decision_id[row],
                "customer_id": logged.customer_id[row],
                "action": action.id,
                "channel": action.channel,
                "intent": action.intent,
                "slot": slot,
                "decided_at": at,
                "last_at": at,
            }

    def _logged(
        self,
        jobs: Sequence[DecisionJob],
        ids: Sequence[str],
        decided: Decisions,
        *,
        served: ServedPolicy,
        groups: GroupArray,
        facts: ContactFacts,
        now: float,
    ) -> LoggedDecisions:
        n, codes = len(jobs), groups.tolist()
        joint = [] if decided.slots is None else decided.slots.joint.tolist()
        return LoggedDecisions(
            schema=self._schema,
            decision_id=tuple(ids),
            customer_id=tuple(job.customer_id for job in jobs),
            decided_at=np.full(n, now),
            policy_version=(served.version,) * n,
            action=decided.action,
            propensity=decided.propensity,
            request=tuple(job.request for job in jobs),
            features=decided.features,
            eligible=decided.eligible,
            reasons=decided.reasons,
            scores=decided.scores,
            distribution=decided.distribution,
            group_name=tuple(_LABELS[code] for code in codes),
            experiment=(self._groups.experiment,) * n,
            rules=tuple(self._rules if code == _RULED else "" for code in codes),
            events_until=np.full(n, facts.last_event),
            stock_until=np.full(n, facts.stock.until),
            slots=tuple(_slots(decided.slots, i) if job.slots > 1 else () for i, job in enumerate(jobs)),
            joint_propensity=tuple(joint[i] if job.slots > 1 else None for i, job in enumerate(jobs)),
        )


def decisions_made(logged: LoggedDecisions, *, ranked: Sequence[bool]) -> Iterator[DecisionMade]:
    """Answers from logged decisions; `ranked` says of each whether to rank what could be chosen."""
    # Many at once are not ranked: that would cost more than all the rest.
    wanted = [i for i, ranks in enumerate(ranked) if ranks]
    ranking = rank(logged.scores[wanted], logged.distribution[wanted], logged.eligible[wanted], logged.action[wanted])
    best = iter(zip(ranking.actions, ranking.scores, ranking.probabilities, strict=True))
    # As lists, since to take one number out of an array costs as much as a line of code.
    actions, propensities, moments = (a.tolist() for a in (logged.action, logged.propensity, logged.decided_at))
    for i, ranks in enumerate(ranked):
        found, scores, probabilities = next(best) if ranks else ((), (), ())
        yield DecisionMade(
            decision_id=logged.decision_id[i],
            customer_id=logged.customer_id[i],
            decided_at=moments[i],
            policy_version=logged.policy_version[i],
            schema=logged.schema,
            action=actions[i],
            propensity=propensities[i],
            group=logged.group_name[i],
            slots=logged.slots[i],
            joint_propensity=logged.joint_propensity[i],
            ranked=found,
            ranked_scores=scores,
            ranked_probabilities=probabilities,
        )


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

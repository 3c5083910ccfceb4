"""Keeping facts: events and outcomes go into the log and into the profiles in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np
from sqlalchemy import Connection

from orchestrator.config.fact_types import NEEDS, REPORTED
from orchestrator.ingest.raw import RawMessage
from orchestrator.ingest.vocabulary import NONE
from orchestrator.log.decision_log import ChosenActions
from orchestrator.log.facts import (
    known_events,
    known_outcomes,
    known_raw,
    report_contacts,
    write_rows,
    write_stated,
)
from orchestrator.profiles import EVENT_TYPES, Events, ProfileSchema, apply
from orchestrator.serving.errors import ServiceError, UnknownDecisionError, UnknownSlotError
from orchestrator.serving.handlers.profiles_batch import ProfilesBatch
from orchestrator.serving.jobs import EventsJob, OutcomesJob, Recorded
from orchestrator.storage.tables import Row, events as events_table, outcomes as outcomes_table, raw_events


def record_events(
    connection: Connection, schema: ProfileSchema, profiles: ProfilesBatch, jobs: Sequence[EventsJob], *, now: float
) -> list[Recorded]:
    """Keep the events that are new and apply them; which were new, per job."""
    events = Events.concat([job.events for job in jobs])
    bodies = [body for job in jobs for body in job.bodies]
    new = _keep_events(connection, schema, profiles, events, bodies, now=now)
    texts = [text for job in jobs for text in job.texts or [{}] * len(job.events)]
    whose = events.customers[events.customer].tolist()
    write_stated(
        connection,
        [
            {"customer_id": whose[i], "name": name, "value": value, "stated_at": float(events.timestamp[i])}
            for i in np.flatnonzero(new).tolist()
            for name, value in texts[i].items()
        ],
    )
    recorded, start = [], 0
    for job in jobs:
        recorded.append(Recorded(tuple(new[start : start + len(job.events)])))
        start += len(job.events)
    return recorded


def record_raw(
    connection: Connection, messages: Sequence[RawMessage], *, whose: Sequence[str | None], now: float
) -> Counter[str]:
    """Keep messages that were not understood, each once, with whose each is; how many were new, by source."""
    new: Counter[str] = Counter()
    for source in {message.source for message in messages}:
        of_source = {m.message_id: (m, of) for m, of in zip(messages, whose, strict=True) if m.source == source}
        known = known_raw(connection, source, list(of_source))
        rows = [_raw_row(m, of, now) for m, of in of_source.values() if m.message_id not in known]
        write_rows(connection, raw_events, rows)
        new[source] = len(rows)
    return new


def _raw_row(message: RawMessage, customer_id: str | None, now: float) -> Row:
    row = {**asdict(message), "customer_id": customer_id, "received_at": now}
    del row["links"]  # of its request
    return row


def record_outcomes(
    connection: Connection,
    schema: ProfileSchema,
    profiles: ProfilesBatch,
    jobs: Sequence[OutcomesJob],
    *,
    decided: Mapping[str, ChosenActions],
    now: float,
) -> list[Recorded | ServiceError]:
    """Keep the outcomes that are new, and apply those that are events or report contacts; which were new, per job."""
    seen = known_outcomes(connection, [o.outcome_id for job in jobs for o in job.outcomes])
    answers: list[Recorded | ServiceError] = []
    rows: list[Row] = []
    for job in jobs:
        unknown = [i for i, o in enumerate(job.outcomes) if o.decision_id not in decided]
        if unknown:
            place = "" if len(job.outcomes) == 1 else f"[{unknown[0]}]."
            answers.append(UnknownDecisionError(f"{place}decision_id is of no decision in the log"))
            continue
        beyond = [i for i, o in enumerate(job.outcomes) if o.slot > len(decided[o.decision_id].chosen)]
        if beyond:
            place = "" if len(job.outcomes) == 1 else f"[{beyond[0]}]."
            outcome = job.outcomes[beyond[0]]
            has = len(decided[outcome.decision_id].chosen)
            answers.append(UnknownSlotError(f"{place}slot = {outcome.slot}: the decision has {has}"))
            continue
        new = []
        for outcome in job.outcomes:
            new.append(outcome.outcome_id not in seen)
            if new[-1]:
                seen.add(outcome.outcome_id)
                rows.append(
                    {
                        "outcome_id": outcome.outcome_id,
                        "decision_id": outcome.decision_id,
                        "customer_id": decided[outcome.decision_id].customer_id,
                        "type": outcome.type,
                        "slot": outcome.slot,
                        "value": outcome.value,
                        "timestamp": outcome.timestamp,
                        "received_at": now,
                        "body": outcome.body,
                    }
                )
        answers.append(Recorded(tuple(new)))
    write_rows(connection, outcomes_table, rows)
    # Facts, also where they come late: what was sent was sent.
    told = [row for row in rows if row["type"] in REPORTED and row["slot"] == decided[row["decision_id"]].contact]
    report_contacts(connection, [(row["decision_id"], row["type"], row["timestamp"]) for row in told])
    _apply_outcomes(connection, schema, profiles, rows, decided, now=now)
    return answers


def _apply_outcomes(
    connection: Connection,
    schema: ProfileSchema,
    profiles: ProfilesBatch,
    rows: Sequence[Row],
    decided: Mapping[str, ChosenActions],
    *,
    now: float,
) -> None:
    # Some outcomes (`accept`) are not events; a click after silence has no channel to count it for, a purchase has
    # none and needs none.
    channels = {r["decision_id"]: _channel_code(schema, decided[r["decision_id"]].actions[0].channel) for r in rows}
    rows = [
        r
        for r in rows
        if r["type"] in EVENT_TYPES and (channels[r["decision_id"]] != NONE or r["type"] not in NEEDS["channel"])
    ]
    if not rows:
        return
    customer_ids = [decided[r["decision_id"]].customer_id for r in rows]
    events = Events.from_columns(
        customer_id=np.array(customer_ids, dtype=object),
        # An event under the same id is the same fact, so a purchase sent both ways counts once.
        event_id=np.array([r["outcome_id"] for r in rows], dtype=object),
        timestamp=np.array([r["timestamp"] for r in rows]),
        type=np.array([EVENT_TYPES.index(r["type"]) for r in rows]),
        channel=np.array([channels[r["decision_id"]] for r in rows]),
        value=np.array([r["value"] for r in rows]),
    )
    _keep_events(connection, schema, profiles, events, [r["body"] for r in rows], now=now)


def _channel_code(schema: ProfileSchema, channel: str) -> int:
    return schema.channels.index(channel) if channel in schema.channels else NONE


def _keep_events(
    connection: Connection,
    schema: ProfileSchema,
    profiles: ProfilesBatch,
    events: Events,
    bodies: Sequence[str],
    *,
    now: float,
) -> list[bool]:
    ids = events.event_id.tolist()
    seen = known_events(connection, ids)
    new = []
    for event_id in ids:
        new.append(event_id not in seen)
        seen.add(event_id)
    fresh = np.flatnonzero(new)
    kept = events.take(fresh)
    customers = kept.customers[kept.customer].tolist()
    rows = [
        {
            "event_id": kept.event_id[i],
            "customer_id": customers[i],
            "type": EVENT_TYPES[kept.type[i]],
            "timestamp": float(kept.timestamp[i]),
            "received_at": now,
            "body": bodies[source],
        }
        for i, source in enumerate(fresh.tolist())
    ]
    write_rows(connection, events_table, rows)
    apply(schema, profiles.states, replace(kept, customer=profiles.rows(customers)))
    profiles.touch(customers)
    return new

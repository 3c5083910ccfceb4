"""How much memory a waiting job takes, so that a queue can be bounded in bytes."""

from __future__ import annotations

from orchestrator.serving.jobs import (
    DecisionJob,
    DecisionsJob,
    ErasureJob,
    EventsJob,
    Job,
    OutcomesJob,
    ProbeJob,
    StockJob,
)

# Bytes beside the texts: objects, strings' headers, columns, and of a decision the request that waits with it. Rounded
# up from measurements, which a test repeats.
_DECISION = 1_500
_EVENTS = 2_000  # columns, however short
_EVENT = 600
_OUTCOME = 600
_STOCK = 500
_RAW = 400
_TEXTS = 250  # what one event states: a mapping
_TEXT = 100
_LINK = 300


def bytes_of(job: Job) -> int:
    """Bytes of memory of a job and of what waits with it, about."""
    match job:
        case ProbeJob() | ErasureJob():
            return 0
        case DecisionJob():
            return _DECISION + len(job.request)
        case DecisionsJob():
            return sum(_DECISION + len(one.request) for one in job.jobs)
        case EventsJob():
            raw = sum(_RAW + len(one.payload) + len(one.reason) + len(one.name) for one in job.raw)
            stated = sum(_TEXTS + sum(_TEXT + len(text) for text in texts.values()) for texts in job.texts if texts)
            events = _EVENTS + _EVENT * len(job.bodies) + 2 * sum(map(len, job.bodies))
            return events + raw + stated + _LINK * len(job.links)
        case OutcomesJob():
            return _OUTCOME * len(job.outcomes) + sum(len(outcome.body) for outcome in job.outcomes)
        case StockJob():
            return _STOCK * len(job.facts)


def weight_of(job: Job) -> int:
    """How many decisions or facts a job holds: one transaction is to have so many, whoever sent them."""
    match job:
        case DecisionsJob():
            return len(job.jobs)
        case EventsJob():
            return max(1, len(job.bodies) + len(job.raw))
        case OutcomesJob():
            return max(1, len(job.outcomes))
        case StockJob():
            return max(1, len(job.facts))
        case _:
            return 1

"""How much memory a waiting job takes, so that a queue can be bounded in bytes."""

from __future__ import annotations

from orchestrator.service.jobs import (
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
_EVENT = 600
_OUTCOME = 600
_STOCK = 500


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
            return _EVENT * len(job.bodies) + 2 * sum(map(len, job.bodies))
        case OutcomesJob():
            return _OUTCOME * len(job.outcomes) + sum(len(outcome.body) for outcome in job.outcomes)
        case StockJob():
            return _STOCK * len(job.facts)


def decisions_of(job: Job) -> int:
    """How many requests a job stands for: one transaction is to have so many, whoever sent them."""
    return len(job.jobs) if isinstance(job, DecisionsJob) else 1

"""Whether the service can decide, part by part, by trying."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from orchestrator.serving.errors import ServiceError, StoppingError, StorageUnavailableError
from orchestrator.serving.jobs import Answer, Job, ProbeJob
from orchestrator.serving.policy_watcher import PolicyHolder
from orchestrator.serving.queue import GroupCommitQueue

# What is asked more often is told what was found.
_FRESH = 1.0
# A write that takes longer is no write a request could wait for.
_LONGEST_WRITE = 2.0

# By name: what is wrong, or none.
Checks = Mapping[str, ServiceError | None]


class Readiness:
    """Looks at everything a decision needs. Belongs to one event loop.

    Args:
        gatherer: whose thread writes.
        policies: holds the policy.
        stopping: whether the service was told to stop.
    """

    def __init__(
        self, gatherer: GroupCommitQueue[Job, Answer], *, policies: PolicyHolder, stopping: Callable[[], bool]
    ) -> None:
        self._gatherer = gatherer
        self._policies = policies
        self._stopping = stopping
        self._probing: asyncio.Task[ServiceError | None] | None = None
        self._probed_at = 0.0

    async def checks(self) -> Checks:
        """What is wrong with each part now; the database is asked by a write of its own, at most once a second."""
        found: dict[str, ServiceError | None] = {
            "running": StoppingError("the service is stopping; ask another one") if self._stopping() else None,
            "policy": _error_of(self._policies.required),
            "writer": _error_of(self._gatherer.check),
            "queue": _error_of(self._gatherer.refuse_if_full),
        }
        # A probe could not get past these.
        found["database"] = found["writer"] or found["queue"] or await self._database()
        return found

    async def _database(self) -> ServiceError | None:
        done = self._probing is not None and self._probing.done()
        if self._probing is None or (done and time.monotonic() - self._probed_at > _FRESH):
            self._probing = asyncio.create_task(self._probe())
        try:
            return await asyncio.wait_for(asyncio.shield(self._probing), _LONGEST_WRITE)
        except TimeoutError:
            return StorageUnavailableError(f"the database has not taken a write for {_LONGEST_WRITE:g} s")

    async def _probe(self) -> ServiceError | None:
        try:
            await self._gatherer.submit(ProbeJob())
        except ServiceError as error:
            return error
        finally:
            self._probed_at = time.monotonic()
        return None


def _error_of(check: Callable[[], object]) -> ServiceError | None:
    try:
        check()
    except ServiceError as error:
        return error
    return None

"""What happened in one transaction, counted while it runs and told only once it is on disk."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from orchestrator.decision.core import Decisions
from orchestrator.decision.groups import GroupArray
from orchestrator.eligibility.eligible_actions import ReasonArray
from policies.arrays import BoolArray, IntArray

STAGES = ("waiting", "reading", "recording", "deciding", "writing", "committing")


@dataclass(frozen=True)
class Counted:
    """n decisions to be counted, as they were made; to count them here would take time from the next batch.

    Attributes:
        eligible: bool (n, A).
        reasons: uint8 (n, A).
        groups: int64 (n,).
        first: int64 (n,), the chosen action, or that of the first slot.
        chosen: int64 (m,), every action chosen; more than n where there are several slots.
    """

    eligible: BoolArray
    reasons: ReasonArray
    groups: GroupArray
    first: IntArray
    chosen: IntArray

    @classmethod
    def joined(cls, parts: Sequence[Counted]) -> Counted:
        """All of several."""
        return cls(
            *(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)),
        )


@dataclass
class BatchMetrics:
    """Filled by whoever works on a batch; forgotten if the batch is undone.

    Attributes:
        seconds: by stage; `reading` begins with the wait for locks.
        decided: decisions, in turns.
        facts: by kind (`event`, `outcome`, `stock`) and whether `accepted` or `duplicate`.
        repeats: decisions answered from the log.
        raw: messages newly kept as they were sent, by source.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    decided: list[Counted] = field(default_factory=list)
    facts: Counter[tuple[str, str]] = field(default_factory=Counter)
    repeats: int = 0
    raw: Counter[str] = field(default_factory=Counter)
    _since: float = field(default_factory=time.perf_counter)

    def lap(self, stage: str) -> None:
        """Say that what took place since the last lap was this stage."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now

    def decisions(self, made: Decisions, *, groups: GroupArray) -> None:
        """Note decisions.

        Args:
            made: n of them.
            groups: (n,) of the customers.
        """
        chosen = made.action if made.slots is None else made.slots.action[made.slots.action >= 0]
        self.decided.append(Counted(made.eligible, made.reasons, groups, made.action, chosen))

    def recorded(self, kind: str, new: list[bool] | tuple[bool, ...]) -> None:
        """Count facts by whether they were new."""
        accepted = sum(new)
        self.facts[kind, "accepted"] += accepted
        self.facts[kind, "duplicate"] += len(new) - accepted

"""What happened in one transaction, counted while it runs and told only once it is on disk."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from orchestrator.decisions import Decisions
from orchestrator.groups import GroupArray
from policies.arrays import IntArray

STAGES = ("waiting", "reading", "recording", "deciding", "writing", "committing")


@dataclass
class Counted:
    """Decisions made.

    Attributes:
        eligible: (n,) number of eligible actions of each decision.
        reasons: (number of reasons,) cells of the n x A by reason code.
        groups: (number of groups,) decisions.
        actions: (A,) how often each was chosen; several slots count each.
        holds: decisions of which the first choice was to do nothing.
    """

    eligible: IntArray
    reasons: IntArray
    groups: IntArray
    actions: IntArray
    holds: int


@dataclass
class BatchTally:
    """Filled by whoever works on a batch; forgotten if the batch is undone.

    Attributes:
        seconds: by stage; `reading` begins with the wait for locks.
        decided: decisions, in turns.
        facts: by kind (`event`, `outcome`) and whether `accepted` or `duplicate`.
        repeats: decisions answered from the log.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    decided: list[Counted] = field(default_factory=list)
    facts: Counter[tuple[str, str]] = field(default_factory=Counter)
    repeats: int = 0
    _since: float = field(default_factory=time.perf_counter)

    def lap(self, stage: str) -> None:
        """Say that what took place since the last lap was this stage."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now

    def decisions(self, made: Decisions, *, groups: GroupArray, reasons: int) -> None:
        """Count decisions.

        Args:
            made: n of them.
            groups: (n,) of the customers.
            reasons: how many reasons there are.
        """
        chosen = made.action if made.slots is None else made.slots.action[made.slots.action >= 0]
        self.decided.append(
            Counted(
                eligible=made.eligible.sum(axis=1),
                reasons=np.bincount(made.reasons.ravel(), minlength=reasons),
                groups=np.bincount(groups, minlength=4),
                actions=np.bincount(chosen, minlength=made.eligible.shape[1]),
                holds=int((made.action == 0).sum()),
            )
        )

    def recorded(self, kind: str, new: list[bool] | tuple[bool, ...]) -> None:
        """Count facts by whether they were new."""
        accepted = sum(new)
        self.facts[kind, "accepted"] += accepted
        self.facts[kind, "duplicate"] += len(new) - accepted

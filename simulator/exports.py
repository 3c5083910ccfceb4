"""Logs of rollouts for other tools: as logged feedback, as Open Bandit Pipeline takes it, as a table, as dsjson.

The money of a decision is what was kept until the customer's next one, or until the horizon. A log knows money per day,
so of several decisions about a customer on one day the last has the day's money; what each of them cost itself stays
its own. Thus all decisions of a customer together have all money since the first.

Everything here is net of what the decision's own action cost, because other tools maximise what they are given; only
the reward of `LogExport.feedback()` is gross, because our learning and evaluation subtract the costs of actions from
money themselves (`LoggedFeedback.net`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from policies.actions import ActionSet
from policies.arrays import Float32Array, Float64Array, IntArray
from policies.feedback import MONEY, LoggedFeedback
from policies.vw.dsjson import write_dsjson_log
from simulator.errors import SimulatorError
from simulator.rollout.log import RolloutLog

if TYPE_CHECKING:
    import pandas as pd

_DECIMALS = 5
SLOTS = ("outbound", "site", "store")  # names of `RolloutLog.slot`


class BanditFeedback(TypedDict):
    """The `bandit_feedback` dictionary of Open Bandit Pipeline (github.com/st-tech/zr-obp).

    Attributes:
        n_rounds: number of decisions.
        n_actions: number of actions.
        context: float32 (n, F), features.
        action: int64 (n,).
        position: int64 (n,), all 0: one action is chosen at a time.
        reward: float64 (n,), money kept until the next decision; that package knows no costs, so they are off.
        pscore: float64 (n,), propensities.
        action_context: float32 (A, D), one column per feature that any action has.
    """

    n_rounds: int
    n_actions: int
    context: Float32Array
    action: IntArray
    position: IntArray
    reward: Float64Array
    pscore: Float64Array
    action_context: Float32Array


@dataclass(frozen=True)
class LogExport:
    """A rollout's log with what it is about.

    Attributes:
        log: of one block.
        actions: the A actions, as of the decision core.
        columns: names of the F feature columns, as of the decision core.
        block: names the block in customer ids, so that logs of several can be joined.
        source: provenance in one line.
    """

    log: RolloutLog
    actions: ActionSet
    columns: tuple[str, ...]
    block: str = "0"
    source: str = "simulated"

    def __post_init__(self) -> None:
        expected = {"features": len(self.columns), "eligible": len(self.actions)}
        for name, size in expected.items():
            if (found := getattr(self.log, name).shape[1]) != size:
                raise SimulatorError(
                    f"the log's {name} have {found} columns, expected {size}; "
                    "give the actions and columns of the core that decided"
                )

    def feedback(self) -> LoggedFeedback:
        """As learning and off-policy evaluation read it.

        The reward is money before the action's own cost, so that `net()` is the money that was kept. Outcome `worth`
        is that money with what goals.yaml adds for outcomes that are not money yet; as nothing subtracts costs from
        outcomes, they are off.
        """
        log = self.log
        return LoggedFeedback(
            columns=self.columns,
            features=log.features,
            actions=self.actions,
            eligible=log.eligible,
            action=log.action,
            propensity=log.propensity,
            reward=self._gross(log.margin),
            customer=np.array([f"{self.block}-{row}" for row in log.customer], dtype=object),
            reward_name=MONEY,
            outcomes={"worth": self._gross(log.worth) - self._costs()},
            source=self.source,
        )

    def bandit_feedback(self) -> BanditFeedback:
        """As Open Bandit Pipeline reads it."""
        log, n = self.log, len(self.log)
        return BanditFeedback(
            n_rounds=n,
            n_actions=len(self.actions),
            context=log.features,
            action=log.action,
            position=np.zeros(n, dtype=np.int64),
            reward=self._gross(log.margin) - self._costs(),
            pscore=log.propensity,
            action_context=_action_context(self.actions),
        )

    def frame(self) -> pd.DataFrame:
        """One row per decision: who, when, what, how likely, whether done, money net of its cost, and `x.` features."""
        import pandas as pd

        log = self.log
        decided = pd.DataFrame(
            {
                "customer": [f"{self.block}-{row}" for row in log.customer],
                "day": log.day,
                "slot": pd.Categorical.from_codes(log.slot, dtype=pd.CategoricalDtype(list(SLOTS))),
                "action": pd.Categorical.from_codes(log.action, dtype=pd.CategoricalDtype(list(self.actions.ids))),
                "propensity": log.propensity,
                "done": log.done,
                "money": self._gross(log.margin) - self._costs(),
            }
        )
        known = pd.DataFrame(log.features, columns=[f"x.{name}" for name in self.columns])
        return pd.concat([decided, known], axis=1)

    def write_dsjson(self, file: Path) -> None:
        """As Vowpal Wabbit's dsjson; the cost to learn from is minus the money kept, the action's own cost off."""
        write_dsjson_log(self.feedback().net(), file)

    def _costs(self) -> Float64Array:
        return self.actions.cost[self.log.action].astype(np.float64)

    def _gross(self, money: Float32Array) -> Float64Array:
        """Money from each decision until the customer's next, before the costs of its own action; float64 (n,).

        Args:
            money: per customer and day with all contact costs subtracted, float32 (customers, D).
        """
        log, days = self.log, money.shape[1]
        before_costs, costs = money.astype(np.float64), self._costs()
        np.add.at(before_costs, (log.customer, log.day), costs * log.done)
        until = np.zeros((len(money), days + 1))
        np.cumsum(before_costs, axis=1, out=until[:, 1:])
        order = np.lexsort((log.slot, log.day, log.customer))
        customer, day = log.customer[order], log.day[order]
        following = np.full(len(order), days)
        same = customer[1:] == customer[:-1]
        following[:-1][same] = day[1:][same]
        earned = np.empty(len(order))
        earned[order] = until[customer, following] - until[customer, day]
        # What was never spent is credited to the alert that expired, so that it nets to what it cost: nothing.
        earned += costs * ~log.done
        # Days are float32: a cost added back leaves rounding behind, which must not look like an answer.
        return np.round(earned, _DECIMALS)


def _action_context(actions: ActionSet) -> Float32Array:
    """Features of the actions as columns, in order of first appearance; float32 (A, D)."""
    position: dict[tuple[str, str], int] = {}
    for features in actions.features:
        for namespace, name, _ in features:
            position.setdefault((namespace, name), len(position))
    context = np.zeros((len(actions), len(position)), dtype=np.float32)
    for row, features in enumerate(actions.features):
        for namespace, name, value in features:
            context[row, position[namespace, name]] += value
    return context

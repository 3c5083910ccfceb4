"""Learning: feature space, Vowpal Wabbit policies, exploration, off-policy evaluation, registry.

Everything a user of the package needs is here; what stands deeper may change. Nothing is loaded before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from policies.actions import ActionFeature as ActionFeature, ActionSet as ActionSet, PairFeature as PairFeature
    from policies.errors import (
        ContractError as ContractError,
        EvaluationError as EvaluationError,
        FeedbackError as FeedbackError,
        PolicyError as PolicyError,
        PolicyFormatError as PolicyFormatError,
        RegistryError as RegistryError,
    )
    from policies.evaluation.estimators import DM as DM, DR as DR, IPS as IPS, SNIPS as SNIPS, Estimate as Estimate
    from policies.evaluation.league import LeagueTable as LeagueTable, league_table as league_table
    from policies.evaluation.rounds import Rounds as Rounds
    from policies.feedback import LoggedFeedback as LoggedFeedback
    from policies.learning.baselines import (
        BusinessRules as BusinessRules,
        FixedPolicy as FixedPolicy,
        RandomPolicy as RandomPolicy,
    )
    from policies.learning.replay import Replay as Replay, replay as replay
    from policies.learning.training import (
        TrainingResult as TrainingResult,
        TrainingSettings as TrainingSettings,
        train as train,
    )
    from policies.policy import Policy as Policy
    from policies.policy_check import check_policy as check_policy
    from policies.registry.store import Store as Store
    from policies.vw.files import load_policy as load_policy, save_policy as save_policy
    from policies.vw.policy import VWPolicy as VWPolicy, VWSettings as VWSettings

_PLACES = {
    "policies.actions": "ActionFeature ActionSet PairFeature",
    "policies.errors": "ContractError EvaluationError FeedbackError PolicyError PolicyFormatError RegistryError",
    "policies.evaluation.estimators": "DM DR IPS SNIPS Estimate",
    "policies.evaluation.league": "LeagueTable league_table",
    "policies.evaluation.rounds": "Rounds",
    "policies.feedback": "LoggedFeedback",
    "policies.learning.baselines": "BusinessRules FixedPolicy RandomPolicy",
    "policies.learning.replay": "Replay replay",
    "policies.learning.training": "TrainingResult TrainingSettings train",
    "policies.policy": "Policy",
    "policies.policy_check": "check_policy",
    "policies.registry.store": "Store",
    "policies.vw.files": "load_policy save_policy",
    "policies.vw.policy": "VWPolicy VWSettings",
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names.split()}
# Constants, classes, the rest.
__all__ = sorted(_MODULES, key=lambda name: (not name.isupper(), name[0].islower(), name))  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
